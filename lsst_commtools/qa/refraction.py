"""Differential refraction: what the atmosphere does to the scale of a field, by zenith distance.

Refraction lifts a star by k tan z (z: zenith distance as seen; k: refractivity of the air at the telescope). Of a small
field it shortens lengths by k across the zenith's direction, and by k / cos^2 z along it. A WCS that was fitted to
catalogue positions therefore has larger pixels along the zenith than across, by k tan^2 z.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["REFRACTIVITY", "refraction_stretch_ppm", "refraction_terms", "stretch_ppm"]

Array = NDArray[np.float64]
REFRACTIVITY = 78.7e-6 * 740.0 / 283.0
"""At 740 hPa and 10 C, about those of Cerro Pachon (2663 m), at 0.63 um: 78.7e-6 P/T (Edlen 1966, dry air, to 1 %)."""
_ARCSEC = 3600.0 * 180.0 / np.pi
_LARGEST_DEG = 80.0


def refraction_stretch_ppm(zenith_distance_deg: ArrayLike, refractivity: float = REFRACTIVITY) -> Array:
    """Give by how much pixels are larger along the zenith's direction than across, from refraction alone.

    Parameters
    ----------
    zenith_distance_deg
        Zenith distance.
    refractivity
        Of the air at the telescope.

    Returns
    -------
    numpy.ndarray
        1e6 k tan^2 z; NaN beyond 80 degrees, where the formula does not hold.
    """
    z = np.asarray(zenith_distance_deg, np.float64)
    return 1e6 * refractivity * np.tan(np.radians(np.where(z <= _LARGEST_DEG, z, np.nan))) ** 2


def refraction_terms(zenith_distance_deg: float, refractivity: float = REFRACTIVITY) -> dict[str, float]:
    """Name the terms for one field.

    Parameters
    ----------
    zenith_distance_deg
        Zenith distance.
    refractivity
        Of the air at the telescope.

    Returns
    -------
    dict
        ``refraction_arcsec`` (k tan z, how far the field is lifted), ``refraction_along_ppm`` (k / cos^2 z) and
        ``refraction_across_ppm`` (k), ``refraction_stretch_ppm`` (their difference); NaN beyond 80 degrees.
    """
    stretch = float(refraction_stretch_ppm(zenith_distance_deg, refractivity))
    across = 1e6 * refractivity + 0.0 * stretch
    lift = _ARCSEC * np.sqrt(1e-6 * stretch * refractivity)
    return {
        "refraction_arcsec": float(lift), "refraction_along_ppm": across + stretch,
        "refraction_across_ppm": across, "refraction_stretch_ppm": stretch,
    }  # fmt: skip


def stretch_ppm(cd: Array, parallactic_deg: float) -> float:
    """Give by how much the pixels of a WCS are larger along the zenith's direction than across.

    Parameters
    ----------
    cd
        Linear part: east and north (rows) for one pixel along x and y, shape (2, 2), of any unit.
    parallactic_deg
        Of `frames.parallactic_angle_deg`.

    Returns
    -------
    float
        Parts per million.
    """
    angle = np.radians(parallactic_deg)
    along, across = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    return 1e6 * (float(np.linalg.norm(cd.T @ along) / np.linalg.norm(cd.T @ across)) - 1.0)
