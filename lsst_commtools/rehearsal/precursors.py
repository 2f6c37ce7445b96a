"""What must be there before a rehearsal: the founding document's table of items, owners and status.

A question mark is kept as a question: it is neither done nor not done, and an item with one is never ready.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from lsst_commtools.errors import TableError

__all__ = [
    "Precursor",
    "PrecursorStatus",
    "Precursors",
    "Readiness",
    "read_precursors",
    "shipped_precursors",
]

_HEADER = ("item", "owner", "status")
_STATUS = re.compile(r"\[(?P<status>[a-z-]+)\]\s*", re.ASCII)


class PrecursorStatus(enum.StrEnum):
    """How an item stands."""

    READY = "ready"
    IN_WORK = "in-work"
    NOT_STARTED = "not-started"
    QUESTION = "question"
    UNKNOWN = "unknown"


class Readiness(enum.StrEnum):
    """Whether a rehearsal could begin."""

    READY = "ready"
    NOT_READY = "not-ready"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Precursor:
    """One item.

    Parameters
    ----------
    item, owner, text
        As they were written.
    line
        Where it stands.
    declared
        What somebody has declared of it, as ``[ready]`` in front of its status; unknown where nobody has.
    """

    item: str
    owner: str
    text: str
    line: int
    declared: PrecursorStatus = PrecursorStatus.UNKNOWN

    @property
    def questions(self) -> tuple[str, ...]:
        """Cells that are a question or hold one."""
        cells = (("item", self.item), ("owner", self.owner), ("status", self.text))
        return tuple(f"{name}: {cell}" for name, cell in cells if "?" in cell)

    @property
    def status(self) -> PrecursorStatus:
        """How it stands: what was declared, but a question as long as one is open."""
        return PrecursorStatus.QUESTION if self.questions else self.declared

    @property
    def owned(self) -> bool:
        """Whether somebody is named who looks after it, without a question mark."""
        return bool(self.owner) and "?" not in self.owner

    def to_dict(self) -> dict[str, Any]:
        """Give the item as plain values."""
        return {
            "item": self.item,
            "owner": self.owner,
            "text": self.text,
            "status": str(self.status),
            "questions": list(self.questions),
            "line": self.line,
        }


@dataclass(frozen=True)
class Precursors:
    """All items.

    Parameters
    ----------
    items
        In the order of the table.
    source
        Where the table comes from.
    """

    items: tuple[Precursor, ...]
    source: str

    @property
    def readiness(self) -> Readiness:
        """Whether a rehearsal could begin; a question or an unknown status is never a yes."""
        statuses = {item.status for item in self.items}
        if statuses & {PrecursorStatus.NOT_STARTED, PrecursorStatus.IN_WORK}:
            return Readiness.NOT_READY
        if not self.items or statuses - {PrecursorStatus.READY} or not all(i.owned for i in self.items):
            return Readiness.UNKNOWN
        return Readiness.READY

    @property
    def missing(self) -> tuple[Precursor, ...]:
        """Items that are not ready, or of which it is not known."""
        return tuple(i for i in self.items if i.status is not PrecursorStatus.READY or not i.owned)

    def to_dict(self) -> dict[str, Any]:
        """Give the table as plain values."""
        return {
            "source": self.source,
            "readiness": str(self.readiness),
            "ready": len(self.items) - len(self.missing),
            "items": [item.to_dict() for item in self.items],
        }


def read_precursors(text: str, source: str) -> Precursors:
    """Read a table of precursors.

    Parameters
    ----------
    text
        Lines of three cells between tabs, item, owner and status, after a line with these words; what stands before
        is passed over, and an empty line ends the table. A status may begin with ``[ready]``, ``[in-work]`` or
        ``[not-started]``.
    source
        Where it comes from, for people.

    Returns
    -------
    Precursors
        The table.

    Raises
    ------
    TableError
        If there is no table, or a row cannot be read.
    """
    items: list[Precursor] = []
    inside = False
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        cells = [" ".join(cell.split()) for cell in line.split("\t")]
        if not inside:
            inside = tuple(cell.casefold() for cell in cells[:3]) == _HEADER
            continue
        if not any(cells):
            break
        items.append(_row(cells, number, source))
    if not items:
        raise TableError(
            f"{source} holds no table of precursors.", advice="Its header is Item, Owner, Status."
        )
    return Precursors(tuple(items), source)


def _row(cells: Sequence[str], line: int, source: str) -> Precursor:
    if len(cells) > len(_HEADER) or not cells[0]:
        raise TableError(f"Line {line} of {source} is no row of item, owner and status.")
    item, owner, text = (*cells, "", "")[:3]
    declared = PrecursorStatus.UNKNOWN
    if match := _STATUS.match(text):
        allowed = (PrecursorStatus.READY, PrecursorStatus.IN_WORK, PrecursorStatus.NOT_STARTED)
        if match["status"] not in allowed:
            raise TableError(
                f"Line {line} of {source} has the status [{match['status']}].",
                advice=f"Give one of {', '.join(f'[{s}]' for s in allowed)}, or none.",
            )
        declared, text = PrecursorStatus(match["status"]), text[match.end() :]
    return Precursor(item, owner, text, line, declared)


def shipped_precursors() -> Precursors:
    """Read the table of the founding document.

    Returns
    -------
    Precursors
        As it stood before the second rehearsal.
    """
    file = resources.files("lsst_commtools.rehearsal") / "data" / "precursors.txt"
    return read_precursors(file.read_text(encoding="utf-8"), "Second/Third OPS Rehearsals, R. Gruendl")
