"""Reads the text of the release document (LDM-564, section 3): a heading for each milestone, a bullet for each feature.

Each entry ends with its id in parentheses; the title may hold parentheses too. What does not fit is reported with its
line, and kept where it can be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from lsst_commtools.releases.model import ID_PATTERN, TEXT, Anomaly, Entry, SourceModel, is_milestone_id

__all__ = ["parse_text"]

_HEADING = re.compile(r"(?:[0-9]+(?:\.[0-9]+)*\.?\s+)?(LDM-503-[0-9A-Za-z]+)\s*:\s*(.*)")
_HEADING_WITHOUT_COLON = re.compile(r"[0-9]+(?:\.[0-9]+)+\.?\s+(LDM-503-[0-9A-Za-z]+)\b[\s.-]*(.*)")
_ID_IN_TITLE = re.compile(r"\((?:DM-[A-Z]+|LDM-503)-[0-9]+[a-z]?\)")
_SECTION = re.compile(r"[0-9]+(?:\.[0-9]+)*\.?\s+[A-Z][^:()]{2,80}")
_BULLET = re.compile(r"[-*\u2022\u2013]\s*(.*)")
_ENTRY_END = re.compile(rf"(.*?)\s*\(\s*({ID_PATTERN})\s*\)\s*\.?")
_NOTE = re.compile(r"\((NB[^()]*)\)")
_FOREIGN = re.compile(r"\b(?:DLP-[0-9]+|T&SC-[0-9]+(?:-[0-9]+)*|LSST-[0-9]+)\b")
_OPEN_REFERENCE = re.compile(r"(?:Section|Figure|Table|Appendix) \?\?")
_PAGE_HEADER = re.compile(
    r"DM Releases(?:\s+LDM-\d+)?(?:\s+Latest Revision.*)?|LDM-\d+|Latest Revision[:\s].*|[0-9]{1,3}|FIGURE [0-9]+:.*",
)
_LONGEST_ENTRY = 2000


@dataclass
class _Reader:
    """State while reading: the open milestone, and an entry whose id has not come yet."""

    milestones: dict[str, Entry] = field(default_factory=dict)
    features: dict[str, Entry] = field(default_factory=dict)
    anomalies: list[Anomaly] = field(default_factory=list)
    milestone: str | None = None
    pending: str = ""
    pending_line: int = 0
    pending_bullet: bool = False
    required: list[tuple[int, str, str]] = field(default_factory=list)

    def note(self, line: int, kind: str, message: str, text: str = "") -> None:
        self.anomalies.append(Anomaly(TEXT, line, kind, message, text[:200]))

    def line(self, number: int, raw: str) -> None:
        text = " ".join(raw.replace("\ufeff", " ").lstrip("# ").split())
        if text.startswith("**"):
            text = text.strip("* ")
        if _OPEN_REFERENCE.search(text):
            self.note(number, "open-reference", "The text refers to a section without number.", text)
        if not text:
            return
        heading = _HEADING.fullmatch(text)
        if heading is None and (heading := _HEADING_WITHOUT_COLON.fullmatch(text)) is not None:
            self.note(number, "no-colon", f"The heading of {heading[1]} has no colon.", text)
        if heading is not None:
            self.heading(number, heading[1], heading[2])
        elif self.milestone is not None and _PAGE_HEADER.fullmatch(text):
            self.note(number, "page-header", "A page header stands within a list.", text)
        elif _SECTION.fullmatch(text) and not _ENTRY_END.fullmatch(text):
            self.flush()
            self.milestone = None
        else:
            self.item(number, text)

    def heading(self, number: int, milestone: str, title: str) -> None:
        self.flush()
        self.milestone = milestone
        if not title:
            self.note(number, "no-title", f"{milestone} has no title.")
        known = self.milestones.get(milestone)
        if known is None:
            self.milestones[milestone] = Entry(
                milestone, "milestone", title, (number,), foreign_ids=_foreign(title)
            )
            return
        self.note(
            number, "milestone-twice", f"{milestone} has two sections; the first is in line {known.lines[0]}."
        )
        self.milestones[milestone] = replace(known, lines=(*known.lines, number), title=known.title or title)

    def item(self, number: int, text: str) -> None:
        bullet = _BULLET.fullmatch(text)
        if bullet is not None:
            self.flush()
            self.pending, self.pending_line, self.pending_bullet = "", number, True
            text = bullet[1]
        elif self.milestone is None or len(self.pending) > _LONGEST_ENTRY:
            self.flush()
        if not self.pending and bullet is None:
            self.pending_line, self.pending_bullet = number, False
        self.pending = f"{self.pending} {text}".strip()
        end = _ENTRY_END.fullmatch(self.pending)
        if end is not None:
            self.entry(self.pending_line, end[1].strip(), end[2])
            self.pending = ""

    def entry(self, number: int, title: str, entry_id: str) -> None:
        if self.milestone is None:
            if self.pending_bullet or entry_id.startswith("DM-"):
                message = f"{entry_id} stands outside of any milestone."
                self.note(number, "outside", message, f"{title} ({entry_id})")
                self.feature(number, title, entry_id)
            return
        if not self.pending_bullet:
            self.note(number, "no-bullet", f"{entry_id} has no bullet.", f"{title} ({entry_id})")
        if not title:
            self.note(number, "no-title", f"{entry_id} has no title.")
        if _ID_IN_TITLE.search(title):
            self.note(number, "two-ids", f"Another id stands in the title of {entry_id}.", title)
        owner = self.milestones[self.milestone]
        if entry_id in owner.requires:
            self.note(number, "entry-twice", f"{entry_id} stands twice under {self.milestone}.")
        else:
            self.milestones[self.milestone] = replace(owner, requires=(*owner.requires, entry_id))
        self.feature(number, title, entry_id)

    def feature(self, number: int, title: str, entry_id: str) -> None:
        """Keep a feature; of a milestone that is required, only the title is compared, at the end."""
        if is_milestone_id(entry_id):
            self.required.append((number, title, entry_id))
            return
        known = self.features.get(entry_id)
        if known is None:
            notes, foreign = tuple(_NOTE.findall(title)), _foreign(title)
            self.features[entry_id] = Entry(
                entry_id, "feature", title, (number,), notes=notes, foreign_ids=foreign
            )
            return
        if title and known.title and title != known.title:
            self.note(
                number, "two-titles", f"{entry_id} has another title than in line {known.lines[0]}.", title
            )
        self.features[entry_id] = replace(known, lines=(*known.lines, number), title=known.title or title)

    def flush(self) -> None:
        """Give up on an entry whose id never came."""
        if self.pending and self.milestone is not None:
            message = f"A line under {self.milestone} does not end with an id."
            self.note(self.pending_line, "no-id", message, self.pending)
        self.pending = ""


def parse_text(text: str) -> SourceModel:
    """Read the release document. No text is an error: what cannot be read is an anomaly.

    Parameters
    ----------
    text
        The document, with any line ends.

    Returns
    -------
    SourceModel
        Milestones and features in the order written, and the anomalies with their lines.
    """
    reader = _Reader()
    if "\ufffd" in text:
        reader.note(0, "not-utf8", "The text is not UTF-8 throughout.")
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        reader.line(number, line)
    reader.flush()
    _check_required(reader)
    _check_order(reader)
    for milestone in reader.milestones.values():
        if not milestone.requires:
            reader.note(milestone.lines[0], "no-features", f"{milestone.id} has no features.")
        elif not milestone.features:
            reader.note(milestone.lines[0], "no-own-features", f"{milestone.id} needs other milestones only.")
    if not reader.milestones:
        reader.note(0, "no-milestones", "The text holds no milestone.")
    entries = (*reader.milestones.values(), *reader.features.values())
    anomalies = sorted(reader.anomalies, key=lambda a: a.line)
    return SourceModel(TEXT, entries, tuple(anomalies))


def _check_required(reader: _Reader) -> None:
    """Compare the titles of required milestones with those of their own sections."""
    for number, title, entry_id in reader.required:
        own = reader.milestones.get(entry_id)
        if own is None:
            reader.note(number, "foreign-milestone", f"{entry_id} has no section in the text.", title)
        elif title and title != own.title:
            reader.note(
                number, "two-titles", f"{entry_id} is called otherwise in line {own.lines[0]}.", title
            )


def _check_order(reader: _Reader) -> None:
    previous: tuple[int, str] = (0, "")
    for milestone in reader.milestones.values():
        number = re.fullmatch(r"([0-9]{1,9})([A-Za-z]?)", milestone.id.rpartition("-")[2])
        if number is None:
            continue
        label = (int(number[1]), number[2])
        if label < previous:
            message = f"{milestone.id} stands behind a later number."
            reader.note(milestone.lines[0], "out-of-order", message)
        previous = label


def _foreign(title: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_FOREIGN.findall(title)))
