"""All pairs of objects in an annulus, each once, in blocks of bounded size.

Objects are sorted by zone of declination and right ascension. For two zones the possible differences in right ascension
follow from the haversine formula, at the poles and across RA 0 as well. While one star moves along its zone, the
stretch of possible partners moves along the other, so that nothing is searched; the distance itself decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.repeatability.objects import ZONE_DEG, ObjectSet

__all__ = ["BLOCK_PAIRS", "pair_blocks"]

BLOCK_PAIRS = 1 << 16
"""Pairs of a block: what belongs to it stays in the processor's cache."""
_MARGIN = 1e-9
_ROUNDING = 1e-12
_PIECES = 6


def pair_blocks(
    first: ObjectSet,
    second: ObjectSet,
    inner_deg: float,
    outer_deg: float,
    *,
    block: int = BLOCK_PAIRS,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Find the pairs whose separation lies in an annulus.

    Parameters
    ----------
    first, second
        Where the two stars of a pair come from. The same set twice gives each of its pairs once and none of an object
        with itself; two sets that have no object in common give one star of each.
    inner_deg, outer_deg
        Least and largest separation, both included.
    block
        Pairs, at least 1, after which a block ends; one object's partners in a zone stay together.

    Yields
    ------
    index1, index2
        Objects of the two sets, shape (pairs,).
    """
    if not len(first) or not len(second):
        return
    same = first is second
    sides = [(o.vectors(), np.radians(o.ra_deg), *o.zones) for o in ((first,) if same else (first, second))]
    inner, outer = np.radians([inner_deg, outer_deg])
    reach = np.array([inner, outer, np.sinc(inner / np.pi)])
    place = np.array([0, -1, 0, 0])
    out = np.empty((2, max(block, 1) + int(np.diff(sides[-1][3]).max())), np.int32)
    while place[0] < len(sides[0][2]):
        n = _fill(place, *sides[0], *sides[-1], np.radians(ZONE_DEG), reach, same, max(block, 1), out)
        if n:
            yield out[0, :n].copy(), out[1, :n].copy()


@numba.njit(cache=True, nogil=True)
def _lower(values: Any, first: int, last: int, bound: float) -> int:
    """First place in a sorted stretch whose value is not below a bound."""
    while first < last:
        middle = (first + last) >> 1
        if values[middle] < bound:
            first = middle + 1
        else:
            last = middle
    return first


@numba.njit(cache=True, nogil=True)
def _largest_cosine(low: float, high: float) -> float:
    return 1.0 if low <= 0.0 <= high else max(np.cos(low), np.cos(high))


@numba.njit(cache=True, nogil=True)
def _window(zone1: int, zone2: int, height: float, reach: Any) -> Any:
    """Bound the difference in right ascension of the pairs of two zones; -1 where there are none.

    From haversine's formula with bounds instead of sines: sin^2 a - sin^2 b <= a^2 - b^2 for a >= b, and not less than
    that times sin(2a) / 2a; x <= arcsin x <= x + (pi / 2 - 1) x^3.
    """
    inner, outer, shrunk = 0.5 * reach[0], 0.5 * reach[1], reach[2]
    low1, low2 = zone1 * height - 0.5 * np.pi - _ROUNDING, zone2 * height - 0.5 * np.pi - _ROUNDING
    high1, high2 = low1 + height + 2.0 * _ROUNDING, low2 + height + 2.0 * _ROUNDING
    nearest = 0.5 * max(0.0, low2 - high1, low1 - high2)
    if nearest > outer:
        return -1.0, -1.0
    furthest = 0.5 * max(high2 - low1, high1 - low2)
    most = np.pi
    room = outer * outer - nearest * nearest
    shrink = max(min(np.cos(low1), np.cos(high1)), 0.0) * max(min(np.cos(low2), np.cos(high2)), 0.0)
    if room < shrink:
        sine = np.sqrt(room / shrink)
        most = min(2.0 * (sine + 0.5708 * sine * sine * sine), np.pi)
    least = 0.0
    room = (inner * inner - furthest * furthest) * shrunk
    if room > 0.0:
        stretch = _largest_cosine(low1, high1) * _largest_cosine(low2, high2)
        if room > stretch * (1.0 + 1e-12):
            return -1.0, -1.0
        least = 2.0 * np.sqrt(min(room / stretch, 1.0))
    return least - _MARGIN, most + _MARGIN


@numba.njit(cache=True, nogil=True)
def _stretch(piece: int, near: float, far: float) -> Any:
    """Give the bounds of one of six pieces of what lies near to far, to the east or west; they do not overlap.

    The pieces are two sides times three turns of the circle, since right ascensions are from 0 to 2 pi.
    """
    side, turn = piece // 3, piece % 3 - 1
    low, high = near, far
    if near <= 10.0 * _MARGIN:
        low = -far
        if far >= np.pi:
            low, high = -4.0 * np.pi, 4.0 * np.pi
            if turn:
                return 1.0, -1.0
    elif far >= np.pi:
        high = 2.0 * np.pi - near
    elif side:
        low, high = -far, -near
    if side and (near <= 10.0 * _MARGIN or far >= np.pi):
        return 1.0, -1.0
    return low - 2.0 * np.pi * turn, high - 2.0 * np.pi * turn


@numba.njit(cache=True, nogil=True)
def _sweep(
    row: int, last_row: int, begin: int, end: int, low: float, high: float, vectors1: Any, ra1: Any, vectors2: Any,
    ra2: Any, own: Any, chords: Any, block: int, out: Any, n: int,
) -> Any:  # fmt: skip
    """Note the pairs of the rows of a zone with a stretch of another; give the next row and the number of pairs."""
    if ra1[last_row - 1] + high < ra2[begin] or ra1[row] + low > ra2[end - 1]:
        return last_row, n
    first = _lower(ra2, begin, end, ra1[row] + low)
    last = first
    while row < last_row and n < block:
        while first < end and ra2[first] < ra1[row] + low:
            first += 1
        last = max(last, first)
        while last < end and ra2[last] <= ra1[row] + high:
            last += 1
        x, y, z = vectors1[row, 0], vectors1[row, 1], vectors1[row, 2]
        for k in range(max(first, row + 1) if own else first, last):
            dx, dy, dz = vectors2[k, 0] - x, vectors2[k, 1] - y, vectors2[k, 2] - z
            chord2 = dx * dx + dy * dy + dz * dz
            out[0, n], out[1, n] = row, k
            n += (chord2 >= chords[0]) & (chord2 <= chords[1])  # without a jump: half of them are not pairs
        row += 1
    return row, n


@numba.njit(cache=True, nogil=True)
def _fill(
    place: Any, vectors1: Any, ra1: Any, zones1: Any, start1: Any, vectors2: Any, ra2: Any, zones2: Any,
    start2: Any, height: float, reach: Any, same: Any, block: int, out: Any,
) -> Any:  # fmt: skip
    """Fill a block with pairs from a place (zone, other zone, piece, row) on, which moves on; give their number."""
    n = 0
    chords = ((2.0 * np.sin(0.5 * reach[0])) ** 2, (2.0 * np.sin(0.5 * reach[1])) ** 2)
    span = int(reach[1] / height) + 2
    while place[0] < len(zones1):
        a = place[0]
        if place[1] < 0:
            place[1] = a if same else np.searchsorted(zones2, zones1[a] - span)
        while place[1] < len(zones2) and zones2[place[1]] <= zones1[a] + span:
            b = place[1]
            near, far = _window(zones1[a], zones2[b], height, reach)
            while far >= 0.0 and place[2] < _PIECES:
                low, high = _stretch(place[2], near, far)
                if low <= high:
                    place[3], n = _sweep(
                        max(place[3], start1[a]), start1[a + 1], start2[b], start2[b + 1], low, high,
                        vectors1, ra1, vectors2, ra2, same and a == b, chords, block, out, n,
                    )  # fmt: skip
                    if place[3] < start1[a + 1]:
                        return n
                place[2] += 1
                place[3] = 0
            place[1] += 1
            place[2] = place[3] = 0
        place[0] += 1
        place[1] = -1
    return n
