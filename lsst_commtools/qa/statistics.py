"""Robust figures of samples that may hold NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["MAD_TO_SIGMA", "clip_mask", "finite", "mad", "median", "rms"]

MAD_TO_SIGMA = 1.482602218505602
"""Median absolute deviation of a normal distribution to its standard deviation: 1 / Phi^-1(3/4)."""


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """Drop what is not finite.

    Parameters
    ----------
    values
        Numbers of any shape.

    Returns
    -------
    numpy.ndarray
        The finite ones, one-dimensional.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def median(values: ArrayLike) -> float:
    """Give the median of the finite values.

    Parameters
    ----------
    values
        Numbers of any shape.

    Returns
    -------
    float
        Their median; NaN where none is finite.
    """
    sample = finite(values)
    return float(np.median(sample)) if sample.size else float("nan")


def mad(values: ArrayLike) -> float:
    """Give the robust standard deviation: 1.4826 times the median absolute deviation from the median.

    Parameters
    ----------
    values
        Numbers of any shape.

    Returns
    -------
    float
        Scatter of the finite values; NaN where none is finite.
    """
    sample = finite(values)
    if not sample.size:
        return float("nan")
    return float(MAD_TO_SIGMA * np.median(np.abs(sample - np.median(sample))))


def rms(values: ArrayLike) -> float:
    """Give the root mean square about zero.

    Parameters
    ----------
    values
        Numbers of any shape.

    Returns
    -------
    float
        Root mean square of the finite values; NaN where none is finite.
    """
    sample = finite(values)
    return float(np.sqrt(np.mean(sample**2))) if sample.size else float("nan")


def clip_mask(
    residuals: NDArray[Any], used: NDArray[np.bool_], sigma: float, floor: float = 0.0
) -> NDArray[np.bool_]:
    """Find the residuals that lie within some robust sigma of the median in each column.

    Parameters
    ----------
    residuals
        Shape (n, columns).
    used
        Rows that give median and sigma, shape (n,).
    sigma
        Half width of what is kept.
    floor
        Least standard deviation, so that rounding errors are not clipped.

    Returns
    -------
    numpy.ndarray
        Rows that are kept, shape (n,); rows that are not finite are not.
    """
    columns = np.ascontiguousarray(residuals.T)
    sample = columns if used.all() else columns[:, used]
    middle = sample.shape[1] // 2
    centre = np.partition(sample, middle, axis=1)[:, middle, None]
    deviation = np.partition(np.abs(sample - centre), middle, axis=1)[:, middle, None]
    width = sigma * np.maximum(MAD_TO_SIGMA * deviation, floor)
    kept: NDArray[np.bool_] = np.all(np.abs(columns - centre) <= width, axis=0)
    return kept
