"""What an arrival watcher remembers: the outcome of each file, and which visits were announced."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from lsst_commtools.errors import LeaseError, ServiceError
from lsst_commtools.ingest.outcomes import Outcome
from lsst_commtools.ingest.transactions import transaction

__all__ = ["ArrivalJournal", "ArrivedFile", "ArrivedVisit", "VisitState"]

BUSY_TIMEOUT_S = 60.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
    path TEXT NOT NULL, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, exposure INTEGER, detector INTEGER, sha256 TEXT NOT NULL,
    arrived_utc TEXT NOT NULL, ingested_utc TEXT NOT NULL, attempts INTEGER NOT NULL,
    PRIMARY KEY (path, size_bytes, mtime_ns)
);
CREATE TABLE IF NOT EXISTS visit (
    exposure INTEGER PRIMARY KEY, state TEXT NOT NULL, detectors TEXT NOT NULL, missing TEXT NOT NULL,
    first_utc TEXT NOT NULL, announced_utc TEXT NOT NULL, calls INTEGER NOT NULL, error TEXT NOT NULL
);
"""


class VisitState(StrEnum):
    """How far the announcement of a visit is."""

    WAITING = "waiting"
    CALLING = "calling"
    CALLED = "called"
    FAILED = "failed"


@dataclass(frozen=True)
class ArrivedFile:
    """One file that was looked at.

    Parameters
    ----------
    path
        The file.
    size_bytes, mtime_ns
        Its state: a file that changes is looked at again.
    outcome, reason
        As in `FileOutcome`.
    exposure, detector
        What it is; None where it does not say.
    sha256
        Its checksum; empty if it could not be read.
    arrived_utc, ingested_utc
        When it was first seen, and when its outcome was known.
    attempts
        How often it was tried.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    outcome: Outcome
    reason: str
    exposure: int | None
    detector: int | None
    sha256: str
    arrived_utc: dt.datetime
    ingested_utc: dt.datetime
    attempts: int

    @property
    def counts(self) -> bool:
        """Whether the repository has this detector image, by this file or one with the same data id."""
        return self.exposure is not None and self.outcome in (
            Outcome.INGESTED,
            Outcome.IDENTICAL_DUPLICATE,
            Outcome.COLLISION,
        )


@dataclass(frozen=True)
class ArrivedVisit:
    """One exposure, as far as it has arrived.

    Parameters
    ----------
    exposure
        Exposure, and visit.
    state
        Whether it was announced.
    detectors, missing
        Detectors that were there when it was announced, and that were expected and were not; while it waits, now.
    first_utc
        When its first file came.
    announced_utc
        When it was announced; None while it waits.
    late
        Detectors that came after it was announced.
    calls
        How often the announcement was begun: 2 if a kill fell into the first.
    error
        What the announcement failed with.
    """

    exposure: int
    state: VisitState
    detectors: tuple[int, ...]
    missing: tuple[int, ...]
    first_utc: dt.datetime
    announced_utc: dt.datetime | None = None
    late: tuple[int, ...] = ()
    calls: int = 0
    error: str = ""


class ArrivalJournal:
    """The journal of one watched folder; one watcher at a time.

    Parameters
    ----------
    path
        sqlite file.

    Raises
    ------
    LeaseError
        If another watcher works with it.
    ServiceError
        If it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = path.with_name(f"{path.name}.lock").open("a", encoding="utf-8")
        except OSError as error:
            raise ServiceError(f"The arrival journal {path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise LeaseError(
                f"Another watcher works with {path}.",
                changed="Nothing was ingested.",
                advice="Wait for it, or stop it.",
            ) from None
        try:
            self._database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        except sqlite3.Error as error:
            self._lock.close()
            raise ServiceError(f"The arrival journal {path} cannot be used: {error}.") from error

    def close(self) -> None:
        """Close the file, and let others work with it."""
        self._database.close()
        self._lock.close()

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._database, f"The arrival journal {self._path}")

    def note_files(self, files: Iterable[ArrivedFile]) -> None:
        """Note outcomes; the first arrival of a file that is tried again stays.

        Parameters
        ----------
        files
            What was looked at.
        """
        with self._writing() as database:
            database.executemany(
                "INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason,"
                " exposure = excluded.exposure, detector = excluded.detector, sha256 = excluded.sha256,"
                " ingested_utc = excluded.ingested_utc, attempts = excluded.attempts",
                [
                    (_name_to_sql(f.path), f.size_bytes, f.mtime_ns, f.outcome.value, _to_text(f.reason), f.exposure,
                     f.detector, f.sha256, f.arrived_utc.isoformat(), f.ingested_utc.isoformat(), f.attempts)
                    for f in files
                ],
            )  # fmt: skip

    def files(self) -> list[ArrivedFile]:
        """Read the files.

        Returns
        -------
        list of ArrivedFile
            In the order in which they were first noted.
        """
        return [_file(row) for row in self._database.execute("SELECT * FROM file ORDER BY rowid")]

    def begin_call(self, visit: ArrivedVisit, now_utc: dt.datetime) -> None:
        """Note that a visit is about to be announced.

        Parameters
        ----------
        visit
            With what has arrived.
        now_utc
            The time.
        """
        with self._writing() as database:
            database.execute(
                "INSERT INTO visit VALUES (?, ?, ?, ?, ?, ?, 1, '')"
                " ON CONFLICT DO UPDATE SET state = excluded.state, detectors = excluded.detectors,"
                " missing = excluded.missing, calls = calls + 1, error = ''",
                (
                    visit.exposure, VisitState.CALLING.value, json.dumps(visit.detectors),
                    json.dumps(visit.missing), visit.first_utc.isoformat(), now_utc.isoformat(),
                ),
            )  # fmt: skip

    def end_call(self, exposure: int, error: str = "") -> None:
        """Note that a visit was announced.

        Parameters
        ----------
        exposure
            Which.
        error
            What the announcement failed with; empty if it did not.
        """
        state = VisitState.FAILED if error else VisitState.CALLED
        with self._writing() as database:
            database.execute(
                "UPDATE visit SET state = ?, error = ? WHERE exposure = ?",
                (state.value, _to_text(error), exposure),
            )

    def announced(self) -> dict[int, ArrivedVisit]:
        """Read the visits whose announcement was begun.

        Returns
        -------
        dict
            Exposure to visit, in the order of the announcements.
        """
        rows = self._database.execute(
            "SELECT exposure, state, detectors, missing, first_utc, announced_utc, calls, error FROM visit"
            " ORDER BY rowid"
        )
        return {
            exposure: ArrivedVisit(
                exposure,
                VisitState(state),
                tuple(json.loads(detectors)),
                tuple(json.loads(missing)),
                dt.datetime.fromisoformat(first),
                dt.datetime.fromisoformat(announced),
                (),
                calls,
                error,
            )
            for exposure, state, detectors, missing, first, announced, calls, error in rows
        }


def _name_to_sql(name: str) -> str | bytes:
    """Write a name so that sqlite takes it: as bytes where it is not Unicode."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def _to_text(words: str) -> str:
    """Write words with names in them so that sqlite takes them."""
    return words.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _file(row: tuple[object, ...]) -> ArrivedFile:
    path, size_bytes, mtime_ns, outcome, reason, exposure, detector, sha256, arrived, ingested, attempts = row
    return ArrivedFile(
        os.fsdecode(path) if isinstance(path, bytes) else str(path),
        int(str(size_bytes)),
        int(str(mtime_ns)),
        Outcome(outcome),
        str(reason),
        None if exposure is None else int(str(exposure)),
        None if detector is None else int(str(detector)),
        str(sha256),
        dt.datetime.fromisoformat(str(arrived)),
        dt.datetime.fromisoformat(str(ingested)),
        int(str(attempts)),
    )
