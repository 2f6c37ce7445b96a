"""Milestones and features as each source tells them.

Two sources tell of the same releases and disagree: the release document (LDM-564) and its authors' table. Both are
kept; nothing here merges them.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from lsst_commtools.errors import NotFoundError

__all__ = ["Anomaly", "Entry", "ReleaseModel", "SourceModel", "is_milestone_id", "normalize_id"]

TEXT = "text"
TABLE = "table"

ID_PATTERN = r"[A-Z][A-Za-z&]*(?:-[A-Za-z0-9]+)+"
_MILESTONE_NUMBER = re.compile(r"(?:LDM-503-)?0*([0-9]+[a-z]?)", re.IGNORECASE)
_MILESTONE_ID = re.compile(r"(?:LDM-503|LSST)-[0-9A-Za-z]+|DM-STAFF")


@dataclass(frozen=True)
class Anomaly:
    """Something in a source that does not fit its form.

    Parameters
    ----------
    source
        ``text`` or ``table``.
    line
        Line in which it stands, from 1; 0 for the source as a whole.
    kind
        Short name, such as ``no-title``.
    message
        One sentence.
    text
        What stands there.
    """

    source: str
    line: int
    kind: str
    message: str
    text: str = ""


@dataclass(frozen=True)
class Entry:
    """A milestone or feature, as one source tells it.

    Parameters
    ----------
    id
        As it is written: ``LDM-503-4b``, ``DM-NCSA-17``.
    kind
        ``milestone`` or ``feature``.
    title
        All that stands before the id, notes in it included; empty where there is none.
    lines
        Lines in which it stands.
    requires
        Ids of what it needs, features and milestones, in the order written.
    free_requirements
        Requirements that name no id.
    notes
        Notes such as ``NB actually a T&S milestone?!``.
    foreign_ids
        Ids of other systems in the title.
    due
        Target date.
    details
        All other cells by the name of their column.
    """

    id: str
    kind: str
    title: str
    lines: tuple[int, ...]
    requires: tuple[str, ...] = ()
    free_requirements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    foreign_ids: tuple[str, ...] = ()
    due: dt.date | None = None
    details: dict[str, str] = field(default_factory=dict)

    @property
    def features(self) -> tuple[str, ...]:
        """Features among what it needs."""
        return tuple(i for i in self.requires if not is_milestone_id(i))

    @property
    def milestones(self) -> tuple[str, ...]:
        """Milestones among what it needs."""
        return tuple(i for i in self.requires if is_milestone_id(i))

    def to_dict(self) -> dict[str, Any]:
        """Give the entry as plain values.

        Returns
        -------
        dict
            Its parts; the due date as ISO 8601.
        """
        return asdict(self) | {"due": None if self.due is None else self.due.isoformat()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Entry:
        """Read an entry from plain values.

        Parameters
        ----------
        values
            As `to_dict` gives them.

        Returns
        -------
        Entry
            The entry.
        """
        lists = ("lines", "requires", "free_requirements", "notes", "foreign_ids")
        due = values["due"]
        return cls(
            **(values | {name: tuple(values[name]) for name in lists})
            | {"due": None if due is None else dt.date.fromisoformat(due)}
        )


@dataclass(frozen=True)
class SourceModel:
    """All that one source tells.

    Parameters
    ----------
    name
        ``text`` or ``table``.
    entries
        In the order written; an id may occur twice.
    anomalies
        What does not fit the form.
    """

    name: str
    entries: tuple[Entry, ...]
    anomalies: tuple[Anomaly, ...] = ()

    @functools.cached_property
    def _by_id(self) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.id, []).append(entry)
        return found

    def get(self, entry_id: str) -> tuple[Entry, ...]:
        """Find what the source tells of an id.

        Parameters
        ----------
        entry_id
            The id.

        Returns
        -------
        tuple of Entry
            More than one where the source uses the id twice; empty where it tells nothing.
        """
        return tuple(self._by_id.get(entry_id, ()))

    def requires(self, entry_id: str) -> tuple[str, ...]:
        """Give the ids that an entry needs directly.

        Parameters
        ----------
        entry_id
            The id.

        Returns
        -------
        tuple of str
            In the order written, each once.
        """
        return tuple(dict.fromkeys(i for entry in self.get(entry_id) for i in entry.requires))

    def due(self, entry_id: str) -> dt.date | None:
        """Give the target date of an entry.

        Parameters
        ----------
        entry_id
            The id.

        Returns
        -------
        datetime.date or None
            The latest one where the id occurs twice.
        """
        return max((e.due for e in self.get(entry_id) if e.due is not None), default=None)

    def title(self, entry_id: str) -> str:
        """Give the title of an entry.

        Parameters
        ----------
        entry_id
            The id.

        Returns
        -------
        str
            Titles joined by a slash where the id occurs twice; empty where there is none.
        """
        return " / ".join(dict.fromkeys(e.title for e in self.get(entry_id) if e.title))

    @property
    def milestones(self) -> tuple[str, ...]:
        """Ids of the milestones, in the order written."""
        return tuple(dict.fromkeys(e.id for e in self.entries if e.kind == "milestone"))

    @property
    def features(self) -> tuple[str, ...]:
        """Ids of the features, in the order written."""
        return tuple(dict.fromkeys(e.id for e in self.entries if e.kind == "feature"))


@dataclass(frozen=True)
class ReleaseModel:
    """Both sources, side by side.

    Parameters
    ----------
    sources
        What each of them tells.
    """

    sources: tuple[SourceModel, ...]

    def source(self, name: str) -> SourceModel:
        """Give one source.

        Parameters
        ----------
        name
            ``text`` or ``table``.

        Returns
        -------
        SourceModel
            The source.

        Raises
        ------
        NotFoundError
            If the model does not hold it.
        """
        for source in self.sources:
            if source.name == name:
                return source
        raise NotFoundError(f"The model has no source {name!r}.")

    @property
    def anomalies(self) -> tuple[Anomaly, ...]:
        """Anomalies of all sources."""
        return tuple(anomaly for source in self.sources for anomaly in source.anomalies)

    @property
    def milestones(self) -> tuple[str, ...]:
        """Ids of all milestones, by their numbers."""
        return tuple(sorted({i for s in self.sources for i in s.milestones}, key=_id_key))

    @property
    def features(self) -> tuple[str, ...]:
        """Ids of all features, by system and number."""
        return tuple(sorted({i for s in self.sources for i in s.features}, key=_id_key))

    def resolve(self, text: str) -> str:
        """Find an id as people write it.

        Parameters
        ----------
        text
            For instance ``LDM-503-04b``, ``4b``, ``dm-ncsa-17``.

        Returns
        -------
        str
            The id as the sources write it.

        Raises
        ------
        NotFoundError
            If no source tells of it.
        """
        wanted = normalize_id(text).upper()
        named = {i for s in self.sources for e in s.entries for i in (e.id, *e.requires)}
        for known in sorted(named):
            if wanted in (known.upper(), normalize_id(known).upper()):
                return known
        raise NotFoundError(
            f"No source tells of {text!r}.", advice="'commtools releases list' shows milestones and features."
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the model as plain values.

        Returns
        -------
        dict
            The form of the shipped data.
        """
        return {
            "sources": [
                {
                    "name": s.name,
                    "entries": [entry.to_dict() for entry in s.entries],
                    "anomalies": [asdict(anomaly) for anomaly in s.anomalies],
                }
                for s in self.sources
            ]
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ReleaseModel:
        """Read a model from plain values.

        Parameters
        ----------
        values
            As `to_dict` gives them.

        Returns
        -------
        ReleaseModel
            The model.
        """
        return cls(
            tuple(
                SourceModel(
                    s["name"],
                    tuple(Entry.from_dict(e) for e in s["entries"]),
                    tuple(Anomaly(**a) for a in s["anomalies"]),
                )
                for s in values["sources"]
            )
        )


def is_milestone_id(entry_id: str) -> bool:
    """Say whether an id is that of a milestone.

    Parameters
    ----------
    entry_id
        The id.

    Returns
    -------
    bool
        True for LDM-503, LSST and staffing milestones; false for features of a team (``DM-...``).
    """
    return _MILESTONE_ID.fullmatch(entry_id) is not None


def normalize_id(text: str) -> str:
    """Bring an id into the usual form: ``LDM-503-01`` and ``1`` are ``LDM-503-1``.

    Parameters
    ----------
    text
        The id.

    Returns
    -------
    str
        The usual form; other ids as they are.
    """
    match = _MILESTONE_NUMBER.fullmatch(text.strip())
    return f"LDM-503-{match[1].lower()}" if match is not None else text.strip()


def _id_key(entry_id: str) -> tuple[str, int, str]:
    """Order ids by their numbers: 4, 4b, 5."""
    match = re.fullmatch(r"(.*?)-?([0-9]+)([a-z]?)", entry_id)
    if match is None:
        return (entry_id, 0, "")
    return (match[1], int(match[2]) if len(match[2]) < 10 else 0, match[3])
