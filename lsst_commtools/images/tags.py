"""Tags of lab images: their kinds, their parts, and the order in which they stand."""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from typing_extensions import override

__all__ = ["ImageTag", "ImageType", "Version", "format_tag", "sort_tags"]

_BUILD_TIME = re.compile(r"(?P<date>[0-9]{8})(?:[T_-]?(?P<time>[0-9]{4}(?:[0-9]{2})?)Z?)?")


class ImageType(enum.Enum):
    """Kind of a tag, in the order of the menu."""

    ALIAS = "alias"
    RELEASE = "release"
    WEEKLY = "weekly"
    DAILY = "daily"
    CANDIDATE = "candidate"
    EXPERIMENTAL = "experimental"
    UNKNOWN = "unknown"

    @property
    def title(self) -> str:
        """Name for people."""
        return "Release Candidate" if self is ImageType.CANDIDATE else self.value.title()


MENU_ORDER = {kind: rank for rank, kind in enumerate(ImageType)}


class Version(NamedTuple):
    """Version of a build: of a release, ``year.week.0`` of a weekly, ``year.month.day`` of a daily.

    Parameters
    ----------
    major, minor, patch
        Its numbers.
    candidate
        Number of the release candidate; None for anything else.
    """

    major: int
    minor: int
    patch: int
    candidate: int | None = None

    @override
    def __str__(self) -> str:
        candidate = "" if self.candidate is None else f"-rc{self.candidate}"
        return f"{self.major}.{self.minor}.{self.patch}{candidate}"

    @property
    def sort_key(self) -> tuple[int, int, int, int, int]:
        """Order as in semantic versions: a candidate comes before its release, rc10 after rc2."""
        return (self.major, self.minor, self.patch, self.candidate is None, self.candidate or 0)


@dataclass(frozen=True, slots=True, eq=False)
class ImageTag:
    """A tag and its parts.

    Tags are ordered within one type: by version (or, where one of the two has none, by name), cycle, cycle build, RSP
    build, extra text, architecture, and at last by their text, so that the order is total. A missing number or text
    comes first, a missing architecture last. Comparing tags of two types is a `TypeError`. Two tags are equal if their
    text is.

    Parameters
    ----------
    tag
        The text, as it was given.
    type
        Its kind; experimental for anything behind ``exp_``.
    display
        Name for people, as in the spawner page.
    name
        Name without cycle and architecture, of aliases and unknown tags.
    version
        Version, where the tag has one.
    cycle, cycle_build
        SAL cycle and the build of it.
    rsp_build
        Run number of the build of the lab layer.
    extra
        Further text.
    architecture
        Architecture, where the image is for one only.
    date
        Day of the stack that it was built from: a daily's date, a weekly's Thursday (UTC).
    based_on
        Kind of what an experimental image was built from; else the type itself.
    experiments
        How many times ``exp_`` stands in front.
    problems
        What is wrong with the tag, a sentence each.
    """

    tag: str
    type: ImageType
    display: str
    name: str | None = None
    version: Version | None = None
    cycle: int | None = None
    cycle_build: int | None = None
    rsp_build: int | None = None
    extra: str | None = None
    architecture: str | None = None
    date: dt.date | None = None
    based_on: ImageType = ImageType.UNKNOWN
    experiments: int = 0
    problems: tuple[str, ...] = ()

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Key that orders the tags of one type, oldest first."""
        version = self.version
        if version is not None:
            candidate = version.candidate
            head: tuple[Any, ...] = (0, *version[:3], candidate is None, candidate or 0)
        else:
            head = (1, self.name or "")
        return (
            *head,
            -1 if self.cycle is None else self.cycle,
            -1 if self.cycle_build is None else self.cycle_build,
            -1 if self.rsp_build is None else self.rsp_build,
            self.extra or "",
            self.architecture is None,
            self.architecture or "",
            self.tag,
        )

    @property
    def built_utc(self) -> dt.datetime | None:
        """When the image was built, as its extra text or date says; None where neither does.

        The extra text may be ``20230210``, ``202302100312``, ``20230210T031205Z``.
        """
        match = _BUILD_TIME.fullmatch(self.extra) if self.extra else None
        if match is not None:
            digits = match["date"] + (match["time"] or "0000").ljust(6, "0")
            try:
                return dt.datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC)
            except ValueError:
                pass
        return dt.datetime.combine(self.date, dt.time(), dt.UTC) if self.date is not None else None

    def to_dict(self) -> dict[str, Any]:
        """Give the tag as plain values, in the form of ``commtools images parse``.

        Returns
        -------
        dict
            Keys tag, type, display, version, cycle, cycle_build, rsp_build, extra, architecture, problems.
        """
        return {
            "tag": self.tag,
            "type": self.type.value,
            "display": self.display,
            "version": None if self.version is None else str(self.version),
            "cycle": self.cycle,
            "cycle_build": self.cycle_build,
            "rsp_build": self.rsp_build,
            "extra": self.extra,
            "architecture": self.architecture,
            "problems": list(self.problems),
        }

    @override
    def __eq__(self, other: object) -> bool:
        return self.tag == other.tag if isinstance(other, ImageTag) else NotImplemented

    @override
    def __hash__(self) -> int:
        return hash(self.tag)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, ImageTag) or other.type is not self.type:
            return NotImplemented
        return bool(self.sort_key < other.sort_key)

    def __le__(self, other: object) -> bool:
        if not isinstance(other, ImageTag) or other.type is not self.type:
            return NotImplemented
        return bool(self.sort_key <= other.sort_key)

    def __gt__(self, other: object) -> bool:
        if not isinstance(other, ImageTag) or other.type is not self.type:
            return NotImplemented
        return bool(self.sort_key > other.sort_key)

    def __ge__(self, other: object) -> bool:
        if not isinstance(other, ImageTag) or other.type is not self.type:
            return NotImplemented
        return bool(self.sort_key >= other.sort_key)


def sort_tags(tags: Iterable[ImageTag]) -> list[ImageTag]:
    """Bring tags into the order of the menu.

    Parameters
    ----------
    tags
        Tags of any types.

    Returns
    -------
    list of ImageTag
        Grouped as Alias, Release, Weekly, Daily, Release Candidate, Experimental, Unknown; each newest first.
    """
    groups: dict[ImageType, list[ImageTag]] = {kind: [] for kind in ImageType}
    for tag in tags:
        groups[tag.type].append(tag)
    return [t for group in groups.values() for t in sorted(group, key=_sort_key, reverse=True)]


def format_tag(tag: ImageTag) -> str:
    """Write a tag from its parts, in the usual widths and order: the inverse of `parse_tag`.

    Parameters
    ----------
    tag
        The parts.

    Returns
    -------
    str
        The tag with weeks, months and days of two digits, cycles of four, cycle builds of three. Aliases and unknown
        tags keep their text.
    """
    version = tag.version
    if version is None:
        return tag.tag
    if tag.based_on is ImageType.WEEKLY:
        head = f"w_{version.major}_{version.minor:02d}"
    elif tag.based_on is ImageType.DAILY:
        head = f"d_{version.major}_{version.minor:02d}_{version.patch:02d}"
    else:
        head = f"r{version.major}_{version.minor}_{version.patch}"
        head += "" if version.candidate is None else f"_rc{version.candidate}"
    parts = [head]
    if tag.cycle is not None:
        parts.append(f"c{tag.cycle:04d}" + ("" if tag.cycle_build is None else f".{tag.cycle_build:03d}"))
    if tag.rsp_build is not None:
        parts.append(f"rsp{tag.rsp_build}")
    if tag.extra:
        parts.append(tag.extra)
    return "exp_" * tag.experiments + "_".join(parts) + (f"-{tag.architecture}" if tag.architecture else "")


def _sort_key(tag: ImageTag) -> tuple[Any, ...]:
    return tag.sort_key
