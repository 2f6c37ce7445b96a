"""Column maps: from the names and units of a table to ours.

A map names, for each of our quantities, a column, a constant, a unit or a cut::

    x: XWIN_IMAGE
    ra: {column: coord_ra, unit: rad}
    snr: {column: SNR_WIN, min: 50}
    epoch: 2020.03
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.errors import TableError

__all__ = ["AUTOMATIC_MAPS", "LABELS", "QUANTITIES", "ColumnMap", "Entry", "automatic_map", "read_column_map"]

_DEGREES = 180.0 / math.pi
_ANGLE = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": _DEGREES, "radian": _DEGREES, "radians": _DEGREES,
          "hourangle": 15.0, "arcsec": 1 / 3600.0, "mas": 1 / 3.6e6}  # fmt: skip
_MOTION = {"mas/yr": 1.0, "mas/year": 1.0, "mas.yr**-1": 1.0, "arcsec/yr": 1e3, "deg/yr": 3.6e6,
           "rad/yr": 3.6e6 * _DEGREES, "rad/year": 3.6e6 * _DEGREES, "radian/yr": 3.6e6 * _DEGREES,
           "rad": 3.6e6 * _DEGREES}  # fmt: skip
_LENGTH = {"pixel": 1.0, "pix": 1.0, "pixels": 1.0}
_AREA = {"pixel2": 1.0, "pix2": 1.0, "pixel**2": 1.0, "pixel^2": 1.0, "pix**2": 1.0,
         "arcsec2": 1.0, "arcsec**2": 1.0, "arcsec^2": 1.0}  # fmt: skip
_NUMBER = {"": 1.0}
_TIME = {"yr": 1.0, "jyear": 1.0, "year": 1.0, "mjd": 1.0, "day": 1.0, "d": 1.0, "days": 1.0}
_MAG = {"mag": 1.0, "mag(ab)": 1.0, "njy": 1.0}

QUANTITIES: Mapping[str, Mapping[str, float]] = {
    "x": _LENGTH, "y": _LENGTH, "detector": _NUMBER, "visit": _NUMBER, "ra": _ANGLE, "dec": _ANGLE,
    "snr": _NUMBER, "mag": _MAG, "flag": _NUMBER, "epoch": _TIME,
    "ref_ra": _ANGLE, "ref_dec": _ANGLE, "ref_pm_ra_mas_yr": _MOTION, "ref_pm_dec_mas_yr": _MOTION,
    "ref_epoch": _TIME, "ref_mag": _MAG,
    "ixx": _AREA, "iyy": _AREA, "ixy": _AREA, "ixx_psf": _AREA, "iyy_psf": _AREA, "ixy_psf": _AREA,
    "e1": _NUMBER, "e2": _NUMBER, "t": _AREA, "e1_psf": _NUMBER, "e2_psf": _NUMBER, "t_psf": _AREA,
    "g1": _NUMBER, "g2": _NUMBER, "g1_psf": _NUMBER, "g2_psf": _NUMBER,
    "psf_used": _NUMBER, "psf_reserved": _NUMBER, "reserved": _NUMBER, "extendedness": _NUMBER,
}  # fmt: skip
"""Our names, and the units each may have, with the factor to ours (deg, mas/yr, pixel, jyear, mag)."""

LABELS: tuple[str, ...] = ("object_id", "band")
"""Our names of columns that are not numbers to compute with: ids of 64 bits, texts. A star table leaves them out."""


@dataclass(frozen=True)
class Entry:
    """Where one quantity comes from.

    Parameters
    ----------
    columns
        Column of the table, or ``a/b`` for the ratio of two. Of several, a flag is set where any is; other
        quantities take the first that exists.
    constant
        Value for all rows, instead of a column.
    unit
        Unit; by default the table's own.
    minimum, maximum, equals
        Rows outside are left out.
    offset
        Added to the column: -1 makes one-based pixels zero-based.
    """

    columns: tuple[str, ...] = ()
    constant: float | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    equals: float | None = None
    offset: float = 0.0


@dataclass(frozen=True)
class ColumnMap:
    """A named set of entries.

    Parameters
    ----------
    name
        What it is for.
    entries
        Our name to entry.
    ignore_case
        Whether columns are found without regard to case.
    signature
        Sets of columns, of which one must be there for the map to be chosen by itself.
    """

    name: str
    entries: Mapping[str, Entry]
    ignore_case: bool = False
    signature: tuple[frozenset[str], ...] = ()


def _entry(name: str, value: Any) -> Entry:
    if isinstance(value, str):
        return Entry((value,))
    if isinstance(value, bool):
        raise TableError(f"The column map gives {name} the value {value}; a column or a number is meant.")
    if isinstance(value, int | float):
        return Entry(constant=float(value))
    if isinstance(value, Mapping):
        return _entry_from_mapping(name, value)
    raise TableError(f"The column map gives {name} a value that is no column, number or mapping.")


def _entry_from_mapping(name: str, value: Mapping[Any, Any]) -> Entry:
    known = {"column", "constant", "unit", "min", "max", "equals"}
    unknown = [str(key) for key in value if key not in known]
    if unknown:
        raise TableError(
            f"The column map's entry {name} has the unknown key {unknown[0]!r}.",
            advice=f"Known: {sorted(known)}.",
        )
    column, unit = value.get("column"), value.get("unit")
    columns = [column] if isinstance(column, str) else (column or [])
    if not isinstance(columns, list) or not all(isinstance(c, str) for c in columns):
        raise TableError(f"The column map's entry {name} names a column that is no text.")
    if unit is not None and str(unit).strip().lower() not in QUANTITIES.get(name, {}):
        raise TableError(
            f"{unit!r} is not a unit of {name}.",
            advice=f"It may be {', '.join(u for u in QUANTITIES.get(name, {}) if u) or 'none'}.",
        )
    numbers = {key: _number(name, key, value.get(key)) for key in ("constant", "min", "max", "equals")}
    return Entry(
        tuple(columns),
        numbers["constant"],
        None if unit is None else str(unit),
        numbers["min"],
        numbers["max"],
        numbers["equals"],
    )


def _number(name: str, key: str, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise TableError(f"The column map's entry {name} has a {key} that is no number: {value!r}.")
    return float(value)


def read_column_map(path: Path) -> ColumnMap:
    """Read a column map from YAML.

    Parameters
    ----------
    path
        File.

    Returns
    -------
    ColumnMap
        The map.

    Raises
    ------
    TableError
        If it is no column map.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TableError(f"The column map {path} cannot be read: {reason}.") from error
    if not isinstance(document, Mapping) or not document:
        raise TableError(f"The column map {path} is not a mapping of our names to columns.")
    for name in document:
        if name not in QUANTITIES and name not in LABELS:
            near = difflib.get_close_matches(str(name), [*QUANTITIES, *LABELS], n=1)
            raise TableError(
                f"The column map {path} has the unknown name {name!r}.",
                advice=f"Did you mean {near[0]!r}?"
                if near
                else f"Known: {', '.join([*QUANTITIES, *LABELS])}.",
            )
    return ColumnMap(path.name, {str(name): _entry(str(name), value) for name, value in document.items()})


def _columns(**entries: str | tuple[str, ...] | Entry) -> dict[str, Entry]:
    made: dict[str, Entry] = {}
    for name, value in entries.items():
        if isinstance(value, Entry):
            made[name] = value
        else:
            made[name] = Entry((value,) if isinstance(value, str) else value)
    return made


_LSST = ColumnMap(
    "lsst",
    _columns(
        x="x", y="y", detector=("detector", "ccd"), visit="visit",
        ra=("coord_ra", "ra"), dec=("coord_dec", "dec", "decl"),
        snr=("snr", "psfFlux/psfFluxErr", "PsFlux/PsFluxErr", "apFlux/apFluxErr"),
        flag=("centroid_flag", "pixelFlags_edge"),
        ixx="ixx", iyy="iyy", ixy="ixy", ixx_psf="ixxPSF", iyy_psf="iyyPSF", ixy_psf="ixyPSF",
        psf_used="calib_psf_used", psf_reserved="calib_psf_reserved", extendedness="extendedness",
        ref_ra="ref_ra", ref_dec="ref_dec", ref_mag="ref_mag",
    ),
    ignore_case=True,
    signature=(frozenset({"ixx", "iyy", "ixxpsf"}),),
)  # fmt: skip

_PIFF = ColumnMap(
    "piff",
    _columns(
        x="x", y="y", ra="ra", dec="dec", mag="mag", detector=("chipnum", "ccdnum"),
        e1="obs_e1", e2="obs_e2", t=Entry(("obs_T", "T_data"), unit="arcsec2"),
        e1_psf="piff_e1", e2_psf="piff_e2", t_psf=Entry(("piff_T", "T_model"), unit="arcsec2"),
        g1="g1_data", g2="g2_data", g1_psf="g1_model", g2_psf="g2_model",
        flag=Entry(("obs_flag", "flag_data", "flag")), psf_used="use", psf_reserved="reserve",
    ),
    signature=(frozenset({"obs_e1", "obs_T"}), frozenset({"T_data", "g1_data"})),
)  # fmt: skip

_SEXTRACTOR = ColumnMap(
    "sextractor",
    _columns(
        x=Entry(("XWIN_IMAGE", "X_IMAGE"), offset=-1.0), y=Entry(("YWIN_IMAGE", "Y_IMAGE"), offset=-1.0),
        ra=("ALPHAWIN_J2000", "ALPHA_J2000", "ALPHAWIN_SKY"), dec=("DELTAWIN_J2000", "DELTA_J2000", "DELTAWIN_SKY"),
        snr="SNR_WIN", mag="MAG_AUTO", flag="FLAGS", detector=("EXT_NUMBER",),
        ixx=("X2WIN_IMAGE", "X2_IMAGE"), iyy=("Y2WIN_IMAGE", "Y2_IMAGE"), ixy=("XYWIN_IMAGE", "XY_IMAGE"),
    ),
    signature=(frozenset({"XWIN_IMAGE", "YWIN_IMAGE"}), frozenset({"X_IMAGE", "Y_IMAGE"})),
)  # fmt: skip

_OWN = ColumnMap("own names", _columns(**{name: name for name in QUANTITIES}))

AUTOMATIC_MAPS: tuple[ColumnMap, ...] = (_LSST, _PIFF, _SEXTRACTOR)
"""Maps that are recognised by the columns of a table."""


def automatic_map(columns: Iterable[str]) -> ColumnMap:
    """Choose the map that fits the columns of a table.

    Parameters
    ----------
    columns
        Names in the table.

    Returns
    -------
    ColumnMap
        Map of LSST's source tables and our star tables, Piff, SExtractor; otherwise that of our own names.
    """
    names = set(columns)
    lower = {name.lower() for name in names}
    for candidate in AUTOMATIC_MAPS:
        if any(signature <= (lower if candidate.ignore_case else names) for signature in candidate.signature):
            return candidate
    return _OWN
