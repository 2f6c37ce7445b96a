"""Rows of star tables that repeatability needs, read column by column and in pieces.

Ids keep all their bits: they are never turned into floating numbers. Rows without a finite position, magnitude or
signal to noise are left out like those that the cuts take out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.qa.columns import ColumnMap, Entry, automatic_map
from lsst_commtools.qa.readers import RawTable, raw_table, read_table
from lsst_commtools.qa.tables import TableReader

__all__ = ["SourceRows", "StarCuts", "make_sources", "read_sources"]

_BATCH_ROWS = 1 << 19
_NUMBERS = ("ra", "dec", "mag", "snr", "extendedness", "flag", "epoch")
_LABELS = ("visit", "object_id", "band")
_DEFAULTS: Mapping[str, Entry] = {
    "visit": Entry(("visit",)),
    "object_id": Entry(("object_id", "objectId", "objectid")),
    "band": Entry(("band",)),
    "ra": Entry(("ra", "coord_ra")),
    "dec": Entry(("dec", "coord_dec")),
    "snr": Entry(("snr", "psfFlux/psfFluxErr")),
    "epoch": Entry(("epoch",)),
    "extendedness": Entry(("extendedness",)),
}
_MAGNITUDES = (Entry(("mag",)), Entry(("psfFlux",), unit="njy"))


@dataclass(frozen=True)
class StarCuts:
    """Which rows are measurements of bright point sources (the requirements' cuts as their users apply them).

    Parameters
    ----------
    mag_min, mag_max
        Magnitude from, and up to but not including.
    snr_min, snr_max
        Signal to noise, both included.
    extendedness_max
        Point sources have no more; applied where the table has the column.
    """

    mag_min: float = 17.0
    mag_max: float = 21.5
    snr_min: float = 50.0
    snr_max: float = 50_000.0
    extendedness_max: float = 0.5

    def keep(self, columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        """Choose rows.

        Parameters
        ----------
        columns
            ``ra``, ``dec``, ``mag``, ``snr``, and where known ``extendedness`` and ``flag``.

        Returns
        -------
        numpy.ndarray
            Shape (n,).
        """
        mag, snr = columns["mag"], columns["snr"]
        kept = np.isfinite(columns["ra"]) & (np.abs(columns["dec"]) <= 90.0)
        kept &= (mag >= self.mag_min) & (mag < self.mag_max) & (snr >= self.snr_min) & (snr <= self.snr_max)
        if "extendedness" in columns:
            kept &= columns["extendedness"] <= self.extendedness_max
        if "flag" in columns:
            kept &= columns["flag"] == 0
        return kept


@dataclass(frozen=True, eq=False)
class SourceRows:
    """Rows after the cuts.

    Parameters
    ----------
    visit
        Shape (n,).
    ra_deg, dec_deg
        Measured positions, finite.
    key
        What tells objects apart: their ids, or a hash of ids that are text; None where the table has none.
    band
        Band of each row; None where the table does not say.
    epoch_jyear
        When it was observed, NaN where unknown.
    n_rows
        Rows before the cuts.
    """

    visit: NDArray[np.int64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    key: NDArray[np.int64] | None
    band: NDArray[Any] | None
    epoch_jyear: NDArray[np.float64]
    n_rows: int

    def __len__(self) -> int:
        return len(self.visit)


def read_sources(
    paths: Iterable[Path],
    column_map: ColumnMap | None = None,
    cuts: StarCuts | None = None,
    *,
    batch_rows: int = _BATCH_ROWS,
) -> Iterator[SourceRows]:
    """Read star tables in pieces.

    Parameters
    ----------
    paths
        Parquet files, folders of partitioned parquet, or FITS, FITS_LDAC and ECSV tables.
    column_map
        Where our quantities are; by default the map that fits the columns.
    cuts
        By default those of the requirements.
    batch_rows
        Rows of a piece of parquet.

    Yields
    ------
    SourceRows
        Rows after the cuts, perhaps none.

    Raises
    ------
    NotFoundError
        If there is no such file.
    TableError
        If one cannot be read, or lacks a column.
    """
    for path in paths:
        for raw in _raw_tables(path, column_map, batch_rows):
            yield make_sources(raw, column_map, cuts, name=str(path))


def _raw_tables(path: Path, column_map: ColumnMap | None, batch_rows: int) -> Iterator[RawTable]:
    if not path.exists():
        raise NotFoundError(f"There is no file {path}.")
    if not path.is_dir() and not _is_parquet(path):
        yield read_table(path)
        return
    import pyarrow as pa
    from pyarrow import dataset

    try:
        found = dataset.dataset(path, format="parquet", partitioning="hive")
        wanted = sorted(_wanted(found.schema.names, column_map))
        if not wanted or not found.count_rows():
            yield raw_table(found.schema.empty_table().select(wanted))
            return
        for batch in found.to_batches(columns=wanted, batch_size=batch_rows):
            if batch.num_rows:
                yield _with_masks(pa.Table.from_batches([batch]))
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from error


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _with_masks(table: Any) -> RawTable:
    """Take a table; whole numbers with gaps become masked, not floating: ids must keep their bits."""
    import pyarrow as pa

    raw = raw_table(table)
    for name in table.schema.names:
        column = table.column(name)
        if column.null_count and pa.types.is_integer(column.type):
            gaps = column.is_null().to_numpy()
            raw.columns[name] = np.ma.masked_array(column.fill_null(0).to_numpy(), gaps)
    return raw


def _entries(names: Iterable[str], column_map: ColumnMap | None) -> ColumnMap:
    """Give the entries that matter here, with what tables of sources call them where no map is given."""
    present = list(names)
    chosen = column_map or automatic_map(present)
    entries = {name: entry for name, entry in chosen.entries.items() if name in (*_NUMBERS, *_LABELS)}
    lower = {name.lower() for name in present}
    if column_map is None:
        entries = {**_DEFAULTS, **entries}
        if not {c.lower() for c in entries.get("mag", Entry()).columns} & lower:
            entries["mag"] = next((e for e in _MAGNITUDES if e.columns[0].lower() in lower), Entry(("mag",)))
    else:
        for name in _LABELS:
            entries.setdefault(name, _DEFAULTS[name])
    return ColumnMap(chosen.name, entries, chosen.ignore_case or column_map is None)


def _wanted(names: Iterable[str], column_map: ColumnMap | None) -> set[str]:
    present = list(names)
    entries = _entries(present, column_map)
    lower = {name.lower(): name for name in present}
    columns = [
        part.strip() for e in entries.entries.values() for c in e.columns for part in (c, *c.split("/"))
    ]
    found = {c for c in columns if c in present}
    return found | {lower[c.lower()] for c in columns if entries.ignore_case and c.lower() in lower}


def make_sources(
    raw: RawTable,
    column_map: ColumnMap | None = None,
    cuts: StarCuts | None = None,
    *,
    name: str = "the table",
) -> SourceRows:
    """Take the rows of a table that is in memory.

    Parameters
    ----------
    raw
        Table as it was read.
    column_map, cuts
        As for `read_sources`.
    name
        Of the table, for messages.

    Returns
    -------
    SourceRows
        Rows after the cuts.

    Raises
    ------
    TableError
        If it lacks a column.
    """
    entries = _entries(raw.columns, column_map)
    numbers = {q: e for q, e in entries.entries.items() if q in _NUMBERS}
    reader = TableReader(
        raw, ColumnMap(entries.name, numbers, entries.ignore_case), name, strict=column_map is not None
    )
    columns, _, kept = reader.read()
    for quantity in ("ra", "dec", "mag", "snr"):
        if quantity not in columns:
            raise TableError(
                f"{name} has no column for {quantity}.",
                advice="Name it in a column map (--columns); a number there holds for all rows.",
            )
    labels = {q: _label(raw, entries, q) for q in _LABELS}
    if labels["visit"] is None:
        raise TableError(f"{name} has no column for visit.", advice="Name it in a column map (--columns).")
    kept = kept & (cuts or StarCuts()).keep(columns)
    visit, known = _integers(labels["visit"])
    kept &= known
    key = None
    if labels["object_id"] is not None:
        key, known = _integers(labels["object_id"])
        kept &= known
        key = key[kept]
    epoch = columns.get("epoch")
    if epoch is None:
        epoch = np.full(raw.n_rows, np.nan if raw.epoch_jyear is None else raw.epoch_jyear)
    band = labels["band"]
    return SourceRows(
        visit[kept], columns["ra"][kept] % 360.0, columns["dec"][kept], key,
        None if band is None else band[kept].astype(str), epoch[kept], raw.n_rows,
    )  # fmt: skip


def _label(raw: RawTable, entries: ColumnMap, quantity: str) -> NDArray[Any] | None:
    entry = entries.entries.get(quantity)
    if entry is None:
        return None
    if entry.constant is not None:
        return np.full(raw.n_rows, entry.constant)
    lower = {name.lower(): name for name in raw.columns} if entries.ignore_case else {}
    for column in entry.columns:
        found = column if column in raw.columns else lower.get(column.lower())
        if found is not None:
            return raw.columns[found]
    return None


def _integers(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Turn ids into 64 bits, and say which there are; texts are hashed."""
    if values.dtype.kind in "iu":
        return np.ma.getdata(values).astype(np.int64), ~np.ma.getmaskarray(values)
    if values.dtype.kind == "f":
        known = np.isfinite(values) & (np.abs(values) < 2.0**63)
        return np.where(known, values, 0.0).astype(np.int64), known
    import pandas as pd

    known = ~pd.isna(values)
    texts = np.array([str(v) if k else "" for v, k in zip(values, known, strict=True)], dtype=object)
    return pd.util.hash_array(texts, categorize=True).view(np.int64), np.asarray(known)
