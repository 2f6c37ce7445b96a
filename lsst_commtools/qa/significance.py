"""Is a map of residuals more than noise: mean of each cell over its error, and chi squared over all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ResidualMap", "map_residuals"]

_LEAST_IN_CELL = 4


@dataclass(frozen=True, eq=False)
class ResidualMap:
    """Residuals in cells.

    Parameters
    ----------
    extent
        Left, right, bottom, top.
    mean
        Mean of each cell, shape (rows, columns), the first row at the bottom; NaN where there are fewer than four.
    significance
        Mean over its error, from the scatter of all stars inside their cells.
    count
        Stars in each cell.
    chi2, dof
        Sum of the squared significances, and how many there are.
    probability
        That noise alone gives as much (Wilson & Hilferty 1931); NaN without a cell.
    """

    extent: tuple[float, float, float, float]
    mean: NDArray[np.float64]
    significance: NDArray[np.float64]
    count: NDArray[np.int64]
    chi2: float
    dof: int
    probability: float


def map_residuals(x: ArrayLike, y: ArrayLike, values: ArrayLike, *, cells: int = 20) -> ResidualMap:
    """Average residuals in cells and test them against zero.

    Parameters
    ----------
    x, y
        Positions, shape (n,).
    values
        Residuals; stars that are not finite are left out, shape (n,).
    cells
        Along each side.

    Returns
    -------
    ResidualMap
        With as many rows as columns.
    """
    xs, ys, vs = (np.asarray(a, dtype=np.float64) for a in (x, y, values))
    good = np.isfinite(xs) & np.isfinite(ys) & np.isfinite(vs)
    xs, ys, vs = xs[good], ys[good], vs[good]
    nothing = np.full((cells, cells), np.nan)
    if not xs.size:
        return ResidualMap(
            (0.0, 1.0, 0.0, 1.0), nothing, nothing, np.zeros((cells, cells), np.int64), 0.0, 0, float("nan")
        )
    extent = (*_side(xs), *_side(ys))
    place = _cell(ys, extent[2], extent[3], cells) * cells + _cell(xs, extent[0], extent[1], cells)
    count = np.bincount(place, minlength=cells * cells)
    full = count >= _LEAST_IN_CELL
    mean = np.bincount(place, weights=vs, minlength=cells * cells) / np.maximum(count, 1)
    inside = full[place]
    freedom = int(inside.sum() - full.sum())
    scatter = math.sqrt(float(((vs - mean[place])[inside] ** 2).sum()) / freedom) if freedom > 0 else 0.0
    significance = np.full(cells * cells, np.nan)
    if scatter > 0:
        significance[full] = mean[full] / (scatter / np.sqrt(count[full]))
    mean[~full] = np.nan
    seen = significance[np.isfinite(significance)]
    chi2 = float((seen**2).sum())
    return ResidualMap(
        extent,
        mean.reshape(cells, cells),
        significance.reshape(cells, cells),
        count.reshape(cells, cells),
        chi2,
        len(seen),
        _probability(chi2, len(seen)),
    )


def _side(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _cell(values: NDArray[np.float64], low: float, high: float, cells: int) -> NDArray[np.int64]:
    return np.minimum((values - low) * (cells / (high - low)), cells - 1).astype(np.int64)


def _probability(chi2: float, dof: int) -> float:
    if not dof:
        return float("nan")
    z = ((chi2 / dof) ** (1 / 3) - (1 - 2 / (9 * dof))) / math.sqrt(2 / (9 * dof))
    return 0.5 * math.erfc(z / math.sqrt(2))
