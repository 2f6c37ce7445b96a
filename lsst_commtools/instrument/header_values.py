"""Single values of a header, read with suspicion: numbers that are text, undefined cards, times of several scales."""

from __future__ import annotations

import datetime as dt
import math
import zoneinfo
from collections.abc import Mapping
from typing import Any

from lsst_commtools.errors import DataError

__all__ = ["begin_of", "flag", "number", "parse_time", "rolled_day_obs", "text"]

_MJD_ZERO = dt.datetime(1858, 11, 17)  # noqa: DTZ001  TAI has no time zone
_CAMERA_LEFT_LABORATORY = dt.datetime(2024, 5, 1)  # noqa: DTZ001
_MIN_MJD, _MAX_MJD = 40_000.0, 100_000.0


def text(header: Mapping[str, Any], *keys: str) -> str | None:
    """Give the first of some keywords that holds text.

    Parameters
    ----------
    header
        Keyword to value.
    keys
        Keywords in order of preference.

    Returns
    -------
    str or None
        The value without blanks around it; None where all are missing, undefined or empty.
    """
    for key in keys:
        value = header.get(key)
        if (
            isinstance(value, str | int | float)
            and not isinstance(value, bool)
            and (told := str(value).strip())
        ):
            return told
    return None


def number(header: Mapping[str, Any], *keys: str) -> float | None:
    """Give the first of some keywords that holds a number.

    Parameters
    ----------
    header
        Keyword to value.
    keys
        Keywords in order of preference.

    Returns
    -------
    float or None
        A finite number, also where it was written as text; None where there is none.
    """
    for key in keys:
        value = header.get(key)
        if isinstance(value, bool) or value is None:
            continue
        try:
            found = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(found):
            return found
    return None


def flag(value: object) -> bool:
    """Tell whether a card's value means yes.

    Parameters
    ----------
    value
        Of any type; text counts by its meaning.

    Returns
    -------
    bool
        False for undefined, zero, empty, and text that says no.
    """
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "f", "false", "no")
    return bool(value)


def parse_time(value: object, scale: str | None = None) -> dt.datetime | None:
    """Read a time of a header.

    Parameters
    ----------
    value
        Modified Julian Date, or ISO 8601 text.
    scale
        Scale that TIMESYS names; TAI unless it is ``UTC``.

    Returns
    -------
    datetime.datetime or None
        TAI without time zone; None where it is no time.
    """
    if isinstance(value, str):
        try:
            time = dt.datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        if time.tzinfo is not None:
            return None
    elif isinstance(value, int | float) and not isinstance(value, bool) and _MIN_MJD < value < _MAX_MJD:
        time = _MJD_ZERO + dt.timedelta(days=value)
    else:
        return None
    if (scale or "TAI").upper() != "UTC":
        return time
    from astropy.time import Time

    tai: dt.datetime = Time(time, scale="utc").tai.to_datetime()
    return tai


def begin_of(header: Mapping[str, Any], instrument: str) -> dt.datetime:
    """Give the time at which an exposure began.

    Parameters
    ----------
    header
        Keyword to value, as written.
    instrument
        Butler name: LATISS wrote 1970 for some weeks of 2019, and the test stand the end for the begin.

    Returns
    -------
    datetime.datetime
        TAI without time zone.

    Raises
    ------
    DataError
        If the header holds no time.
    """
    scale = text(header, "TIMESYS")
    if (
        instrument == "LSST-TS8"
        and header.get("DATE-OBS")
        and header.get("DATE-OBS") == header.get("DATE-TRG")
    ):
        end = parse_time(header.get("MJD-OBS"), scale) or parse_time(header["DATE-OBS"], scale)
        if end is not None:
            return end - dt.timedelta(seconds=number(header, "EXPTIME") or 0.0)
    for key in ("MJD-BEG", "DATE-BEG", "MJD-OBS", "DATE-OBS", "MJD", "DATE"):
        time = parse_time(header.get(key), scale)
        if time is not None and time.year > 1970:
            return time
    raise DataError("The header does not say when the exposure began.")


def rolled_day_obs(begin_tai: dt.datetime, instrument: str) -> int:
    """Give the day_obs of a time, for a header that does not name it.

    Parameters
    ----------
    begin_tai
        TAI without time zone.
    instrument
        Butler name: the test stand's day rolls over at 8 h, LSSTCam's in the laboratory at midnight there.

    Returns
    -------
    int
        Day of observation.
    """
    hours = 8.0 if instrument == "LSST-TS8" else 12.0
    if instrument == "LSSTCam" and begin_tai < _CAMERA_LEFT_LABORATORY:
        offset = zoneinfo.ZoneInfo("America/Los_Angeles").utcoffset(begin_tai)
        hours = -offset.total_seconds() / 3600.0 if offset is not None else hours
    return int((begin_tai - dt.timedelta(hours=hours)).strftime("%Y%m%d"))
