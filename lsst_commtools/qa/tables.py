"""Star tables: our names and units over whatever the file has."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import TableError
from lsst_commtools.qa.columns import LABELS, QUANTITIES, ColumnMap, Entry, automatic_map
from lsst_commtools.qa.moments import Moments
from lsst_commtools.qa.motion import jyear_from_mjd
from lsst_commtools.qa.readers import RawTable, read_table
from lsst_commtools.qa.shapes import ellipticity, moments_from_ellipticity

__all__ = ["StarTable", "TableReader", "make_star_table", "read_star_table", "with_moments"]

_FIRST_MJD = 10_000.0
_NJY_ZERO_POINT = 31.4
_MOMENTS = ("ixx", "iyy", "ixy")


@dataclass(frozen=True, eq=False)
class StarTable:
    """Stars of one visit.

    Parameters
    ----------
    columns
        Our name (`columns.QUANTITIES`) to values, float64, shape (n,): angles in degrees, proper motions in mas/yr,
        epochs as Julian years, positions in zero-based pixels. Only what the table has.
    size_unit
        Unit of the second moments and of ``t``: ``pixel2`` or ``arcsec2``.
    map_name
        Which column map was used.
    stamps
        Cut-out images, shape (n, rows, columns), where they were asked for.
    n_cut
        Rows that the map's cuts took out.
    """

    columns: Mapping[str, NDArray[np.float64]]
    size_unit: str = "pixel2"
    map_name: str = "own names"
    stamps: NDArray[Any] | None = None
    n_cut: int = 0
    n_rows: int = field(default=-1)

    def __post_init__(self) -> None:
        if self.n_rows < 0:
            lengths = [len(values) for values in self.columns.values()]
            object.__setattr__(self, "n_rows", lengths[0] if lengths else 0)

    def __len__(self) -> int:
        return self.n_rows

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.columns[name]

    def has(self, *names: str) -> bool:
        """Say whether the table has all of these.

        Parameters
        ----------
        *names
            Our names.

        Returns
        -------
        bool
            True if it has.
        """
        return all(name in self.columns for name in names)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Rows without a flag, shape (n,)."""
        if "flag" not in self.columns:
            return np.ones(len(self), dtype=bool)
        return np.asarray(self.columns["flag"] == 0)

    def rows(self, selection: NDArray[Any]) -> StarTable:
        """Take some rows.

        Parameters
        ----------
        selection
            Mask or indices.

        Returns
        -------
        StarTable
            With these rows only.
        """
        columns = {name: values[selection] for name, values in self.columns.items()}
        stamps = None if self.stamps is None else self.stamps[selection]
        n_rows = int(np.arange(len(self))[selection].size)
        return StarTable(columns, self.size_unit, self.map_name, stamps, self.n_cut, n_rows)

    def with_columns(self, size_unit: str | None = None, **columns: NDArray[Any]) -> StarTable:
        """Add or replace columns.

        Parameters
        ----------
        size_unit
            Unit of moments that are given.
        **columns
            Our name to values, shape (n,).

        Returns
        -------
        StarTable
            The new table.
        """
        joined = {**self.columns, **{k: np.asarray(v, dtype=np.float64) for k, v in columns.items()}}
        return StarTable(
            joined, size_unit or self.size_unit, self.map_name, self.stamps, self.n_cut, len(self)
        )


def read_star_table(
    path: Path, column_map: ColumnMap | None = None, *, stamps: str | None = None
) -> StarTable:
    """Read stars from a FITS, FITS_LDAC, parquet or ECSV table.

    Parameters
    ----------
    path
        File.
    column_map
        Where our quantities are; by default the map that fits the columns.
    stamps
        Column that holds cut-out images.

    Returns
    -------
    StarTable
        The stars.

    Raises
    ------
    NotFoundError
        If there is no such file.
    TableError
        If it cannot be read, or lacks what the map names.
    """
    return make_star_table(read_table(path), column_map, stamps=stamps, name=str(path))


def make_star_table(
    raw: RawTable, column_map: ColumnMap | None = None, *, stamps: str | None = None, name: str = "the table"
) -> StarTable:
    """Give a table our names and units.

    Parameters
    ----------
    raw
        Table as it was read.
    column_map
        Where our quantities are; by default the map that fits the columns. A map that is given must fit wholly.
    stamps
        Column that holds cut-out images.
    name
        Of the table, for messages.

    Returns
    -------
    StarTable
        The stars.

    Raises
    ------
    TableError
        If a column is missing, or not of numbers, or nothing is known in the table.
    """
    reader = TableReader(raw, column_map or automatic_map(raw.columns), name, strict=column_map is not None)
    columns, sizes, keep = reader.read()
    if raw.epoch_jyear is not None and "epoch" not in columns:
        columns["epoch"] = np.full(raw.n_rows, raw.epoch_jyear)
    cutouts = None if stamps is None else reader.stamps(stamps)
    if cutouts is None and not (set(columns) & {"x", "ra", "ixx", "e1", "g1"}):
        raise TableError(
            f"{name} has neither positions nor shapes of stars under a name that is known.",
            advice=f"Name its columns with --columns; it has {_some(raw.columns)}.",
        )
    if len(set(sizes.values())) > 1:
        raise TableError(
            f"{name} mixes moments in pixel2 and arcsec2.", advice="Give them one unit in the column map."
        )
    unit = next(iter(sizes.values()), "pixel2")
    table = StarTable(
        _complete_shapes(columns), unit, reader.map.name, cutouts, int((~keep).sum()), raw.n_rows
    )
    return table.rows(keep)


def _some(names: Mapping[str, Any]) -> str:
    first = list(names)[:12]
    return (
        ", ".join(first) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        if first
        else "no columns"
    )


def with_moments(table: StarTable, moments: Moments) -> StarTable:
    """Give a table the moments that were measured from its stamps.

    Parameters
    ----------
    table
        Stars.
    moments
        Of the same stars, pixel^2.

    Returns
    -------
    StarTable
        With ixx, iyy, ixy, e1, e2, t of the stars; moments of the model stay, if they are in pixel^2 too.
    """
    shapes = {"ixx": moments.ixx, "iyy": moments.iyy, "ixy": moments.ixy}
    shapes["e1"], shapes["e2"] = ellipticity(moments.ixx, moments.iyy, moments.ixy)
    shapes["t"] = moments.ixx + moments.iyy
    kept = dict(table.columns)
    if table.size_unit != "pixel2":
        kept = {name: values for name, values in kept.items() if not name.endswith("_psf")}
    return StarTable({**kept, **shapes}, "pixel2", table.map_name, table.stamps, table.n_cut, len(table))


class TableReader:
    """Resolves the entries of one map against one table.

    Parameters
    ----------
    raw
        Table as it was read.
    column_map
        Where our quantities are.
    name
        Of the table, for messages.
    strict
        Whether the table must have every column of the map.
    """

    def __init__(self, raw: RawTable, column_map: ColumnMap, name: str, *, strict: bool) -> None:
        self.raw, self.map, self.name, self.strict = raw, column_map, name, strict
        self.lower = {column.lower(): column for column in raw.columns}

    def read(self) -> tuple[dict[str, NDArray[np.float64]], dict[str, str], NDArray[np.bool_]]:
        """Resolve the map.

        Returns
        -------
        columns
            Our name to values in our units, all rows.
        sizes
            Which of them are sizes, and their unit.
        keep
            Rows that the cuts leave.

        Raises
        ------
        TableError
            If a column is missing or does not hold numbers.
        """
        columns: dict[str, NDArray[np.float64]] = {}
        sizes: dict[str, str] = {}
        keep = np.ones(self.raw.n_rows, dtype=bool)
        for quantity, entry in self.map.entries.items():
            if quantity in LABELS:
                continue
            found = self._values(quantity, entry)
            if found is None:
                continue
            values, unit = found
            values = self._convert(quantity, values, unit)
            if QUANTITIES[quantity] is QUANTITIES["t"]:
                sizes[quantity] = _size_unit(quantity, unit)
            keep &= _inside(entry, values)
            columns[quantity] = np.zeros_like(values) if quantity == "flag" and _cuts(entry) else values
        return columns, sizes, keep

    def stamps(self, column: str) -> NDArray[Any]:
        """Give the cut-out images.

        Parameters
        ----------
        column
            Name in the table.

        Returns
        -------
        numpy.ndarray
            Shape (n, rows, columns).

        Raises
        ------
        TableError
            If there is no such column, or it holds no images.
        """
        found = self._find(column)
        if found is None:
            self._missing("the stamps", column)
        cutouts = self.raw.columns[str(found)]
        if cutouts.ndim != 3:
            raise TableError(f"The column {column!r} of {self.name} holds no images.")
        return cutouts

    def _find(self, column: str) -> str | None:
        if column in self.raw.columns:
            return column
        return self.lower.get(column.lower()) if self.map.ignore_case else None

    def _missing(self, quantity: str, column: str) -> None:
        near = difflib.get_close_matches(column, self.raw.columns, n=1)
        advice = f"Did you mean {near[0]!r}?" if near else f"It has {_some(self.raw.columns)}."
        raise TableError(f"{self.name} has no column {column!r} for {quantity}.", advice=advice)

    def _values(self, quantity: str, entry: Entry) -> tuple[NDArray[np.float64], str | None] | None:
        if entry.constant is not None:
            return np.full(self.raw.n_rows, entry.constant), entry.unit
        found = [pair for column in entry.columns if (pair := self._column(column)) is not None]
        if self.strict and len(found) < len(entry.columns):
            missing = next(column for column in entry.columns if self._column(column) is None)
            self._missing(quantity, missing)
        if not entry.columns and self.strict and not quantity.startswith("ref_"):
            raise TableError(f"The column map's entry {quantity} names no column.")
        if not found:
            return None
        values, unit = found[0]
        if quantity == "flag" and len(found) > 1:
            values = np.any([v != 0 for v, _ in found], axis=0).astype(np.float64)
        return values + entry.offset, entry.unit or unit

    def _column(self, column: str) -> tuple[NDArray[np.float64], str | None] | None:
        found = self._find(column)
        if found is not None:
            return self._number(found), self.raw.units.get(found)
        if "/" in column:
            over, under = (self._find(part.strip()) for part in column.split("/", 1))
            if over is not None and under is not None:
                with np.errstate(divide="ignore", invalid="ignore"):
                    return self._number(over) / self._number(under), None
        return None

    def _number(self, column: str) -> NDArray[np.float64]:
        values = self.raw.columns[column]
        try:
            numbers = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
        except (TypeError, ValueError):
            raise TableError(f"The column {column!r} of {self.name} does not hold numbers.") from None
        if numbers.ndim != 1:
            raise TableError(f"The column {column!r} of {self.name} does not hold one number per row.")
        return np.asarray(numbers)

    def _convert(self, quantity: str, values: NDArray[np.float64], unit: str | None) -> NDArray[np.float64]:
        factors = QUANTITIES[quantity]
        word = (unit or "").strip().lower()
        if factors is QUANTITIES["epoch"]:
            mjd = word in ("mjd", "day", "d", "days") or (
                not word and bool(np.nanmax(values, initial=0) > _FIRST_MJD)
            )
            return jyear_from_mjd(values) if mjd else values
        if factors is QUANTITIES["mag"] and word == "njy":
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(_NJY_ZERO_POINT - 2.5 * np.log10(values))
        return values * factors.get(word, 1.0)


def _size_unit(quantity: str, unit: str | None) -> str:
    """Moments come in pixels, as LSST has them, and T in arcsec, as Piff has it, unless the table says."""
    if unit:
        return "arcsec2" if "arcsec" in unit.lower() else "pixel2"
    return "arcsec2" if quantity in ("t", "t_psf") else "pixel2"


def _cuts(entry: Entry) -> bool:
    return not entry.minimum is entry.maximum is entry.equals is None


def _inside(entry: Entry, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    keep = np.ones(values.size, dtype=bool)
    if entry.minimum is not None:
        keep &= values >= entry.minimum
    if entry.maximum is not None:
        keep &= values <= entry.maximum
    if entry.equals is not None:
        keep &= values == entry.equals
    return keep


def _complete_shapes(columns: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Derive e1, e2, t from moments or from shear, for stars and model, where they are not given."""
    for suffix in ("", "_psf"):
        moments = [columns.get(name + suffix) for name in _MOMENTS]
        if all(m is not None for m in moments):
            ixx, iyy, ixy = (np.asarray(m) for m in moments)
            e1, e2 = ellipticity(ixx, iyy, ixy)
            columns.setdefault("e1" + suffix, e1)
            columns.setdefault("e2" + suffix, e2)
            columns.setdefault("t" + suffix, ixx + iyy)
        g1, g2 = columns.get("g1" + suffix), columns.get("g2" + suffix)
        if g1 is not None and g2 is not None:
            factor = 2.0 / (1.0 + g1**2 + g2**2)
            columns.setdefault("e1" + suffix, g1 * factor)
            columns.setdefault("e2" + suffix, g2 * factor)
        e1_t = [columns.get(name + suffix) for name in ("e1", "e2", "t")]
        if all(v is not None for v in e1_t) and not all(m is not None for m in moments):
            for name, values in zip(_MOMENTS, moments_from_ellipticity(*map(np.asarray, e1_t)), strict=True):
                columns[name + suffix] = values
    return columns
