"""The parameters of a notebook as JSON Schema and as help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsst_commtools.procedure.parameters.inject import json_values
from lsst_commtools.procedure.parameters.read import NO_DEFAULT, Parameter

__all__ = ["help_rows", "json_schema"]

_TYPES: dict[str, dict[str, Any]] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "dict": {"type": "object"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "day_obs": {"type": "integer", "minimum": 19900101, "maximum": 20991231, "x-kind": "day_obs"},
    "csc": {"type": "string", "pattern": "^[A-Za-z_-][A-Za-z0-9_-]*(:[0-9]{1,9})?$", "x-kind": "csc"},
    "path": {"type": "string", "minLength": 1, "x-kind": "path"},
    "any": {},
}


def json_schema(title: str, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Make the JSON Schema of a notebook's parameters.

    Parameters
    ----------
    title
        Name of the notebook.
    parameters
        Its parameters.

    Returns
    -------
    dict
        JSON Schema, draft 2020-12; names that it does not hold are refused.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": {parameter.name: _property(parameter) for parameter in parameters},
        "additionalProperties": False,
    }


def help_rows(parameters: Sequence[Parameter]) -> list[tuple[str, str, str, str]]:
    """Make a table of a notebook's parameters for people.

    Parameters
    ----------
    parameters
        The parameters.

    Returns
    -------
    list of tuple
        Name, type with bounds or choices, default, help.
    """
    rows = []
    for p in parameters:
        limits = [f"one of {', '.join(map(str, p.choices))}"] if p.choices else []
        if p.minimum is not None or p.maximum is not None:
            limits.append(
                f"{'' if p.minimum is None else p.minimum}..{'' if p.maximum is None else p.maximum}"
            )
        kind = " ".join([p.type_text, *limits, p.unit]).strip()
        rows.append((p.name, kind, "(secret)" if p.secret else p.default_text, p.help))
    return rows


def _property(p: Parameter) -> dict[str, Any]:
    one = dict(_TYPES[p.kind])
    if p.choices:
        one["enum"] = list(p.choices)
    if p.minimum is not None:
        one["minimum"] = p.minimum
    if p.maximum is not None:
        one["maximum"] = p.maximum
    if p.unit:
        one["x-unit"] = p.unit
    whole: dict[str, Any] = {"type": "array", "items": one} if p.is_list else one
    if p.optional and "type" in whole:
        whole = {"anyOf": [whole, {"type": "null"}]}
    if p.help:
        whole["description"] = p.help
    if p.secret:
        whole["writeOnly"] = True
    elif p.default is not NO_DEFAULT:
        whole["default"] = json_values({"default": p.default})["default"]
    return whole
