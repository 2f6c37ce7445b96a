"""The journal of a rehearsal: what happened and what people recorded, written by many processes and never changed."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import json
import sqlite3
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsst_commtools.errors import NotFoundError, ServiceError
from lsst_commtools.procedure.identity import user_name
from lsst_commtools.procedure.values import plain
from lsst_commtools.rehearsal.clock import Clock, Reading, Segment, Times

__all__ = ["Entry", "Journal", "Kind"]

_BUSY_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    night INTEGER NOT NULL,
    at_utc TEXT NOT NULL,
    at_rehearsal_utc TEXT NOT NULL,
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    data TEXT NOT NULL
)
"""


class Kind(enum.StrEnum):
    """Kinds of entries."""

    STARTED = "started"
    CLOCK_SET = "clock-set"
    STEP_STARTED = "step-started"
    STEP_ENDED = "step-ended"
    PROBLEM = "problem"
    PROBLEM_CHANGED = "problem-changed"
    CHOICE = "choice"
    POLL_OPENED = "poll-opened"
    POLL_ANSWERED = "poll-answered"
    POLL_CLOSED = "poll-closed"
    SHIFT_BEGUN = "shift-begun"
    HANDED_OVER = "handed-over"
    INJECTS_SEALED = "injects-sealed"
    INJECT_FIRED = "inject-fired"
    INJECTS_REVEALED = "injects-revealed"
    DECISION = "decision"
    NARRATIVE = "narrative"
    COUNTS = "counts"
    CALIBRATION = "calibration"
    REPORT_WRITTEN = "report-written"
    REPORT_AMENDED = "report-amended"
    REPORT_SIGNED = "report-signed"
    CSC_STATE = "csc-state"


@dataclass(frozen=True)
class Entry:
    """One entry; entries are only ever added.

    Parameters
    ----------
    number
        Its place in the journal, from 1.
    kind
        What happened.
    night
        Number of the night, from 1; 0 for the rehearsal as a whole.
    at_utc
        When, by the clock on the wall: ISO 8601, UTC, with ``Z``.
    at_rehearsal_utc
        When, by the rehearsal's clock, likewise; it never decreases from entry to entry.
    who
        Account or person that wrote it.
    role
        Role of that person; empty for the machinery.
    data
        Plain values, as the kind has them.
    """

    number: int
    kind: Kind
    night: int
    at_utc: str
    at_rehearsal_utc: str
    who: str
    role: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class Journal:
    """Writes and reads the journal; safe for many processes and threads.

    Parameters
    ----------
    path
        The sqlite file; it is made where its folder is there.
    times
        Where real time comes from, by default this machine.
    """

    def __init__(self, path: Path, times: Times | None = None) -> None:
        self.path = path
        if not path.parent.is_dir():
            raise NotFoundError(f"There is no rehearsal in {path.parent}.", advice="Give its --work folder.")
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(_SCHEMA)
        self.clock = Clock(self._last_segment, self._record_segment, times)

    def append(self, kind: Kind, /, night: int = 0, *, role: str = "", who: str = "", **data: Any) -> Entry:
        """Add an entry.

        Parameters
        ----------
        kind
            What happened.
        night
            Number of the night, from 1; 0 for the rehearsal as a whole.
        role, who
            Role and name of the person; by default this process's account.
        **data
            Anything; it is made plain.

        Returns
        -------
        Entry
            As it was written.

        Raises
        ------
        ServiceError
            If the journal cannot be written: its disk is full, or its folder gone.
        """
        with self._connected(writes=True) as connection:
            return self._add(connection, kind, night, role, who or user_name(), plain(data))

    def append_once(
        self, kind: Kind, /, night: int = 0, *, key: str, role: str = "", who: str = "", **data: Any
    ) -> Entry | None:
        """Add an entry, unless one of this kind, night and role has the same value under a key already.

        Parameters
        ----------
        kind, night, role, who
            As for `append`.
        key
            Name in ``data`` whose value may be there once.
        **data
            Anything; it is made plain.

        Returns
        -------
        Entry or None
            As it was written; None if it was there.
        """
        values = plain(data)
        with self._connected(writes=True) as connection:
            query = "SELECT data FROM entries WHERE kind = ? AND night = ? AND role = ?"
            known = (json.loads(row[0]) for row in connection.execute(query, (str(kind), night, role)))
            if any(other.get(key) == values[key] for other in known):
                return None
            return self._add(connection, kind, night, role, who or user_name(), values)

    def entries(self, kinds: Collection[Kind] | None = None, night: int | None = None) -> list[Entry]:
        """Read the journal.

        Parameters
        ----------
        kinds
            Only these kinds; by default all.
        night
            Only this night; by default all.

        Returns
        -------
        list of Entry
            In the order in which they were written.
        """
        conditions: list[str] = []
        values: list[Any] = []
        if kinds is not None:
            conditions.append(f"kind IN ({', '.join('?' * len(kinds))})")
            values += [str(kind) for kind in kinds]
        if night is not None:
            conditions.append("night = ?")
            values.append(night)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        with self._connected() as connection:
            rows = connection.execute(f"SELECT * FROM entries{where} ORDER BY number", values).fetchall()  # noqa: S608 - only placeholders
        return [_entry(row) for row in rows]

    def _add(
        self,
        connection: sqlite3.Connection,
        kind: Kind,
        night: int,
        role: str,
        who: str,
        data: dict[str, Any],
        segment: Segment | None = None,
    ) -> Entry:
        """Write an entry; the writer's lock is held, so times follow each other as numbers do."""
        current = segment or _segment_of(connection)
        now = self.clock.reading(current)
        last = connection.execute(
            "SELECT max(at_rehearsal_utc) FROM entries "
            "WHERE number >= (SELECT min(number) FROM entries WHERE kind = ?)",
            (str(Kind.CLOCK_SET),),
        ).fetchone()[0]
        at_rehearsal_utc = max(_text(now.rehearsal_utc), last or "")
        row = (str(kind), night, _text(now.real_utc), at_rehearsal_utc, who, role)
        cursor = connection.execute(
            "INSERT INTO entries (kind, night, at_utc, at_rehearsal_utc, who, role, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*row, json.dumps(data)),
        )
        return Entry(int(cursor.lastrowid or 0), kind, *row[1:], data)

    def _last_segment(self) -> Segment | None:
        with self._connected() as connection:
            return _segment_of(connection)

    def _record_segment(self, begin: Callable[[Reading], Segment], reason: str) -> None:
        with self._connected(writes=True) as connection:
            segment = begin(self.clock.reading(_segment_of(connection)))
            data = segment.to_dict() | {"reason": reason}
            self._add(connection, Kind.CLOCK_SET, 0, "", user_name(), data, segment)

    @contextlib.contextmanager
    def _connected(self, *, writes: bool = False) -> Iterator[sqlite3.Connection]:
        """Open a connection for one transaction: a kept one would go on to write into a deleted file."""
        try:
            connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        try:
            if writes:
                connection.execute("BEGIN IMMEDIATE")
            yield connection
            if writes:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        finally:
            connection.close()

    def _failed(self, error: sqlite3.Error) -> ServiceError:
        return ServiceError(
            f"The rehearsal's journal {self.path} cannot be used: {error}.",
            changed="What was written before is kept.",
            advice="Look whether its disk is full; the same command goes on.",
        )


def _segment_of(connection: sqlite3.Connection) -> Segment | None:
    row = connection.execute(
        "SELECT data FROM entries WHERE kind = ? ORDER BY number DESC LIMIT 1", (str(Kind.CLOCK_SET),)
    ).fetchone()
    return Segment.from_dict(json.loads(row[0])) if row else None


def _entry(row: tuple[Any, ...]) -> Entry:
    number, kind, night, at_utc, at_rehearsal_utc, who, role, data = row
    return Entry(number, Kind(kind), night, at_utc, at_rehearsal_utc, who, role, json.loads(data))


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
