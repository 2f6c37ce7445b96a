"""Headers that are known to lie, and what they should say.

The dates and ranges are those of the translators of ``obs_lsst`` (`lsstCam.py`, `latiss.py`, `comCam.py`,
`ts8.py`, commit 0e84d75). Corrections that hold for nights and sequence numbers are data; those of LATISS hold
for epochs and need a little arithmetic.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["CorrectedHeader", "correct_header"]

LAST_SEQ = 99_999


@dataclass(frozen=True)
class CorrectedHeader:
    """A header after the known corrections.

    Parameters
    ----------
    header
        Keyword to value.
    corrections
        What was changed and why, one line each.
    """

    header: dict[str, Any]
    corrections: tuple[str, ...]


@dataclass(frozen=True)
class _Span:
    """Nights (both ends inside), and in each of them sequence numbers (both ends inside)."""

    first_day: int
    last_day: int
    first_seq: int = 0
    last_seq: int = LAST_SEQ

    def covers(self, day_obs: int, seq_num: int) -> bool:
        return self.first_day <= day_obs <= self.last_day and self.first_seq <= seq_num <= self.last_seq


@dataclass(frozen=True)
class _Lie:
    """One keyword that is wrong for some exposures; ``repair`` gives the old value back where it was right."""

    key: str
    spans: tuple[_Span, ...]
    repair: Callable[[Any], Any]
    reason: str


def _night(day_obs: int, *seq_ranges: tuple[int, int]) -> tuple[_Span, ...]:
    return tuple(_Span(day_obs, day_obs, first, last) for first, last in seq_ranges or ((0, LAST_SEQ),))


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def _turned(degrees: float) -> Callable[[Any], Any]:
    return lambda old: float(old) + degrees if _is_number(old) else old


def _half_turn(old: Any) -> Any:
    """Turn by 180 degrees, into the range -180 to 180."""
    return (float(old) % 360.0) - 180.0 if _is_number(old) else old


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_LSSTCAM: tuple[_Lie, ...] = (
    _Lie("FILTER", _night(20250609, (76, 578)), _always("z_20"), "DM-52711: the filter in the beam was z_20"),
    _Lie("FILTER", _night(20260315, (49, 109)), _always("i_39"), "the filter in the beam was i_39"),
    _Lie(
        "FILTER",
        (_Span(20231107, 20231108), _Span(20241015, 20241016)),
        lambda old: "ph_5" if old == "ph_05" else old,
        "ph_05 is the pinhole filter ph_5",
    ),
    _Lie(
        "ROTPA", (_Span(20250302, 20250421),), _turned(-90.0), "the rotation was that of ComCam, 90 deg off"
    ),
    _Lie("ROTPA", _night(20250422, (0, 250)), _half_turn, "the rotation was 180 deg off"),
    _Lie(
        "VIGN_MIN",
        (
            *_night(20250518),
            *_night(20250703, (743, 745)),
            *_night(20250704, (832, 834)),
            *_night(20250705, (1, 736)),
            *_night(20250707, (744, 823), (864, 943)),
            *_night(20250714, (258, 781)),
            *_night(20250715, (205, 1218)),
            *_night(20250819, (4, 1052)),
        ),
        _always("FULLY"),
        "DM-51847, DM-52249: the dome was closed",
    ),
)

# LATISS, all TAI (obs_lsst names them in UTC; the 37 s do not matter for any exposure).
_IMGTYPE_IN_GROUPID_UNTIL = dt.datetime(2019, 11, 7)  # noqa: DTZ001  TAI has no time zone
_OBJECT_IS_ENGTEST_UNTIL = dt.datetime(2020, 1, 27, 20)  # noqa: DTZ001
_RADIANS_UNTIL = dt.datetime(2020, 1, 28, 22)  # noqa: DTZ001
_DATE_END_BAD_UNTIL = dt.datetime(2020, 2, 1)  # noqa: DTZ001
_RASTART_BAD_UNTIL = dt.datetime(2020, 5, 1)  # noqa: DTZ001
_RASTART_HOURS_UNTIL = dt.datetime(2021, 2, 11, 18, 45)  # noqa: DTZ001
_RASTART_UTC_UNTIL = dt.datetime(2021, 2, 12)  # noqa: DTZ001
_HALF_TURN_FROM, _HALF_TURN_UNTIL = dt.datetime(2020, 11, 19), dt.datetime(2021, 10, 29)  # noqa: DTZ001
_LATISS_SENSOR_068_FROM = dt.datetime(2019, 6, 24)  # noqa: DTZ001
_TAI_MINUS_UTC_DEG = 37.0 / 3600.0 * 15.0

_COMCAM_TO_CHILE = dt.datetime(2020, 3, 13)  # noqa: DTZ001


def correct_header(
    header: dict[str, Any], instrument: str, day_obs: int, seq_num: int, begin_tai: dt.datetime
) -> CorrectedHeader:
    """Correct what is known to be wrong in a header.

    Parameters
    ----------
    header
        Keyword to value; not changed.
    instrument
        Butler name of the instrument.
    day_obs, seq_num
        Which exposure it is.
    begin_tai
        When it began, TAI.

    Returns
    -------
    CorrectedHeader
        A corrected copy. Correcting a header twice is wrong: rotations would be turned again.
    """
    fixed = dict(header)
    notes: list[str] = []
    if instrument == "LSSTCam":
        _correct_lsstcam(fixed, notes, day_obs, seq_num)
    elif instrument == "LATISS":
        _correct_latiss(fixed, notes, begin_tai)
    elif instrument == "LSSTComCam":
        _correct_comcam(fixed, notes, begin_tai)
    elif instrument == "LSSTComCamSim":
        _correct_comcamsim(fixed, notes)
    return CorrectedHeader(fixed, tuple(notes))


def _set(header: dict[str, Any], notes: list[str], key: str, value: Any, reason: str) -> None:
    if header.get(key) != value:
        notes.append(f"{key} {header.get(key)!r} corrected to {value!r}: {reason}")
        header[key] = value


def _correct_lsstcam(header: dict[str, Any], notes: list[str], day_obs: int, seq_num: int) -> None:
    for lie in _LSSTCAM:
        if any(span.covers(day_obs, seq_num) for span in lie.spans):
            _set(header, notes, lie.key, lie.repair(header.get(lie.key)), lie.reason)
    if "FILTER" not in header:
        _set(header, notes, "FILTER2", None, "a second filter without a first one")


def _correct_comcam(header: dict[str, Any], notes: list[str], begin_tai: dt.datetime) -> None:
    told = header.get("FILTER")
    if told in ("r", ""):
        real = "empty" if begin_tai > _COMCAM_TO_CHILE else "r_03"
        _set(header, notes, "FILTER", real, "a band or nothing instead of a filter")
    if not _is_number(header.get("ROTPA")):
        _set(header, notes, "ROTPA", 0.0, "no rotation was written")


def _correct_comcamsim(header: dict[str, Any], notes: list[str]) -> None:
    for key in ("RA", "DEC"):
        if _is_number(header.get(key)):
            for moment in ("START", "END"):
                if not _is_number(header.get(key + moment)):
                    _set(header, notes, key + moment, header[key], "not simulated: the field centre")


def _correct_latiss(header: dict[str, Any], notes: list[str], begin_tai: dt.datetime) -> None:
    if begin_tai < _DATE_END_BAD_UNTIL:
        for key in ("DATE-END", "MJD-END"):
            _set(header, notes, key, None, "not to be trusted before 2020-02-01")
    _correct_latiss_type(header, notes, begin_tai)
    if begin_tai > _LATISS_SENSOR_068_FROM:
        _set(header, notes, "LSST_NUM", "ITL-3800C-068", "the sensor since 2019-06-24")
    if begin_tai < _RADIANS_UNTIL:
        _scale(header, notes, ("RA", "DEC"), math.degrees(1.0), "radians until 2020-01-28")
    if header.get("SHUTTIME"):  # a shutter that never opened is believed
        _set(header, notes, "SHUTTIME", None, "not to be trusted")
    _correct_latiss_start(header, notes, begin_tai)
    if _HALF_TURN_FROM < begin_tai < _HALF_TURN_UNTIL and _is_number(header.get("ROTPA")):
        turned = (float(header["ROTPA"]) + 180.0) % 360.0
        _set(header, notes, "ROTPA", turned, "180 deg off from 2020-11-19 to 2021-10-29")


def _correct_latiss_type(header: dict[str, Any], notes: list[str], begin_tai: dt.datetime) -> None:
    group = header.get("GROUPID")
    in_group = begin_tai < _IMGTYPE_IN_GROUPID_UNTIL and isinstance(group, str) and bool(group)
    if in_group and isinstance(group, str) and not group.startswith("test"):
        if not header.get("IMGTYPE"):
            kind = "FOCUS" if group.upper().startswith("FOCUS") else group.split("_", 1)[0]
            if "_" not in group and group.upper() in (kind.upper(), "FOCUS"):
                _set(header, notes, "GROUPID", None, "the image type was written as group")
            _set(header, notes, "IMGTYPE", kind, "the image type was written as group")
        elif header["IMGTYPE"] == group:
            _set(header, notes, "GROUPID", None, "the image type was written as group")
    if begin_tai < _OBJECT_IS_ENGTEST_UNTIL and header.get("IMGTYPE") == "OBJECT":
        _set(header, notes, "IMGTYPE", "ENGTEST", "OBJECT meant engineering until 2020-01-27")


def _correct_latiss_start(header: dict[str, Any], notes: list[str], begin_tai: dt.datetime) -> None:
    if begin_tai < _RASTART_BAD_UNTIL:
        for key in ("RASTART", "DECSTART", "RAEND", "DECEND"):
            _set(header, notes, key, None, "unusable before 2020-05-01")
        return
    if begin_tai < _RASTART_HOURS_UNTIL:
        _scale(header, notes, ("RASTART", "RAEND"), 15.0, "hours until 2021-02-11")
    if begin_tai < _RASTART_UTC_UNTIL:
        for key in ("RASTART", "RAEND"):
            if _is_number(header.get(key)):
                _set(header, notes, key, header[key] + _TAI_MINUS_UTC_DEG, "TAI was taken for UTC")


def _scale(header: dict[str, Any], notes: list[str], keys: Iterable[str], factor: float, reason: str) -> None:
    for key in keys:
        if _is_number(header.get(key)):
            _set(header, notes, key, float(header[key]) * factor, reason)
