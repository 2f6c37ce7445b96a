"""Value types of procedures: outcomes, events, and the plain form of anything that is observed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

__all__ = ["CellStatus", "Event", "Kind", "RunStatus", "StepStatus", "now_utc", "plain", "slug"]

_MAX_TEXT = 20_000
_MAX_ITEMS = 2_000


class StepStatus(enum.StrEnum):
    """Outcome of a step."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    PLANNED = "planned"


class RunStatus(enum.StrEnum):
    """State of a run; ``planned`` is the good end of a dry run, and of nothing else."""

    DONE = "done"
    FAILED = "failed"
    ABORTED = "aborted"
    WAITING = "waiting"
    RUNNING = "running"
    UNKNOWN = "unknown"
    PLANNED = "planned"


class CellStatus(enum.StrEnum):
    """What became of a code cell."""

    COMPLETED = "completed"
    FAILED = "failed"
    NOT_RUN = "not-run"
    INTERRUPTED = "interrupted"
    RUNNING = "running"


class Kind(enum.StrEnum):
    """Kinds of events in the ledger."""

    RUN_STARTED = "run-started"
    RUN_ENDED = "run-ended"
    KERNEL_STARTED = "kernel-started"
    KERNEL_DIED = "kernel-died"
    CELL_STARTED = "cell-started"
    CELL_ENDED = "cell-ended"
    STEP_STARTED = "step-started"
    STEP_ENDED = "step-ended"
    MEASURED = "measured"
    ATTACHED = "attached"
    HOLD_WAITING = "hold-waiting"
    HOLD_ENDED = "hold-ended"
    SIGNED = "signed"
    OWED = "owed"
    SETTLED = "settled"
    CLOSING_STARTED = "closing-started"
    CLOSING_ENDED = "closing-ended"
    LEASE_TAKEN = "lease-taken"
    LEASE_RELEASED = "lease-released"
    APPROVED = "approved"
    NOTE = "note"


def now_utc() -> str:
    """Give the time as the ledger writes it.

    Returns
    -------
    str
        ISO 8601, UTC, with microseconds and ``Z``.
    """
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Event:
    """One entry of the ledger; entries are only ever added.

    Parameters
    ----------
    run
        The run that it belongs to.
    kind
        What happened.
    data
        Plain values.
    who
        Name of the user.
    host, pid
        Where the process that wrote it ran.
    at_utc
        When, ISO 8601 with microseconds and ``Z``.
    clock
        Order within the run, given by the ledger: greater than that of all events that the writer could have seen.
    uid
        Unique name, so that an event is stored once however often it is sent.
    """

    run: str
    kind: Kind
    data: dict[str, Any]
    who: str
    host: str
    pid: int
    at_utc: str = field(default_factory=now_utc)
    clock: int = 0
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)


def slug(name: str) -> str:
    """Make a short identifier of a name.

    Parameters
    ----------
    name
        Text for people.

    Returns
    -------
    str
        Lower case ASCII letters, digits and hyphens, at most 60; ``step`` where nothing is left.
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].rstrip("-") or "step"


def plain(value: Any, depth: int = 8) -> Any:
    """Turn a value into what JSON can hold, without ever failing.

    Parameters
    ----------
    value
        Anything: numbers, enums, dates, paths, dataclasses, pydantic models, numpy scalars and arrays, tables.
    depth
        How deep containers are followed.

    Returns
    -------
    object
        None, bool, int, float, str, list, dict. Numbers that are not finite become text; long things are cut and
        say so.
    """
    if value is None or isinstance(value, bool | int):
        return value if not isinstance(value, enum.Enum) else value.name
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value.value, str) else value.name
    if isinstance(value, str):
        return str(value) if len(value) <= _MAX_TEXT else f"{value[:_MAX_TEXT]}... ({len(value)} characters)"
    if isinstance(value, dt.date | dt.time | dt.datetime):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if depth <= 0:
        return _text(value)
    return _plain_container(value, depth - 1)


def _plain_container(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        items = list(value.items())[:_MAX_ITEMS]
        return {k if isinstance(k, str) else str(plain(k)): plain(v, depth) for k, v in items}
    if isinstance(value, list | tuple | set | frozenset):
        kept = [plain(v, depth) for v in list(value)[:_MAX_ITEMS]]
        return kept if len(value) <= _MAX_ITEMS else [*kept, f"... ({len(value)} items)"]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: plain(getattr(value, f.name), depth) for f in fields if f.repr}
    try:
        if hasattr(value, "model_dump"):
            return plain(value.model_dump(mode="json"), depth)
        if hasattr(value, "tolist"):  # numpy scalars and arrays
            return plain(value.tolist(), depth)
    except Exception:  # noqa: BLE001 - an observation of a foreign type must not fail the step that made it
        return _text(value)
    return _text(value)


def _text(value: Any) -> str:
    try:
        text = str(value)
    except Exception as error:  # noqa: BLE001 - the same
        text = f"<{type(value).__name__} without text: {type(error).__name__}>"
    return text[:_MAX_TEXT]
