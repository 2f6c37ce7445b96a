"""The gnomonic (TAN) projection and its inverse, in arcsec."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["mean_direction", "sky_to_tangent", "tangent_to_sky"]

_ARCSEC = 3600.0 * 180.0 / np.pi
Array = NDArray[np.float64]


def mean_direction(ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[float, float]:
    """Give the mean of directions as a mean of unit vectors, so that it holds at the poles and across RA 0.

    Parameters
    ----------
    ra_deg, dec_deg
        Shape (n,), finite.

    Returns
    -------
    ra_deg, dec_deg
        RA in [0, 360).
    """
    ra, dec = (
        np.radians(np.asarray(ra_deg, dtype=np.float64)),
        np.radians(np.asarray(dec_deg, dtype=np.float64)),
    )
    x, y, z = np.mean(np.cos(dec) * np.cos(ra)), np.mean(np.cos(dec) * np.sin(ra)), np.mean(np.sin(dec))
    return float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def sky_to_tangent(ra_deg: ArrayLike, dec_deg: ArrayLike, centre: tuple[float, float]) -> tuple[Array, Array]:
    """Project directions onto the plane that touches the sphere at a point (Calabretta & Greisen 2002, 5.1.3).

    Parameters
    ----------
    ra_deg, dec_deg
        Shape (n,).
    centre
        RA and Dec of the tangent point in degrees.

    Returns
    -------
    xi_arcsec, eta_arcsec
        East and north; NaN for directions of the other hemisphere.
    """
    delta = np.radians(np.asarray(ra_deg, dtype=np.float64) - centre[0])
    dec, dec0 = np.radians(np.asarray(dec_deg, dtype=np.float64)), np.radians(centre[1])
    sin_dec, cos_dec, cos_delta = np.sin(dec), np.cos(dec), np.cos(delta)
    depth = np.sin(dec0) * sin_dec + np.cos(dec0) * cos_dec * cos_delta
    factor = _ARCSEC / np.where(depth > 0.0, depth, np.nan)
    return cos_dec * np.sin(delta) * factor, (
        np.cos(dec0) * sin_dec - np.sin(dec0) * cos_dec * cos_delta
    ) * factor


def tangent_to_sky(
    xi_arcsec: ArrayLike, eta_arcsec: ArrayLike, centre: tuple[float, float]
) -> tuple[Array, Array]:
    """Give the directions of points of the tangent plane, the inverse of `sky_to_tangent`.

    Parameters
    ----------
    xi_arcsec, eta_arcsec
        East and north, shape (n,).
    centre
        RA and Dec of the tangent point in degrees.

    Returns
    -------
    ra_deg, dec_deg
        RA in [0, 360).
    """
    xi, eta = (np.asarray(v, dtype=np.float64) / _ARCSEC for v in (xi_arcsec, eta_arcsec))
    dec0 = np.radians(centre[1])
    depth = np.cos(dec0) - eta * np.sin(dec0)
    ra = (np.degrees(np.arctan2(xi, depth)) + centre[0]) % 360.0
    dec = np.degrees(np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(depth, xi)))
    return np.where(ra >= 360.0, 0.0, ra), dec
