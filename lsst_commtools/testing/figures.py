"""The data behind the figures of an executed notebook: bokeh's documents, in outputs and in attached pages."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["figure_columns", "page_columns"]

_GZIP = b"\x1f\x8b"
_IN_SCRIPT = re.compile(r"docs_json\s*=\s*(?=[{'])")
_IN_PAGE = re.compile(r'<script type="application/json"[^>]*>(.*?)</script>', re.DOTALL)


def figure_columns(nb: Any) -> list[dict[str, list[Any]]]:
    """Give the data of all bokeh figures in a notebook's outputs.

    Parameters
    ----------
    nb
        The executed notebook.

    Returns
    -------
    list of dict
        For each data source in order: column to values.
    """
    found: list[dict[str, list[Any]]] = []
    for cell in nb["cells"]:
        for output in cell.get("outputs", []):
            for text in output.get("data", {}).values():
                if isinstance(text, str | list):
                    found += _columns_of_text("".join(text))
    return found


def page_columns(path: Path) -> list[dict[str, list[Any]]]:
    """Give the data of all bokeh figures in an HTML page.

    Parameters
    ----------
    path
        The page.

    Returns
    -------
    list of dict
        For each data source in order: column to values.
    """
    return _columns_of_text(path.read_text(encoding="utf-8", errors="replace"))


def _columns_of_text(text: str) -> list[dict[str, list[Any]]]:
    found: list[dict[str, list[Any]]] = []
    for match in _IN_SCRIPT.finditer(text):
        try:
            document, _ = json.JSONDecoder().raw_decode(text, match.end())
        except ValueError:
            continue
        found += _sources(document)
    for match in _IN_PAGE.finditer(text):
        try:
            document = json.loads(match[1])
        except ValueError:
            continue
        found += _sources(document)
    return found


def _sources(document: Any) -> Iterator[dict[str, list[Any]]]:
    """Find the data sources in a document of bokeh, wherever they are."""
    if isinstance(document, list):
        for item in document:
            yield from _sources(item)
    elif isinstance(document, dict):
        if document.get("name") == "ColumnDataSource" and "attributes" in document:
            data = _value(document["attributes"].get("data", {}))
            if isinstance(data, dict):
                yield {str(name): list(values) for name, values in data.items() if isinstance(values, list)}
        for item in document.values():
            yield from _sources(item)


def _value(value: Any) -> Any:
    """Turn bokeh's serialised maps and arrays into plain values."""
    if isinstance(value, list):
        return [_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value.get("type"):
        case "map":
            return {_value(key): _value(item) for key, item in value.get("entries", [])}
        case "ndarray":
            return _array(value)
        case "number":
            return float(value["value"])
        case _:
            return value


def _array(value: dict[str, Any]) -> list[Any]:
    import numpy as np

    array = value["array"]
    if isinstance(array, list):
        return [_value(item) for item in array]
    dtype = np.dtype(value["dtype"]).newbyteorder("<" if value.get("order", "little") == "little" else ">")
    content = base64.b64decode(array["data"])
    if content.startswith(_GZIP):
        content = gzip.decompress(content)
    numbers: list[Any] = np.frombuffer(content, dtype).tolist()
    return numbers
