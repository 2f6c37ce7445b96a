"""Rho 1 to 5 of one visit over all pairs, one by one, in one pass: compiled.

Shears of two stars are compared along the great circle through both. TreeCorr does the same for each of the five by
itself; here the geometry of a pair is computed once, and its bin is found without a logarithm.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["sum_pairs"]

_BLOCK = 256
_BITS = 9
_ROUNDING = 1e-6
_FLAGS = {"reassoc", "contract", "nsz", "arcp"}


def sum_pairs(
    vectors: NDArray[np.float64],
    trig: NDArray[np.float64],
    fields: NDArray[np.complex128],
    edges_rad: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sum up the products of all pairs, each once, in bins of separation.

    Parameters
    ----------
    vectors
        Unit vectors of the stars, shape (n, 3).
    trig
        cos RA, sin RA, cos Dec, sin Dec, shape (n, 4).
    fields
        e, de and e dT/T as shear along each star's own east and north, shape (3, n).
    edges_rad
        Edges of the bins, of equal ratio, as lengths of chords, shape (bins + 1,).

    Returns
    -------
    xi
        Sums of the real parts of xi+ of rho 1 to 5, shape (5, bins).
    pairs
        Their number, shape (bins,).
    log_sums
        Sums of the logarithm of the separation, shape (bins,): each pair's to 5e-4.
    """
    n_bins = len(edges_rad) - 1
    edges2 = edges_rad**2
    shift = 23 - _BITS
    first, last = (int(np.float32(v).view(np.int32)) >> shift for v in (edges2[0], edges2[-1]))
    # A cell is the leading bits of a float32. It holds one edge at most, and which side of it a pair lies on is asked.
    lows = (
        (np.arange(first, last + 2, dtype=np.int64) << shift).astype(np.int32).view(np.float32).astype(float)
    )
    bins = np.clip(np.searchsorted(edges2, lows * (1.0 - _ROUNDING), side="right") - 1, 0, n_bins - 1)
    counts, xi = np.zeros((len(lows), 2), np.int64), np.zeros((n_bins + 1, 5))
    columns = np.ascontiguousarray(np.concatenate([vectors.T, trig.T, fields.real, fields.imag]))
    _sum(columns, edges2, first, bins[:-1].astype(np.int32), xi, counts)
    pairs, logs = np.zeros(n_bins + 1), np.zeros(n_bins + 1)
    for side in (0, 1):
        inside = edges2[bins[:-1]], edges2[bins[:-1] + 1]
        low = np.maximum(lows[:-1], inside[side])
        high = np.minimum(lows[1:], inside[1]) if side == 0 else lows[1:]
        middle = 0.5 * np.log(0.5 * (low + np.maximum(high, low)))
        np.add.at(pairs, bins[:-1] + side, counts[:-1, side])
        np.add.at(logs, bins[:-1] + side, counts[:-1, side] * middle)
    return xi[:-1].T.copy(), pairs[:-1], logs[:-1]


@numba.njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy", inline="always")
def _products(one: Any, c: Any, begin: int, end: int, out: Any) -> None:
    """Square of the chord and the five products of one star with a run of others."""
    x, y, z, cos_ra, sin_ra, cos_dec, sin_dec, a1, b1, s1, a2, b2, s2 = one
    for k in range(begin, end):
        dx, dy, dz = c[0, k] - x, c[1, k] - y, c[2, k] - z
        # Direction of the great circle at both stars, east and north, both times the sine of the separation.
        east1, north1 = cos_ra * dy - sin_ra * dx, cos_dec * dz - sin_dec * (cos_ra * dx + sin_ra * dy)
        east2 = c[3, k] * dy - c[4, k] * dx
        north2 = c[5, k] * dz - c[6, k] * (c[3, k] * dx + c[4, k] * dy)
        real, imag = east1 * east2 + north1 * north2, east1 * north2 - north1 * east2
        inverse = 1.0 / (real * real + imag * imag)
        turn1, turn2 = (real * real - imag * imag) * inverse, 2.0 * real * imag * inverse
        # The other star's shears in the axes of the first.
        u1, u2 = c[7, k] * turn1 + c[10, k] * turn2, c[10, k] * turn1 - c[7, k] * turn2
        v1, v2 = c[8, k] * turn1 + c[11, k] * turn2, c[11, k] * turn1 - c[8, k] * turn2
        w1, w2 = c[9, k] * turn1 + c[12, k] * turn2, c[12, k] * turn1 - c[9, k] * turn2
        out[0, k] = dx * dx + dy * dy + dz * dz
        out[1, k] = b1 * v1 + b2 * v2
        out[2, k] = 0.5 * (a1 * v1 + a2 * v2 + b1 * u1 + b2 * u2)
        out[3, k] = s1 * w1 + s2 * w2
        out[4, k] = 0.5 * (b1 * w1 + b2 * w2 + s1 * v1 + s2 * v2)
        out[5, k] = 0.5 * (a1 * w1 + a2 * w2 + s1 * u1 + s2 * u2)


@numba.njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def _sum(c: Any, edges: Any, first: int, bins: Any, xi: Any, counts: Any) -> None:
    # Work arrays of known size, so that the loop over a block becomes vectors.
    block, out = np.zeros((13, _BLOCK)), np.zeros((6, _BLOCK))
    single = np.empty(1, np.float32)
    bits = single.view(np.int32)
    n, low, high = c.shape[1], edges[0], edges[-1]
    for start in range(0, n, _BLOCK):
        size = min(_BLOCK, n - start)
        block[:, :size] = c[:, start : start + size]
        for i in range(start + size - 1):
            begin = max(i + 1 - start, 0)
            one = (
                c[0, i], c[1, i], c[2, i], c[3, i], c[4, i], c[5, i], c[6, i], c[7, i], c[8, i], c[9, i],
                c[10, i], c[11, i], c[12, i],
            )  # fmt: skip
            _products(one, block, begin, size, out)
            for k in range(begin, size):
                chord2 = out[0, k]
                if not (low <= chord2 < high):
                    continue
                single[0] = chord2
                cell = (bits[0] >> (23 - _BITS)) - first
                place = bins[cell]
                beyond = np.int64(chord2 >= edges[place + 1])
                counts[cell, beyond] += 1
                place += beyond
                for m in range(5):
                    xi[place, m] += out[m + 1, k]
