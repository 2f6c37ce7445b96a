"""What ``ingestImages.py`` wrote into its log, read leniently and in one pass.

Problems are WARN lines there, not ERROR. Lines may be cut, of any encoding, or run into each other when several
processes wrote at once; what is not understood is counted. Holes of sparse files are skipped, lines are bounded, so
a file of any size takes little memory.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lsst_commtools.repos.values import LogEntry

__all__ = ["IngestLog", "find_logs", "read_logs"]

LOG_NAME = "ingest_output.log"
_CHUNK = 1 << 20
_MAX_LINE = 16_384
_MAX_ENTRIES = 2_000_000
_MAX_ABORTS = 1000
_SEGMENT = re.compile(r"\bingest(?:\.parse)?\s+(?P<level>DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL):\s?", re.ASCII)
_LINKED = re.compile(r"(?P<source>.+?) --(?P<mode>link|copy|move)--> (?P<target>.+)")
_FAILED = re.compile(
    r"Failed to (?:ingest file|link|copy|move) (?P<source>.+?)(?: to (?P<target>.+?))?: (?P<reason>.+)"
)
_ALREADY = re.compile(r"(?P<source>.+?): already ingested: ?(?P<reason>.*)")
_SKIPPED = re.compile(r"(?P<reason>Skipping declared bad file) (?P<source>.+)")
_ABORT = re.compile(r"(?:[A-Za-z_][\w.]*\.)?[A-Za-z_]\w*(?:Error|Exception|Interrupt)(?:: .*)?$")


@dataclass
class IngestLog:
    """What was understood of the logs of a repository.

    Parameters
    ----------
    files
        The logs that were read.
    refused
        Last entry for each input file that was not ingested.
    repeated
        First entry for each input file that was met again, ``already ingested``.
    linked
        For each file of the repository, relative to its root, the inputs that were linked there, in order.
    aborts
        Ends of runs: the errors that escaped.
    lines, not_understood
        Lines read, and those that are neither known nor empty.
    notes
        What could not be read.
    """

    files: list[str] = field(default_factory=list)
    refused: dict[str, LogEntry] = field(default_factory=dict)
    repeated: dict[str, LogEntry] = field(default_factory=dict)
    linked: dict[str, list[tuple[str, LogEntry]]] = field(default_factory=dict)
    aborts: list[LogEntry] = field(default_factory=list)
    lines: int = 0
    not_understood: int = 0
    notes: list[str] = field(default_factory=list)

    def reason(self, *paths: str) -> LogEntry | None:
        """Give the entry that says why a file was not ingested.

        Parameters
        ----------
        *paths
            Spellings of the input file's path; the bare name finds it as well.

        Returns
        -------
        LogEntry or None
            The last refusal, else that it was met again.
        """
        names = (*paths, *(path.rsplit("/", 1)[-1] for path in paths))
        for entries in (self.refused, self.repeated):
            for name in names:
                if name in entries:
                    return entries[name]
        return None


def find_logs(folder: str) -> list[str]:
    """Find the ingest logs below a folder: the announcement of 2019 lost a part of the path.

    Parameters
    ----------
    folder
        A ``log`` folder.

    Returns
    -------
    list of str
        Files named ``ingest_output.log``, with or without a suffix of rotation, oldest first.
    """
    found = [
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name == LOG_NAME or name.startswith(LOG_NAME + ".")
    ]
    plain = [path for path in found if path.is_file() and path.suffix not in (".gz", ".bz2", ".xz")]
    return [str(path) for path in sorted(plain, key=lambda path: (path.stat().st_mtime, str(path)))]


def read_logs(files: list[str], progress: Callable[[str, int, int], None] | None = None) -> IngestLog:
    """Read ingest logs.

    Parameters
    ----------
    files
        The logs, oldest first.
    progress
        Called now and then with file, bytes read and size in bytes.

    Returns
    -------
    IngestLog
        What they say.
    """
    log = IngestLog()
    for path in files:
        try:
            for number, line in _lines(path, progress):
                log.lines += 1
                _take(log, path, number, line)
        except OSError as error:
            log.notes.append(f"{path} cannot be read: {error.strerror}.")
        else:
            log.files.append(path)
    return log


def _lines(path: str, progress: Callable[[str, int, int], None] | None) -> Iterator[tuple[int, str]]:
    """Give the lines of a file with their numbers: bounded in length, holes skipped, any bytes taken."""
    number, rest, overlong = 1, b"", False
    with Path(path).open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        position = 0
        while position < size:
            start = _next_data(file.fileno(), position)
            if start is None:
                break
            if start > position:
                rest, overlong = b"", True
            position = file.seek(start)
            chunk = file.read(_CHUNK)
            if not chunk:
                break
            position += len(chunk)
            if progress is not None:
                progress(path, position, size)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if not overlong or b"ingest" in line:
                    yield number, _decode(line)
                overlong = False
                number += 1
            if len(rest) > _MAX_LINE:
                rest, overlong = b"", True
    if rest:
        yield number, _decode(rest)


def _next_data(descriptor: int, position: int) -> int | None:
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError as error:
        return None if error.errno == errno.ENXIO else position


def _decode(line: bytes) -> str:
    line = line[:_MAX_LINE].strip(b"\0\r ")
    try:
        return line.decode()
    except UnicodeDecodeError:
        return os.fsdecode(line)


def _take(log: IngestLog, path: str, number: int, line: str) -> None:
    """Take up one line, which may hold the messages of several processes."""
    marks = list(_SEGMENT.finditer(line))
    if not marks:
        if _ABORT.fullmatch(line) and len(log.aborts) < _MAX_ABORTS:
            log.aborts.append(LogEntry(path, number, "ERROR", line[:500]))
        elif line.strip():
            log.not_understood += 1
        return
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        text = line[mark.end() : following.start() if following else None].strip()
        entry = LogEntry(path, number, mark["level"], text[:1000])
        if not _take_message(log, entry, text):
            log.not_understood += 1


def _take_message(log: IngestLog, entry: LogEntry, text: str) -> bool:
    if len(log.refused) + len(log.linked) + len(log.repeated) > _MAX_ENTRIES:
        return False
    if match := _LINKED.fullmatch(text):
        target = match["target"]
        relative = target[target.rfind("/raw/") + 1 :]
        log.linked.setdefault(relative, []).append((match["source"], entry))
    elif match := _ALREADY.fullmatch(text):
        log.repeated.setdefault(match["source"], entry)
        log.repeated.setdefault(match["source"].rsplit("/", 1)[-1], entry)
    elif match := _FAILED.fullmatch(text) or _SKIPPED.fullmatch(text):
        for name in (match["source"], match["source"].rsplit("/", 1)[-1]):
            log.refused[name] = entry
    else:
        return (
            text.endswith("doesn't match any file")
            or "Unable to find value for" in text
            or "failed to tra" in text
        )
    return True
