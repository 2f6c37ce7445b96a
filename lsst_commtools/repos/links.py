"""Linked repositories: made, repointed with a plan first, and put back.

A linked repository is where people work: writable, with reruns and CALIB, its ``_parent`` leading to the production
repository. Moving that link changes which images everybody finds, so what appears and what vanishes is shown first,
the swap is one rename, and a record beside it allows the way back.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.errors import InputError, NotFoundError, RefusedError, ServiceError
from lsst_commtools.repos.chain import resolve_chain
from lsst_commtools.repos.marks import PARENT_NAME, is_repository, read_link
from lsst_commtools.repos.names import parse_raw_name
from lsst_commtools.repos.tree import is_folder, is_there, list_tree

__all__ = [
    "NightChange",
    "RepointPlan",
    "count_images",
    "last_repoint",
    "make_linked_repository",
    "plan_repoint",
    "processes_below",
    "repoint",
    "settle_repoint",
]

RECORD_NAME = ".commtools-links.jsonl"
_RERUN_MODE = 0o1777
_FOLDER_MODE = 0o775


@dataclass(frozen=True)
class NightChange:
    """What a new parent changes for one night.

    Parameters
    ----------
    night
        Folder below ``raw``: ``YYYY-MM-DD``, or the name of a run.
    before, after
        Number of raw files that are found.
    appear, vanish
        Number of raw files that only the new, or only the old parent has.
    """

    night: str
    before: int
    after: int
    appear: int
    vanish: int


@dataclass(frozen=True)
class RepointPlan:
    """What moving a ``_parent`` link would do.

    Parameters
    ----------
    repository
        The linked repository.
    before, after
        Text of the link now and then.
    nights
        Nights that change.
    appear, vanish
        Raw files in all that appear and vanish.
    unchanged
        Raw files that are found before and after.
    mapper_before, mapper_after
        Mapper of the old and the new parent.
    open_by
        Processes on this machine that have the repository or its old parent open.
    notes
        What could not be told.
    """

    repository: str
    before: str
    after: str
    nights: tuple[NightChange, ...]
    appear: int
    vanish: int
    unchanged: int
    mapper_before: str | None
    mapper_after: str | None
    open_by: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def same_mapper(self) -> bool:
        """Whether the new parent has the mapper of the old one, or the old one is gone."""
        return self.mapper_before in (None, self.mapper_after)

    def to_dict(self) -> dict[str, Any]:
        """Give the plan as plain values."""
        return {**asdict(self), "same_mapper": self.same_mapper}


def make_linked_repository(
    path: str | os.PathLike[str], parent: str | os.PathLike[str], *, calib: str = ""
) -> Path:
    """Make a linked repository: made aside and moved to its place whole.

    Parameters
    ----------
    path
        Where to make it.
    parent
        The production repository.
    calib
        Calibrations to link as CALIB; an empty CALIB is made without.

    Returns
    -------
    pathlib.Path
        The repository: ``_mapper``, absolute ``_parent``, ``CALIB``, and ``rerun`` in which everybody may make folders.

    Raises
    ------
    InputError
        If the path exists, or the parent is no repository with a mapper.
    ServiceError
        If it cannot be written.
    """
    target, source = Path(path).absolute(), Path(parent).absolute()
    if os.path.lexists(target):
        raise InputError(f"{target} exists.", changed="Nothing was changed.")
    chain = resolve_chain(source)
    mapper = chain.mapper
    if mapper is None:
        raise InputError(f"{source} is no Gen2 repository with a mapper.", changed="Nothing was changed.")
    if calib and not is_there(calib, "calibRegistry.sqlite3"):
        raise InputError(f"{calib} holds no calibRegistry.sqlite3.", changed="Nothing was changed.")
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise ServiceError(f"{target.parent} cannot be written: {error.strerror}.") from None
    try:
        (aside / "_mapper").write_text(mapper + "\n")
        (aside / PARENT_NAME).symlink_to(source)
        if calib:
            (aside / "CALIB").symlink_to(Path(calib).absolute())
        else:
            (aside / "CALIB").mkdir()
            (aside / "CALIB").chmod(_FOLDER_MODE)
        (aside / "rerun").mkdir()
        (aside / "rerun").chmod(_RERUN_MODE)
        aside.chmod(_FOLDER_MODE)
        aside.rename(target)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise ServiceError(
            f"{target} cannot be made: {error.strerror}.", changed="Nothing was changed."
        ) from None
    return target


def plan_repoint(repository: str | os.PathLike[str], to: str | os.PathLike[str]) -> RepointPlan:
    """Find out what moving a repository's ``_parent`` would do; nothing is changed.

    Parameters
    ----------
    repository
        The linked repository.
    to
        The new parent.

    Returns
    -------
    RepointPlan
        Nights and images that appear and vanish, mappers, and who has it open.

    Raises
    ------
    NotFoundError
        If there is no link to move.
    InputError
        If the new parent is no repository, or is the linked repository itself.
    """
    folder = Path(repository).absolute()
    link = read_link(folder)
    if link is None:
        raise NotFoundError(
            f"{folder} has no {PARENT_NAME} link.", advice="'commtools repo link' makes a linked one."
        )
    new = Path(to).absolute()
    if not is_folder(new) or not is_repository(str(new)):
        raise InputError(f"{new} is no Gen2 repository.", changed="Nothing was changed.")
    new_chain = resolve_chain(new)
    if os.path.realpath(folder) in new_chain.roots:
        raise InputError(
            f"{new} leads back to {folder}: that would be a cycle.", changed="Nothing was changed."
        )
    notes = ["Only processes on this machine can be seen."]
    own = _raw_files([os.path.realpath(folder)])
    old_chain = resolve_chain(link.target) if link.exists else None
    if old_chain is None:
        notes.append(
            f"The old parent {link.target} is gone: what vanishes cannot be told, it is not found now either."
        )
    before = own | _raw_files(old_chain.roots if old_chain else ())
    after = own | _raw_files(new_chain.roots)
    old_mapper = old_chain.mapper if old_chain and old_chain.members else None
    return RepointPlan(
        str(folder),
        link.text,
        str(new),
        tuple(_changes(before, after)),
        len(after - before),
        len(before - after),
        len(after & before),
        old_mapper,
        new_chain.mapper,
        tuple(processes_below([str(folder), link.target])),
        tuple(notes),
    )


def _raw_files(roots: tuple[str, ...] | list[str]) -> set[str]:
    """Give the raw files that are found through some roots, each by its path below a root."""
    found: set[str] = set()
    for root in roots:
        tree = list_tree(f"{root}/raw")
        found.update(
            path[len(root) + 1 :] for path, link in tree.files.items() if link is None or is_there(path)
        )
    return found


def _changes(before: set[str], after: set[str]) -> Iterator[NightChange]:
    counts = {name: Counter(map(_night, paths)) for name, paths in (
        ("before", before), ("after", after), ("appear", after - before), ("vanish", before - after),
    )}  # fmt: skip
    for night in sorted(counts["appear"].keys() | counts["vanish"].keys()):
        yield NightChange(night, *(counts[name][night] for name in ("before", "after", "appear", "vanish")))


def _night(relative: str) -> str:
    parts = relative.split("/")
    if len(parts) > 2 and parts[1][4:5] == "-":
        return parts[1]
    name = parse_raw_name(parts[-1])
    if name is None or name.exposure_id < 10**12:
        return parts[1]
    day = str(name.exposure_id // 100_000 % 10_000_000 + 20_000_000)
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def processes_below(folders: list[str]) -> Iterator[str]:
    """Find the processes on this machine that have a file below one of the folders open, or stand in it.

    Parameters
    ----------
    folders
        The folders.

    Yields
    ------
    str
        Program, process number and file; those of other users are seen by root only.
    """
    starts = tuple({f"{os.path.realpath(folder)}/" for folder in folders})
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with contextlib.suppress(OSError):
            places = [process / "cwd", *(process / "fd").iterdir()]
            opened = next((p for p in map(_link_text, places) if f"{p}/".startswith(starts)), None)
            if opened is not None:
                name = (process / "comm").read_text(errors="replace").strip()
                yield f"{name} (process {process.name}): {opened}"


def _link_text(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def repoint(plan: RepointPlan, *, accept_loss: bool = False) -> dict[str, Any]:
    """Move a ``_parent`` link as planned: one rename, with a record beside it.

    Parameters
    ----------
    plan
        The plan that was shown.
    accept_loss
        Whether images may vanish.

    Returns
    -------
    dict
        The record, as written to ``.commtools-links.jsonl`` of the repository.

    Raises
    ------
    RefusedError
        If images would vanish and that is not accepted, if the mappers differ, or if the link has changed since.
    ServiceError
        If the repository cannot be written.
    """
    folder = Path(plan.repository)
    link = read_link(folder)
    if link is None or link.text != plan.before:
        raise RefusedError(
            f"The link of {folder} has changed since the plan was made.", changed="Nothing was changed."
        )
    if not plan.same_mapper:
        raise RefusedError(
            f"The mapper of the new parent is {plan.mapper_after}, that of the old one {plan.mapper_before}.",
            changed="Nothing was changed.",
        )
    if plan.vanish and not accept_loss:
        nights = sum(1 for change in plan.nights if change.vanish)
        raise RefusedError(
            f"{plan.vanish} images of {nights} nights would vanish.",
            changed="Nothing was changed.",
            advice="Say --accept-loss if that is meant.",
        )
    record = {
        "at_utc": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "by": getpass.getuser(),
        "link": str(folder / PARENT_NAME),
        "before": plan.before,
        "after": plan.after,
        "appear": plan.appear,
        "vanish": plan.vanish,
    }
    try:
        _write_record(folder, {**record, "state": "begun"})
        _swap(folder / PARENT_NAME, plan.after)
        _write_record(folder, {**record, "state": "done"})
    except OSError as error:
        now = read_link(folder)
        moved = now is not None and now.text == plan.after
        changed = "The link was moved, but not recorded." if moved else "The link was not moved."
        raise ServiceError(f"{folder} cannot be written: {error.strerror}.", changed=changed) from None
    return {**record, "state": "done"}


def last_repoint(repository: str | os.PathLike[str]) -> dict[str, Any]:
    """Give the record of the last move of a repository's link, for the way back.

    Parameters
    ----------
    repository
        The linked repository.

    Returns
    -------
    dict
        The record; ``before`` is where the link led.

    Raises
    ------
    NotFoundError
        If there is none, or if the link has been moved by other means since.
    """
    folder = Path(repository).absolute()
    try:
        lines = (folder / RECORD_NAME).read_text().splitlines()
        records = [json.loads(line) for line in lines[-100:] if line.strip()]
    except (OSError, ValueError):
        records = []
    link = read_link(folder)
    for record in reversed(records):
        if isinstance(record, dict) and isinstance(record.get("before"), str) and record.get("after"):
            if link is not None and link.text == record["after"]:
                return record
            break
    raise NotFoundError(
        f"{folder} has no record of how its link came to be what it is.",
        advice="Give the parent with --to.",
    )


def count_images(repository: str | os.PathLike[str]) -> int:
    """Count the raw files that are found through a repository and its parents.

    Parameters
    ----------
    repository
        The repository.

    Returns
    -------
    int
        Each path below a root once; dangling links do not count.
    """
    return len(_raw_files(resolve_chain(repository).roots))


def settle_repoint(repository: str, before: str, after: str, images: int) -> str:
    """Keep a moved link if all images are found through it, else put it back.

    Parameters
    ----------
    repository
        The linked repository.
    before, after
        Text of the link before and after the move.
    images
        Number of raw files that must be found.

    Returns
    -------
    str
        ``kept``, ``put back``, or ``not moved`` where it still is what it was.

    Raises
    ------
    RefusedError
        If the link is now neither the one nor the other.
    """
    link = read_link(repository)
    if link is not None and link.text == before:
        return "not moved"
    if link is None or link.text != after:
        raise RefusedError(
            f"The link of {repository} was moved by somebody else.", changed="Nothing was changed."
        )
    if link.exists and count_images(repository) >= images:
        return "kept"
    folder = Path(repository)
    try:
        _swap(folder / PARENT_NAME, before)
        _write_record(folder, {"link": link.path, "before": after, "after": before, "state": "put back"})
    except OSError as error:
        raise ServiceError(
            f"{folder} cannot be written: {error.strerror}.", changed="Nothing was put back."
        ) from None
    return "put back"


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    with (folder / RECORD_NAME).open("a") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _swap(link: Path, text: str) -> None:
    aside = link.with_name(f".{link.name}-{os.getpid()}")
    aside.unlink(missing_ok=True)
    aside.symlink_to(text)
    try:
        aside.replace(link)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    descriptor = os.open(link.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
