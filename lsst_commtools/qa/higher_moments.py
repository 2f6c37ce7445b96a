"""Third and fourth moments of stars from stamps: coma, trefoil, kurtosis.

Pixels are weighted by the Gaussian that HSM matched to the star, and their positions are measured in its widths, as
LSST's ``HigherMomentsSource`` does (Zhang et al. 2023). A Gaussian star has coma and trefoil 0 and kurtosis 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import InputError
from lsst_commtools.qa.moments import Moments

__all__ = ["HigherMoments", "measure_higher_moments"]

Array = NDArray[np.float64]
_MASKED_BELOW = -1e20


@dataclass(frozen=True, eq=False)
class HigherMoments:
    """Standardised moments of n stars; NaN where they could not be measured.

    Parameters
    ----------
    coma1, coma2
        M30 + M12 and M21 + M03, shape (n,).
    trefoil1, trefoil2
        M30 - 3 M12 and 3 M21 - M03.
    e4_1, e4_2
        M40 - M04 and 2 (M31 + M13).
    kurtosis
        M40 + 2 M22 + M04.
    """

    coma1: Array
    coma2: Array
    trefoil1: Array
    trefoil2: Array
    e4_1: Array
    e4_2: Array
    kurtosis: Array


def measure_higher_moments(
    stamps: NDArray[Any], moments: Moments, mask: NDArray[Any] | None = None
) -> HigherMoments:
    """Measure stars cut out in stamps, background subtracted.

    Parameters
    ----------
    stamps
        Shape (n, rows, columns).
    moments
        Of `moments_of_stamps`: second moments and centroids in the stamps.
    mask
        Pixels that must not be used, shape of ``stamps``; by default those below -1e20 and those not finite. They count
        as the star's own Gaussian would: nothing is known of them.

    Returns
    -------
    HigherMoments
        One entry for each stamp, in the detector's axes.

    Raises
    ------
    InputError
        If there are not as many moments as stamps.
    """
    if len(stamps) != len(moments.ixx):
        raise InputError(f"There are {len(stamps)} stamps and moments of {len(moments.ixx)} stars.")
    data = np.asarray(stamps, dtype=np.float64)
    bad = ~(data > _MASKED_BELOW) | ~np.isfinite(data) if mask is None else np.asarray(mask).astype(bool)
    found = np.array([_measure(data[k], bad[k], moments, k) for k in range(len(data))]).reshape(-1, 7)
    return HigherMoments(*found.T)


def _measure(stamp: Array, bad: NDArray[np.bool_], moments: Moments, k: int) -> list[float]:
    matrix = np.array([[moments.ixx[k], moments.ixy[k]], [moments.ixy[k], moments.iyy[k]]])
    if not np.isfinite(matrix).all() or np.linalg.det(matrix) <= 0 or matrix[0, 0] <= 0:
        return [float("nan")] * 7
    values, vectors = np.linalg.eigh(matrix)
    whiten = (vectors / np.sqrt(values)) @ vectors.T
    rows, columns = np.indices(stamp.shape)
    u, v = np.einsum("ij,jkl->ikl", whiten, np.stack([columns - moments.x[k], rows - moments.y[k]]))
    weight = np.exp(-0.5 * (u * u + v * v))
    light = np.where(bad, 0.0, stamp) * weight
    if bad.any():
        # Masked pixels would pull the moments to the other side; the matched Gaussian stands in for them.
        light += np.where(bad, _amplitude(stamp, weight, bad) * weight * weight, 0.0)
    total = float(light.sum())
    if not total > 0:
        return [float("nan")] * 7

    def m(p: int, q: int) -> float:
        return float((light * u**p * v**q).sum()) / total

    return [
        m(3, 0) + m(1, 2), m(2, 1) + m(0, 3), m(3, 0) - 3 * m(1, 2), 3 * m(2, 1) - m(0, 3),
        m(4, 0) - m(0, 4), 2 * (m(3, 1) + m(1, 3)), m(4, 0) + 2 * m(2, 2) + m(0, 4),
    ]  # fmt: skip


def _amplitude(stamp: Array, weight: Array, bad: NDArray[np.bool_]) -> float:
    good = weight[~bad]
    power = float((good**2).sum())
    return float((stamp[~bad] * good).sum()) / power if power > 0 else 0.0
