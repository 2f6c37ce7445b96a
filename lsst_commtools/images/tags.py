"""Tags of lab images: what each part means, and in which order they stand.

The grammar is that of nublado (``models/images/_tag.py``), tried in this order against the whole string::

    CANDIDATE     r<maj>_<min>_<pat>_rc<n>   CYC RSP REST ARCH
    RELEASE       r<maj>_<min>_<pat>         CYC RSP REST ARCH
    RELEASE       r<2 digits><1 digit>       nothing may follow (r170 is 17.0.0)
    WEEKLY        w_<yyyy>_<ww>              CYC RSP REST ARCH
    DAILY         d_<yyyy>_<mm>_<dd>         CYC RSP REST ARCH
    EXPERIMENTAL  exp_<rest>                 the rest is read as a tag again
    UNKNOWN       <name>_c<cycle> ARCH, then <name> ARCH

    CYC = (_c<cycle>.<build>)?  RSP = (_rsp<n>)?  REST = (_<text>)?  ARCH = (-[a-z0-9]+)?

A tag is an alias only where it is configured as one. Where nublado loses a part (a cycle after ``_rsp``, a cycle
without build), the part keeps its meaning here and is reported in ``problems``.
"""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from typing_extensions import override

__all__ = ["ImageTag", "ImageType", "Version", "format_tag", "parse_tag", "sort_tags"]

DEFAULT_TAG = "latest"
"""What an empty tag means to Docker."""

_CANDIDATE = re.compile(r"r([0-9]+)_([0-9]+)_([0-9]+)_rc([0-9]+)(?=[_-]|\Z)")
_RELEASE = re.compile(r"r([0-9]+)_([0-9]+)_([0-9]+)(?=[_-]|\Z)")
_OLD_RELEASE = re.compile(r"r([0-9]{2})([0-9])")
_WEEKLY = re.compile(r"w_([0-9]+)_([0-9]+)(?=[_-]|\Z)")
_DAILY = re.compile(r"d_([0-9]+)_([0-9]+)_([0-9]+)(?=[_-]|\Z)")
_TAIL = re.compile(
    r"(?:_c(?P<cycle>[0-9]+)\.(?P<build>[0-9]+))?(?:_rsp(?P<rsp>[0-9]+))?(?:_(?P<rest>.+?))?(?:-(?P<arch>[a-z0-9]+))?"
)
_EXPERIMENTAL = "exp_"
_UNKNOWN_WITH_CYCLE = re.compile(r"(?P<name>.*?)_c(?P<cycle>[0-9]+)(?:-(?P<arch>[a-z0-9]+))?")
_UNKNOWN = re.compile(r"(?P<name>.*?)(?:-(?P<arch>[a-z0-9]+))?")
_CYCLE_PART = re.compile(r"c([0-9]+)(?:\.([0-9]+))?")
_RSP_PART = re.compile(r"rsp([0-9]+)")
_LIKE_A_CYCLE = re.compile(r"c[0-9]+(?:\..*)?|c[0-9]{3,}.*")
_LOST_CYCLE = re.compile(r"_c[0-9]{3,}")
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


def parse_tag(text: str, aliases: Collection[str] = ()) -> ImageTag:
    """Read a tag. No text is an error: what follows no rule is of type unknown.

    Parameters
    ----------
    text
        The tag; empty means ``latest``, as it does to Docker.
    aliases
        Tags that the site has configured as aliases (recommended tag, alias tags).

    Returns
    -------
    ImageTag
        Its parts.
    """
    text = text or DEFAULT_TAG
    if text in aliases:
        return _alias(text)
    experiments = 0
    if text.startswith(_EXPERIMENTAL) and "\n" not in text:
        width = len(_EXPERIMENTAL)
        while text.startswith(_EXPERIMENTAL, experiments * width) and len(text) > (experiments + 1) * width:
            experiments += 1
    inner = text[experiments * len(_EXPERIMENTAL) :]
    try:
        tag = _parse_plain(inner)
    except ValueError as error:  # a number that is no date, or of more digits than Python reads
        tag = _unknown(inner, (_reason(error),))
    if not experiments:
        return tag
    prefix = f"{ImageType.EXPERIMENTAL.title} " * experiments
    return replace(
        tag, tag=text, type=ImageType.EXPERIMENTAL, display=prefix + tag.display, experiments=experiments
    )


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


def _reason(error: ValueError) -> str:
    text = str(error)
    return "A number in the tag is too long." if "digits" in text else text


def _parse_plain(text: str) -> ImageTag:
    """Read a tag that has no ``exp_`` in front."""
    reader = _READERS.get(text[0])
    tag = reader(text) if reader is not None else None
    return _unknown(text) if tag is None else tag


def _release(text: str) -> ImageTag | None:
    if (match := _CANDIDATE.match(text)) is not None:
        version = Version(int(match[1]), int(match[2]), int(match[3]), int(match[4]))
        head = _Head(ImageType.CANDIDATE, f"Release Candidate r{version}", version, None)
        return _with_tail(text, match.end(), head)
    if (match := _RELEASE.match(text)) is not None:
        version = Version(int(match[1]), int(match[2]), int(match[3]))
        return _with_tail(text, match.end(), _Head(ImageType.RELEASE, f"Release r{version}", version, None))
    if (match := _OLD_RELEASE.fullmatch(text)) is not None:
        version = Version(int(match[1]), int(match[2]), 0)
        return _with_tail(text, match.end(), _Head(ImageType.RELEASE, f"Release r{version}", version, None))
    return None


def _weekly(text: str) -> ImageTag | None:
    if (match := _WEEKLY.match(text)) is None:
        return None
    year, week = int(match[1]), int(match[2])
    try:
        date = dt.date.fromisocalendar(year, week, 4)  # weeklies are built on Thursdays
    except (ValueError, OverflowError):
        raise ValueError(f"There is no week {week} in {year}.") from None
    display = f"Weekly {match[1]}_{match[2]}"
    return _with_tail(text, match.end(), _Head(ImageType.WEEKLY, display, Version(year, week, 0), date))


def _daily(text: str) -> ImageTag | None:
    if (match := _DAILY.match(text)) is None:
        return None
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    try:
        date = dt.date(year, month, day)
    except (ValueError, OverflowError):
        raise ValueError(f"There is no day {year}-{month}-{day}.") from None
    display = f"Daily {match[1]}_{match[2]}_{match[3]}"
    return _with_tail(text, match.end(), _Head(ImageType.DAILY, display, Version(year, month, day), date))


_READERS = {"r": _release, "w": _weekly, "d": _daily}


class _Head(NamedTuple):
    """What stands before cycle, RSP build, further text and architecture."""

    kind: ImageType
    display: str
    version: Version
    date: dt.date | None


def _shown(text: str) -> str:
    """Write control characters as escapes, so that a display name cannot command a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _with_tail(text: str, start: int, head: _Head) -> ImageTag | None:
    """Add what follows the version: cycle, RSP build, extra text, architecture."""
    kind, display, version, date = head
    if start == len(text):
        return ImageTag(text, kind, display, version=version, date=date, based_on=kind)
    match = _TAIL.fullmatch(text, start)
    if match is None:
        return None
    cycle, build, rsp, extra, architecture = match.groups()
    problems: tuple[str, ...] = ()
    if extra is not None:
        cycle, build, rsp, extra, problems = _misplaced(cycle, build, rsp, extra)
    display += _cycle_text(cycle, build)
    if rsp is not None:
        display += f" (RSP Build {rsp})"
    if extra is not None:
        display += f" [{_shown(extra)}]"
    if architecture is not None:
        display += f" [{architecture}]"
    return ImageTag(
        text,
        kind,
        display,
        None,
        version,
        None if cycle is None else int(cycle),
        None if build is None else int(build),
        None if rsp is None else int(rsp),
        extra,
        architecture,
        date,
        kind,
        0,
        problems,
    )


def _misplaced(
    cycle: str | None, build: str | None, rsp: str | None, extra: str
) -> tuple[str | None, str | None, str | None, str | None, tuple[str, ...]]:
    """Find cycle and RSP build in the extra text, where a tag made by another rule has them."""
    problems: list[str] = []
    kept: list[str] = []
    for part in extra.split("_"):
        if (match := _CYCLE_PART.fullmatch(part)) is not None:
            if cycle is not None:
                problems.append(f"The tag has a second cycle, {part}.")
                kept.append(part)
                continue
            cycle, build = match.groups()
            if build is None:
                problems.append(f"The cycle {part} has no build number.")
            if rsp is not None or kept:
                problems.append(f"The cycle {part} stands behind {'the RSP build' if rsp else 'other text'}.")
        elif rsp is None and (match := _RSP_PART.fullmatch(part)) is not None:
            rsp = match[1]
            if kept:
                problems.append(f"The RSP build {part} stands behind other text.")
        else:
            if not part:
                problems.append("The tag has an empty part.")
            if _LIKE_A_CYCLE.fullmatch(part):
                problems.append(f"The part {part!r} looks like a cycle and is none.")
            kept.append(part)
    return cycle, build, rsp, "_".join(kept) if kept else None, tuple(problems)


def _cycle_text(cycle: str | None, build: str | None) -> str:
    if cycle is None:
        return ""
    return f" (SAL Cycle {cycle})" if build is None else f" (SAL Cycle {cycle}, Build {build})"


def _name_parts(text: str) -> tuple[str, str | None, str | None]:
    """Split a tag that has no version into name, cycle and architecture."""
    if (match := _UNKNOWN_WITH_CYCLE.fullmatch(text)) is not None and len(match["cycle"]) < 10:
        return match["name"], match["cycle"], match["arch"]
    if (match := _UNKNOWN.fullmatch(text)) is not None:
        return match["name"], None, match["arch"]
    return text, None, None


def _unknown(text: str, problems: tuple[str, ...] = ()) -> ImageTag:
    name, cycle, architecture = _name_parts(text)
    display = _shown(name) + _cycle_text(cycle, None) + (f" [{architecture}]" if architecture else "")
    if cycle is None and _LOST_CYCLE.search(text):
        problems = (*problems, "The tag seems to name a cycle, in a place where it has no meaning.")
    return ImageTag(
        text,
        ImageType.UNKNOWN,
        display,
        name=name,
        cycle=None if cycle is None else int(cycle),
        architecture=architecture,
        problems=problems,
    )


def _alias(text: str) -> ImageTag:
    name, cycle, architecture = _name_parts(text)
    display = _shown(name).replace("_", " ").title() + _cycle_text(cycle, None)
    return ImageTag(
        text,
        ImageType.ALIAS,
        display + (f" [{architecture}]" if architecture else ""),
        name=name,
        cycle=None if cycle is None else int(cycle),
        architecture=architecture,
        based_on=ImageType.ALIAS,
    )
