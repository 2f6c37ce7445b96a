"""Opening Gen3 repositories: the index, labels, conventions of collections, and errors that say what there is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lsst_commtools.errors import NotFoundError, SiteError, UnreachableError
from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.repos.tree import is_there

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

__all__ = ["default_collections", "is_gen3", "open_butler", "read_index"]

INDEX_VARIABLE = "DAF_BUTLER_REPOSITORY_INDEX"
INLINE_VARIABLE = "DAF_BUTLER_REPOSITORIES"
_MAX_INDEX_BYTES = 1 << 20
_GUIDERS = {"LSSTCam": ("LSSTCam/raw/guider",)}


def read_index(default: str = "") -> dict[str, str]:
    """Read the index of Gen3 repositories.

    Parameters
    ----------
    default
        URI of the index where the environment names none.

    Returns
    -------
    dict
        Label to URI; empty where there is no index.

    Raises
    ------
    SiteError
        If both environment variables are set, or the index is not a flat mapping.
    UnreachableError
        If the index cannot be read.
    """
    uri, inline = os.environ.get(INDEX_VARIABLE, ""), os.environ.get(INLINE_VARIABLE, "")
    if uri and inline:
        raise SiteError(f"Both {INDEX_VARIABLE} and {INLINE_VARIABLE} are set.", advice="Unset one of them.")
    where = INLINE_VARIABLE if inline else uri or default
    if not where:
        return {}
    text = inline or _read_uri(where)
    try:
        index = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise SiteError(
            f"The index of repositories {where} is not YAML: {' '.join(str(error).split())}"
        ) from None
    if index is None:
        return {}
    if not isinstance(index, dict) or not all(isinstance(v, str) for pair in index.items() for v in pair):
        raise SiteError(f"The index of repositories {where} is not a flat mapping of labels to URIs.")
    return index


def _read_uri(uri: str) -> str:
    from lsst.resources import ResourcePath

    try:
        content: bytes = ResourcePath(uri, forceAbsolute=True).read(_MAX_INDEX_BYTES)
        return content.decode()
    except (OSError, ValueError, ImportError) as error:
        raise UnreachableError(f"The index of repositories {uri} cannot be read: {error}.") from None


def is_gen3(root: str) -> bool:
    """Tell whether a path is a Gen3 repository.

    Parameters
    ----------
    root
        Folder, configuration file or URI.

    Returns
    -------
    bool
        Every URI that is no local path is taken for one.
    """
    if "://" in root and not root.startswith("file://"):
        return True
    path = Path(root.removeprefix("file://"))
    return path.suffix in (".yaml", ".yml") or is_there(path, "butler.yaml")


def default_collections(instrument: str, output_chain: str = "") -> tuple[str, ...]:
    """Give the collections that are searched for a camera, by the observatory's conventions.

    Parameters
    ----------
    instrument
        Camera.
    output_chain
        Chain of the site's results below the instrument, for instance ``runs/quickLook``.

    Returns
    -------
    tuple of str
        ``<I>/defaults``, the chain of results, and the guiders' raws of LSSTCam.
    """
    name = get_camera(instrument).name
    results = (f"{name}/{output_chain}",) if output_chain else ()
    return (f"{name}/defaults", *results, *_GUIDERS.get(name, ()))


def open_butler(
    repository: str,
    *,
    index: Mapping[str, str] | None = None,
    instrument: str | None = None,
    collections: Iterable[str] = (),
    optional: Iterable[str] = (),
    writeable: bool = False,
) -> Butler:
    """Open a Gen3 repository.

    Parameters
    ----------
    repository
        Label, folder, configuration file or URI.
    index
        Known labels.
    instrument
        Default camera of queries.
    collections
        Collections to search, which must be there.
    optional
        Further ones, which are searched if they are there.
    writeable
        Whether it may be written to.

    Returns
    -------
    lsst.daf.butler.Butler
        The repository.

    Raises
    ------
    NotFoundError
        If there is no such label or collection; the advice says which there are.
    UnreachableError
        If the repository behind a label cannot be opened.
    """
    uri = resolve_label(repository, index or {})
    from lsst.daf.butler import Butler

    try:
        butler = Butler.from_config(uri, writeable=writeable)
    except (OSError, RuntimeError, ValueError, KeyError, ImportError, _database_error()) as error:
        raise UnreachableError(
            f"The repository {repository!r} at {uri} cannot be opened: {_first_line(error)}",
            advice="Check that it is mounted, and that the label leads to where it is now: 'commtools repo list'.",
        ) from None
    there = set(butler.collections.query("*"))
    wanted = [*collections, *(name for name in optional if name in there)]
    missing = [name for name in collections if name not in there]
    if missing:
        near = sorted(name for name in there if name.split("/")[0] == missing[0].split("/")[0]) or sorted(
            there
        )
        butler.close()
        raise NotFoundError(
            f"The repository {repository!r} has no collection {missing[0]!r}.",
            advice=f"It has {', '.join(near[:12]) or 'none'}.",
        )
    if not wanted and instrument is None:
        return butler
    clone: Butler = butler.clone(
        collections=wanted or None, dataId={"instrument": get_camera(instrument).name} if instrument else {}
    )
    return clone


def resolve_label(repository: str, index: Mapping[str, str]) -> str:
    """Give the URI of a repository: a label is looked up, a path must be there.

    Parameters
    ----------
    repository
        Label, folder, configuration file or URI.
    index
        Known labels.

    Returns
    -------
    str
        Where to open it.

    Raises
    ------
    NotFoundError
        If it is neither; the stock message speaks of a file in the working directory, this one of the labels.
    """
    if repository in index:
        return index[repository]
    if is_gen3(repository):
        return repository
    labels = ", ".join(sorted(index)) or "none: no index is set"
    raise NotFoundError(
        f"There is no Gen3 repository {repository!r}.",
        advice=f"Known labels: {labels}; or give the folder that holds butler.yaml.",
    )


def _database_error() -> type[Exception]:
    from sqlalchemy.exc import SQLAlchemyError

    return SQLAlchemyError


def _first_line(error: Exception) -> str:
    lines: list[Any] = str(error).strip().splitlines()
    return str(lines[0])[:300] if lines else type(error).__name__
