"""Mutual nearest neighbours of millions of directions: a grid in compiled code.

Directions are projected along their mean onto a plane. That never makes a distance larger, so all pairs within the
limit lie in neighbouring cells wherever on the sphere they are; distances are taken in three dimensions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["mutual_nearest"]

_MAX_CELLS = 1 << 23


def mutual_nearest(
    vectors1: NDArray[Any], vectors2: NDArray[Any], limit: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Find the pairs of which each is the other's nearest.

    Parameters
    ----------
    vectors1, vectors2
        Unit vectors, shapes (n, 3) and (m, 3), neither empty.
    limit
        Largest chord.

    Returns
    -------
    index1, index2
        Rows, shape (pairs,), by rising ``index1``.
    chord
        Length of the chord of each pair.
    """
    axes = _axes(vectors2)
    points1, points2 = vectors1 @ axes, vectors2 @ axes
    low, high = points2[:, :2].min(axis=0), points2[:, :2].max(axis=0)
    extent = np.maximum(high - low, limit)
    most = min(max(2 * len(points2), 1024), _MAX_CELLS)
    cell = max(limit, float(np.sqrt(extent[0] * extent[1] / most)), float(extent.max()) / most) * (
        1.0 + 1e-12
    )
    columns, rows = (int(e / cell) + 1 for e in extent)
    start, order, sorted2 = _sort(points2, low[0], low[1], cell, columns, rows)
    _, order1, sorted1 = _sort(points1, low[0], low[1], cell, columns, rows)
    nearest1, nearest2, squared = _nearest(
        sorted1, sorted2, start, low[0], low[1], cell, columns, rows, limit * limit * (1.0 + 1e-12)
    )
    partner, chord2 = _mutual(nearest1, nearest2, squared, order1, order)
    index1 = np.flatnonzero(partner >= 0)
    return index1, partner[index1], np.sqrt(chord2[index1])


def _axes(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Columns: two directions across the mean of the vectors, and that mean."""
    mean = vectors.mean(axis=0)
    length = float(np.linalg.norm(mean))
    centre = mean / length if length > 1e-6 else np.array([1.0, 0.0, 0.0])
    helper = np.zeros(3)
    helper[int(np.argmin(np.abs(centre)))] = 1.0
    first = np.cross(centre, helper)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(centre, first), centre], axis=1)


@numba.njit(cache=True, nogil=True)
def _sort(points: Any, x0: float, y0: float, cell: float, columns: int, rows: int) -> Any:
    """Sort by cell, counting; points outside the grid go to the nearest cell of its border."""
    n = points.shape[0]
    where = np.empty(n, np.int32)
    start = np.zeros(columns * rows + 1, np.int32)
    for i in range(n):
        column = min(max(int(np.floor((points[i, 0] - x0) / cell)), 0), columns - 1)
        row = min(max(int(np.floor((points[i, 1] - y0) / cell)), 0), rows - 1)
        where[i] = row * columns + column
        start[where[i] + 1] += 1
    for k in range(columns * rows):
        start[k + 1] += start[k]
    cursor = start[:-1].copy()
    order = np.empty(n, np.int32)
    ordered = np.empty((n, 3), np.float64)
    for i in range(n):
        k = cursor[where[i]]
        cursor[where[i]] += 1
        order[k] = i
        for axis in range(3):
            ordered[k, axis] = points[i, axis]
    return start, order, ordered


@numba.njit(cache=True, nogil=True)
def _nearest(
    points1: Any,
    points2: Any,
    start: Any,
    x0: float,
    y0: float,
    cell: float,
    columns: int,
    rows: int,
    limit: float,
) -> Any:
    """Find the nearest in the other set for both, in one pass: all pairs within the limit are seen."""
    n, m = points1.shape[0], points2.shape[0]
    nearest1, nearest2 = np.full(n, -1, np.int32), np.full(m, -1, np.int32)
    best1, best2 = np.full(n, np.inf), np.full(m, np.inf)
    for i in range(n):
        x, y, z = points1[i, 0], points1[i, 1], points1[i, 2]
        column, row = int(np.floor((x - x0) / cell)), int(np.floor((y - y0) / cell))
        first, last = max(column - 1, 0), min(column + 1, columns - 1)
        if first > last:
            continue
        for r in range(max(row - 1, 0), min(row + 1, rows - 1) + 1):
            for j in range(start[r * columns + first], start[r * columns + last + 1]):
                dx, dy, dz = points2[j, 0] - x, points2[j, 1] - y, points2[j, 2] - z
                squared = dx * dx + dy * dy + dz * dz
                if squared <= limit:
                    if squared < best1[i]:
                        best1[i], nearest1[i] = squared, j
                    if squared < best2[j]:
                        best2[j], nearest2[j] = squared, i
    return nearest1, nearest2, best1


@numba.njit(cache=True, nogil=True)
def _mutual(nearest1: Any, nearest2: Any, squared: Any, order1: Any, order2: Any) -> Any:
    """Give each star of the first set its partner and the square of the distance, -1 where it has none."""
    n = nearest1.shape[0]
    partner, distance = np.full(n, -1, np.int64), np.zeros(n)
    for i in range(n):
        j = nearest1[i]
        if j >= 0 and nearest2[j] == i:
            partner[order1[i]], distance[order1[i]] = order2[j], squared[i]
    return partner, distance
