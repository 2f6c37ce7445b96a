"""Golden files: what a notebook measures for a set of parameters, within tolerances. Pure rules.

A file ``NAME.golden.json`` lies beside ``NAME.ipynb``::

    {"notebook": "NAME.ipynb",
     "cases": [{"id": "dark", "parameters": {"exposure": 5},
                "numbers": {"fwhm": {"value": 0.71, "unit": "arcsec", "rtol": 0.01}},
                "figures": [{"x": {"count": 100, "mean": 1.5}}]}]}
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError

from lsst_commtools.errors import InputError

__all__ = [
    "GoldenCase",
    "GoldenFile",
    "Measured",
    "compare_figures",
    "compare_numbers",
    "load_goldens",
    "summarise",
]

Columns = Mapping[str, Sequence[Any]]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Measured(_Model):
    """A number that a notebook measures.

    Parameters
    ----------
    value
        Expected value; None for one that is not finite or not there.
    unit
        Its unit.
    rtol, atol
        Tolerances: ``abs(found - value) <= atol + rtol * abs(value)``.
    """

    value: float | None = None
    unit: str = ""
    rtol: NonNegativeFloat = 1e-6
    atol: NonNegativeFloat = 0.0


class GoldenCase(_Model):
    """One set of parameters and what is expected of it.

    Parameters
    ----------
    id
        Name of the case.
    parameters
        Values by name.
    numbers
        What is measured, by name. Others are not looked at.
    figures
        For each data source of the figures, in order: column to ``count``, and for numbers ``mean``, ``std``, ``min``,
        ``max``.
    rtol
        Tolerance of the figures' numbers, relative to the largest absolute value of their column.
    """

    id: str = Field(min_length=1)
    parameters: dict[str, Any] = Field(default_factory=dict)
    numbers: dict[str, Measured] = Field(default_factory=dict)
    figures: list[dict[str, dict[str, float]]] = Field(default_factory=list)
    rtol: NonNegativeFloat = 1e-6


class GoldenFile(_Model):
    """A golden file.

    Parameters
    ----------
    notebook
        The notebook, relative to the file.
    cases
        What is run.
    kernel
        Name of the kernelspec.
    timeout_s
        Longest time of each run, in seconds.
    """

    notebook: Path
    cases: list[GoldenCase]
    kernel: str = "commtools-warm"
    timeout_s: NonNegativeFloat = 600.0


def load_goldens(path: Path) -> GoldenFile | None:
    """Read a golden file.

    Parameters
    ----------
    path
        JSON.

    Returns
    -------
    GoldenFile or None
        None for a file of somebody else: one that names no notebook.

    Raises
    ------
    InputError
        If it is ours but cannot be used.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict) or "notebook" not in document or "cases" not in document:
        return None
    try:
        found = GoldenFile.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"The golden file {path.name} cannot be used: {where}: {first['msg']}.") from None
    names = [case.id for case in found.cases]
    if len(set(names)) != len(names):
        raise InputError(f"The golden file {path.name} has two cases of one name.")
    return found


def compare_numbers(expected: Mapping[str, Measured], found: Mapping[str, tuple[Any, str]]) -> list[str]:
    """Compare what was measured with what is expected.

    Parameters
    ----------
    expected
        Expected numbers by name.
    found
        Value and unit by name.

    Returns
    -------
    list of str
        One sentence for each misfit; a number that was not measured is one.
    """
    misfits = []
    for name, golden in expected.items():
        if name not in found:
            misfits.append(f"{name} was not measured")
            continue
        value, unit = found[name]
        if unit != golden.unit:
            misfits.append(f"{name} is in {unit or 'no unit'!r}, expected {golden.unit or 'no unit'!r}")
        elif not _close(value, golden.value, golden.atol + golden.rtol * abs(golden.value or 0.0)):
            misfits.append(
                f"{name} is {value!r} {unit}, expected {golden.value!r} within "
                f"rtol {golden.rtol:g}, atol {golden.atol:g}"
            )
    return misfits


def summarise(columns: Columns) -> dict[str, dict[str, float]]:
    """Summarise the columns of a figure's data source.

    Parameters
    ----------
    columns
        Column to values.

    Returns
    -------
    dict
        Column to ``count``, and for numbers ``mean``, ``std``, ``min``, ``max`` of the finite ones and their ``finite``
        count.
    """
    summary: dict[str, dict[str, float]] = {}
    for name, values in columns.items():
        summary[name] = {"count": len(values)}
        numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        finite = [v for v in numbers if math.isfinite(v)]
        if numbers and finite:
            mean = math.fsum(finite) / len(finite)
            spread = math.sqrt(math.fsum((v - mean) ** 2 for v in finite) / len(finite))
            summary[name] |= {
                "finite": len(finite), "mean": mean, "std": spread, "min": min(finite), "max": max(finite)
            }  # fmt: skip
    return summary


def compare_figures(
    expected: Sequence[Mapping[str, Mapping[str, float]]], found: Sequence[Columns], rtol: float
) -> list[str]:
    """Compare the data of figures with what is expected.

    Parameters
    ----------
    expected
        Summaries of the data sources, in order; columns and figures that they do not name are not looked at.
    found
        Columns of the data sources.
    rtol
        Tolerance relative to the largest absolute value of a column.

    Returns
    -------
    list of str
        One sentence for each misfit.
    """
    misfits = []
    if len(found) < len(expected):
        misfits.append(f"{len(found)} data sources are drawn, expected {len(expected)}")
    for number, (golden, columns) in enumerate(zip(expected, found, strict=False)):
        summary = summarise(columns)
        for column, figures in golden.items():
            has = summary.get(column)
            if has is None:
                misfits.append(f"data source {number} has no column {column!r}")
                continue
            scale = max(abs(figures.get("min", 0.0)), abs(figures.get("max", 0.0)))
            for figure, value in figures.items():
                within = 0.0 if figure in ("count", "finite") else rtol * (scale or abs(value))
                if not _close(has.get(figure), value, within):
                    misfits.append(
                        f"{figure} of column {column!r} of data source {number} is {has.get(figure)!r}, "
                        f"expected {value!r}"
                    )
    return misfits


def _close(found: Any, expected: float | None, within: float) -> bool:
    if expected is None or found is None:
        return found is expected or (isinstance(found, str) and expected is None)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return False
    return abs(found - expected) <= within
