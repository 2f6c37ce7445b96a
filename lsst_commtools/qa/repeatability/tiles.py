"""The sky in tiles: objects by place, in memory or in a folder, so that pairs of any two tiles can be formed.

A pair belongs to the tiles of its two stars, so that no pair is lost or counted twice at a border.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.repeatability.objects import ObjectSet

__all__ = ["TILE_DEG", "SkyCells", "Tile", "TileStore"]

TILE_DEG = 0.5


class SkyCells:
    """The sphere in bands of declination, each in cells of about one size.

    Parameters
    ----------
    size_deg
        Height of a cell.
    """

    def __init__(self, size_deg: float = TILE_DEG) -> None:
        n_bands = int(np.ceil(180.0 / size_deg))
        self.height = 180.0 / n_bands
        edges = np.radians(np.linspace(-90.0, 90.0, n_bands + 1))
        narrow = np.minimum(np.cos(edges[1:]), np.cos(edges[:-1]))
        self.columns = np.maximum((360.0 * narrow / size_deg).astype(np.int64), 1)
        self.first = np.concatenate([[0], np.cumsum(self.columns)])

    def of(self, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> NDArray[np.int64]:
        """Give the cell of each position.

        Parameters
        ----------
        ra_deg, dec_deg
            Shape (n,).

        Returns
        -------
        numpy.ndarray
            Number of the cell, shape (n,).
        """
        band = np.clip(((dec_deg + 90.0) / self.height).astype(np.int64), 0, len(self.columns) - 1)
        columns = self.columns[band]
        column = np.minimum(((ra_deg % 360.0) / 360.0 * columns).astype(np.int64), columns - 1)
        return np.asarray(self.first[band] + column)

    def around(
        self, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], margin_arcsec: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give all cells that positions lie in or near.

        Parameters
        ----------
        ra_deg, dec_deg
            Shape (n,).
        margin_arcsec
            How near.

        Returns
        -------
        rows, cells
            Each row with each of its cells, sorted by cell.
        """
        margin = margin_arcsec / 3600.0
        own = self.of(ra_deg, dec_deg)
        more: list[NDArray[np.int64]] = []
        for north in (-margin, 0.0, margin):
            dec = np.clip(dec_deg + north, -90.0, 90.0)
            wide = np.minimum(margin / np.maximum(np.cos(np.radians(dec)), 1e-9), 180.0)
            for east in (-1.0, 0.0, 1.0):
                cell = self.of(ra_deg + east * wide, dec)
                rows = np.flatnonzero(cell != own)
                more.append(np.stack([cell[rows], rows]))
        others = np.unique(np.concatenate(more, axis=1), axis=1)
        cells = np.concatenate([own, others[0]])
        rows = np.concatenate([np.arange(len(own)), others[1]])
        order = np.argsort(cells, kind="stable")
        return rows[order], cells[order]


@dataclass(frozen=True, eq=False)
class Tile:
    """Where the objects of a tile lie.

    Parameters
    ----------
    centre
        Mean direction, a unit vector.
    radius_rad
        Distance of the furthest object from there.
    n_objects, n_rows
        How many.
    """

    centre: NDArray[np.float64]
    radius_rad: float
    n_objects: int
    n_rows: int


class TileStore:
    """Tiles with their objects.

    Parameters
    ----------
    folder
        Where objects are written; None keeps them in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.tiles: list[Tile] = []
        self._kept: list[ObjectSet] = []
        self.n_duplicates = 0
        self.duplicate: tuple[int, int] | None = None
        self.n_stray = 0

    def __len__(self) -> int:
        return len(self.tiles)

    @property
    def n_objects(self) -> int:
        """Objects in all tiles."""
        return sum(tile.n_objects for tile in self.tiles)

    def add(self, objects: ObjectSet) -> None:
        """Add a tile; one without objects is only counted.

        Parameters
        ----------
        objects
            What no other tile has.
        """
        self.n_duplicates += objects.n_duplicates
        self.duplicate = self.duplicate or objects.duplicate
        self.n_stray += objects.n_stray
        if not len(objects):
            return
        vectors = objects.vectors()
        mean = vectors.mean(axis=0)
        centre = mean / max(float(np.linalg.norm(mean)), 1e-12)
        chord = np.sqrt(((vectors - centre) ** 2).sum(axis=1).max())
        radius = 2.0 * float(np.arcsin(min(0.5 * chord, 1.0)))
        self.tiles.append(Tile(centre, radius, len(objects), len(objects.visit)))
        if self.folder is None:
            self._kept.append(objects)
        else:
            np.savez(
                _file(self.folder, len(self.tiles) - 1), ra=objects.ra_deg, dec=objects.dec_deg, start=objects.start,
                visit=objects.visit, east=objects.east_mas, north=objects.north_mas, key=objects.key,
            )  # fmt: skip

    def load(self, number: int) -> ObjectSet:
        """Give the objects of a tile.

        Parameters
        ----------
        number
            From 0 on.

        Returns
        -------
        ObjectSet
            As they were added.
        """
        if self.folder is None:
            return self._kept[number]
        with np.load(_file(self.folder, number)) as file:
            return ObjectSet(
                *(file[name] for name in ("ra", "dec", "start", "visit", "east", "north", "key"))
            )

    def written(self, folder: Path) -> TileStore:
        """Give the same tiles in a folder, where other processes can load them.

        Parameters
        ----------
        folder
            An empty folder, if they are still in memory.

        Returns
        -------
        TileStore
            This one, if it has a folder.
        """
        if self.folder is not None:
            return self
        store = TileStore(folder)
        for objects in self:
            store.add(objects)
        store.n_duplicates, store.duplicate, store.n_stray = self.n_duplicates, self.duplicate, self.n_stray
        return store

    def __iter__(self) -> Iterator[ObjectSet]:
        return (self.load(number) for number in range(len(self)))

    def partners(self, number: int, reach_rad: float) -> list[int]:
        """Give the later tiles that may hold a star within reach of a tile's.

        Parameters
        ----------
        number
            Tile.
        reach_rad
            Largest separation of a pair.

        Returns
        -------
        list of int
            Their numbers.
        """
        tile, others = self.tiles[number], self.tiles[number + 1 :]
        if not others:
            return []
        cosine = np.clip(np.stack([o.centre for o in others]) @ tile.centre, -1.0, 1.0)
        far = tile.radius_rad + np.array([o.radius_rad for o in others]) + reach_rad + 1e-6
        return [number + 1 + int(k) for k in np.flatnonzero(np.arccos(cosine) <= far)]


def _file(folder: Path, number: int) -> Path:
    return folder / f"tile-{number:07d}.npz"
