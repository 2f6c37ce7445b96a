"""Rows of any number to objects in tiles, in bounded memory.

While the rows are few they stay in memory. When they are not, each is written to the cell of the sky where it lies, and
also to neighbouring cells near a border, so that each cell has all rows of the objects that are its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import InputError
from lsst_commtools.qa.repeatability.association import associate
from lsst_commtools.qa.repeatability.objects import LARGEST_SPREAD_ARCSEC, ObjectSet, make_objects
from lsst_commtools.qa.repeatability.sources import SourceRows
from lsst_commtools.qa.repeatability.tiles import SkyCells, TileStore

__all__ = ["Collected", "collect"]

_ROW = np.dtype([("key", "i8"), ("visit", "i8"), ("ra", "f8"), ("dec", "f8")])
_PEAK_BYTES_PER_ROW = 256
_MARGIN_ARCSEC = 2.0 * LARGEST_SPREAD_ARCSEC
_DENSE_BYTES = 1 << 26
_LEAST_OCCUPANCY = 0.25


@dataclass(eq=False)
class Collected:
    """All objects.

    Parameters
    ----------
    bands
        Band to its objects; the band is empty where the tables do not say.
    visit_epochs
        Visit to when it was, Julian year, where known.
    visits
        All visits that gave rows.
    n_rows, n_used
        Rows before and after the cuts.
    n_ambiguous
        Rows that cannot be told from others, where objects were made from positions.
    by_position
        Whether they were.
    spilled
        Whether rows were written to the folder.
    """

    bands: dict[str, TileStore] = field(default_factory=dict)
    visit_epochs: dict[int, float] = field(default_factory=dict)
    visits: set[int] = field(default_factory=set)
    n_rows: int = 0
    n_used: int = 0
    n_ambiguous: int = 0
    by_position: bool = False
    spilled: bool = False


def collect(batches: Iterable[SourceRows], folder: Path, memory_bytes: int) -> Collected:
    """Make objects of rows.

    Parameters
    ----------
    batches
        From `sources.read_sources`.
    folder
        An empty folder for what does not fit in memory.
    memory_bytes
        What may be used.

    Returns
    -------
    Collected
        Objects by band.

    Raises
    ------
    InputError
        If only some tables have object ids.
    """
    found = Collected()
    rows: dict[str, list[NDArray[Any]]] = {}
    limit = max(memory_bytes // _PEAK_BYTES_PER_ROW, 1)
    spill = _Spill(folder)
    kinds: set[bool] = set()
    waiting = 0
    for batch in batches:
        found.n_rows += batch.n_rows
        found.n_used += len(batch)
        if batch.n_rows:
            kinds.add(batch.key is None)
        _note_epochs(found, batch)
        for band, part in _by_band(batch):
            rows.setdefault(band, []).append(part)
            waiting += len(part)
        if waiting > limit or (spill.used and waiting):
            spill.write(rows)
            rows, waiting = {}, 0
    if len(kinds) > 1:
        raise InputError("Some of the tables have object ids and others have none.", advice="Give one kind.")
    found.by_position, found.spilled = kinds == {True}, spill.used
    if spill.used:
        for band in spill.bands:
            found.bands[band] = spill.objects(band, found)
    else:
        for band, parts in rows.items():
            found.bands[band] = _tiled(_objects(np.concatenate(parts), found))
    return found


def _note_epochs(found: Collected, batch: SourceRows) -> None:
    visits, first = np.unique(batch.visit, return_index=True)
    found.visits.update(visits.tolist())
    for visit, epoch in zip(visits.tolist(), batch.epoch_jyear[first].tolist(), strict=True):
        if np.isfinite(epoch):
            found.visit_epochs.setdefault(visit, epoch)


def _by_band(batch: SourceRows) -> list[tuple[str, NDArray[Any]]]:
    rows = np.empty(len(batch), _ROW)
    rows["key"] = 0 if batch.key is None else batch.key
    rows["visit"], rows["ra"], rows["dec"] = batch.visit, batch.ra_deg, batch.dec_deg
    if batch.band is None:
        return [("", rows)]
    return [(str(band), rows[batch.band == band]) for band in np.unique(batch.band)]


def _objects(rows: NDArray[Any], found: Collected) -> ObjectSet:
    key = rows["key"]
    if found.by_position:
        key = associate(rows["visit"], rows["ra"], rows["dec"])
        found.n_ambiguous += int((key < 0).sum())
        rows, key = rows[key >= 0], key[key >= 0]
    return make_objects(key, rows["visit"], rows["ra"], rows["dec"])


def _tiled(objects: ObjectSet) -> TileStore:
    """Cut into tiles what is too large, or seen in too few of the visits, for one dense array."""
    store = TileStore()
    dense = objects.dense_bytes(objects.visits)
    if dense <= _DENSE_BYTES and len(objects.visit) * 8 >= _LEAST_OCCUPANCY * dense:
        store.add(objects)
        return store
    cell = SkyCells().of(objects.ra_deg, objects.dec_deg)
    for number in np.unique(cell):
        store.add(objects.take(cell == number))
    store.n_duplicates, store.duplicate, store.n_stray = (
        objects.n_duplicates, objects.duplicate, objects.n_stray,
    )  # fmt: skip
    return store


class _Spill:
    """Rows in files by band and cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells = SkyCells()
        self.bands: dict[str, set[int]] = {}

    @property
    def used(self) -> bool:
        return bool(self.bands)

    def write(self, rows: dict[str, list[NDArray[Any]]]) -> None:
        for band, parts in rows.items():
            joined = np.concatenate(parts)
            row, cell = self.cells.around(joined["ra"], joined["dec"], _MARGIN_ARCSEC)
            numbers, begin = np.unique(cell, return_index=True)
            self.bands.setdefault(band, set()).update(numbers.tolist())
            for number, some in zip(numbers.tolist(), np.split(row, begin[1:]), strict=True):
                with self._path(band, number).open("ab") as file:
                    joined[some].tofile(file)

    def objects(self, band: str, found: Collected) -> TileStore:
        place = self.folder / f"tiles-{list(self.bands).index(band)}"
        place.mkdir()
        store = TileStore(place)
        for number in sorted(self.bands[band]):
            path = self._path(band, number)
            made = _objects(np.fromfile(path, _ROW), found)
            store.add(made.take(self.cells.of(made.ra_deg, made.dec_deg) == number))
            path.unlink()
        return store

    def _path(self, band: str, number: int) -> Path:
        return self.folder / f"rows-{list(self.bands).index(band)}-{number:07d}.bin"
