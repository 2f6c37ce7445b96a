"""Model of the PSF's moments: a polynomial over the detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsst_commtools.qa.polynomials import LeastSquares, design_matrix, n_terms
from lsst_commtools.qa.statistics import clip_mask

__all__ = ["MomentModel", "fit_moment_model"]

Array = NDArray[np.float64]
_FLOOR_PIXEL2 = 1e-6


@dataclass(frozen=True, eq=False)
class MomentModel:
    """Second moments of the PSF as polynomials of pixel position.

    Parameters
    ----------
    order
        Highest total power.
    centre, half_width
        Pixel position and lengths that scale x and y to about [-1, 1].
    coefficients
        Shape (terms, 3): Ixx, Iyy, Ixy.
    used
        Stars that gave the fit, after clipping, shape (n,).
    """

    order: int
    centre: tuple[float, float]
    half_width: tuple[float, float]
    coefficients: NDArray[Any]
    used: NDArray[np.bool_]

    def evaluate(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array, Array]:
        """Give the model's moments.

        Parameters
        ----------
        x, y
            Pixel positions, shape (n,).

        Returns
        -------
        ixx, iyy, ixy
            Moments in the unit of the fitted ones, shape (n,).
        """
        u = (np.atleast_1d(np.asarray(x, dtype=np.float64)) - self.centre[0]) / self.half_width[0]
        v = (np.atleast_1d(np.asarray(y, dtype=np.float64)) - self.centre[1]) / self.half_width[1]
        moments = design_matrix(u, v, self.order) @ self.coefficients
        return moments[:, 0], moments[:, 1], moments[:, 2]


def fit_moment_model(
    x: ArrayLike,
    y: ArrayLike,
    ixx: ArrayLike,
    iyy: ArrayLike,
    ixy: ArrayLike,
    used: ArrayLike,
    order: int,
    *,
    clip_sigma: float | None = 4.0,
    max_iterations: int = 5,
) -> MomentModel:
    """Fit the moments of stars by polynomials over the detector, with clipping.

    Parameters
    ----------
    x, y
        Pixel positions, shape (n,).
    ixx, iyy, ixy
        Second moments of the stars, shape (n,).
    used
        Stars that may give the fit (not the reserved ones), shape (n,).
    order
        Highest total power.
    clip_sigma
        Stars further than this many robust sigma off in any moment are dropped; None drops none.
    max_iterations
        At most this many rounds of clipping.

    Returns
    -------
    MomentModel
        The model.

    Raises
    ------
    DataError
        If too few stars are usable.
    """
    position = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])
    moments = np.stack([np.asarray(m, dtype=np.float64) for m in (ixx, iyy, ixy)], axis=1)
    good = np.asarray(used, dtype=bool) & np.isfinite(moments).all(axis=1) & np.isfinite(position).all(axis=0)
    low, high = (
        (position[:, good].min(axis=1), position[:, good].max(axis=1)) if good.any() else (np.zeros(2),) * 2
    )
    centre, half_width = 0.5 * (low + high), np.maximum(0.5 * (high - low), 1.0)
    safe = np.where(np.isfinite(position), (position - centre[:, None]) / half_width[:, None], 0.0)
    matrix = design_matrix(safe[0], safe[1], order)
    squares = LeastSquares(matrix[good], what="PSF model")
    measured = moments[good]
    coefficients = squares.solve(measured)
    for _ in range(max_iterations if clip_sigma is not None else 0):
        residual = measured - squares.matrix @ coefficients
        kept = clip_mask(residual, squares.rows, clip_sigma or 0.0, _FLOOR_PIXEL2)
        if np.array_equal(kept, squares.rows) or kept.sum() < n_terms(order):
            break
        squares.select(kept)
        coefficients = squares.solve(measured)
    chosen = np.zeros(len(moments), dtype=bool)
    chosen[np.flatnonzero(good)[squares.rows]] = True
    return MomentModel(
        order,
        (float(centre[0]), float(centre[1])),
        (float(half_width[0]), float(half_width[1])),
        coefficients,
        chosen,
    )
