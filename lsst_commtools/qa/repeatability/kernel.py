"""How the separation of a pair varies from visit to visit: compiled loops over all visits of many pairs.

The change of a separation is, to first order, the sum of the two displacements projected on the great circle through
the pair, so that a visit costs four products of numbers in float32. Where displacements are so large that the second
order matters, separations are computed in full from the directions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["is_large", "separation_deviations", "separation_rms", "take"]

_MAS = 180.0 / np.pi * 3.6e6
_SECOND_ORDER_MAS = 0.05
_MOST_SORTED = 48
_FLAGS = {"reassoc", "contract", "nsz", "arcp"}


@numba.njit(cache=True, nogil=True, fastmath=_FLAGS, inline="always")
def _directions(vectors1: Any, trig1: Any, i: int, vectors2: Any, trig2: Any, j: int) -> Any:
    """Give unit vectors (east, north) at each star away from the other, and the sine of the separation.

    Only the difference of the two directions needs float64; what is left are products in float32.
    """
    dx = np.float32(vectors2[j, 0] - vectors1[i, 0])
    dy = np.float32(vectors2[j, 1] - vectors1[i, 1])
    dz = np.float32(vectors2[j, 2] - vectors1[i, 2])
    east1 = trig1[i, 1] * dx - trig1[i, 0] * dy
    north1 = trig1[i, 3] * (trig1[i, 0] * dx + trig1[i, 1] * dy) - trig1[i, 2] * dz
    east2 = trig2[j, 0] * dy - trig2[j, 1] * dx
    north2 = trig2[j, 2] * dz - trig2[j, 3] * (trig2[j, 0] * dx + trig2[j, 1] * dy)
    sine = np.sqrt(east1 * east1 + north1 * north1)
    inverse = np.float32(1.0) / sine
    return east1 * inverse, north1 * inverse, east2 * inverse, north2 * inverse, sine


@numba.njit(cache=True, nogil=True)
def _point(vector: Any, trig: Any, east: float, north: float, out: Any) -> None:
    """Direction of a star displaced, by mas east and north, on the plane that touches the sky at its reference."""
    e, n = east / _MAS, north / _MAS
    x = vector[0] - e * trig[1] - n * trig[3] * trig[0]
    y = vector[1] + e * trig[0] - n * trig[3] * trig[1]
    z = vector[2] + n * trig[2]
    length = np.sqrt(x * x + y * y + z * z)
    out[0], out[1], out[2] = x / length, y / length, z / length


@numba.njit(cache=True, nogil=True)
def _angle(p: Any, q: Any) -> Any:
    chord = np.sqrt((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 + (p[2] - q[2]) ** 2)
    return 2.0 * np.arcsin(0.5 * chord)


@numba.njit(cache=True, nogil=True)
def _full(vector1: Any, trig1: Any, vector2: Any, trig2: Any, star1: Any, star2: Any, out: Any) -> None:
    """Separations minus that of the reference positions, in mas; NaN where a star is missing."""
    p, q = np.empty(3), np.empty(3)
    angle = _angle(vector1, vector2)
    for v in range(len(out)):
        if np.isnan(star1[0, v]) or np.isnan(star2[0, v]):
            out[v] = np.nan
            continue
        _point(vector1, trig1, star1[0, v], star1[1, v], p)
        _point(vector2, trig2, star2[0, v], star2[1, v], q)
        out[v] = (_angle(p, q) - angle) * _MAS


@numba.njit(cache=True, nogil=True, inline="always")
def is_large(largest1: float, largest2: float, sine: float) -> bool:
    """Whether displacements are so large that the second order changes a separation by more than 0.05 mas.

    Parameters
    ----------
    largest1, largest2
        Of the two stars, in mas.
    sine
        Of the separation.

    Returns
    -------
    bool
        Whether it must be computed in full.
    """
    reach = largest1 + largest2
    return reach * reach > 2.0 * _SECOND_ORDER_MAS * _MAS * sine


@numba.njit(cache=True, nogil=True, fastmath=_FLAGS, inline="always")
def _sums(dense1: Any, i: int, dense2: Any, j: int, e1: Any, n1: Any, e2: Any, n2: Any) -> Any:
    """Sum and sum of squares of the changes of a separation, and in how many visits both stars are."""
    zero, one = np.float32(0.0), np.float32(1.0)
    total, squares, count = zero, zero, zero
    for v in range(dense1.shape[2]):
        change = e1 * dense1[i, 0, v] + n1 * dense1[i, 1, v] + e2 * dense2[j, 0, v] + n2 * dense2[j, 1, v]
        both = zero if np.isnan(change) else one
        change = zero if np.isnan(change) else change
        total += change
        squares += change * change
        count += both
    return total, squares, count


@numba.njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")
def separation_rms(
    index1: Any, index2: Any, vectors1: Any, vectors2: Any, trig1: Any, trig2: Any, dense1: Any, dense2: Any,
    largest1: Any, largest2: Any, is_safe: Any, out: Any,
) -> None:  # fmt: skip
    """Give the rms of each pair's separation over the visits that have both stars.

    Parameters
    ----------
    index1, index2
        Objects of each pair, shape (pairs,).
    vectors1, vectors2
        Of the two sets, from `ObjectSet.vectors`.
    trig1, trig2
        Of the two sets, from `ObjectSet.trigonometry`.
    dense1, dense2
        Of the two sets, from `ObjectSet.dense`.
    largest1, largest2
        Of the two sets, from `ObjectSet.largest_mas`.
    is_safe
        Whether no pair's displacements can be large, as `is_large` has it.
    out
        Standard deviation (one degree of freedom less than visits) in mas, float32, shape (pairs,); NaN where fewer
        than two visits have both stars.
    """
    for p in range(len(index1)):
        # Unsigned: no test for negative indices in the loop.
        i, j = np.uint32(index1[p]), np.uint32(index2[p])
        e1, n1, e2, n2, _ = _directions(vectors1, trig1, i, vectors2, trig2, j)
        total, squares, count = _sums(dense1, i, dense2, j, e1, n1, e2, n2)
        variance = (squares - total * total / count) / (count - np.float32(1.0))
        out[p] = np.sqrt(max(variance, np.float32(0.0))) if count > 1 else np.nan
    if not is_safe:
        _correct_large(
            index1, index2, vectors1, vectors2, trig1, trig2, dense1, dense2, largest1, largest2, out
        )


@numba.njit(cache=True, nogil=True)
def _correct_large(
    index1: Any, index2: Any, vectors1: Any, vectors2: Any, trig1: Any, trig2: Any, dense1: Any, dense2: Any,
    largest1: Any, largest2: Any, out: Any,
) -> None:  # fmt: skip
    """Give the rms of the pairs whose displacements are large in full: asking each pair would slow the fast loop."""
    buffer = np.empty(dense1.shape[2], np.float32)
    for p in range(len(index1)):
        i, j = index1[p], index2[p]
        if is_large(largest1[i], largest2[j], np.sin(_angle(vectors1[i], vectors2[j]))):
            _full(vectors1[i], trig1[i], vectors2[j], trig2[j], dense1[i], dense2[j], buffer)
            out[p] = _std(buffer)


@numba.njit(cache=True, nogil=True)
def _std(values: Any) -> Any:
    n, mean = 0, 0.0
    for value in values:
        if not np.isnan(value):
            n += 1
            mean += value
    if n < 2:
        return np.nan
    mean /= n
    squares = 0.0
    for value in values:
        if not np.isnan(value):
            squares += (value - mean) ** 2
    return np.sqrt(squares / (n - 1))


@numba.njit(cache=True, nogil=True)
def _median(values: Any, n: int) -> Any:
    """Median of the first n values, which are put in order where they are few."""
    if n > _MOST_SORTED:
        return np.median(values[:n])
    for k in range(1, n):
        value, place = values[k], k
        while place > 0 and values[place - 1] > value:
            values[place] = values[place - 1]
            place -= 1
        values[place] = value
    return np.float32(0.5) * (values[(n - 1) // 2] + values[n // 2])


@numba.njit(cache=True, nogil=True)
def separation_deviations(
    index1: Any, index2: Any, vectors1: Any, vectors2: Any, trig1: Any, trig2: Any, dense1: Any, dense2: Any,
    largest1: Any, largest2: Any, use_mean: Any, least_visits: int, out: Any,
) -> Any:  # fmt: skip
    """Give how far each separation lies from the centre of its pair.

    Parameters
    ----------
    index1, index2, vectors1, vectors2, trig1, trig2, dense1, dense2, largest1, largest2
        As for `separation_rms`.
    use_mean
        Whether the centre is the pair's mean, rather than its median.
    least_visits
        Pairs with fewer visits in common give nothing.
    out
        Absolute deviations in mas, float32, shape (pairs, visits); NaN in what is not filled.

    Returns
    -------
    int
        Pairs that gave deviations.
    """
    n_visits = dense1.shape[2]
    buffer, work = np.empty(n_visits, np.float32), np.empty(n_visits, np.float32)
    used = 0
    for p in range(len(index1)):
        # Unsigned: no test for negative indices in the loop.
        i, j = np.uint32(index1[p]), np.uint32(index2[p])
        e1, n1, e2, n2, sine = _directions(vectors1, trig1, i, vectors2, trig2, j)
        if is_large(largest1[i], largest2[j], sine):
            _full(vectors1[i], trig1[i], vectors2[j], trig2[j], dense1[i], dense2[j], buffer)
        else:
            for v in range(n_visits):
                buffer[v] = (
                    e1 * dense1[i, 0, v] + n1 * dense1[i, 1, v] + e2 * dense2[j, 0, v] + n2 * dense2[j, 1, v]
                )
        n = 0
        for v in range(n_visits):
            if not np.isnan(buffer[v]):
                work[n] = buffer[v]
                n += 1
        out[p, :] = np.nan
        if n < least_visits:
            continue
        used += 1
        centre = np.mean(work[:n]) if use_mean else _median(work, n)
        for v in range(n):
            out[p, v] = abs(work[v] - centre)
    return used


@numba.njit(cache=True, nogil=True)
def take(values: Any, index: Any) -> Any:
    """Give the values at places; numpy would turn the places into 64 bits first.

    Parameters
    ----------
    values
        Shape (n,).
    index
        Shape (m,).

    Returns
    -------
    numpy.ndarray
        Shape (m,).
    """
    out = np.empty(len(index), values.dtype)
    for k in range(len(index)):
        out[k] = values[index[k]]
    return out
