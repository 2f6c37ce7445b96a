"""Counts of values in cells of nearly equal ratio: medians of any number of values in a fixed amount of memory.

A cell is the leading bits of a float32, so finding it costs no logarithm. Tallies of parts of the sky add up. Beside
the whole, what touches each group of objects is counted, for the delete-a-group jackknife: leaving a group out leaves
out all pairs with a star of it, so that errors hold although pairs share stars.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.repeatability.objects import N_GROUPS

__all__ = ["Tally"]

_FINE, _COARSE = 14, 10
_LOWEST, _POWERS = -10, 30
_BIAS = 127


class Tally:
    """Counts of values, in all and by group.

    Values from 2^-10 to 2^20 are resolved to 1 part in 16384, and better where there are many; quantiles that are used
    for errors to 1 part in 1024.

    Parameters
    ----------
    threshold
        How many values are larger than this is counted exactly.
    """

    def __init__(self, threshold: float = np.inf) -> None:
        self.threshold = threshold
        self.cells = np.zeros(_POWERS << _FINE, np.int64)
        self.group_cells = np.zeros((N_GROUPS, _POWERS << _COARSE), np.int64)
        self.beyond = np.zeros(N_GROUPS + 1, np.int64)

    def add(
        self, values: NDArray[np.float32], group1: NDArray[np.int8], group2: NDArray[np.int8] | None = None
    ) -> None:
        """Count values.

        Parameters
        ----------
        values
            Not negative, shape (n,) or (n, m); NaN is not counted.
        group1, group2
            Groups that each row touches, shape (n,).
        """
        table = values if values.ndim == 2 else values[:, None]
        second = group1 if group2 is None else group2
        _count(table, group1, second, np.float32(self.threshold), self.cells, self.group_cells, self.beyond)

    def merge(self, other: Tally) -> None:
        """Add what another tally has counted.

        Parameters
        ----------
        other
            Of the same threshold.
        """
        self.cells += other.cells
        self.group_cells += other.group_cells
        self.beyond += other.beyond

    @property
    def n(self) -> int:
        """Number of values."""
        return int(self.cells.sum())

    def quantile(self, fraction: float) -> float:
        """Give a quantile.

        Parameters
        ----------
        fraction
            0.5 is the median.

        Returns
        -------
        float
            Interpolated between neighbouring values as numpy does; NaN where there are none.
        """
        return _quantile(self.cells, _FINE, fraction)

    def quantile_error(self, fraction: float) -> float:
        """Give the standard error of a quantile.

        Parameters
        ----------
        fraction
            0.5 is the median.

        Returns
        -------
        float
            By the jackknife; NaN where a group holds everything.
        """
        whole = self.group_cells_of_all()
        return _jackknife([_quantile(whole - part, _COARSE, fraction) for part in self.group_cells])

    def group_cells_of_all(self) -> NDArray[np.int64]:
        """Give the counts of all values in cells of the width that groups have."""
        return np.asarray(self.cells.reshape(-1, 1 << (_FINE - _COARSE)).sum(axis=1))

    def percent_beyond(self) -> float:
        """Give how many values are larger than the threshold, in percent; NaN where there are none."""
        return 100.0 * float(self.beyond[-1]) / self.n if self.n else float("nan")

    def percent_beyond_error(self) -> float:
        """Give the standard error of `percent_beyond` by the jackknife."""
        left = self.n - self.group_cells.sum(axis=1)
        beyond = self.beyond[-1] - self.beyond[:-1]
        return _jackknife([100.0 * b / n if n else float("nan") for b, n in zip(beyond, left, strict=True)])

    def histogram(self, edges: NDArray[np.float64]) -> NDArray[np.int64]:
        """Give the counts between edges, for figures.

        Parameters
        ----------
        edges
            Rising, shape (cells + 1,).

        Returns
        -------
        numpy.ndarray
            Shape (cells,).
        """
        middles = _edge(np.arange(len(self.cells)) + 0.5, _FINE)
        return np.histogram(middles, edges, weights=self.cells)[0].astype(np.int64)


def _edge(cell: Any, bits: int) -> Any:
    """Lower edge of a cell (or a place within, for broken numbers)."""
    power, place = np.divmod(cell, float(1 << bits))
    return np.exp2(power + _LOWEST) * (1.0 + place / (1 << bits))


def _quantile(cells: NDArray[np.int64], bits: int, fraction: float) -> float:
    total = int(cells.sum())
    if total == 0:
        return float("nan")
    summed = np.cumsum(cells)
    place = fraction * (total - 1)
    ranks = np.array([np.floor(place), np.ceil(place)])
    cell = np.searchsorted(summed, ranks, side="right")
    before = summed[cell] - cells[cell]
    low, high = (float(v) for v in _edge(cell + (ranks - before + 0.5) / cells[cell], bits))
    return low + (high - low) * float(place - ranks[0])


def _jackknife(values: list[float]) -> float:
    sample = np.asarray(values)
    if not np.isfinite(sample).all():
        return float("nan")
    return float(np.sqrt((len(sample) - 1) * np.var(sample)))


@numba.njit(cache=True, nogil=True)
def _count(
    values: Any, group1: Any, group2: Any, threshold: Any, cells: Any, group_cells: Any, beyond: Any
) -> None:
    single = np.empty(1, np.float32)
    bits = single.view(np.int32)
    first, last = (_BIAS + _LOWEST) << _FINE, len(cells) - 1
    for row in range(values.shape[0]):
        one, two = group1[row], group2[row]
        for column in range(values.shape[1]):
            value = values[row, column]
            if np.isnan(value):
                continue
            single[0] = value
            cell = min(max((bits[0] >> (23 - _FINE)) - first, 0), last)
            coarse = cell >> (_FINE - _COARSE)
            cells[cell] += 1
            group_cells[one, coarse] += 1
            if two != one:
                group_cells[two, coarse] += 1
            if value > threshold:
                beyond[-1] += 1
                beyond[one] += 1
                if two != one:
                    beyond[two] += 1
