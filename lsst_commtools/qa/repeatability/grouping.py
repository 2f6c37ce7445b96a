"""Median position of each object and the displacement of its rows from it, in compiled code."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["displacements", "largest", "spread"]

_MAS = 180.0 / np.pi * 3.6e6


def displacements(
    start: NDArray[np.int64], ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Give the median position of each object, and where its rows lie on the plane that touches the sky there.

    Parameters
    ----------
    start
        Object k has rows ``start[k]`` to ``start[k + 1]``, shape (n + 1,).
    ra_deg, dec_deg
        Shape (rows,).

    Returns
    -------
    ra_deg, dec_deg
        Median positions, shape (n,).
    east_mas, north_mas
        Shape (rows,); infinite for rows of the other hemisphere.
    """
    n = len(start) - 1
    reference = np.empty((2, n))
    offset = np.empty((2, len(ra_deg)))
    _displace(start, np.radians(ra_deg), np.radians(dec_deg), reference, offset)
    return np.degrees(reference[0]) % 360.0, np.degrees(reference[1]), offset[0], offset[1]


@numba.njit(cache=True, nogil=True)
def _project(ra: float, dec: float, ra0: float, dec0: float) -> Any:
    """Gnomonic projection in radians (Calabretta & Greisen 2002, 5.1.3), differences taken before they are small."""
    delta = ra - ra0
    half = np.sin(0.5 * delta)
    versine = 2.0 * half * half
    cos_dec, sin0, cos0 = np.cos(dec), np.sin(dec0), np.cos(dec0)
    depth = np.cos(dec - dec0) - cos_dec * cos0 * versine
    if depth <= 0.0:
        return np.inf, np.inf
    return cos_dec * np.sin(delta) / depth, (np.sin(dec - dec0) + sin0 * cos_dec * versine) / depth


@numba.njit(cache=True, nogil=True)
def _displace(start: Any, ra: Any, dec: Any, reference: Any, offset: Any) -> None:
    for k in range(len(start) - 1):
        first, last = start[k], start[k + 1]
        ra0, dec0 = ra[first], dec[first]
        for row in range(first, last):
            offset[0, row], offset[1, row] = _project(ra[row], dec[row], ra0, dec0)
        xi, eta = np.median(offset[0, first:last]), np.median(offset[1, first:last])
        if not (np.isfinite(xi) and np.isfinite(eta)):
            xi = eta = 0.0
        depth = np.cos(dec0) - eta * np.sin(dec0)
        ra0 += np.arctan2(xi, depth)
        dec0 = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(depth, xi))
        reference[0, k], reference[1, k] = ra0, dec0
        for row in range(first, last):
            xi, eta = _project(ra[row], dec[row], ra0, dec0)
            offset[0, row], offset[1, row] = xi * _MAS, eta * _MAS


@numba.njit(cache=True, nogil=True)
def spread(start: Any, visit: Any, visits: Any, east: Any, north: Any, out: Any) -> None:
    """Put rows into an array in which each visit has its place.

    Parameters
    ----------
    start, visit, east, north
        As in `ObjectSet`.
    visits
        Visits by rising number; rows of others are passed over.
    out
        Shape (objects, 2, visits or more); changed where a row belongs.
    """
    for k in range(len(start) - 1):
        column = 0
        for row in range(start[k], start[k + 1]):
            while column < len(visits) and visits[column] < visit[row]:
                column += 1
            if column < len(visits) and visits[column] == visit[row]:
                out[k, 0, column], out[k, 1, column] = east[row], north[row]


@numba.njit(cache=True, nogil=True)
def largest(start: Any, east: Any, north: Any) -> Any:
    """Give the length of the largest displacement of each object.

    Parameters
    ----------
    start, east, north
        As in `ObjectSet`.

    Returns
    -------
    numpy.ndarray
        float32, shape (n,); 0 where there is none.
    """
    out = np.zeros(len(start) - 1, np.float32)
    for k in range(len(out)):
        for row in range(start[k], start[k + 1]):
            out[k] = max(out[k], east[row] * east[row] + north[row] * north[row])
    return np.sqrt(out)
