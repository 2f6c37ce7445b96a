"""The gnomonic (TAN) projection and its inverse, in arcsec."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "direction_of",
    "mean_direction",
    "sky_to_tangent",
    "tangent_to_sky",
    "unit_vectors",
    "vectors_to_tangent",
]

_ARCSEC = 3600.0 * 180.0 / np.pi
Array = NDArray[np.float64]


def unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
    """Give the unit vectors of directions.

    Parameters
    ----------
    ra_deg, dec_deg
        Shape (n,).

    Returns
    -------
    numpy.ndarray
        Shape (n, 3).
    """
    ra, dec = (
        np.radians(np.asarray(ra_deg, dtype=np.float64)),
        np.radians(np.asarray(dec_deg, dtype=np.float64)),
    )
    vectors = np.empty((ra.size, 3))
    cos_dec = np.cos(dec)
    np.multiply(cos_dec, np.cos(ra), out=vectors[:, 0])
    np.multiply(cos_dec, np.sin(ra), out=vectors[:, 1])
    np.sin(dec, out=vectors[:, 2])
    return vectors


def direction_of(vector: Array) -> tuple[float, float]:
    """Give the direction of a vector.

    Parameters
    ----------
    vector
        Shape (3,), of any length.

    Returns
    -------
    ra_deg, dec_deg
        RA in [0, 360).
    """
    x, y, z = (float(v) for v in vector)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


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
    return direction_of(unit_vectors(ra_deg, dec_deg).sum(axis=0))


def vectors_to_tangent(vectors: Array, centre: tuple[float, float]) -> Array:
    """Project unit vectors onto a tangent plane, as `sky_to_tangent`.

    Parameters
    ----------
    vectors
        Shape (n, 3).
    centre
        RA and Dec of the tangent point in degrees.

    Returns
    -------
    numpy.ndarray
        xi and eta in arcsec, shape (n, 2); NaN for directions of the other hemisphere.
    """
    ra0, dec0 = math.radians(centre[0]), math.radians(centre[1])
    sin_ra, cos_ra, sin_dec, cos_dec = math.sin(ra0), math.cos(ra0), math.sin(dec0), math.cos(dec0)
    axes = np.array(
        [
            [-sin_ra, -sin_dec * cos_ra, cos_dec * cos_ra],
            [cos_ra, -sin_dec * sin_ra, cos_dec * sin_ra],
            [0.0, cos_dec, sin_dec],
        ]
    )
    projected = vectors @ axes
    depth = projected[:, 2]
    if depth.min(initial=1.0) <= 0.0:
        depth = np.where(depth > 0.0, depth, np.nan)
    return np.asarray(projected[:, :2] * (_ARCSEC / depth)[:, None])


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
