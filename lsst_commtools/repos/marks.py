"""What marks a folder as a Gen2 repository: its link to a parent, its mapper, its registry."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from lsst_commtools.repos.configuration import CONFIGURATION_NAME
from lsst_commtools.repos.tree import is_there
from lsst_commtools.repos.values import Link

__all__ = [
    "MAPPER_NAME",
    "PARENT_NAME",
    "REGISTRY_NAME",
    "is_old",
    "is_repository",
    "probe_folder",
    "read_link",
    "read_mapper",
]

PARENT_NAME = "_parent"
MAPPER_NAME = "_mapper"
REGISTRY_NAME = "registry.sqlite3"


def read_link(path: str | os.PathLike[str]) -> Link | None:
    """Read a repository's ``_parent`` link.

    Parameters
    ----------
    path
        The repository, or the link itself.

    Returns
    -------
    Link or None
        None if there is no such link.
    """
    link = Path(path)
    if link.name != PARENT_NAME:
        link /= PARENT_NAME
    try:
        text = os.readlink(link)  # noqa: PTH115 - Path would normalise what is written in the link
    except OSError:
        return None
    return Link(str(link), text, os.path.realpath(link), probe_folder(str(link)) is None)


def is_repository(folder: str) -> bool:
    """Tell whether the old stack takes a folder for a repository.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    bool
        Whether it holds a configuration, a mapper, a registry, or parents that exist.
    """
    return is_there(folder, CONFIGURATION_NAME) or is_old(folder)


def is_old(folder: str) -> bool:
    """Tell whether a folder is a repository for those who come by a link: its configuration does not count.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    bool
        Whether it holds a mapper, a registry, or a link to a parent.
    """
    return any(is_there(folder, name) for name in (REGISTRY_NAME, MAPPER_NAME, PARENT_NAME))


def read_mapper(folder: str) -> str | None:
    """Read the name of a repository's mapper.

    Parameters
    ----------
    folder
        The repository.

    Returns
    -------
    str or None
        A dotted name; None if there is none.
    """
    path = Path(folder, MAPPER_NAME)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            name = file.readline(4096).decode("utf-8", "replace").strip()
    except OSError:
        return None
    return name if "." in name else None


def probe_folder(path: str) -> int | None:
    """Find out whether a folder can be listed.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    int or None
        The error number with which it cannot; None if it can.
    """
    try:
        with os.scandir(path) as entries:
            next(entries, None)
    except OSError as error:
        return error.errno or errno.EIO
    return None
