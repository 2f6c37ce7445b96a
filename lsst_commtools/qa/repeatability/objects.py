"""Stars that were seen several times: rows of many visits joined to objects, each with one reference position.

Displacements are taken on the plane that touches the sky at the object's own reference position. So an error in
declination never appears in right ascension, at any declination and across RA 0.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.projection import unit_vectors
from lsst_commtools.qa.repeatability.grouping import displacements, largest, spread

__all__ = ["LARGEST_SPREAD_ARCSEC", "N_GROUPS", "ZONE_DEG", "ObjectSet", "make_objects"]

LARGEST_SPREAD_ARCSEC = 10.0
"""A row further than this from the object's median position is no measurement of it."""
N_GROUPS = 20
"""Groups of objects that are left out in turn, for errors."""
ZONE_DEG = 1.0 / 30.0
"""Height of the zones of declination by which objects are sorted."""
_LANES = 16


@dataclass(frozen=True, eq=False)
class ObjectSet:
    """Objects with their displacements, sorted by zone of declination and right ascension.

    Parameters
    ----------
    ra_deg, dec_deg
        Reference positions, shape (n,).
    start
        Object k has rows ``start[k]`` to ``start[k + 1]``, shape (n + 1,).
    visit
        Visit of each row, rising within an object, shape (rows,).
    east_mas, north_mas
        Displacement of each row from the reference position, float32, shape (rows,).
    key
        The object's id (or what stands for it), shape (n,).
    n_duplicates
        Rows beyond the first of an object in one visit.
    duplicate
        One of them: key and visit.
    n_stray
        Rows that lie too far from their object.
    """

    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    start: NDArray[np.int64]
    visit: NDArray[np.int64]
    east_mas: NDArray[np.float32]
    north_mas: NDArray[np.float32]
    key: NDArray[np.int64]
    n_duplicates: int = 0
    duplicate: tuple[int, int] | None = None
    n_stray: int = 0

    def __len__(self) -> int:
        return len(self.ra_deg)

    @property
    def n_visits(self) -> NDArray[np.int64]:
        """Visits of each object, shape (n,)."""
        return np.diff(self.start)

    @functools.cached_property
    def visits(self) -> NDArray[np.int64]:
        """All visits by rising number."""
        return np.unique(self.visit)

    @property
    def owner(self) -> NDArray[np.int64]:
        """Object of each row, shape (rows,)."""
        return np.repeat(np.arange(len(self)), self.n_visits)

    @property
    def group(self) -> NDArray[np.int8]:
        """Group of each object, for the jackknife; it depends on its position alone, shape (n,)."""
        bits = self.ra_deg.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return np.asarray((bits >> np.uint64(33)) % np.uint64(N_GROUPS)).astype(np.int8)

    @functools.cached_property
    def zones(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Zones of declination that have objects, counted from the south pole, and the first object of each.

        Shapes (zones,) and (zones + 1,).
        """
        number, first = np.unique(_zone(self.dec_deg), return_index=True)
        return number, np.append(first, len(self)).astype(np.int64)

    def vectors(self) -> NDArray[np.float64]:
        """Give the unit vectors of the reference positions.

        Returns
        -------
        numpy.ndarray
            Shape (n, 3).
        """
        return unit_vectors(self.ra_deg, self.dec_deg)

    def trigonometry(self) -> NDArray[np.float32]:
        """Give what the directions east and north at each object are computed from.

        Returns
        -------
        numpy.ndarray
            cos RA, sin RA, cos Dec, sin Dec, shape (n, 4).
        """
        ra, dec = np.radians(self.ra_deg), np.radians(self.dec_deg)
        return np.stack([np.cos(ra), np.sin(ra), np.cos(dec), np.sin(dec)], axis=1).astype(np.float32)

    def largest_mas(self) -> NDArray[np.float32]:
        """Give the length of each object's largest displacement.

        Returns
        -------
        numpy.ndarray
            Shape (n,).
        """
        return np.asarray(largest(self.start, self.east_mas, self.north_mas))

    def dense_bytes(self, visits: NDArray[np.int64]) -> int:
        """Give the size of what `dense` makes.

        Parameters
        ----------
        visits
            As there.

        Returns
        -------
        int
            Bytes.
        """
        return len(self) * 2 * 4 * _padded(len(visits))

    def dense(self, visits: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the displacements as one array, in which every visit has its place.

        Parameters
        ----------
        visits
            Visits by rising number; rows of others are left out.

        Returns
        -------
        numpy.ndarray
            East and north in mas, shape (n, 2, visits), the last axis padded to whole vectors of the processor; NaN
            where an object was not seen.
        """
        array = np.full((len(self), 2, _padded(len(visits))), np.nan, np.float32)
        spread(self.start, self.visit, visits, self.east_mas, self.north_mas, array)
        return array

    def halves(self) -> tuple[ObjectSet, ObjectSet]:
        """Cut into two sets, the southern zones first.

        Returns
        -------
        ObjectSet, ObjectSet
            Half of the objects each.
        """
        south = np.arange(len(self)) < len(self) // 2
        return self.take(south), self.take(~south)

    def take(self, keep: NDArray[np.bool_]) -> ObjectSet:
        """Take some of the objects.

        Parameters
        ----------
        keep
            Shape (n,).

        Returns
        -------
        ObjectSet
            Those, in the same order.
        """
        rows = np.repeat(keep, self.n_visits)
        start = np.concatenate([[0], np.cumsum(self.n_visits[keep])])
        return ObjectSet(
            self.ra_deg[keep], self.dec_deg[keep], start, self.visit[rows], self.east_mas[rows],
            self.north_mas[rows], self.key[keep], self.n_duplicates, self.duplicate, self.n_stray,
        )  # fmt: skip

    def in_order(self) -> ObjectSet:
        """Sort by zone of declination and right ascension, as everything here expects it.

        Returns
        -------
        ObjectSet
            The same objects.
        """
        order = np.lexsort((self.ra_deg, _zone(self.dec_deg)))
        counts = self.n_visits[order]
        start = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.start[order] - start[:-1], counts) + np.arange(start[-1])
        return ObjectSet(
            self.ra_deg[order], self.dec_deg[order], start, self.visit[rows], self.east_mas[rows],
            self.north_mas[rows], self.key[order], self.n_duplicates, self.duplicate, self.n_stray,
        )  # fmt: skip


def _padded(n_visits: int) -> int:
    return -(-max(n_visits, 1) // _LANES) * _LANES


def _zone(dec_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    zones = np.floor((dec_deg + 90.0) / ZONE_DEG).astype(np.int64)
    return np.clip(zones, 0, round(180.0 / ZONE_DEG) - 1)


def make_objects(
    key: NDArray[np.int64],
    visit: NDArray[np.int64],
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
) -> ObjectSet:
    """Join rows to objects.

    The reference position is the median of the rows. Rows further than `LARGEST_SPREAD_ARCSEC` from it are left out
    and counted. Of several rows of an object in one visit the first is kept and the others are counted: which of
    them is the star cannot be told, so a figure from such a set is not to be trusted.

    Parameters
    ----------
    key
        Object of each row, shape (rows,).
    visit
        Its visit.
    ra_deg, dec_deg
        Measured position, finite.

    Returns
    -------
    ObjectSet
        The objects.
    """
    order = np.lexsort((visit, key))
    key, visit, ra, dec = key[order], visit[order], ra_deg[order], dec_deg[order]
    first = np.ones(len(key), bool)
    first[1:] = key[1:] != key[:-1]
    again = np.zeros(len(key), bool)
    again[1:] = ~first[1:] & (visit[1:] == visit[:-1])
    n_duplicates, duplicate = int(again.sum()), None
    if n_duplicates:
        row = int(np.argmax(again))
        duplicate = (int(key[row]), int(visit[row]))
        key, visit, ra, dec, first = key[~again], visit[~again], ra[~again], dec[~again], first[~again]
    start = np.append(np.flatnonzero(first), len(key))
    ref_ra, ref_dec, east, north = displacements(start, ra, dec)
    near = np.hypot(east, north) <= 1e3 * LARGEST_SPREAD_ARCSEC
    counts = np.add.reduceat(near, start[:-1]).astype(np.int64) if len(start) > 1 else np.empty(0, np.int64)
    seen = counts > 0
    return ObjectSet(
        ref_ra[seen], ref_dec[seen], np.concatenate([[0], np.cumsum(counts[seen])]), visit[near],
        east[near].astype(np.float32), north[near].astype(np.float32), key[start[:-1]][seen], n_duplicates, duplicate,
        int((~near).sum()),
    ).in_order()  # fmt: skip
