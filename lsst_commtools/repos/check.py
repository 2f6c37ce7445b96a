"""Whether the roots of a site are what people need: mounted, readable, fresh, and writable where they should be."""

from __future__ import annotations

import datetime as dt
import enum
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lsst_commtools.errors import CommtoolsError
from lsst_commtools.repos.chain import resolve_chain
from lsst_commtools.repos.gen2 import Gen2Repository
from lsst_commtools.repos.gen3 import Gen3Repository
from lsst_commtools.repos.marks import probe_folder
from lsst_commtools.repos.tree import is_folder, list_tree
from lsst_commtools.repos.values import Repository
from lsst_commtools.site.repos import RepositorySection

__all__ = ["CheckLine", "Verdict", "check_repository", "newest_image_hours"]


class Verdict(enum.Enum):
    """What a check says; unknown is not good."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class CheckLine:
    """One thing that was checked.

    Parameters
    ----------
    repository
        Label.
    what
        ``mounted``, ``readable``, ``chain``, ``fresh``, ``writable`` or ``schedule``.
    verdict
        What it says.
    seen
        What was seen, one sentence.
    """

    repository: str
    what: str
    verdict: Verdict
    seen: str


def check_repository(
    repository: Repository, settings: RepositorySection, now_utc: dt.datetime
) -> list[CheckLine]:
    """Check a repository; nothing is written, not even to find out whether that were possible.

    Parameters
    ----------
    repository
        The repository.
    settings
        What the site expects of it.
    now_utc
        The time at which its age is judged, with time zone.

    Returns
    -------
    list of CheckLine
        In the order in which people go wrong: what is not mounted is not asked further.
    """
    return [CheckLine(repository.label, *line) for line in _lines(repository, settings, now_utc)]


def _lines(
    repository: Repository, settings: RepositorySection, now_utc: dt.datetime
) -> Iterator[tuple[str, Verdict, str]]:
    if "://" in repository.root and not repository.root.startswith("file://"):
        yield "mounted", Verdict.UNKNOWN, f"{repository.root} is no folder; 'commtools site check' tries it."
        return
    root = Path(repository.root.removeprefix("file://"))
    today = now_utc.date()
    reason = probe_folder(str(root))
    if reason == errno.ENOENT:
        gone = settings.deleted is not None and today >= settings.deleted
        seen = f"{root} does not exist" + (", as scheduled." if gone else ": not mounted, moved or deleted.")
        yield "mounted", Verdict.GOOD if gone else Verdict.BAD, seen
        return
    yield "mounted", Verdict.GOOD, f"{root} is there."
    if reason is not None:
        yield "readable", Verdict.BAD, f"{root} cannot be read: {os.strerror(reason)}."
        return
    yield "readable", Verdict.GOOD, "It can be read."
    if settings.deleted is not None:
        late = today >= settings.deleted
        yield (
            "schedule",
            Verdict.WARNING,
            f"It {'was' if late else 'is'} to be deleted on {settings.deleted}.",
        )
    if repository.generation == 2:
        yield from _chain(root)
    yield _writable(root, repository)
    if settings.max_age_hours is not None or settings.max_lag_hours is not None:
        yield _fresh(repository, settings, now_utc)


def _chain(root: Path) -> Iterator[tuple[str, Verdict, str]]:
    chain = resolve_chain(root)
    if not chain.problems:
        yield "chain", Verdict.GOOD, f"{len(chain.roots)} roots, without a trap."
    for problem in chain.problems:
        yield "chain", Verdict.BAD, f"{problem.kind}: {problem.what}"


def _writable(root: Path, repository: Repository) -> tuple[str, Verdict, str]:
    """Judge by rights and the mount alone: trying would write."""
    place = root / "rerun" if repository.generation == 2 and repository.writable else root
    if repository.writable and not is_folder(place):
        return "writable", Verdict.BAD, f"{place} does not exist."
    mounted_read_only = bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    if os.geteuid() == 0:
        may = not mounted_read_only and bool(place.stat().st_mode & 0o022)
        asked = "for others than root"
        if not mounted_read_only and not may and repository.writable:
            return (
                "writable",
                Verdict.UNKNOWN,
                f"{place} is writable for its owner; root cannot tell for people.",
            )
    else:
        may = os.access(place, os.W_OK) and not mounted_read_only
        asked = "for you"
    seen = f"{place} is {'writable' if may else 'not writable'} {asked}"
    if may == repository.writable:
        return "writable", Verdict.GOOD, f"{seen}, as it should be."
    return "writable", Verdict.BAD, f"{seen}, but should{'' if repository.writable else ' not'} be."


def _fresh(
    repository: Repository, settings: RepositorySection, now_utc: dt.datetime
) -> tuple[str, Verdict, str]:
    try:
        newest, stored = _newest(repository)
    except (CommtoolsError, OSError) as error:
        return "fresh", Verdict.UNKNOWN, f"The newest image cannot be told: {error}"
    if newest is None:
        return "fresh", Verdict.UNKNOWN, "It holds no image whose age could be told."
    age_hours = (now_utc.timestamp() - newest) / 3600
    seen = f"The newest image came {age_hours:.1f} h ago"
    if settings.max_lag_hours is not None and stored is not None:
        waiting_hours = (now_utc.timestamp() - stored) / 3600
        if stored > newest and waiting_hours > settings.max_lag_hours:
            return "fresh", Verdict.BAD, f"{seen}, one transferred {waiting_hours:.1f} h ago is not ingested."
    if settings.halts is not None and now_utc.date() >= settings.halts:
        return "fresh", Verdict.GOOD, f"{seen}; new images ended on {settings.halts}, as scheduled."
    if settings.max_age_hours is not None and age_hours > settings.max_age_hours:
        return "fresh", Verdict.BAD, f"{seen}, {settings.max_age_hours:g} h are allowed."
    return "fresh", Verdict.GOOD, f"{seen}."


def newest_image_hours(folder: str | os.PathLike[str], now_utc: dt.datetime | None = None) -> float | None:
    """Give the age of the newest raw file below a folder.

    Parameters
    ----------
    folder
        Where to look, at every depth.
    now_utc
        Time at which it is judged, with time zone; now by default.

    Returns
    -------
    float or None
        Hours since it came; None if there is none.
    """
    now = now_utc or dt.datetime.now(dt.UTC)
    times = [os.lstat(path).st_mtime for path in list_tree(os.fspath(folder)).files]
    return (now.timestamp() - max(times)) / 3600 if times else None


def _newest(repository: Repository) -> tuple[float | None, float | None]:
    """Give when the newest image came into the repository and into the storage, in seconds of POSIX time."""
    if repository.generation == 3:
        gen3 = Gen3Repository(repository)
        try:
            return gen3.newest_seconds(), None
        finally:
            gen3.close()
    gen2 = Gen2Repository(repository)
    storage = gen2.paths.storage
    return (
        _newest_time([f"{root}/raw" for root in gen2.chain.roots]),
        _newest_time([storage]) if storage else None,
    )


def _newest_time(folders: list[str]) -> float | None:
    """Look at the newest files of the last folders only: nights are named by their date."""
    times = [
        os.lstat(path).st_mtime
        for folder in folders
        for night in _last(folder)
        for path in list_tree(night).files
    ]
    return max(times, default=None)


def _last(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [(entry.stat().st_mtime, entry.path) for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return [path for _, path in sorted(names)[-3:]] or [folder]
