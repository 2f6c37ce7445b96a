"""Durations that people write, never without their unit."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

__all__ = ["Duration", "parse_duration"]

_UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,6})?)\s*(?P<unit>s|min|h)", re.ASCII)


def parse_duration(text: str) -> dt.timedelta:
    """Read a duration.

    Parameters
    ----------
    text
        Number and unit: ``5 s``, ``20 min``, ``1.5 h``.

    Returns
    -------
    datetime.timedelta
        The duration.

    Raises
    ------
    ValueError
        If it has no unit, or another one: ``m`` may be a minute or a month.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("give a number with its unit: s, min or h, such as 20 min")
    return dt.timedelta(seconds=float(match["number"]) * _UNITS_S[match["unit"]])


def _read(value: Any) -> Any:
    if isinstance(value, dt.timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("give a number with its unit: s, min or h, such as 20 min")  # noqa: TRY004 - pydantic's way
    return parse_duration(value)


def _write(value: dt.timedelta) -> str:
    return f"{value.total_seconds():g} s"


Duration = Annotated[dt.timedelta, BeforeValidator(_read), PlainSerializer(_write)]
"""Duration with its unit."""
