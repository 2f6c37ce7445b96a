"""Shapes from second moments: ellipticity, size, FWHM.

Ellipticity e is the distortion of weak lensing, e = (Ixx - Iyy + 2i Ixy) / (Ixx + Iyy); the shear type g is about
half of it. Size is the trace T = Ixx + Iyy. HSM moments are Gaussian-weighted, so the FWHM from them is the FWHM
of the matched Gaussian and not that of the profile: a Moffat of FWHM 4.0 px gives 4.51 px.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "SIGMA_TO_FWHM",
    "determinant_radius",
    "ellipticity",
    "fwhm_from_moments",
    "fwhm_from_trace",
    "moments_from_ellipticity",
    "moments_from_hsm",
    "shear_from_ellipticity",
]

SIGMA_TO_FWHM = 2.3548200450309493
"""FWHM of a Gaussian in units of its sigma: sqrt(8 ln 2)."""

Array = NDArray[np.float64]


def _arrays(*values: ArrayLike) -> list[NDArray[Any]]:
    return [np.asarray(v, dtype=np.float64) for v in values]


def ellipticity(ixx: ArrayLike, iyy: ArrayLike, ixy: ArrayLike) -> tuple[Array, Array]:
    """Give the distortion from second moments.

    Parameters
    ----------
    ixx, iyy, ixy
        Second moments, any unit, one shape.

    Returns
    -------
    e1, e2
        Distortion; NaN where the trace is not positive or not finite.
    """
    xx, yy, xy = _arrays(ixx, iyy, ixy)
    with np.errstate(invalid="ignore", over="ignore"):
        trace = np.where(xx + yy > 0, xx + yy, np.nan)
        return (xx - yy) / trace, 2.0 * xy / trace


def shear_from_ellipticity(e1: ArrayLike, e2: ArrayLike) -> tuple[Array, Array]:
    """Convert distortion e to the shear type g = e / (1 + sqrt(1 - |e|^2)).

    Parameters
    ----------
    e1, e2
        Distortion.

    Returns
    -------
    g1, g2
        Shear; NaN where |e| > 1.
    """
    first, second = _arrays(e1, e2)
    squared = first**2 + second**2
    factor = 1.0 / (1.0 + np.sqrt(np.where(squared <= 1.0, 1.0 - squared, np.nan)))
    return first * factor, second * factor


def moments_from_ellipticity(e1: ArrayLike, e2: ArrayLike, t: ArrayLike) -> tuple[Array, Array, Array]:
    """Give second moments from distortion and trace, the inverse of `ellipticity`.

    Parameters
    ----------
    e1, e2
        Distortion.
    t
        Trace Ixx + Iyy.

    Returns
    -------
    ixx, iyy, ixy
        Second moments in the unit of ``t``.
    """
    first, second, trace = _arrays(e1, e2, t)
    return 0.5 * trace * (1.0 + first), 0.5 * trace * (1.0 - first), 0.5 * trace * second


def moments_from_hsm(sigma: ArrayLike, e1: ArrayLike, e2: ArrayLike) -> tuple[Array, Array, Array]:
    """Give second moments from HSM's size and distortion.

    Parameters
    ----------
    sigma
        Fourth root of the determinant of the moments (``moments_sigma`` of galsim).
    e1, e2
        Distortion.

    Returns
    -------
    ixx, iyy, ixy
        Second moments in the square of sigma's unit: T = 2 sigma^2 / sqrt(1 - |e|^2).
    """
    size, first, second = _arrays(sigma, e1, e2)
    squared = first**2 + second**2
    trace = 2.0 * size**2 / np.sqrt(np.where(squared < 1.0, 1.0 - squared, np.nan))
    return moments_from_ellipticity(first, second, trace)


def determinant_radius(ixx: ArrayLike, iyy: ArrayLike, ixy: ArrayLike) -> Array:
    """Give the determinant radius (Ixx Iyy - Ixy^2)^(1/4), the ``psfSigma`` of LSST's summary statistics.

    Parameters
    ----------
    ixx, iyy, ixy
        Second moments.

    Returns
    -------
    numpy.ndarray
        Radius; NaN where the determinant is not positive.
    """
    xx, yy, xy = _arrays(ixx, iyy, ixy)
    determinant = xx * yy - xy**2
    return np.asarray(np.where(determinant > 0, determinant, np.nan) ** 0.25)


def fwhm_from_trace(t: ArrayLike) -> Array:
    """Give the FWHM of a Gaussian with this trace: 2.3548 sqrt(T / 2).

    Parameters
    ----------
    t
        Trace Ixx + Iyy.

    Returns
    -------
    numpy.ndarray
        FWHM in the root of the unit of ``t``; NaN where that is not positive.
    """
    trace = np.asarray(t, dtype=np.float64)
    return np.asarray(SIGMA_TO_FWHM * np.sqrt(np.where(trace > 0, 0.5 * trace, np.nan)))


def fwhm_from_moments(ixx: ArrayLike, iyy: ArrayLike, scale: float = 1.0) -> Array:
    """Give the FWHM of a Gaussian with these moments.

    Parameters
    ----------
    ixx, iyy
        Second moments, say in pixel^2.
    scale
        Arcsec per unit of length, 1 to stay in it.

    Returns
    -------
    numpy.ndarray
        FWHM; NaN where the trace is not positive.
    """
    xx, yy = _arrays(ixx, iyy)
    return fwhm_from_trace(xx + yy) * scale
