"""The three spellings of one build: git, EUPS and stack container, lab image.

====================  ===================  ================
lab image             EUPS, stack          git
====================  ===================  ================
``r23_0_0_rsp7``      ``v23_0_0``          ``23.0.0``
``r23_0_0_rc1``       ``v23_0_0_rc1``      ``23.0.0.rc1``
``w_2021_22``         ``w_2021_22``        ``w.2021.22``
``d_2021_05_27``      ``d_2021_05_27``     ``d.2021.05.27``
====================  ===================  ================

Rules: SQR-016 (git tags use ``[a-z0-9.]``; EUPS tags use ``[a-z0-9_]`` and do not begin with a digit). Only the lab
spelling carries a cycle, an RSP build, further text and an architecture: they are lost on the way to the others.
"""

from __future__ import annotations

import enum
import re

from lsst_commtools.errors import IdentifierError
from lsst_commtools.images.grammar import parse_tag
from lsst_commtools.images.tags import ImageType

__all__ = ["Spelling", "convert_release", "spelling_of"]


class Spelling(enum.Enum):
    """Where a name of a build is used."""

    LAB = "lab"
    STACK = "stack"
    GIT = "git"


_GIT_RELEASE = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)(?:\.rc([0-9]+))?")
_GIT_DATED = re.compile(r"[wd](?:\.[0-9]+){2,3}")
_STACK_RELEASE = re.compile(r"v([0-9]+)_([0-9]+)_([0-9]+)(?:_rc([0-9]+))?")
_BUILDS = (ImageType.RELEASE, ImageType.CANDIDATE, ImageType.WEEKLY, ImageType.DAILY)


def spelling_of(name: str) -> Spelling | None:
    """Say in which spelling a build is named.

    Parameters
    ----------
    name
        Name of a build.

    Returns
    -------
    Spelling or None
        None if it is in none; weeklies and dailies, which the stack and the lab spell alike, count as lab tags.
    """
    if _GIT_RELEASE.fullmatch(name) or _GIT_DATED.fullmatch(name):
        return Spelling.GIT
    if _STACK_RELEASE.fullmatch(name):
        return Spelling.STACK
    return Spelling.LAB if parse_tag(name).type in _BUILDS else None


def convert_release(name: str, to: Spelling, *, rsp_build: int | None = None) -> str:
    """Write the name of a build in another spelling.

    Parameters
    ----------
    name
        Release, candidate, weekly or daily in any of the three spellings.
    to
        Spelling that is wanted.
    rsp_build
        RSP build of the lab image; it stands in no other spelling.

    Returns
    -------
    str
        The name.

    Raises
    ------
    IdentifierError
        If the name is in none of the three spellings.
    """
    lab = _to_lab(name)
    tag = parse_tag(lab)
    if tag.type not in _BUILDS or tag.version is None:
        raise IdentifierError(
            f"{name!r} names no build.", advice="Give for instance 23.0.0, v23_0_0 or r23_0_0_rsp7."
        )
    version = tag.version
    if tag.type in (ImageType.WEEKLY, ImageType.DAILY):
        head = "_".join(lab.split("-")[0].split("_")[: 3 if tag.type is ImageType.WEEKLY else 4])
        if to is Spelling.GIT:
            return head.replace("_", ".")
        return lab if to is Spelling.LAB else head
    numbers = f"{version.major}_{version.minor}_{version.patch}"
    candidate = "" if version.candidate is None else f"_rc{version.candidate}"
    match to:
        case Spelling.GIT:
            return (numbers + candidate).replace("_", ".")
        case Spelling.STACK:
            return f"v{numbers}{candidate}"
        case Spelling.LAB:
            if lab == name:
                return lab
            return f"r{numbers}{candidate}" + ("" if rsp_build is None else f"_rsp{rsp_build}")


def _to_lab(name: str) -> str:
    for pattern in (_GIT_RELEASE, _STACK_RELEASE):
        if (match := pattern.fullmatch(name)) is not None:
            major, minor, patch, candidate = match.groups()
            return f"r{major}_{minor}_{patch}" + (f"_rc{candidate}" if candidate else "")
    return name.replace(".", "_") if _GIT_DATED.fullmatch(name) else name
