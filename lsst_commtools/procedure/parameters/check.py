"""Checking values against the declared parameters."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from lsst_commtools.errors import IdentifierError, ParameterError
from lsst_commtools.ids import CscName, check_day_obs
from lsst_commtools.procedure.parameters.read import Parameter

__all__ = ["check_parameters", "convert", "from_text"]


def check_parameters(
    declared: Sequence[Parameter], values: Mapping[str, Any], *, lenient: bool = False
) -> dict[str, Any]:
    """Check the values of a run.

    Parameters
    ----------
    declared
        Parameters of the notebook.
    values
        Values by name.
    lenient
        Whether unknown names and values of guessed types pass, as plain papermill lets them.

    Returns
    -------
    dict
        Values of their declared types.

    Raises
    ------
    ParameterError
        If a name is unknown or a value does not fit; all misfits are named.
    """
    known = {parameter.name: parameter for parameter in declared}
    checked: dict[str, Any] = {}
    faults: list[str] = []
    for name, value in values.items():
        parameter = known.get(name)
        if parameter is None:
            if not lenient:
                faults.append(_unknown(name, list(known)))
            checked[name] = value
        elif lenient and not parameter.declared:
            checked[name] = value
        else:
            try:
                checked[name] = convert(parameter, value)
            except ParameterError as error:
                faults.append(error.message)
    if faults:
        raise ParameterError(
            " ".join(faults),
            changed="No kernel was started.",
            advice="See 'commtools run --help-notebook NOTEBOOK'.",
        )
    return checked


def from_text(parameter: Parameter | None, text: str) -> Any:
    """Read a value from the command line.

    Parameters
    ----------
    parameter
        What it is for; None if that is unknown.
    text
        Text: for lists YAML (``[1, 2]``) or items separated by commas.

    Returns
    -------
    object
        A value for `convert`.
    """
    kind = parameter.kind if parameter is not None else "any"
    if parameter is not None and parameter.optional and text in ("None", "null", ""):
        return None
    if parameter is not None and parameter.is_list:
        loaded = _yaml(text if text.lstrip().startswith("[") else f"[{text}]")
        return [item if isinstance(item, str) else _item_text(item, kind) for item in loaded or []]
    if kind in ("str", "csc", "path", "date", "datetime"):
        return text
    return _yaml(text)


def convert(parameter: Parameter, value: Any) -> Any:
    """Bring a value to the type of its parameter; nothing is guessed that is not exact.

    Parameters
    ----------
    parameter
        What it is for.
    value
        A value, or what YAML or JSON made of it.

    Returns
    -------
    object
        The value.

    Raises
    ------
    ParameterError
        If it does not fit.
    """
    if value is None and parameter.optional:
        return None
    if parameter.is_list:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise _misfit(parameter, value)
        return [_convert_one(parameter, item) for item in value]
    return _convert_one(parameter, value)


def _convert_one(parameter: Parameter, value: Any) -> Any:
    try:
        result = _CONVERTERS[parameter.kind](value)
    except (TypeError, ValueError, OverflowError) as error:
        advice = error.advice if isinstance(error, IdentifierError) else ""
        raise _misfit(parameter, value, advice) from None
    if parameter.choices and result not in parameter.choices:
        raise ParameterError(
            f"{parameter.name} must be one of {', '.join(map(str, parameter.choices))}, not {_show(parameter, value)}."
        )
    if isinstance(result, int | float) and not isinstance(result, bool):
        low, high = parameter.minimum, parameter.maximum
        if (low is not None and not result >= low) or (high is not None and not result <= high):
            unit = f" {parameter.unit}" if parameter.unit else ""
            bounds = f"{'' if low is None else low} to {'' if high is None else high}".strip()
            raise ParameterError(
                f"{parameter.name} must lie in {bounds}{unit}, not {_show(parameter, value)}."
            )
    return result


def _misfit(parameter: Parameter, value: Any, advice: str = "") -> ParameterError:
    text = f"{parameter.name} must be {parameter.type_text}, not {_show(parameter, value)} ({type(value).__name__})."
    return ParameterError(f"{text} {advice}".strip())


def _show(parameter: Parameter, value: Any) -> str:
    return "a secret that does not fit" if parameter.secret else repr(value)[:80]


def _unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    if near:
        return f"There is no parameter {name!r}; perhaps {near[0]!r}."
    return f"There is no parameter {name!r}; known are {', '.join(known) or 'none'}."


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _item_text(item: Any, kind: str) -> Any:
    return str(item) if kind in ("str", "csc", "path", "date", "datetime") else item


def _exact(kind: type[Any]) -> Callable[[Any], Any]:
    def converter(value: Any) -> Any:
        if hasattr(value, "item") and not isinstance(value, kind):  # a numpy scalar
            value = value.item()
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise TypeError
        return value

    return converter


def _float(value: Any) -> float:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _date(value: Any) -> dt.date:
    if isinstance(value, dt.datetime):
        raise TypeError
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(_exact(str)(value))


def _datetime(value: Any) -> dt.datetime:
    return value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(_exact(str)(value))


def _csc(value: Any) -> str:
    return str(CscName.parse(str(value) if isinstance(value, CscName) else _exact(str)(value)))


def _path(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value) or "\0" in os.fspath(value):
        raise TypeError
    return Path(value)


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "int": _exact(int),
    "float": _float,
    "str": _exact(str),
    "bool": _exact(bool),
    "dict": _exact(dict),
    "date": _date,
    "datetime": _datetime,
    "day_obs": check_day_obs,
    "csc": _csc,
    "path": _path,
    "any": lambda value: value,
}
