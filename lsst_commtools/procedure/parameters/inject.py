"""Values of a run as source for its kernel, and as JSON for its record."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsst_commtools.errors import ParameterError

__all__ = ["injected_source", "json_values"]


def injected_source(values: Mapping[str, Any], *, dry_run: bool = False) -> str:
    """Write the cell that sets the parameters of a run.

    Parameters
    ----------
    values
        Values by name.
    dry_run
        Whether a comment says that this is one.

    Returns
    -------
    str
        Python that builds each value with its type; it needs no import.

    Raises
    ------
    ParameterError
        If a value cannot be written.
    """
    lines = ["# Parameters" + (" (DRY RUN)" if dry_run else "")]
    lines += [f"{name} = {_source(name, value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def json_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values of a run as JSON can hold them.

    Parameters
    ----------
    values
        Values by name.

    Returns
    -------
    dict
        Dates and paths as text, lists and dictionaries followed.
    """
    return {name: _json(value) for name, value in values.items()}


def _source(name: str, value: Any) -> str:
    if hasattr(value, "item") and not isinstance(value, bool | int | float | str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, dt.datetime):
        return f"__import__('datetime').datetime.fromisoformat({value.isoformat()!r})"
    if isinstance(value, dt.date):
        return f"__import__('datetime').date.fromisoformat({value.isoformat()!r})"
    if isinstance(value, Path):
        return f"__import__('pathlib').Path({str(value)!r})"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_source(name, item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_source(name, k)}: {_source(name, v)}" for k, v in value.items()) + "}"
    raise ParameterError(
        f"The value of {name} is a {type(value).__name__}, which cannot be handed to a notebook.",
        changed="No kernel was started.",
        advice="Give numbers, text, dates, paths, lists or dictionaries of them.",
    )


def _json(value: Any) -> Any:
    if hasattr(value, "item") and not isinstance(value, bool | int | float | str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(k): _json(v) for k, v in value.items()}
    return value
