"""Stars of many visits for the ellipticity metrics: what is usable, in the axes of the sky, visit by visit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import TableError
from lsst_commtools.qa.columns import AUTOMATIC_MAPS, LABELS, QUANTITIES, ColumnMap, Entry, automatic_map
from lsst_commtools.qa.correlations import StarShapes
from lsst_commtools.qa.frames import axes_of_detector, rotate_moments
from lsst_commtools.qa.projection import mean_direction, sky_to_tangent
from lsst_commtools.qa.readers import RawTable, read_table
from lsst_commtools.qa.shape_kernel import shapes_of_moments
from lsst_commtools.qa.shapes import ellipticity, shear_from_ellipticity
from lsst_commtools.qa.tables import StarTable, make_star_table

__all__ = [
    "MOMENTS",
    "SurveyStars",
    "VisitShapes",
    "has_moments",
    "join_tables",
    "read_survey",
    "repeated_rows",
    "shapes_of_visits",
]

MOMENTS = ("ixx", "iyy", "ixy", "ixx_psf", "iyy_psf", "ixy_psf")
_NEEDED = ("ra", "dec", *MOMENTS)
_EXACT_IN_FLOAT = 2.0**53
_PIXEL_MAPS = frozenset(known.name for known in AUTOMATIC_MAPS)
_FRAME_SKY = "east and north at the middle of the field"
_FRAME_GIVEN = "as given"
_FRAME_MIXED = "as given on some detectors, east and north on the others"


@dataclass(frozen=True, eq=False)
class SurveyStars:
    """Star tables of one or more visits, as one.

    Parameters
    ----------
    table
        All rows.
    object_codes
        Number of each row's object, shape (n,), so that identifiers of 64 bits stay apart; None where there are none.
    """

    table: StarTable
    object_codes: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class VisitShapes:
    """Usable stars of one visit.

    Parameters
    ----------
    visit
        Its number; 0 where the table has no column for it.
    shapes
        For the correlations; of these stars only.
    rows
        Their rows in the survey's table.
    fwhm
        Of HSM moments, shape (n,).
    size_unit
        Of the moments, of which ``fwhm`` has the root: ``arcsec2``, or ``pixel2`` where nothing tells the scale.
    frame
        Axes of the ellipticities.
    detector_e1, detector_e2
        Distortion as it was given, in the detector's axes.
    problems
        What was left out, and why.
    """

    visit: int
    shapes: StarShapes
    rows: NDArray[np.int64]
    fwhm: NDArray[np.float64]
    size_unit: str
    frame: str
    detector_e1: NDArray[np.float64]
    detector_e2: NDArray[np.float64]
    problems: tuple[str, ...] = field(default=())


def read_survey(paths: Sequence[Path], column_map: ColumnMap | None = None) -> SurveyStars:
    """Read star tables and join them.

    Parameters
    ----------
    paths
        Files, or folders of parquet files.
    column_map
        Where our quantities are; by default the map that fits the columns of each table.

    Returns
    -------
    SurveyStars
        All rows. Moments under our own names count as arcsec^2 unless the table says otherwise.

    Raises
    ------
    NotFoundError, TableError
        If one cannot be read, has no stars' shapes, or they differ in unit.
    """
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise TableError("There is no star table to read.")
    tables, identifiers = [], []
    for file in files:
        raw = _with_partitions(read_table(file, _wanted(column_map)), file)
        chosen = _complete_map(column_map, raw) if column_map else automatic_map(raw.columns)
        identifiers.append(_identifiers(raw, chosen))
        plain, chosen = _without_identifiers(raw, chosen)
        given = chosen if column_map else None
        tables.append(make_star_table(_with_arcsec(plain, chosen), given, name=str(file)))
        if tables[-1].n_cut:
            identifiers[-1] = None
    joined = join_tables(tables)
    known = [found for found in identifiers if found is not None]
    codes = None
    if len(known) == len(tables):
        codes = np.unique(np.concatenate(known), return_inverse=True)[1].astype(np.int64)
    return SurveyStars(joined, codes)


def join_tables(tables: Sequence[StarTable]) -> StarTable:
    """Join star tables, such as those of the visits of a night.

    Parameters
    ----------
    tables
        At least one; they should have ``visit`` where there are several visits.

    Returns
    -------
    StarTable
        All rows, with the columns that every table has.

    Raises
    ------
    TableError
        If their moments have different units.
    """
    units = {table.size_unit for table in tables if "ixx" in table}
    if len(units) > 1:
        raise TableError("The tables give moments in different units.", advice="Read them one by one.")
    names = set.intersection(*(set(table.columns) for table in tables))
    columns = {name: np.concatenate([table[name] for table in tables]) for name in sorted(names)}
    return StarTable(
        columns,
        units.pop() if units else "arcsec2",
        tables[0].map_name,
        n_cut=sum(table.n_cut for table in tables),
        n_rows=sum(map(len, tables)),
    )


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.suffix in (".parquet", ".parq"))
    return [path]


def _wanted(column_map: ColumnMap | None) -> set[str]:
    """Columns, in lower case, of which any map speaks."""
    maps = [*AUTOMATIC_MAPS, *([column_map] if column_map else [])]
    named = [column for known in maps for entry in known.entries.values() for column in entry.columns]
    parts = [part.strip() for column in named for part in (column, *column.split("/"))]
    return {name.lower() for name in (*parts, *QUANTITIES, *LABELS, "objectId")}


def _with_partitions(raw: RawTable, file: Path) -> RawTable:
    """Add what the folders of a partitioned table tell: ``visit=2026112000001``."""
    told = dict(re.findall(r"([A-Za-z_]\w*)=(\d+)(?=/)", file.as_posix()))
    columns = {
        name: np.full(raw.n_rows, int(value)) for name, value in told.items() if name in ("visit", "detector")
    }
    return RawTable({**columns, **raw.columns}, raw.units, raw.n_rows, raw.epoch_jyear)


def _complete_map(column_map: ColumnMap, raw: RawTable) -> ColumnMap:
    """Add to a map the columns that have our own names."""
    own = {name: Entry((name,)) for name in (*QUANTITIES, *LABELS) if name in raw.columns}
    return ColumnMap(column_map.name, {**own, **column_map.entries}, column_map.ignore_case)


def _with_arcsec(raw: RawTable, chosen: ColumnMap) -> RawTable:
    """Say that moments under our own names are arcsec^2, where neither table nor map says anything."""
    columns = [c for name in MOMENTS if (entry := chosen.entries.get(name)) for c in entry.columns]
    if chosen.name in _PIXEL_MAPS:
        return raw
    return RawTable(
        raw.columns, {**dict.fromkeys(columns, "arcsec2"), **raw.units}, raw.n_rows, raw.epoch_jyear
    )


def _identifiers(raw: RawTable, chosen: ColumnMap) -> NDArray[np.generic] | None:
    """Give the names of the objects as text; a row without one is an object of its own."""
    column = _identifier_column(raw, chosen)
    if column is None:
        return None
    values = np.asarray(raw.columns[column])
    if values.dtype.kind == "f" and np.nanmax(np.abs(values), initial=0.0) >= _EXACT_IN_FLOAT:
        # Identifiers of 64 bits with gaps come as floats, in which neighbours are the same; positions tell then.
        return None
    if values.dtype.kind in "iu":
        return values.astype(str)
    missing = (
        np.isnan(values) if values.dtype.kind == "f" else np.isin(values.astype(str), ("", "None", "nan"))
    )
    names = values.astype(object)
    names[missing] = [f"row {k} of {id(raw)}" for k in np.flatnonzero(missing)]
    return names.astype(str)


def _identifier_column(raw: RawTable, chosen: ColumnMap) -> str | None:
    entry = chosen.entries.get("object_id", Entry(("object_id", "objectId")))
    return next((name for name in entry.columns if name in raw.columns), None)


def _without_identifiers(raw: RawTable, chosen: ColumnMap) -> tuple[RawTable, ColumnMap]:
    """Leave the identifiers out: as float64 they would not stay apart."""
    column = _identifier_column(raw, chosen)
    columns = {name: values for name, values in raw.columns.items() if name != column}
    entries = {name: entry for name, entry in chosen.entries.items() if name != "object_id"}
    left = ColumnMap(chosen.name, entries, chosen.ignore_case, chosen.signature)
    return RawTable(columns, raw.units, raw.n_rows, raw.epoch_jyear), left


def shapes_of_visits(stars: SurveyStars) -> tuple[list[VisitShapes], list[str], str]:
    """Take the usable stars of each visit, their ellipticities in the axes of the sky.

    Parameters
    ----------
    stars
        All visits.

    Returns
    -------
    visits
        By visit.
    problems
        What is missing or was left out, over all. Where it starts with ``no figure:`` nothing may be computed.
    sample
        Which stars they are.
    """
    table = stars.table
    missing = [name for name in _NEEDED if name not in table]
    if missing or not len(table):
        why = f"the table lacks {', '.join(missing)}" if missing else "the table has no stars"
        return [], [f"no figure: {why}"], "none"
    use, sample = _sample(table)
    finite = np.all([np.isfinite(table[name]) for name in _NEEDED], axis=0)
    physical = finite & has_moments(table, "") & has_moments(table, "_psf") & (np.abs(table["dec"]) <= 90.0)
    numbers = table["visit"] if "visit" in table else np.zeros(len(table))
    placed = physical & np.isfinite(numbers)
    problems = []
    if left := int((use & ~placed).sum()):
        problems.append(f"{left} of {int(use.sum())} {sample} have values that are not finite or no moments")
    if repeated := repeated_rows(table, placed, stars.object_codes):
        return [], [*problems, f"no figure: {repeated}"], sample
    visits = []
    for number in np.unique(numbers[placed & use]):
        rows = np.flatnonzero(placed & use & (numbers == number))
        visits.append(_visit(int(number), table, rows))
    if not visits:
        problems.append("no figure: no star is usable")
    for visit in visits:
        problems += [f"visit {visit.visit}: {line}" for line in visit.problems]
    return visits, problems, sample


def _sample(table: StarTable) -> tuple[NDArray[np.bool_], str]:
    """Stars that the PSF model has not seen tell most; otherwise those it was made of, otherwise all."""
    for name in ("reserved", "psf_reserved"):
        if name in table and (table[name] > 0).any():
            return table.good & (table[name] > 0), "reserved stars"
    if "psf_used" in table and (table["psf_used"] > 0).any():
        return table.good & (table["psf_used"] > 0), "stars of the PSF model"
    if "extendedness" in table:
        return table.good & (table["extendedness"] < 0.5), "point sources"
    return table.good, "stars"


def has_moments(table: StarTable, suffix: str) -> NDArray[np.bool_]:
    """Choose rows whose second moments are those of something.

    Parameters
    ----------
    table
        Stars.
    suffix
        Empty for the stars', ``_psf`` for the model's.

    Returns
    -------
    numpy.ndarray
        Shape (n,).
    """
    xx, yy, xy = (table[name + suffix] for name in ("ixx", "iyy", "ixy"))
    with np.errstate(over="ignore", invalid="ignore"):
        determinant = xx * yy - xy * xy
    return np.asarray((xx > 0) & (yy > 0) & (determinant > 0) & np.isfinite(determinant))


def repeated_rows(
    table: StarTable, rows: NDArray[np.bool_], object_codes: NDArray[np.int64] | None = None
) -> str:
    """Say which objects occur more than once in a visit: which row is the star cannot be told, and pairs count twice.

    Parameters
    ----------
    table
        Stars.
    rows
        Which of them count, shape (n,).
    object_codes
        Number of each row's object, shape (n,); by default places tell them apart, on the sky or on the detector.

    Returns
    -------
    str
        Empty where none does.
    """
    visits = table["visit"][rows] if "visit" in table else np.zeros(int(rows.sum()))
    if object_codes is not None:
        keys, what = [object_codes[rows], visits], "objects"
    elif table.has("ra", "dec"):
        keys, what = [table["ra"][rows] % 360.0, table["dec"][rows], visits], "positions"
    elif table.has("x", "y"):
        detectors = table["detector"][rows] if "detector" in table else np.zeros_like(visits)
        keys, what = [table["x"][rows], table["y"][rows], detectors, visits], "positions"
    else:
        return ""
    order = np.lexsort(keys)
    same = np.all([np.diff(key[order]) == 0 for key in keys], axis=0)
    if not same.any():
        return ""
    return f"{int(same.sum())} rows repeat {what} of the same visit"


def _visit(number: int, table: StarTable, rows: NDArray[np.int64]) -> VisitShapes:
    ra, dec = table["ra"][rows] % 360.0, table["dec"][rows]
    centre = mean_direction(ra, dec)
    xi, eta = sky_to_tangent(ra, dec, centre)
    given = [table[name][rows] for name in MOMENTS]
    turned, frame, size_unit, problems = _turn(table, rows, given, xi, eta)
    e1, e2, t, fwhm = shapes_of_moments(*turned[:3])
    model_e1, model_e2 = ellipticity(*turned[3:])
    g1, g2 = shear_from_ellipticity(e1, e2)
    model_g1, model_g2 = shear_from_ellipticity(model_e1, model_e2)
    t_psf = turned[3] + turned[4]
    shapes = StarShapes(
        ra, dec, e1, e2, e1 - model_e1, e2 - model_e2, g1, g2, g1 - model_g1, g2 - model_g2, (t - t_psf) / t
    )
    return VisitShapes(
        number, shapes, rows, fwhm, size_unit, frame, *ellipticity(*given[:3]), tuple(problems)
    )


def _turn(
    table: StarTable,
    rows: NDArray[np.int64],
    given: list[NDArray[np.float64]],
    xi: NDArray[np.float64],
    eta: NDArray[np.float64],
) -> tuple[list[NDArray[np.float64]], str, str, list[str]]:
    """Turn moments from the axes of each detector to those of the sky, and scale pixels to arcsec."""
    unit = table.size_unit
    if not table.has("x", "y"):
        why = "without x and y the ellipticities stay in the axes they were given in"
        return given, _FRAME_GIVEN, unit, [why]
    detectors = table["detector"][rows] if "detector" in table else np.zeros(rows.size)
    numbers = np.unique(np.where(np.isfinite(detectors), detectors, -1))
    x, y = table["x"][rows], table["y"][rows]
    masks = {float(d): detectors == d for d in numbers}
    axes = {d: axes_of_detector(x[mine], y[mine], xi[mine], eta[mine]) for d, mine in masks.items()}
    lost = [f"{d:g}" for d, found in axes.items() if found is None]
    # Sizes of one visit must have one unit.
    scale = unit == "pixel2" and not lost
    turned = [np.array(m) for m in given]
    for d, found in axes.items():
        if found is None:
            continue
        mine = masks[d]
        for k in (0, 3):
            xx, yy, xy = (m[mine] for m in given[k : k + 3])
            moments = rotate_moments(xx, yy, xy, found, scale=scale)
            for target, values in zip(turned[k : k + 3], moments, strict=True):
                target[mine] = values
    if not lost:
        return turned, _FRAME_SKY, "arcsec2", []
    named = ", ".join(lost[:8]) + (f" and {len(lost) - 8} more" if len(lost) > 8 else "")
    why = f"x, y do not tell how detector {named} lies on the sky; its ellipticities are not turned"
    return turned, _FRAME_MIXED if len(lost) < len(axes) else _FRAME_GIVEN, unit, [why]
