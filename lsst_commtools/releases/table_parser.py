"""Reads the authors' table of milestones (``milestones.csv`` of LDM-564): dates and prerequisites."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lsst_commtools.releases.model import ID_PATTERN, TABLE, Anomaly, Entry, SourceModel

__all__ = ["parse_table"]

_ID = re.compile(ID_PATTERN)
_FOREIGN_ID = re.compile(r"(?:DLP-[0-9]+|T&SC-[0-9]+(?:-[0-9]+)*)")
_NOTE = re.compile(r"\((NB[^()]*)\)")
_ID_COLUMN, _LEVEL, _DUE, _REQUIRES, _TITLE = (
    "Milestone ID",
    "Level",
    "Target Date",
    "Prerequisites",
    "Description",
)
_USUAL_HEADER = (
    _ID_COLUMN,
    _LEVEL,
    "Team",
    _DUE,
    "Cycle",
    _REQUIRES,
    "Planning Package (or epic, if pre-S18)",
    _TITLE,
    "(Optional) Milestone Coding",
)
_KINDS = {"2": "milestone", "3": "feature"}


@dataclass
class _Reader:
    """The header, and what was found so far."""

    header: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)

    def note(self, line: int, kind: str, message: str, text: str = "") -> None:
        self.anomalies.append(Anomaly(TABLE, line, kind, message, text[:200]))

    def rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Give each row with the line in which it begins."""
        reader = csv.reader(io.StringIO(text, newline=""))
        start = 1
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield start, [cell.strip() for cell in cells]
                start = reader.line_num + 1
        except csv.Error as error:
            self.note(start, "not-csv", f"The table cannot be read from here on: {error}.")

    def row(self, line: int, cells: list[str]) -> None:
        if not self.header:
            if _ID_COLUMN in cells:
                self.set_header(line, cells)
                return
            self.note(line, "no-header", "The table has no header; its usual columns are assumed.")
            self.header = list(_USUAL_HEADER)
        elif cells == self.header:
            self.note(line, "header-twice", "The header stands in the table again.")
            return
        self.entry(line, cells)

    def set_header(self, line: int, cells: list[str]) -> None:
        self.header = cells
        for name in (_LEVEL, _DUE, _REQUIRES, _TITLE):
            if name not in cells:
                self.note(line, "no-column", f"The table has no column {name!r}.")
        unnamed = sum(not name for name in cells)
        if unnamed:
            self.note(line, "unnamed-columns", f"{unnamed} columns have no name.")

    def entry(self, line: int, cells: list[str]) -> None:
        """Keep one row."""
        if len(cells) > len(self.header):
            self.note(
                line, "too-many-cells", f"The row has {len(cells)} cells for {len(self.header)} columns."
            )
        if len(cells) < len(self.header):
            self.note(
                line, "too-few-cells", f"The row has {len(cells)} cells for {len(self.header)} columns."
            )
        named = {
            (name or f"column {number}"): cell
            for number, (name, cell) in enumerate(zip(self.header, cells, strict=False), start=1)
            if cell
        }
        entry_id = named.pop(_ID_COLUMN, "")
        if not _ID.fullmatch(entry_id):
            self.note(line, "no-id", f"The row has no id that can be read: {entry_id!r}.", ", ".join(cells))
            return
        level = named.pop(_LEVEL, "")
        if level not in _KINDS:
            self.note(line, "level", f"{entry_id} has the level {level!r}, neither 2 nor 3.")
        title = named.pop(_TITLE, "")
        if not title:
            self.note(line, "no-title", f"{entry_id} has no title.")
        due = self.date(line, entry_id, named.pop(_DUE, ""))
        ids, free = self.requirements(line, entry_id, named.pop(_REQUIRES, ""))
        kind = _KINDS.get(level, "feature" if entry_id.startswith("DM-") else "milestone")
        notes, foreign = tuple(_NOTE.findall(title)), tuple(_FOREIGN_ID.findall(title))
        self.entries.append(Entry(entry_id, kind, title, (line,), ids, free, notes, foreign, due, named))

    def date(self, line: int, entry_id: str, cell: str) -> dt.date | None:
        try:
            return dt.date.fromisoformat(cell)
        except ValueError:
            self.note(line, "no-date", f"{entry_id} has the target date {cell!r}, which is none.")
            return None

    def requirements(self, line: int, entry_id: str, cell: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Split a list of prerequisites into ids and free text; commas in brackets separate nothing."""
        parts = _split(cell)
        ids = tuple(dict.fromkeys(part for part in parts if _ID.fullmatch(part)))
        free = tuple(part for part in parts if part and not _ID.fullmatch(part))
        for part in free:
            self.note(line, "free-requirement", f"{entry_id} needs something that names no id.", part)
        if entry_id in ids:
            self.note(line, "needs-itself", f"{entry_id} needs itself.")
        return ids, free


def parse_table(text: str) -> SourceModel:
    """Read the table. No text is an error: what cannot be read is an anomaly.

    Parameters
    ----------
    text
        The table as CSV, with any line ends.

    Returns
    -------
    SourceModel
        An entry for each row, also where an id occurs twice, and the anomalies with their lines.
    """
    reader = _Reader()
    if "\ufffd" in text:
        reader.note(0, "not-utf8", "The table is not UTF-8 throughout.")
    for line, cells in reader.rows(text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")):
        reader.row(line, cells)
    _check_ids(reader)
    if not reader.entries:
        reader.note(0, "no-milestones", "The table holds no milestone.")
    anomalies = sorted(reader.anomalies, key=lambda a: a.line)
    return SourceModel(TABLE, tuple(reader.entries), tuple(anomalies))


def _split(cell: str) -> list[str]:
    """Split at commas, semicolons and line ends that stand in no brackets."""
    parts: list[str] = []
    depth = start = 0
    for position, character in enumerate(cell):
        depth = max(depth + (character in "[(") - (character in "])"), 0)
        if character in ",;\n" and not depth:
            parts.append(cell[start:position].strip())
            start = position + 1
    return [*parts, cell[start:].strip()]


def _check_ids(reader: _Reader) -> None:
    """Find ids that occur twice or nowhere, and prerequisites that are due later than what needs them."""
    first: dict[str, Entry] = {}
    for entry in reader.entries:
        if entry.id in first:
            message = f"{entry.id} occurs twice; the first is in line {first[entry.id].lines[0]}."
            reader.note(entry.lines[0], "id-twice", message, entry.title)
        first.setdefault(entry.id, entry)
    for entry in reader.entries:
        for wanted in entry.requires:
            needed = first.get(wanted)
            if needed is None:
                message = f"{entry.id} needs {wanted}, which is not in the table."
                reader.note(entry.lines[0], "unknown-requirement", message)
            elif needed.due is not None and entry.due is not None and needed.due > entry.due:
                message = f"{entry.id} is due {entry.due}, before {wanted} that it needs ({needed.due})."
                reader.note(entry.lines[0], "due-before-requirement", message)
