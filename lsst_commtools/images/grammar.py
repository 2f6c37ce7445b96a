"""The grammar of tags: what each part of a tag means.

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
import re
from collections.abc import Collection
from dataclasses import replace

from lsst_commtools.images.tags import ImageTag, ImageType, Version

__all__ = ["parse_tag"]

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
        head = (ImageType.CANDIDATE, f"Release Candidate r{version}", version, None)
        if (tag := _with_tail(text, match.end(), head)) is not None:
            return tag
    if (match := _RELEASE.match(text)) is not None:
        version = Version(int(match[1]), int(match[2]), int(match[3]))
        return _with_tail(text, match.end(), (ImageType.RELEASE, f"Release r{version}", version, None))
    if (match := _OLD_RELEASE.fullmatch(text)) is not None:
        version = Version(int(match[1]), int(match[2]), 0)
        return _with_tail(text, match.end(), (ImageType.RELEASE, f"Release r{version}", version, None))
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
    return _with_tail(text, match.end(), (ImageType.WEEKLY, display, Version(year, week, 0), date))


def _daily(text: str) -> ImageTag | None:
    if (match := _DAILY.match(text)) is None:
        return None
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    try:
        date = dt.date(year, month, day)
    except (ValueError, OverflowError):
        raise ValueError(f"There is no day {year}-{month}-{day}.") from None
    display = f"Daily {match[1]}_{match[2]}_{match[3]}"
    return _with_tail(text, match.end(), (ImageType.DAILY, display, Version(year, month, day), date))


# Kind, display name, version and date: what stands before cycle, RSP build, further text and architecture.
_Head = tuple[ImageType, str, Version, dt.date | None]

_READERS = {"r": _release, "w": _weekly, "d": _daily}


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
