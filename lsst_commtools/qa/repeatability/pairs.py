"""All pairs of objects in an annulus, each once, in blocks of bounded size.

Objects are sorted by zone of declination and right ascension. For each object and each zone the possible right
ascensions follow from the haversine formula, at the poles and across RA 0 as well; the distance itself decides.
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
        Pairs, at least 1, after which a block ends; one object's partners stay together.

    Yields
    ------
    index1, index2
        Objects of the two sets, shape (pairs,).
    """
    if not len(first) or not len(second):
        return
    same = first is second
    vectors1 = first.vectors()
    vectors2 = vectors1 if same else second.vectors()
    sky1 = np.radians(np.stack([first.ra_deg, first.dec_deg], axis=1))
    ra2 = np.radians(second.ra_deg)
    zone_start, (inner, outer) = second.zone_start, np.radians([inner_deg, outer_deg])
    reach = np.array([inner, outer, np.sinc(inner / np.pi)])
    edges = np.maximum(np.cos(np.radians(ZONE_DEG * np.arange(len(zone_start)) - 90.0)), 0.0)
    out = np.empty((2, block + len(second)), np.int32)
    row = 0
    while row < len(first):
        row, n = _find(
            row,
            sky1,
            vectors1,
            ra2,
            vectors2,
            zone_start,
            np.radians(ZONE_DEG),
            edges,
            reach,
            same,
            block,
            out,
        )
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


@numba.njit(cache=True, nogil=True, inline="always")
def _window(
    dec: float, cos_dec: float, low: float, height: float, low_cos: float, high_cos: float, reach: Any
) -> Any:
    """Bound the difference in right ascension of a pair with one star in a zone; -1 where there is none.

    From haversine's formula with bounds instead of sines: sin^2 a - sin^2 b <= a^2 - b^2 for a >= b, and not less than
    that times sin(2a) / 2a; x <= arcsin x <= x + (pi / 2 - 1) x^3.
    """
    inner, outer, shrunk = 0.5 * reach[0], 0.5 * reach[1], reach[2]
    high = low + height
    nearest = 0.5 * max(0.0, low - dec, dec - high)
    if nearest > outer:
        return -1.0, -1.0
    furthest = 0.5 * max(abs(low - dec), abs(high - dec))
    most = np.pi
    room, shrink = outer * outer - nearest * nearest, cos_dec * min(low_cos, high_cos)
    if room < shrink:
        sine = np.sqrt(room / shrink)
        most = min(2.0 * (sine + 0.5708 * sine * sine * sine), np.pi)
    least = 0.0
    room = (inner * inner - furthest * furthest) * shrunk
    if room > 0.0:
        stretch = cos_dec * (1.0 if low <= 0.0 <= high else max(low_cos, high_cos))
        if room > stretch * (1.0 + 1e-12):
            return -1.0, -1.0
        least = 2.0 * np.sqrt(min(room / stretch, 1.0))
    return least - _MARGIN, most + _MARGIN


@numba.njit(cache=True, nogil=True, inline="always")
def _is_wanted(delta: float, later: Any, same: Any, west: Any) -> Any:
    """Whether a pair is met from this star, on this side: each pair is met from both stars or on both sides."""
    if delta > np.pi:
        delta -= 2.0 * np.pi
    elif delta <= -np.pi:
        delta += 2.0 * np.pi
    if not same:
        return (delta < 0.0) == west
    return later if delta in (0.0, np.pi) else delta > 0.0


@numba.njit(cache=True, nogil=True, inline="always")
def _gather(
    row: int, ra: float, point: Any, low: float, high: float, begin: int, end: int, ra2: Any, vectors2: Any,
    chords: Any, same: Any, west: Any, out: Any, n: int,
) -> int:  # fmt: skip
    """Note the partners between two right ascensions in one zone; give how many pairs there are now."""
    for shift in range(-1, 2):
        turn = 2.0 * np.pi * shift
        if high < turn or low > turn + 2.0 * np.pi:
            continue
        k = _lower(ra2, begin, end, low - turn)
        while k < end and ra2[k] <= high - turn:
            if _is_wanted(ra2[k] - ra, k > row, same, west):
                dx, dy, dz = vectors2[k, 0] - point[0], vectors2[k, 1] - point[1], vectors2[k, 2] - point[2]
                chord2 = dx * dx + dy * dy + dz * dz
                if chords[0] <= chord2 <= chords[1]:
                    out[0, n], out[1, n] = row, k
                    n += 1
            k += 1
    return n


@numba.njit(cache=True, nogil=True)
def _find(
    row: int, sky1: Any, vectors1: Any, ra2: Any, vectors2: Any, zone_start: Any, height: float, edges: Any,
    reach: Any, same: Any, block: int, out: Any,
) -> Any:  # fmt: skip
    """Fill a block with pairs from a row on; give the next row and the number of pairs."""
    n = 0
    chords = ((2.0 * np.sin(0.5 * reach[0])) ** 2, (2.0 * np.sin(0.5 * reach[1])) ** 2)
    while row < len(sky1) and n < max(block, 1):
        ra, dec = sky1[row, 0], sky1[row, 1]
        cos_dec = max(np.cos(dec), 0.0)
        point = (vectors1[row, 0], vectors1[row, 1], vectors1[row, 2])
        lowest = max(int((dec + 0.5 * np.pi - reach[1]) / height) - 1, 0)
        highest = min(int((dec + 0.5 * np.pi + reach[1]) / height) + 1, len(zone_start) - 2)
        for zone in range(lowest, highest + 1):
            begin, end = zone_start[zone], zone_start[zone + 1]
            if begin == end:
                continue
            low = zone * height - 0.5 * np.pi
            near, far = _window(dec, cos_dec, low, height, edges[zone], edges[zone + 1], reach)
            if far < 0.0:
                continue
            n = _gather(
                row, ra, point, ra + near, ra + far, begin, end, ra2, vectors2, chords, same, False, out, n
            )
            if not same:
                n = _gather(
                    row, ra, point, ra - far, ra - near, begin, end, ra2, vectors2, chords, same, True, out, n
                )
        row += 1
    return row, n
