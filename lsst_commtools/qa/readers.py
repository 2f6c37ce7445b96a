"""Tables from files: FITS, SExtractor's FITS_LDAC, parquet, ECSV. Names and units stay as they are."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.qa.motion import jyear_from_mjd

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.io.fits.hdu.hdulist import HDUList

__all__ = ["RawTable", "is_fits_image", "raw_table", "read_table"]

_FITS_MAGIC = b"SIMPLE  ="
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_ECSV_MAGIC = b"# %ECSV"


@dataclass(frozen=True, eq=False)
class RawTable:
    """A table as its file has it.

    Parameters
    ----------
    columns
        Name to values; the first axis is the row.
    units
        Name to unit, where the file says.
    n_rows
        Number of rows.
    epoch_jyear
        When it was observed, where the file says.
    """

    columns: dict[str, NDArray[Any]]
    units: dict[str, str] = field(default_factory=dict)
    n_rows: int = 0
    epoch_jyear: float | None = None


def read_table(path: Path, only: Collection[str] | None = None) -> RawTable:
    """Read a table; the format is told by the file's first bytes, not its name.

    Parameters
    ----------
    path
        File.
    only
        Columns, in lower case, that are read from parquet where others are many; other formats are read whole.

    Returns
    -------
    RawTable
        Its columns.

    Raises
    ------
    NotFoundError
        If there is no such file.
    TableError
        If it is none of the formats, damaged, or holds no table.
    """
    magic = _first_bytes(path)
    try:
        if magic.startswith(_PARQUET_MAGIC):
            return _read_parquet(path, only)
        if magic.startswith((_FITS_MAGIC, _GZIP_MAGIC)):
            return _read_fits(path)
        if magic.startswith(_ECSV_MAGIC):
            return _read_ecsv(path)
    except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError) as error:
        if isinstance(error, TableError):
            raise
        reason = str(error).strip().splitlines()
        raise TableError(
            f"{path} cannot be read: {reason[0] if reason else type(error).__name__}."
        ) from error
    raise TableError(f"{path} is not a FITS, FITS_LDAC, parquet or ECSV table.")


def is_fits_image(path: Path) -> bool:
    """Say whether a file is a FITS image rather than a table.

    Parameters
    ----------
    path
        File.

    Returns
    -------
    bool
        True if it is FITS, has an HDU with pixels, and no table.
    """
    if not _first_bytes(path).startswith((_FITS_MAGIC, _GZIP_MAGIC)):
        return False
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=False) as hdus:
                return not _table_hdus(hdus) and any(
                    getattr(h, "shape", ()) and len(h.shape) == 2 for h in hdus
                )
    except (OSError, ValueError, TypeError, KeyError, EOFError):
        return False


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {path}.") from error
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}.") from error


def _table_hdus(hdus: HDUList) -> list[fits.BinTableHDU]:
    from astropy.io import fits

    return [
        h
        for h in hdus
        if isinstance(h, fits.BinTableHDU | fits.TableHDU) and not isinstance(h, fits.CompImageHDU)
    ]


def _read_fits(path: Path) -> RawTable:
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path, memmap=False) as hdus:
            tables = _table_hdus(hdus)
            objects = [h for h in tables if h.name == "LDAC_OBJECTS"]
            if objects:
                return _join_ldac(objects, [h for h in tables if h.name == "LDAC_IMHEAD"])
            if not tables:
                raise TableError(f"{path} holds no table.")
            return _from_hdu(max(tables, key=lambda h: len(h.data)))


def _from_hdu(hdu: Any) -> RawTable:
    columns = {c.name: _native(np.asarray(hdu.data[c.name])) for c in hdu.columns}
    units = {c.name: str(c.unit) for c in hdu.columns if c.unit}
    return RawTable(columns, units, len(hdu.data))


def _native(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _join_ldac(objects: list[Any], image_headers: list[Any]) -> RawTable:
    """Join the object tables of all extensions; the image headers tell detector and epoch."""
    from astropy.io import fits

    parts = [_from_hdu(h) for h in objects]
    headers = [
        fits.Header.fromstring("".join(card.ljust(80) for card in np.ravel(h.data.field(0)[0])))
        for h in image_headers
    ]
    columns = {
        name: np.concatenate([part.columns[name] for part in parts])
        for name in parts[0].columns
        if all(name in part.columns for part in parts)
    }
    if len(headers) == len(parts):
        numbers = [int(header.get("CCDNUM", index)) for index, header in enumerate(headers)]
        columns["EXT_NUMBER"] = np.repeat(numbers, [part.n_rows for part in parts])
    mjd = headers[0].get("MJD-OBS") if headers else None
    epoch = float(jyear_from_mjd(mjd)) if isinstance(mjd, int | float) else None
    return RawTable(columns, parts[0].units, sum(part.n_rows for part in parts), epoch)


def _read_parquet(path: Path, only: Collection[str] | None) -> RawTable:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        names = None if only is None else [n for n in parquet.read_schema(path).names if n.lower() in only]
        table = parquet.read_table(path, columns=names, partitioning=None)
    except pa.ArrowException as error:
        raise TableError(f"{path} is a damaged parquet file.") from error
    return _from_arrow_table(table)


def raw_table(table: Any) -> RawTable:
    """Take a table that is in memory.

    Parameters
    ----------
    table
        pandas DataFrame, astropy Table or pyarrow Table.

    Returns
    -------
    RawTable
        Its columns; units where it has them.

    Raises
    ------
    TableError
        If it is none of these.
    """
    if hasattr(table, "schema") and hasattr(table, "num_rows"):
        return _from_arrow_table(table)
    if hasattr(table, "colnames"):
        return _from_astropy(table)
    if hasattr(table, "columns") and hasattr(table, "iloc"):
        columns = {str(name): table[name].to_numpy() for name in table.columns}
        return RawTable(columns, {}, len(table))
    raise TableError(f"{type(table).__name__} is no table that is known.")


def _from_arrow_table(table: Any) -> RawTable:
    columns, units = {}, {}
    for name in table.schema.names:
        meta = table.schema.field(name).metadata or {}
        unit = meta.get(b"unit", b"").decode("utf-8", "replace")
        if unit:
            units[name] = unit
        columns[name] = _from_arrow(table.column(name))
    return RawTable(columns, units, table.num_rows)


def _from_arrow(column: Any) -> NDArray[Any]:
    import pyarrow as pa

    if pa.types.is_boolean(column.type) and not column.null_count:
        return np.asarray(column.to_numpy())
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.to_pylist())
    return np.asarray(column.to_numpy())


def _read_ecsv(path: Path) -> RawTable:
    from astropy.table import Table

    return _from_astropy(Table.read(path, format="ascii.ecsv"))


def _from_astropy(table: Any) -> RawTable:
    columns = {}
    for name in table.colnames:
        values = table[name]
        if hasattr(values, "filled") and values.dtype.kind in "iu" and np.any(values.mask):
            values = values.astype(np.float64)
        filled = values.filled(np.nan) if hasattr(values, "filled") and values.dtype.kind == "f" else values
        columns[name] = np.asarray(filled)
    return RawTable(columns, {n: str(table[n].unit) for n in table.colnames if table[n].unit}, len(table))
