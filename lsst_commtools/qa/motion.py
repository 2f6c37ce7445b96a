"""Proper motion: positions of stars moved from one epoch to another."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["JULIAN_YEAR_DAYS", "apply_proper_motion", "jyear_from_mjd"]

JULIAN_YEAR_DAYS = 365.25
_J2000_MJD = 51544.5
_RADIANS_PER_MAS = np.pi / 180.0 / 3.6e6


@overload
def jyear_from_mjd(mjd: float) -> float: ...


@overload
def jyear_from_mjd(mjd: NDArray[np.float64]) -> NDArray[np.float64]: ...


def jyear_from_mjd(mjd: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
    """Convert a modified Julian date to a Julian year, both of one time scale.

    Parameters
    ----------
    mjd
        Days.

    Returns
    -------
    float or numpy.ndarray
        Julian years, 2000.0 at MJD 51544.5.
    """
    return 2000.0 + (mjd - _J2000_MJD) / JULIAN_YEAR_DAYS


def apply_proper_motion(
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    pm_ra_mas_yr: ArrayLike,
    pm_dec_mas_yr: ArrayLike,
    epoch_from_jyear: ArrayLike,
    epoch_to_jyear: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move stars along their proper motion.

    The motion is a straight line in space without radial velocity (Hipparcos and Tycho Catalogues, volume 1,
    section 1.2.8), so it is right at the poles and across RA 0. Parallax is not applied.

    Parameters
    ----------
    ra_deg, dec_deg
        Positions at the first epoch, shape (n,).
    pm_ra_mas_yr, pm_dec_mas_yr
        Proper motion, the first with the factor cos(dec) in it, as Gaia gives it. NaN (a star without a
        five-parameter solution) counts as no motion.
    epoch_from_jyear, epoch_to_jyear
        Julian years, scalars or shape (n,).

    Returns
    -------
    ra_deg, dec_deg
        Positions at the second epoch, RA in [0, 360).
    """
    ra, dec = (
        np.radians(np.asarray(ra_deg, dtype=np.float64)),
        np.radians(np.asarray(dec_deg, dtype=np.float64)),
    )
    years = np.asarray(epoch_to_jyear, dtype=np.float64) - np.asarray(epoch_from_jyear, dtype=np.float64)
    east = np.nan_to_num(np.asarray(pm_ra_mas_yr, dtype=np.float64)) * years * _RADIANS_PER_MAS
    north = np.nan_to_num(np.asarray(pm_dec_mas_yr, dtype=np.float64)) * years * _RADIANS_PER_MAS
    sin_ra, cos_ra, sin_dec, cos_dec = np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec)
    x = cos_dec * cos_ra - east * sin_ra - north * sin_dec * cos_ra
    y = cos_dec * sin_ra + east * cos_ra - north * sin_dec * sin_ra
    z = sin_dec + north * cos_dec
    moved_ra = np.degrees(np.arctan2(y, x)) % 360.0
    return np.where(moved_ra >= 360.0, 0.0, moved_ra), np.degrees(np.arctan2(z, np.hypot(x, y)))
