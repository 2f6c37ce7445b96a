"""Where events wait while the ledger is away."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from lsst_commtools.errors import TableError
from lsst_commtools.procedure.values import Event, Kind
from lsst_commtools.site.home import commtools_home

__all__ = ["SPOOL_SUFFIX", "Spool", "find_spools", "locked", "read_spool", "spool_name"]

SPOOL_SUFFIX = ".events.jsonl"


def spool_name(output: Path) -> Path:
    """Name the spool file of an output notebook.

    Parameters
    ----------
    output
        The output notebook.

    Returns
    -------
    pathlib.Path
        The file beside it.
    """
    return output.with_name(output.name + SPOOL_SUFFIX)


class Spool:
    """Files to which events are appended, a line each, while the ledger cannot take them.

    Parameters
    ----------
    first
        The file that is tried first: beside the output notebook.
    """

    def __init__(self, first: Path | None) -> None:
        name = first.name if first is not None else f"{os.getpid()}{SPOOL_SUFFIX}"
        folders = [commtools_home() / "spool", Path(tempfile.gettempdir()), Path("/dev/shm")]  # noqa: S108 - last resort
        self._places: Sequence[Path] = [
            *([first] if first is not None else []),
            *(
                folder / f"{name.removesuffix(SPOOL_SUFFIX)}-{os.getpid()}{SPOOL_SUFFIX}"
                for folder in folders
            ),
        ]
        self.used: list[Path] = []

    def add(self, event: Event) -> Path | None:
        """Append an event, on the disk before this returns.

        Parameters
        ----------
        event
            What the ledger could not take.

        Returns
        -------
        pathlib.Path or None
            The file, or None if no place could take it: then it stands on standard error.
        """
        line = (json.dumps(asdict(event), ensure_ascii=True) + "\n").encode()
        for path in self._places:
            try:
                _append(path, line)
            except OSError:
                continue
            if path not in self.used:
                self.used.append(path)
                _leave_pointer(path)
            return path
        print(f"commtools: event that no file could take: {line.decode().strip()}", file=sys.stderr)  # noqa: T201 - the last place left
        return None

    def events(self, run: str) -> list[Event]:
        """Read the events of a run that wait here, from whichever process.

        Parameters
        ----------
        run
            Name of the run.

        Returns
        -------
        list of Event
            Of all places.
        """
        found = []
        for path in self._places:
            if path.is_file():
                with contextlib.suppress(TableError):
                    found += [event for event in read_spool(path) if event.run == run]
        return found


def _append(path: Path, line: bytes) -> None:
    if path.parent == commtools_home() / "spool":
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(path, create=True) as descriptor:
        size = os.fstat(descriptor).st_size
        try:
            os.lseek(descriptor, 0, os.SEEK_END)
            written = os.write(descriptor, line)
            os.fsync(descriptor)
        except OSError:
            written = -1
        if written != len(line):
            os.ftruncate(descriptor, size)
            raise OSError(f"no room in {path}")


@contextlib.contextmanager
def locked(path: Path, *, create: bool = False) -> Iterator[int]:
    """Open a spool file that no other process writes or takes away meanwhile.

    Parameters
    ----------
    path
        The file.
    create
        Whether it is made where there is none.

    Yields
    ------
    int
        Its descriptor.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                current = path.stat().st_ino == os.fstat(descriptor).st_ino
            except FileNotFoundError:
                current = False
            if current:
                yield descriptor
                return
        finally:
            os.close(descriptor)
        if not create:
            raise FileNotFoundError(path)


def _leave_pointer(path: Path) -> None:
    """Note where a spool lies, so that a later command finds it; the file itself counts, so failing is no harm."""
    folder = commtools_home() / "spool"
    if path.parent == folder:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        pointer = folder / f"{path.name}-{os.getpid()}.pointer"
        pointer.write_text(str(path.absolute()), encoding="utf-8")
    except OSError:
        return


def find_spools() -> Iterable[Path]:
    """Find the spool files that this user's runs have left.

    Returns
    -------
    iterable of pathlib.Path
        Files that exist, each once.
    """
    folder = commtools_home() / "spool"
    found: dict[Path, None] = {}
    for entry in sorted(folder.glob("*")) if folder.is_dir() else []:
        if entry.name.endswith(SPOOL_SUFFIX):
            found[entry] = None
        elif entry.suffix == ".pointer":
            try:
                target = Path(entry.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError):
                continue
            if target.is_file():
                found[target] = None
            else:
                entry.unlink(missing_ok=True)
    return list(found)


def read_spool(path: Path) -> list[Event]:
    """Read a spool file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    list of Event
        Its events; a last line that was cut by a crash is left out.

    Raises
    ------
    TableError
        If another line is not an event.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"The spool file {path} cannot be read: {error}.") from None
    events = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            events.append(Event(**{**values, "kind": Kind(values["kind"])}))
        except (ValueError, TypeError, KeyError):
            if number == text.count("\n") + 1:  # no newline at its end: the writer died in it
                break
            raise TableError(
                f"Line {number} of the spool file {path} is not an event.", changed="Nothing was merged."
            ) from None
    return events
