"""What the repositories' room speaks of: repositories, links, chains, locations, problems."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AuditProblem",
    "AuditReport",
    "Chain",
    "ChainProblem",
    "ChainRoot",
    "Link",
    "Located",
    "Location",
    "LogEntry",
    "Repository",
    "Station",
]

CHAIN_KINDS = (
    "dangling-link",
    "link-cycle",
    "config-cycle",
    "relative-link",
    "mixed-parents",
    "mapper-mismatch",
    "no-mapper",
    "unreadable",
)
"""Kinds of problem that a chain can have."""

AUDIT_KINDS = (
    "not-ingested",
    "link-without-row",
    "row-without-file",
    "wrong-target",
    "orphan-registry",
    "collision",
    "duplicate",
    "missing-artifact",
    "checksum-differs",
    "shadowed",
)
"""Kinds of problem that an audit can find, the order in which they are shown."""


@dataclass(frozen=True)
class Repository:
    """One repository that a site knows.

    Parameters
    ----------
    label
        Name that people use.
    root
        Folder, or URI of a Gen3 one.
    generation
        2 or 3.
    instrument
        Butler name of its camera.
    internal
        Whether people should never be pointed at it, because a linked repository stands before it.
    linked_by
        For an internal one, the label of the repository to use in its place; else empty.
    writable
        Whether users may write there.
    source
        Where its images come from: in Gen2 a folder with ``storage``, ``gen2repo`` and ``log``, in Gen3 a folder of
        raw files.
    collections
        Gen3 collections to search, in order.
    """

    label: str
    root: str
    generation: int
    instrument: str
    internal: bool = False
    linked_by: str = ""
    writable: bool = False
    source: str = ""
    collections: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """A ``_parent`` link as it is on disk.

    Parameters
    ----------
    path
        The link.
    text
        What is written in it.
    target
        Absolute real path that is meant: text relative to the link's folder.
    exists
        Whether the target is there.
    """

    path: str
    text: str
    target: str
    exists: bool


@dataclass(frozen=True)
class ChainProblem:
    """Something in a chain that the old stack falls over.

    Parameters
    ----------
    kind
        One of `CHAIN_KINDS`.
    where
        Link, file or folder.
    what
        What is wrong, one sentence.
    old_stack
        What the old stack does with it.
    """

    kind: str
    where: str
    what: str
    old_stack: str

    def to_dict(self) -> dict[str, str]:
        """Give the problem as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class ChainRoot:
    """One root of a chain.

    Parameters
    ----------
    path
        Absolute real path.
    mapper
        Dotted name of its mapper, None if there is none.
    registry
        The sqlite registry that its look-ups use, its own or a parent's; None if there is none.
    """

    path: str
    mapper: str | None
    registry: str | None


@dataclass(frozen=True)
class Chain:
    """The roots that are searched for a repository, in order; the first hit wins.

    Parameters
    ----------
    members
        Roots in search order.
    registry
        Registry of the first root, its own or inherited.
    calib
        Root of the calibrations that the first root uses.
    problems
        What the old stack would fall over.
    """

    members: tuple[ChainRoot, ...]
    registry: str | None
    calib: str | None
    problems: tuple[ChainProblem, ...]

    @property
    def roots(self) -> tuple[str, ...]:
        """Absolute real paths in search order."""
        return tuple(member.path for member in self.members)

    @property
    def mapper(self) -> str | None:
        """Mapper of the first root, None if it has none or cannot be read."""
        return self.members[0].mapper if self.members else None

    def to_dict(self) -> dict[str, Any]:
        """Give the chain as plain values."""
        return {
            "roots": list(self.roots),
            "registry": self.registry,
            "calib": self.calib,
            "problems": [problem.to_dict() for problem in self.problems],
        }

    def to_frame(self) -> pd.DataFrame:
        """Give the roots as a table, in search order."""
        import pandas as pd

        rows = [(m.path, m.mapper or "", m.registry or "") for m in self.members]
        frame = pd.DataFrame(rows, columns=["root", "mapper", "registry"])
        return frame.set_axis(pd.RangeIndex(1, len(rows) + 1, name="searched"))


@dataclass(frozen=True)
class LogEntry:
    """One line of an ingest log that was understood.

    Parameters
    ----------
    path
        Log file.
    line
        Its line number, from 1.
    level
        ``INFO``, ``WARN`` or what was written.
    text
        The message.
    """

    path: str
    line: int
    level: str
    text: str

    @property
    def cited(self) -> str:
        """The entry with its place, for people."""
        return f"{self.path}:{self.line}: {self.level}: {self.text}"


@dataclass(frozen=True)
class AuditProblem:
    """One thing that is not in order.

    Parameters
    ----------
    kind
        One of `AUDIT_KINDS`.
    path
        The file, link or table it is about.
    data_id
        Data id as far as it is known.
    log
        Line of the ingest log that says why, where there is one.
    what
        What was seen, one sentence.
    """

    kind: str
    path: str
    data_id: Mapping[str, Any] = field(default_factory=dict)
    log: str | None = None
    what: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the problem as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class AuditReport:
    """Outcome of an audit.

    Parameters
    ----------
    root
        The repository that was audited.
    storage, registered, linked, in_order
        Number of raw files as transferred, of registry rows, of links or files in the repository, and of those for
        which all of these agree.
    problems
        Everything that is not in order, by kind in the order of `AUDIT_KINDS`.
    notes
        What could not be looked at, such as an absent log folder.
    """

    root: str
    storage: int
    registered: int
    linked: int
    in_order: int
    problems: tuple[AuditProblem, ...]
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> dict[str, int]:
        """Number of problems of each kind that was found."""
        found = [problem.kind for problem in self.problems]
        return {kind: found.count(kind) for kind in AUDIT_KINDS if kind in set(found)}

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain values."""
        return {
            "counts": {
                "storage": self.storage,
                "registered": self.registered,
                "linked": self.linked,
                "in_order": self.in_order,
            },
            "problems": [problem.to_dict() for problem in self.problems],
        }

    def to_frame(self) -> pd.DataFrame:
        """Give the problems as a table."""
        import pandas as pd

        columns = ["kind", "path", "what", "log"]
        return pd.DataFrame([[getattr(p, name) for name in columns] for p in self.problems], columns=columns)


class Station(enum.Enum):
    """Where an image is on its way to the people, or where it was lost."""

    FOUND = "found"
    NOT_TRANSFERRED = "not-transferred"
    NOT_INGESTED = "not-ingested"
    OTHER_ID = "ingested-under-another-id"
    FILE_GONE = "file-gone"
    UNREACHED = "not-reached-by-this-chain"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Location:
    """One place at which an image is.

    Parameters
    ----------
    repository
        Label of the repository that was asked.
    root
        Root of the chain, or repository, that holds it.
    collection
        Gen3 run; empty in Gen2.
    path
        The file in the repository.
    target
        File that it leads to.
    exposure_id, detector
        Data id; the detector is None where it is not known.
    exists
        Whether the file itself is there.
    wins
        Whether the asked repository finds this one.
    """

    repository: str
    root: str
    collection: str
    path: str
    target: str
    exposure_id: int
    detector: int | None
    exists: bool
    wins: bool


@dataclass(frozen=True)
class Located:
    """Answer to the question where an image is.

    Parameters
    ----------
    obs_id
        The image.
    station
        Where it is or was lost.
    reason
        One sentence.
    locations
        All places, those that win first.
    log
        Line of the ingest log that says why, where there is one.
    unread
        What could not be looked at, and why.
    """

    obs_id: str
    station: Station
    reason: str
    locations: tuple[Location, ...] = ()
    log: str | None = None
    unread: tuple[str, ...] = ()

    @property
    def winners(self) -> tuple[Location, ...]:
        """The places that are found, one a detector and asked repository."""
        return tuple(location for location in self.locations if location.wins)

    def to_dict(self) -> dict[str, Any]:
        """Give the answer as plain values."""
        return {
            "obs_id": self.obs_id,
            "station": self.station.value,
            "reason": self.reason,
            "log": self.log,
            "locations": [asdict(location) for location in self.locations],
            "unread": list(self.unread),
        }

    def to_frame(self) -> pd.DataFrame:
        """Give the places as a table, those that win first."""
        import pandas as pd

        columns = ["repository", "collection", "exposure_id", "detector", "exists", "wins", "path", "target"]
        return pd.DataFrame([[getattr(p, name) for name in columns] for p in self.locations], columns=columns)
