"""Files ingested as they come, and visits announced when they are complete or waited for long enough."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from lsst_commtools.errors import CommtoolsError, InputError, NotFoundError, ServiceError
from lsst_commtools.ingest.arrival_journal import ArrivalJournal, ArrivedFile, ArrivedVisit, VisitState
from lsst_commtools.ingest.outcomes import FileOutcome, IngestReport, Outcome
from lsst_commtools.ingest.transfer import RAW_ENDINGS

__all__ = ["ArrivalReport", "ArrivalWatcher", "Ingests", "OnVisit"]

OnVisit = Callable[[int, tuple[int, ...], tuple[int, ...]], None]
"""Called with the exposure, the detectors that arrived, and those that are missing."""

BATCH_FILES = 64
_SLEEP_S = 0.1


class Ingests(Protocol):
    """What takes files into a repository: `Ingester`, and doubles of it."""

    def ingest(self, paths: Sequence[Path]) -> IngestReport:
        """Ingest files, one outcome for each."""


@dataclass(frozen=True)
class ArrivalReport:
    """What one look at the folder brought.

    Parameters
    ----------
    files
        Files that got their outcome.
    announced
        Visits that were announced.
    late
        Exposure and detector of images that came after their visit was announced.
    unsettled
        How many files are still being written, or not seen for long enough.
    error
        Why nothing could be done this time; `ArrivalWatcher.run` looks again.
    """

    files: tuple[FileOutcome, ...] = ()
    announced: tuple[ArrivedVisit, ...] = ()
    late: tuple[tuple[int, int], ...] = ()
    unsettled: int = 0
    error: ServiceError | None = None


@dataclass(frozen=True)
class _Seen:
    """A file in a certain state, and since when it is so."""

    fingerprint: tuple[int, int, int, int]
    since_s: float
    arrived_utc: dt.datetime


class ArrivalWatcher:
    """Ingest the raw files of a folder as they come.

    Only whole files are taken: hidden names, under which rsync writes, are passed over, and a file counts as whole
    when it has not changed for the settle time. Every file gets one outcome; one that changes later gets another.
    A visit is announced once, when all its expected detectors were ingested or the first came too long ago. That
    holds over kills and restarts; only an announcement in which a kill falls is made again, so it should find out by
    itself what of its work is done.

    Parameters
    ----------
    folder
        The folder, watched at any depth; it need not exist yet.
    ingester
        Takes the files into the repository.
    expected_detectors
        Detectors of a complete visit.
    settle_s
        Time for which a file must not have changed, in seconds.
    visit_timeout_s
        Time from the first file of a visit to its announcement at the latest, in seconds.
    on_visit
        Called for each visit, in this thread: what takes long is better put into a queue.
    attempts, retry_s
        How often a file that cannot be read is tried, and how long after the last time, in seconds.
    now_utc
        The clock of times that are kept, and of the visit's time-out.
    journal
        sqlite file of what is done; by default hidden in the folder.

    Raises
    ------
    InputError
        If no detectors are expected.
    LeaseError
        If another watcher works on the folder.
    """

    def __init__(
        self,
        folder: str | Path,
        ingester: Ingests,
        *,
        expected_detectors: Collection[int],
        settle_s: float = 1.0,
        visit_timeout_s: float = 120.0,
        on_visit: OnVisit | None = None,
        attempts: int = 3,
        retry_s: float = 10.0,
        now_utc: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        journal: Path | None = None,
    ) -> None:
        if not expected_detectors:
            raise InputError("No detectors are expected.", advice="Give the detectors of a complete visit.")
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100  as `Ingester` names files: links stay, '..' goes
        self._ingester = ingester
        self._expected = frozenset(expected_detectors)
        self._settle_s = settle_s
        self._visit_timeout_s = visit_timeout_s
        self._on_visit = on_visit
        self._attempts = attempts
        self._retry_s = retry_s
        self._now_utc = now_utc
        self._journal = ArrivalJournal(journal or self.folder / ".arrivals.sqlite3")
        self._seen: dict[str, _Seen] = {}
        self._tried_s: dict[str, float] = {}
        self._done: dict[tuple[str, int, int], ArrivedFile] = {}
        self._exposures: dict[int, list[ArrivedFile]] = {}
        self._remember(self._journal.files())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others watch the folder."""
        self._journal.close()

    def poll(self) -> ArrivalReport:
        """Look once: ingest what is whole, announce what is ready.

        Returns
        -------
        ArrivalReport
            What was done.

        Raises
        ------
        ServiceError
            If the repository or the journal cannot be written; the next look goes on from there.
        """
        settled, unsettled = self._settled()
        before = set(self._journal.announced())
        files: list[FileOutcome] = []
        late: list[tuple[int, int]] = []
        for start in range(0, len(settled), BATCH_FILES):
            for outcome, arrived in self._ingest(settled[start : start + BATCH_FILES]):
                files.append(outcome)
                if arrived.counts and arrived.exposure in before and arrived.detector is not None:
                    late.append((arrived.exposure, arrived.detector))
        return ArrivalReport(tuple(files), tuple(self._announce()), tuple(late), unsettled)

    def run(
        self,
        until: Callable[[], bool],
        *,
        poll_s: float = 0.5,
        on_report: Callable[[ArrivalReport], None] | None = None,
    ) -> None:
        """Look again and again, also while the repository cannot be written.

        Parameters
        ----------
        until
            True ends it, after a last look that takes all that was whole by then.
        poll_s
            Time between two looks, in seconds.
        on_report
            Called after each look.

        Raises
        ------
        ServiceError
            If the last look fails.
        """
        while True:
            last = until()
            report = self._look(on_report)
            if last and report.unsettled:
                time.sleep(self._settle_s)
                report = self._look(on_report)
            if last:
                if report.error is not None:
                    raise report.error
                return
            ends_s = time.monotonic() + poll_s
            while time.monotonic() < ends_s and not until():
                time.sleep(min(_SLEEP_S, poll_s))

    def _look(self, on_report: Callable[[ArrivalReport], None] | None) -> ArrivalReport:
        try:
            report = self.poll()
        except ServiceError as error:
            report = ArrivalReport(error=error)
        if on_report is not None:
            on_report(report)
        return report

    def files(self) -> list[ArrivedFile]:
        """List all files that got an outcome, the newest state of each.

        Returns
        -------
        list of ArrivedFile
            In the order of their arrival.
        """
        return list({file.path: file for file in self._done.values()}.values())

    def was_ingested(self, path: str) -> bool:
        """Tell whether a file, in any state of its, was ingested.

        Parameters
        ----------
        path
            The file.

        Returns
        -------
        bool
            Whether the repository may read it where it is.
        """
        return any(f.path == path and f.outcome is Outcome.INGESTED for f in self._done.values())

    def visits(self) -> list[ArrivedVisit]:
        """List all visits of which a file came, waiting ones too.

        Returns
        -------
        list of ArrivedVisit
            By exposure.
        """
        announced = self._journal.announced()
        found = []
        for exposure, files in self._exposures.items():
            now = self._state_of(exposure, files)
            then = announced.get(exposure)
            if then is not None:
                late = tuple(sorted(set(now.detectors) - set(then.detectors)))
                now = replace(then, late=late)
            found.append(now)
        return sorted(found, key=lambda visit: visit.exposure)

    def announce_again(self, exposure: int) -> None:
        """Announce a visit once more, with all that has arrived by now.

        Parameters
        ----------
        exposure
            A visit that was announced: in vain, or before its last detectors came.

        Raises
        ------
        NotFoundError
            If no file of it arrived.
        """
        files = self._exposures.get(exposure)
        if files is None:
            raise NotFoundError(f"No file of the exposure {exposure} has arrived.")
        self._call(self._state_of(exposure, files))

    def _settled(self) -> tuple[list[Path], int]:
        """List the files that are whole and have no outcome in this state, and count those that are not whole."""
        now_s = time.monotonic()
        seen: dict[str, _Seen] = {}
        settled: list[str] = []
        unsettled = 0
        for path, state in _raw_files(self.folder):
            fingerprint = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
            earlier = self._seen.get(path)
            if earlier is not None and earlier.fingerprint == fingerprint:
                seen[path] = earlier
            else:
                arrived = self._now_utc() if earlier is None else earlier.arrived_utc
                seen[path] = _Seen(fingerprint, now_s, arrived)
            if not self._is_due(path, state, now_s):
                continue
            if now_s - seen[path].since_s >= self._settle_s:
                settled.append(path)
            else:
                unsettled += 1
        self._seen = seen
        return [Path(p) for p in sorted(settled, key=lambda p: (seen[p].arrived_utc, p))], unsettled

    def _is_due(self, path: str, state: os.stat_result, now_s: float) -> bool:
        known = self._done.get((path, state.st_size, state.st_mtime_ns))
        if known is None:
            return True
        if known.outcome is not Outcome.UNREADABLE or known.attempts >= self._attempts:
            return False
        return now_s - self._tried_s.get(path, -self._retry_s) >= self._retry_s

    def _ingest(self, paths: Sequence[Path]) -> list[tuple[FileOutcome, ArrivedFile]]:
        there = [path for path in paths if path.is_file()]
        if not there:
            return []
        try:
            report = self._ingester.ingest(there)
        except NotFoundError:
            if all(path.is_file() for path in there):
                raise
            return []  # one was taken away just now: the others are looked at again
        now_utc = self._now_utc()
        found = []
        for outcome in report.files:
            seen = self._seen[str(outcome.path)]
            size_bytes, mtime_ns = seen.fingerprint[:2]
            known = self._done.get((str(outcome.path), size_bytes, mtime_ns))
            data_id: Mapping[str, int] = outcome.data_id or {}
            file = ArrivedFile(
                str(outcome.path),
                size_bytes,
                mtime_ns,
                outcome.outcome,
                outcome.reason,
                data_id.get("exposure"),
                data_id.get("detector"),
                outcome.sha256 or "",
                seen.arrived_utc if known is None else known.arrived_utc,
                now_utc,
                1 if known is None else known.attempts + 1,
            )
            found.append((outcome, file))
            self._tried_s[str(outcome.path)] = time.monotonic()
        self._journal.note_files(file for _, file in found)
        self._remember(file for _, file in found)
        return found

    def _remember(self, files: Iterable[ArrivedFile]) -> None:
        for file in files:
            self._done[file.path, file.size_bytes, file.mtime_ns] = file
            if file.counts and file.exposure is not None:
                self._exposures.setdefault(file.exposure, []).append(file)

    def _state_of(self, exposure: int, files: Sequence[ArrivedFile]) -> ArrivedVisit:
        detectors = {file.detector for file in files if file.counts and file.detector is not None}
        return ArrivedVisit(
            exposure,
            VisitState.WAITING,
            tuple(sorted(detectors)),
            tuple(sorted(self._expected - detectors)),
            min(file.arrived_utc for file in files),
        )

    def _announce(self) -> list[ArrivedVisit]:
        """Announce what is complete or waited for long enough, and what a kill fell into."""
        announced = self._journal.announced()
        now_utc = self._now_utc()
        called = []
        for exposure, files in sorted(self._exposures.items()):
            earlier = announced.get(exposure)
            if earlier is not None and earlier.state is not VisitState.CALLING:
                continue
            visit = earlier or self._state_of(exposure, files)
            waited_s = (now_utc - visit.first_utc).total_seconds()
            if earlier is None and visit.missing and waited_s < self._visit_timeout_s:
                continue
            called.append(self._call(visit))
        return called

    def _call(self, visit: ArrivedVisit) -> ArrivedVisit:
        now_utc = self._now_utc()
        self._journal.begin_call(visit, now_utc)
        error = ""
        if self._on_visit is not None:
            try:
                self._on_visit(visit.exposure, visit.detectors, visit.missing)
            except CommtoolsError as failure:
                error = str(failure)
        self._journal.end_call(visit.exposure, error)
        return replace(
            visit,
            state=VisitState.FAILED if error else VisitState.CALLED,
            announced_utc=now_utc,
            calls=visit.calls + 1,
            error=error,
        )


def _raw_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Give raw files that are no transfer's unfinished ones, with their state."""
    pending = [str(folder)]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.name.lower().endswith(RAW_ENDINGS):
                    with contextlib.suppress(OSError):  # gone just now, or a link to nowhere
                        state = entry.stat()
                        if stat.S_ISREG(state.st_mode):
                            yield entry.path, state
