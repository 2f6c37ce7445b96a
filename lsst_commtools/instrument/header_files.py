"""Headers as files: FITS, or YAML and JSON dumps such as the sidecars of the summit's servers."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from lsst_commtools.errors import TableError
from lsst_commtools.instrument.raws import inspect_raw

__all__ = ["read_header"]

MAX_BYTES = 2_000_000
_PROPERTY_TAGS = ("lsst.daf.base.PropertyList", "lsst.daf.base.PropertySet")
_NOT_KEYWORDS = ("__CONTENT__", "COMMENT", "HISTORY", "")


def read_header(path: str | Path) -> dict[str, Any]:
    """Read the header of one raw image.

    Parameters
    ----------
    path
        Raw FITS file, or a dump of its header that ends in ``.yaml``, ``.yml`` or ``.json``: a mapping of
        keywords to values, or the rows of a ``!<lsst.daf.base.PropertyList>``.

    Returns
    -------
    dict
        Keyword to plain value; undefined values are None; hierarchical keywords as ``SIMULATE ATMCS``.

    Raises
    ------
    TableError
        If it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        return inspect_raw(path).header
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _unreadable(path, "it is too large for a header")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error
    document = _load_json(path, text) if path.suffix.lower() == ".json" else _load_yaml(path, text)
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise _unreadable(path, "it is no mapping of keywords to values")
    return {_keyword(k): _plain(v) for k, v in document.items() if k not in _NOT_KEYWORDS}


def _unreadable(path: Path, why: str) -> TableError:
    return TableError(f"{path.name} is not a readable header: {why}.")


def _load_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, f"no JSON ({error})") from error


def _load_yaml(path: Path, text: str) -> Any:
    import yaml

    class HeaderLoader(yaml.SafeLoader):
        """The safe loader, with property lists: nothing else from outside becomes an object."""

    def construct_properties(loader: yaml.SafeLoader, node: yaml.Node) -> dict[str, Any]:
        if isinstance(node, yaml.MappingNode):
            return {str(k): v for k, v in loader.construct_mapping(node, deep=True).items()}
        if not isinstance(node, yaml.SequenceNode):
            raise yaml.constructor.ConstructorError(None, None, "no list of properties", node.start_mark)
        rows = loader.construct_sequence(node, deep=True)
        if not all(isinstance(row, list) and len(row) >= 3 for row in rows):
            raise yaml.constructor.ConstructorError(None, None, "a property has no value", node.start_mark)
        return {str(row[0]): row[2] for row in rows}

    for tag in _PROPERTY_TAGS:
        HeaderLoader.add_constructor(tag, construct_properties)
    try:
        return yaml.load(text, Loader=HeaderLoader)  # noqa: S506  HeaderLoader is a SafeLoader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _unreadable(path, f"no YAML ({' '.join(str(error).split())})") from error


def _keyword(key: str) -> str:
    """Write a hierarchical keyword as astropy does: ``HIERARCH.STUTTER.ROWS`` is ``STUTTER ROWS``."""
    for prefix in ("HIERARCH.", "HIERARCH "):
        key = key.removeprefix(prefix)
    return key.replace(".", " ")


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, list) and value:
        return _plain(value[-1])  # a repeated keyword: FITS readers take the last
    return value if isinstance(value, str | int | float | bool) else None
