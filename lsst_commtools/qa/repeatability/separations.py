"""Separations of pairs over visits, summed up: what AM, AF and AD are computed from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.repeatability.kernel import is_large, separation_deviations, separation_rms, take
from lsst_commtools.qa.repeatability.objects import ObjectSet
from lsst_commtools.qa.repeatability.pairs import pair_blocks
from lsst_commtools.qa.repeatability.tally import Tally

__all__ = ["ANNULUS_HALF_WIDTH_ARCMIN", "Centre", "SeparationSums"]

ANNULUS_HALF_WIDTH_ARCMIN = 1.0
_LEAST_VISITS_DEVIATION = 3
_DEVIATION_BYTES = 1 << 22
_DENSE_BYTES = 1 << 28
Centre = Literal["median", "mean"]


@dataclass(eq=False)
class SeparationSums:
    """Sums over the pairs at one separation.

    Parameters
    ----------
    separation_arcmin
        D; pairs at D - 1' to D + 1' count.
    threshold_mas
        Deviations beyond this are counted.
    centre
        What deviations are from: the median of the pair's separations, as the requirements have it, or their mean.
    n_pairs
        Pairs in the annulus, whatever visits they have.
    n_deviating_pairs
        Pairs with at least 3 common visits.
    rms_mas
        Tally of the pairs' rms, of pairs with at least 2 common visits.
    deviation_mas
        Tally of the deviations of all separations of pairs with at least 3 common visits.
    """

    separation_arcmin: float
    threshold_mas: float
    centre: Centre = "median"
    n_pairs: int = 0
    n_deviating_pairs: int = 0
    rms_mas: Tally = field(default_factory=Tally)
    deviation_mas: Tally = field(init=False)

    def __post_init__(self) -> None:
        self.deviation_mas = Tally(self.threshold_mas)

    @property
    def reach_rad(self) -> float:
        """Largest separation of a pair."""
        return float(np.radians((self.separation_arcmin + ANNULUS_HALF_WIDTH_ARCMIN) / 60.0))

    @property
    def _least_rad(self) -> float:
        return float(np.radians((self.separation_arcmin - ANNULUS_HALF_WIDTH_ARCMIN) / 60.0))

    @property
    def kind(self) -> tuple[float, float, Centre]:
        """What other sums must be made with to be merged into these."""
        return self.separation_arcmin, self.threshold_mas, self.centre

    def merge(self, other: SeparationSums) -> None:
        """Add sums over other pairs.

        Parameters
        ----------
        other
            Of the same separation.
        """
        self.n_pairs += other.n_pairs
        self.n_deviating_pairs += other.n_deviating_pairs
        self.rms_mas.merge(other.rms_mas)
        self.deviation_mas.merge(other.deviation_mas)

    def add(self, first: ObjectSet, second: ObjectSet, *, deviations: bool = True) -> None:
        """Add all pairs of two sets, or of one set with itself.

        Parameters
        ----------
        first, second
            The same set twice, or two without an object in common.
        deviations
            Whether deviations are wanted as well as the rms.
        """
        if not len(first) or not len(second):
            return
        same = first is second
        visits = first.visits if same else np.intersect1d(first.visits, second.visits)
        larger = max(first, second, key=len)
        if larger.dense_bytes(visits) > _DENSE_BYTES and len(larger) > 1:
            self._add_in_halves(first, second, deviations=deviations)
            return
        sides = [_Side(objects, visits) for objects in ((first,) if same else (first, second))]
        inner, outer = ((self.separation_arcmin + s * ANNULUS_HALF_WIDTH_ARCMIN) / 60.0 for s in (-1, 1))
        for index1, index2 in pair_blocks(first, second, inner, outer):
            self._count(index1, index2, sides[0], sides[-1], deviations=deviations)

    def _add_in_halves(self, first: ObjectSet, second: ObjectSet, *, deviations: bool) -> None:
        if first is second:
            south, north = first.halves()
            combinations = [(south, south), (north, north), (south, north)]
        elif len(first) >= len(second):
            combinations = [(half, second) for half in first.halves()]
        else:
            combinations = [(first, half) for half in second.halves()]
        for one, two in combinations:
            self.add(one, two, deviations=deviations)

    def _count(
        self, index1: NDArray[Any], index2: NDArray[Any], side1: _Side, side2: _Side, *, deviations: bool
    ) -> None:
        self.n_pairs += len(index1)
        arrays = [a for pair in zip(side1.arrays, side2.arrays, strict=True) for a in pair]
        group1, group2 = take(side1.group, index1), take(side2.group, index2)
        rms = np.empty(len(index1), np.float32)
        is_safe = not is_large(side1.most_mas, side2.most_mas, np.sin(self._least_rad))
        separation_rms(index1, index2, *arrays, is_safe, rms)
        self.rms_mas.add(rms, group1, group2)
        if not deviations:
            return
        n_columns = side1.dense.shape[2]
        step = max(_DEVIATION_BYTES // (4 * n_columns), 1)
        for low in range(0, len(index1), step):
            part = slice(low, low + step)
            table = np.empty((len(index1[part]), n_columns), np.float32)
            self.n_deviating_pairs += separation_deviations(
                index1[part], index2[part], *arrays, self.centre == "mean", _LEAST_VISITS_DEVIATION, table
            )
            self.deviation_mas.add(table, group1[part], group2[part])


class _Side:
    """What the compiled loops need of one set."""

    def __init__(self, objects: ObjectSet, visits: NDArray[np.int64]) -> None:
        self.dense = objects.dense(visits)
        largest = objects.largest_mas()
        self.arrays = (objects.vectors(), objects.trigonometry(), self.dense, largest)
        self.most_mas = float(largest.max())
        self.group = objects.group
