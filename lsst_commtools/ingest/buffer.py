"""A buffer as the observatory's data service keeps one: ingested on arrival, bad files set aside, old ones removed."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from lsst_commtools.errors import InputError, ServiceError
from lsst_commtools.ingest.arrival import ArrivalReport, ArrivalWatcher, Ingests, OnVisit
from lsst_commtools.ingest.arrival_journal import ArrivedFile, ArrivedVisit
from lsst_commtools.ingest.outcomes import Outcome

__all__ = ["ArrivalBuffer", "BadFile", "BufferReport"]

BAD_FILES_RECORD = "bad_files.jsonl"


class Forgets(Ingests, Protocol):
    """An ingester that can also take images out again."""

    def forget(self, images: Mapping[Path, tuple[int, int]]) -> None:
        """Take images out of the repository that it reads in place."""


@dataclass(frozen=True)
class BadFile:
    """A file that was set aside.

    Parameters
    ----------
    path
        Where it came, relative to the buffer.
    kept
        Where it is now, relative to the folder of bad files.
    reason
        Why it was not ingested.
    outcome
        As at ingest.
    sha256
        Its checksum; empty if it could not be read.
    attempts
        How often it was tried.
    moved_utc
        When it was set aside, ISO.
    """

    path: str
    kept: str
    reason: str
    outcome: str
    sha256: str
    attempts: int
    moved_utc: str


@dataclass(frozen=True)
class BufferReport:
    """What one look at the buffer brought.

    Parameters
    ----------
    arrival
        What was ingested and announced.
    bad
        Files that were set aside.
    removed
        Files that were old enough to go, relative to the buffer.
    """

    arrival: ArrivalReport
    bad: tuple[BadFile, ...] = ()
    removed: tuple[str, ...] = ()


class ArrivalBuffer:
    """A folder that files are sent to, and that holds the last ones only.

    Parameters
    ----------
    folder
        The buffer.
    ingester
        Takes the files into the repository; `Ingester` with transfer ``direct`` reads them where they are, and an
        image then leaves the repository with its file.
    expected_detectors, settle_s, visit_timeout_s, on_visit, attempts, retry_s, now_utc, journal
        As in `ArrivalWatcher`.
    bad_files
        Folder for files that cannot be ingested; by default ``bad_files`` beside the buffer.
    max_age_s
        Time from the ingest of a file to its removal, in seconds; None keeps all.

    Raises
    ------
    InputError
        If the folder of bad files lies in the buffer.
    LeaseError
        If another process serves the buffer.
    """

    def __init__(
        self,
        folder: str | Path,
        ingester: Forgets,
        *,
        expected_detectors: Collection[int],
        bad_files: str | Path | None = None,
        max_age_s: float | None = None,
        settle_s: float = 1.0,
        visit_timeout_s: float = 120.0,
        on_visit: OnVisit | None = None,
        attempts: int = 3,
        retry_s: float = 10.0,
        now_utc: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        journal: Path | None = None,
    ) -> None:
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100  as `ArrivalWatcher` does
        self.bad_folder = (
            self.folder.parent / "bad_files" if bad_files is None else Path(bad_files)
        ).absolute()
        if self.bad_folder.is_relative_to(self.folder):
            raise InputError(f"The folder of bad files {self.bad_folder} lies in the buffer {self.folder}.")
        self._ingester = ingester
        self._max_age_s = max_age_s
        self._attempts = attempts
        self._now_utc = now_utc
        self._watcher = ArrivalWatcher(
            self.folder,
            ingester,
            expected_detectors=expected_detectors,
            settle_s=settle_s,
            visit_timeout_s=visit_timeout_s,
            on_visit=on_visit,
            attempts=attempts,
            retry_s=retry_s,
            now_utc=now_utc,
            journal=journal,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others serve the buffer."""
        self._watcher.close()

    def poll(self) -> BufferReport:
        """Look once: ingest, announce, set bad files aside, remove old ones.

        Returns
        -------
        BufferReport
            What was done.

        Raises
        ------
        ServiceError
            If the repository, the journal or the folder of bad files cannot be written; the next look goes on.
        """
        arrival = self._watcher.poll()
        files = self._watcher.files()
        return BufferReport(arrival, self._set_aside(files), self._remove_old(files))

    def visits(self) -> list[ArrivedVisit]:
        """List all visits of which a file came; as `ArrivalWatcher.visits`."""
        return self._watcher.visits()

    def files(self) -> list[ArrivedFile]:
        """List all files that got an outcome; as `ArrivalWatcher.files`."""
        return self._watcher.files()

    def bad_files(self) -> list[BadFile]:
        """List the files that were set aside and are still there.

        Returns
        -------
        list of BadFile
            In the order in which they were.
        """
        found: dict[str, BadFile] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in (self.bad_folder / BAD_FILES_RECORD).read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, TypeError):  # a line that a kill cut
                    bad = BadFile(**json.loads(line))
                    found[bad.kept] = bad
        return [bad for bad in found.values() if (self.bad_folder / bad.kept).exists()]

    def _is_bad(self, file: ArrivedFile) -> bool:
        """Tell whether a file is to be set aside: never one that the repository may read where it is."""
        if file.outcome is Outcome.UNREADABLE:
            return file.attempts >= self._attempts
        if file.outcome is Outcome.COLLISION:
            return not self._watcher.was_ingested(file.path)
        return file.outcome is Outcome.HEADER_REFUSED

    def _set_aside(self, files: Sequence[ArrivedFile]) -> tuple[BadFile, ...]:
        moved = []
        for file in files:
            path = Path(file.path)
            if self._is_bad(file) and _is_still(path, file):
                moved.append(self._move(path, file))
        return tuple(moved)

    def _move(self, path: Path, file: ArrivedFile) -> BadFile:
        relative = path.relative_to(self.folder)
        kept, number = relative, 1
        while (self.bad_folder / kept).exists():
            number += 1
            kept = relative.with_name(f"{relative.name}.{number}")
        bad = BadFile(
            relative.as_posix(),
            kept.as_posix(),
            file.reason,
            file.outcome.value,
            file.sha256,
            file.attempts,
            self._now_utc().isoformat(),
        )
        target = self.bad_folder / kept
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # Written before: of a kill between the two there is a line too many, and no file without its reason.
            with (self.bad_folder / BAD_FILES_RECORD).open("a", encoding="utf-8") as stream:
                stream.write(f"\n{json.dumps(asdict(bad))}")
            shutil.move(path, target)
        except OSError as error:
            raise ServiceError(
                f"The bad file {relative} cannot be moved to {self.bad_folder}: {error.strerror}.",
                changed="It stays in the buffer, and is not ingested.",
            ) from error
        return bad

    def _remove_old(self, files: Sequence[ArrivedFile]) -> tuple[str, ...]:
        """Remove files that were ingested long enough ago, from the repository first."""
        if self._max_age_s is None:
            return ()
        now_utc = self._now_utc()
        old = {
            Path(file.path): file
            for file in files
            if file.outcome in (Outcome.INGESTED, Outcome.IDENTICAL_DUPLICATE)
            and (now_utc - file.ingested_utc).total_seconds() > self._max_age_s
            and _is_still(Path(file.path), file)
        }
        if not old:
            return ()
        self._ingester.forget(
            {
                path: (file.exposure, file.detector)
                for path, file in old.items()
                if file.exposure is not None and file.detector is not None
            }
        )
        for path in old:
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == self.folder:
                    break
                try:
                    parent.rmdir()
                except OSError:
                    break  # others are still in it
        return tuple(path.relative_to(self.folder).as_posix() for path in old)


def _is_still(path: Path, file: ArrivedFile) -> bool:
    """Tell whether a file is there, and is the one that was looked at."""
    try:
        state = path.lstat()
    except OSError:
        return False
    return (state.st_size, state.st_mtime_ns) == (file.size_bytes, file.mtime_ns)
