"""Retiring a temporary copy of a source of images: who still needs it, what only it holds, and its deletion."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.errors import InputError, RefusedError, ServiceError
from lsst_commtools.repos.chain import resolve_chain
from lsst_commtools.repos.links import processes_below
from lsst_commtools.repos.tree import is_folder, list_tree
from lsst_commtools.repos.values import Repository

__all__ = ["RetirementPlan", "plan_retirement", "retire"]


@dataclass(frozen=True)
class RetirementPlan:
    """What deleting a copy would do.

    Parameters
    ----------
    folder
        The copy.
    kept
        What stays in its place.
    files
        Number of raw files in the copy.
    only_here
        Raw files that the other lacks, or holds with another size.
    users
        Labels of repositories that lead there.
    open_by
        Processes on this machine that have files of it open.
    """

    folder: str
    kept: str
    files: int
    only_here: tuple[str, ...]
    users: tuple[str, ...]
    open_by: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the plan as plain values."""
        return asdict(self)


def plan_retirement(
    folder: str | os.PathLike[str], kept: str | os.PathLike[str], repositories: Iterable[Repository]
) -> RetirementPlan:
    """Find out what deleting a temporary copy would do; nothing is changed.

    Parameters
    ----------
    folder
        The copy, with its storage and repository.
    kept
        The production folder that stays.
    repositories
        All repositories of the site.

    Returns
    -------
    RetirementPlan
        What only the copy holds, and who leads there.

    Raises
    ------
    InputError
        If one is no folder, or if one lies in the other.
    """
    copy, production = Path(os.path.realpath(folder)), Path(os.path.realpath(kept))
    if not is_folder(copy) or not is_folder(production):
        raise InputError(f"{copy} and {production} must both be folders.", changed="Nothing was changed.")
    if copy.is_relative_to(production) or production.is_relative_to(copy):
        raise InputError(f"One of {copy} and {production} lies in the other.", changed="Nothing was changed.")
    here, there = _sizes(copy), _sizes(production)
    only_here = tuple(sorted(name for name, size in here.items() if there.get(name) != size))
    users = [
        repository.label
        for repository in repositories
        if repository.generation == 2 and is_folder(repository.root) and _leads_to(repository.root, copy)
    ]
    return RetirementPlan(
        str(copy), str(production), len(here), only_here, tuple(users), tuple(processes_below([str(copy)]))
    )


def _sizes(folder: Path) -> dict[str, int]:
    """Give the raw files below a folder that are no links: name to size in bytes."""
    files = (path for path, link in list_tree(str(folder)).files.items() if link is None)
    return {path.rsplit("/", 1)[-1]: Path(path).stat().st_size for path in files}


def _leads_to(root: str, folder: Path) -> bool:
    """Tell whether a repository outside a folder has parents in it."""
    inside = [Path(path).is_relative_to(folder) for path in resolve_chain(root).roots]
    return any(inside) and not all(inside[:1])


def retire(plan: RetirementPlan, *, accept_loss: bool = False) -> None:
    """Delete a temporary copy as planned: renamed first, so that nobody finds half of it.

    Parameters
    ----------
    plan
        The plan that was shown.
    accept_loss
        Whether files may be lost that only the copy holds.

    Raises
    ------
    RefusedError
        If somebody leads there or has it open, or if files would be lost and that is not accepted.
    ServiceError
        If it cannot be deleted.
    """
    unchanged = "Nothing was changed."
    if plan.users or plan.open_by:
        who = ", ".join((*plan.users, *plan.open_by))
        raise RefusedError(f"{plan.folder} is still used by {who}.", changed=unchanged)
    if plan.only_here and not accept_loss:
        raise RefusedError(
            f"{len(plan.only_here)} of {plan.files} raw files are only in {plan.folder}.", changed=unchanged
        )
    folder = Path(plan.folder)
    aside = folder.with_name(f".{folder.name}-retired")
    try:
        folder.rename(aside)
    except OSError as error:
        raise ServiceError(f"{folder} cannot be moved: {error.strerror}.", changed=unchanged) from None
    try:
        shutil.rmtree(aside)
    except OSError as error:
        raise ServiceError(
            f"{aside} cannot be deleted: {error.strerror}.",
            changed="It is out of the way, but not all is deleted.",
        ) from None
