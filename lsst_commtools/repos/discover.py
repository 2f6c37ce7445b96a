"""Finding the repositories below a folder, for trees that no site describes."""

from __future__ import annotations

import os
from pathlib import Path

from lsst_commtools.errors import NotFoundError
from lsst_commtools.repos.butlers import open_butler
from lsst_commtools.repos.chain import resolve_chain
from lsst_commtools.repos.marks import PARENT_NAME, is_repository
from lsst_commtools.repos.names import instrument_of_mapper
from lsst_commtools.repos.tree import is_folder, is_there
from lsst_commtools.site.repos import RepositorySection, ReposSection

__all__ = ["discover", "instrument_of_butler"]

_MAX_DEPTH = 8
_LEAVES = {"raw", "storage", "log", "rerun", "CALIB"}


def discover(folder: str | os.PathLike[str]) -> ReposSection:
    """Find the repositories below a folder.

    Parameters
    ----------
    folder
        Where to look, eight levels deep.

    Returns
    -------
    ReposSection
        Linked repositories, the internal ones behind them, and Gen3 repositories. A label is the end of the path, as
        short as it can be.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    root = Path(folder).resolve()
    found = sorted(_walk(root, 0))
    if not found:
        raise NotFoundError(f"There is no repository below {root}.")
    names = {path: _name(path) for path in found}
    labels = {path: _label(names[path], [n for p, n in names.items() if p != path]) for path in found}
    chains = {path: resolve_chain(path).roots for path in found if not is_there(path, "butler.yaml")}
    linked = [path for path in chains if (path / PARENT_NAME).is_symlink()]
    entries: dict[str, RepositorySection] = {}
    for path in found:
        before = next((labels[p] for p in linked if p != path and str(path) in chains[p][1:]), "")
        entries[labels[path]] = _entry(
            path, before, source=str(path.parent) if path.name == "gen2repo" else ""
        )
    return ReposSection(repositories=entries)


def _walk(folder: Path, depth: int) -> list[Path]:
    if is_there(folder, "butler.yaml"):
        return [folder]
    here = [folder] if is_repository(str(folder)) else []
    if here or depth >= _MAX_DEPTH:
        return here
    try:
        with os.scandir(folder) as entries:
            below = [e.path for e in entries if e.is_dir(follow_symlinks=False) and e.name not in _LEAVES]
    except OSError:
        return []
    return [path for child in below for path in _walk(Path(child), depth + 1)]


def _name(path: Path) -> tuple[str, ...]:
    return (path.parent if path.name in ("gen2repo", "repo") else path).parts


def _label(name: tuple[str, ...], others: list[tuple[str, ...]]) -> str:
    """Give the shortest end of a path that no other path ends with."""
    for length in range(1, len(name)):
        end = name[-length:]
        if not any(other[-length:] == end for other in others):
            return "/".join(end)
    return "/".join(name)


def _entry(path: Path, linked_by: str, source: str) -> RepositorySection:
    if is_there(path, "butler.yaml"):
        return RepositorySection(
            path=str(path), instrument=instrument_of_butler(str(path)) or "LSSTCam", generation=3
        )
    instrument = instrument_of_mapper(resolve_chain(path).mapper) or "LATISS"
    linked = (path / PARENT_NAME).is_symlink()
    return RepositorySection(
        path=str(path),
        instrument=instrument,
        generation=2,
        internal=bool(linked_by) or bool(source),
        linked_by=linked_by,
        source=source,
        writable=linked and is_folder(path, "rerun"),
    )


def instrument_of_butler(uri: str) -> str:
    """Tell which camera a Gen3 repository is for.

    Parameters
    ----------
    uri
        Folder, configuration file or URI.

    Returns
    -------
    str
        The first of its instruments, by name; empty if it has none yet.

    Raises
    ------
    UnreachableError
        If it cannot be opened.
    """
    butler = open_butler(uri)
    try:
        names = sorted(record.name for record in butler.query_dimension_records("instrument"))
    finally:
        butler.close()
    return names[0] if names else ""
