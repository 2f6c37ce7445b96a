"""The seal on the injects: their digest stands in the journal, their content where operators do not look.

On one computer the same account can read everything, so the seal is a promise between people; what it gives is that
nothing shows by accident, and that a change after the sealing is seen. The digest is salted: without the salt, a
reader of the journal could try out which faults give it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lsst_commtools.errors import InputError, RefusedError, ServiceError
from lsst_commtools.rehearsal.injects.ground import Plan
from lsst_commtools.rehearsal.injects.values import InjectPlan, read_injects
from lsst_commtools.rehearsal.journal import Journal, Kind

__all__ = ["FiringRecord", "SealedFolder", "Status", "seal"]

Status = str
"""``waiting``, ``armed``, ``firing``, ``fired``, ``undoing``, ``undone`` or ``impossible``."""


@dataclass
class FiringRecord:
    """How far one inject is.

    Parameters
    ----------
    status
        See `Status`.
    reason
        Why it could not be fired or undone; empty otherwise.
    told, marks, details
        As in `Plan`.
    fired_utc, fired_rehearsal_utc
        When it was fired, by both clocks.
    after_entry
        Number of the last entry in the journal at that time.
    begins_rehearsal_utc
        From when on it counts: not before the hour of its step.
    ends_rehearsal_utc
        When it is to be undone; empty for the end of the rehearsal.
    undone_utc, undone_rehearsal_utc
        When it was undone, by both clocks.
    """

    status: Status = "waiting"
    reason: str = ""
    told: str = ""
    marks: list[list[str]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    fired_utc: str = ""
    fired_rehearsal_utc: str = ""
    after_entry: int = 0
    begins_rehearsal_utc: str = ""
    ends_rehearsal_utc: str = ""
    undone_utc: str = ""
    undone_rehearsal_utc: str = ""

    @property
    def plan(self) -> Plan:
        """What it does."""
        return Plan(self.told, tuple(tuple(mark) for mark in self.marks), self.details)

    def ends_before(self, now: dt.datetime) -> bool:
        """Tell whether its time is over.

        Parameters
        ----------
        now
            Time of the rehearsal, UTC.

        Returns
        -------
        bool
            Whether it is to be undone.
        """
        return bool(self.ends_rehearsal_utc) and dt.datetime.fromisoformat(self.ends_rehearsal_utc) <= now


class SealedFolder:
    """Where injects lie until they are revealed: mode 0700, files 0600.

    Parameters
    ----------
    work
        Folder of the rehearsal.
    """

    def __init__(self, work: Path) -> None:
        self.path = work / ".sealed"
        self._content = self.path / "injects.json"
        self._state = self.path / "state.json"

    def kept(self, inject: str) -> Path:
        """Name the folder in which an inject keeps originals.

        Parameters
        ----------
        inject
            Its identifier.

        Returns
        -------
        pathlib.Path
            It need not exist.
        """
        return self.path / "kept" / inject

    def write(self, plan: InjectPlan) -> str:
        """Put the injects away.

        Parameters
        ----------
        plan
            The injects.

        Returns
        -------
        str
            Their digest.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        content = {"nonce": secrets.token_hex(16), "plan": plan.model_dump(mode="json")}
        self._write(self._content, content)
        return _digest(content)

    def read(self) -> tuple[InjectPlan, str, str] | None:
        """Read the injects.

        Returns
        -------
        tuple or None
            Injects, digest and salt; None where they are gone or cannot be understood.
        """
        try:
            content = json.loads(self._content.read_text(encoding="utf-8"))
            return InjectPlan.model_validate(content["plan"]), _digest(content), str(content["nonce"])
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return None

    @contextlib.contextmanager
    def records(self) -> Iterator[dict[str, FiringRecord]]:
        """Read how far the injects are as the only one who does; changes are written by `save`.

        Yields
        ------
        dict
            Identifier to record.
        """
        with (self.path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read_records()

    def _read_records(self) -> dict[str, FiringRecord]:
        try:
            told = json.loads(self._state.read_text(encoding="utf-8"))
            return {name: FiringRecord(**values) for name, values in told.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ServiceError(f"The state of the injects cannot be used: {error}.") from error

    def save(self, records: dict[str, FiringRecord]) -> None:
        """Write how far the injects are.

        Parameters
        ----------
        records
            Identifier to record.
        """
        self._write(self._state, {name: asdict(record) for name, record in records.items()})

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as stream:
            json.dump(document, stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)


def _digest(content: dict[str, Any]) -> str:
    plan = json.dumps(content["plan"], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(f"{content['nonce']}\n{plan}".encode()).hexdigest()


def seal(work: Path, journal: Journal, path: Path, nights: int) -> str:
    """Seal the injects of a rehearsal; sealed again, they must be the same.

    Parameters
    ----------
    work
        Folder of the rehearsal.
    journal
        Its journal, which gets the digest.
    path
        File of injects.
    nights
        How many nights there are.

    Returns
    -------
    str
        The digest.

    Raises
    ------
    InputError
        If the file cannot be used.
    RefusedError
        If other injects are sealed already.
    """
    plan = read_injects(path)
    late = [inject.id for inject in plan.injects if inject.night > nights]
    if late:
        raise InputError(
            f"The rehearsal has {nights} nights, and {', '.join(late)} come in a later one.",
            changed="Nothing was sealed.",
        )
    folder = SealedFolder(work)
    entries = journal.entries([Kind.INJECTS_SEALED])
    if entries:
        there = folder.read()
        if there is None or there[0] != plan:
            raise RefusedError(
                "Other injects are sealed in this rehearsal.",
                changed="Nothing was changed.",
                advice="Leave --inject out, or give the same file.",
            )
        return str(entries[0].data["digest"])
    digest = folder.write(plan)
    journal.append(
        Kind.INJECTS_SEALED,
        digest=digest,
        count=len(plan.injects),
        readable_by_others=bool(path.stat().st_mode & 0o077),
    )
    return digest
