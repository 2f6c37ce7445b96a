"""Frames of ellipticities: from the detector's axes to the sky's, and to those of the horizon.

An ellipticity is told in axes x and y. *Detector*: column and row. *Equatorial*: +x east, +y north, of the plane that
touches the sky at the middle of the field. *Alt-az*: +y to the zenith, +x across it as east lies across north (towards
smaller azimuth). These axes all have one handedness on the sky, whatever that of the detector is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsst_commtools.qa.motion import JULIAN_YEAR_DAYS

__all__ = [
    "EFFECTIVE_WAVELENGTHS_NM",
    "RUBIN_LATITUDE_DEG",
    "RUBIN_LONGITUDE_DEG",
    "airmass",
    "altitude_deg",
    "axes_of_detector",
    "local_north_deg",
    "local_sidereal_time_deg",
    "mjd_of_jyear",
    "parallactic_angle_deg",
    "rotate_ellipticity",
    "rotate_moments",
    "zenith_seeing_arcsec",
]

Array = NDArray[np.float64]

RUBIN_LATITUDE_DEG = -30.2446
RUBIN_LONGITUDE_DEG = -70.7494
"""Rubin Observatory, Cerro Pachon (WGS 84), east positive; the Auxiliary Telescope lies 100 m off."""

EFFECTIVE_WAVELENGTHS_NM = {"u": 368.0, "g": 480.0, "r": 623.0, "i": 754.0, "z": 869.0, "y": 974.0}
"""Of LSST's bands for a flat spectrum at airmass 1.2, to 3 nm: 0.1 % of the seeing."""

_REFERENCE_NM = 500.0
_LEAST_STARS = 4
_WORST_FIT = 0.02


def axes_of_detector(x: ArrayLike, y: ArrayLike, xi_arcsec: ArrayLike, eta_arcsec: ArrayLike) -> Array | None:
    """Find how a detector lies on the sky from the positions of its stars in both.

    Parameters
    ----------
    x, y
        Pixel positions, shape (n,).
    xi_arcsec, eta_arcsec
        East and north on the tangent plane, shape (n,).

    Returns
    -------
    numpy.ndarray or None
        Columns: arcsec on the sky for one pixel along x and along y, shape (2, 2). None if fewer than four stars tell
        it, or if the positions do not agree to 2 % of the detector, which no distortion explains.
    """
    pixels = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)], axis=1)
    sky = np.stack([np.asarray(xi_arcsec, np.float64), np.asarray(eta_arcsec, np.float64)], axis=1)
    good = np.isfinite(pixels).all(axis=1) & np.isfinite(sky).all(axis=1)
    if good.sum() < _LEAST_STARS:
        return None
    pixels, sky = pixels[good] - pixels[good].mean(axis=0), sky[good] - sky[good].mean(axis=0)
    solution, _, rank, _ = np.linalg.lstsq(pixels, sky, rcond=1e-6)
    spread = float(np.sqrt(np.mean(sky**2)))
    if rank < 2 or not np.sqrt(np.mean((sky - pixels @ solution) ** 2)) <= _WORST_FIT * spread:
        return None
    return np.asarray(solution.T)


def rotate_moments(
    ixx: ArrayLike, iyy: ArrayLike, ixy: ArrayLike, axes: Array, *, scale: bool = False
) -> tuple[Array, Array, Array]:
    """Take second moments from the detector's axes to the sky's.

    Parameters
    ----------
    ixx, iyy, ixy
        Moments along the detector's axes, shape (n,).
    axes
        Of `axes_of_detector`.
    scale
        Whether the moments are in pixel^2, and become arcsec^2 by the whole matrix. Otherwise they are only turned,
        and mirrored where the detector is, by the nearest orthogonal matrix.

    Returns
    -------
    ixx, iyy, ixy
        Along east and north.
    """
    if scale:
        matrix = axes
    else:
        left, _, right = np.linalg.svd(axes)
        matrix = left @ right
    xx, yy, xy = (np.asarray(m, dtype=np.float64) for m in (ixx, iyy, ixy))
    (a, b), (c, d) = matrix
    return (
        a * a * xx + 2 * a * b * xy + b * b * yy,
        c * c * xx + 2 * c * d * xy + d * d * yy,
        a * c * xx + (a * d + b * c) * xy + b * d * yy,
    )


def rotate_ellipticity(e1: ArrayLike, e2: ArrayLike, angle_deg: ArrayLike) -> tuple[Array, Array]:
    """Tell an ellipticity, distortion or shear, in turned axes.

    Parameters
    ----------
    e1, e2
        In the old axes.
    angle_deg
        By how much the new axes are turned from the old ones, from x towards y.

    Returns
    -------
    e1, e2
        In the new axes.
    """
    turn = (np.asarray(e1) + 1j * np.asarray(e2)) * np.exp(
        -2j * np.radians(np.asarray(angle_deg, np.float64))
    )
    return turn.real, turn.imag


def local_north_deg(ra_deg: ArrayLike, centre: tuple[float, float]) -> Array:
    """Give the angle by which each star's own north is turned from the field's.

    Parameters
    ----------
    ra_deg
        Shape (n,); the angle does not depend on Dec.
    centre
        RA and Dec of the field's middle.

    Returns
    -------
    numpy.ndarray
        Degrees from the field's axes to the star's (east towards north), shape (n,). Near the equator it is about 0, at
        the pole it is the difference in RA.
    """
    delta, dec0 = np.radians(np.asarray(ra_deg, np.float64) - centre[0]), np.radians(centre[1])
    # The derivative of (xi, eta) along Dec is (-sin(delta) sin(dec0), cos(delta)) up to a positive factor.
    return np.asarray(np.degrees(np.arctan2(np.sin(delta) * np.sin(dec0), np.cos(delta))))


def local_sidereal_time_deg(mjd_utc: ArrayLike, longitude_deg: float = RUBIN_LONGITUDE_DEG) -> Array:
    """Give the local mean sidereal time (IAU 2006 at the arc minute: UT1 is taken as UTC).

    Parameters
    ----------
    mjd_utc
        Modified Julian date.
    longitude_deg
        East positive.

    Returns
    -------
    numpy.ndarray
        Degrees, 0 to 360.
    """
    days = np.asarray(mjd_utc, np.float64) - 51544.5
    return np.asarray((280.46061837 + 360.98564736629 * days + longitude_deg) % 360.0)


def altitude_deg(ra_deg: ArrayLike, dec_deg: ArrayLike, lst_deg: ArrayLike, latitude_deg: float) -> Array:
    """Give the altitude without refraction.

    Parameters
    ----------
    ra_deg, dec_deg, lst_deg
        Direction and local sidereal time; precession is left out, 0.4 degrees at most until 2050.
    latitude_deg
        Of the observatory.

    Returns
    -------
    numpy.ndarray
        Degrees.
    """
    hour = np.radians(np.asarray(lst_deg, np.float64) - np.asarray(ra_deg, np.float64))
    dec, latitude = np.radians(np.asarray(dec_deg, np.float64)), np.radians(latitude_deg)
    up = np.sin(dec) * np.sin(latitude) + np.cos(dec) * np.cos(latitude) * np.cos(hour)
    return np.asarray(np.degrees(np.arcsin(np.clip(up, -1.0, 1.0))))


def parallactic_angle_deg(
    ra_deg: ArrayLike, dec_deg: ArrayLike, lst_deg: ArrayLike, latitude_deg: float
) -> Array:
    """Give the parallactic angle: from north to the zenith, towards east.

    Parameters
    ----------
    ra_deg, dec_deg, lst_deg, latitude_deg
        As for `altitude_deg`.

    Returns
    -------
    numpy.ndarray
        Degrees. The alt-az axes are the equatorial ones turned by minus this angle.
    """
    hour = np.radians(np.asarray(lst_deg, np.float64) - np.asarray(ra_deg, np.float64))
    dec, latitude = np.radians(np.asarray(dec_deg, np.float64)), np.radians(latitude_deg)
    north = np.tan(latitude) * np.cos(dec) - np.sin(dec) * np.cos(hour)
    # West of the meridian (hour angle > 0) the zenith lies to the east of north.
    return np.asarray(np.degrees(np.arctan2(np.sin(hour), north)))


def airmass(altitude: ArrayLike) -> Array:
    """Give the airmass of a plane atmosphere with Young's correction (Young 1994), good to 0.01 at 5 degrees.

    Parameters
    ----------
    altitude
        Degrees.

    Returns
    -------
    numpy.ndarray
        NaN at or below the horizon.
    """
    degrees = np.asarray(altitude, np.float64)
    c = np.sin(np.radians(np.where(degrees > 0.0, degrees, np.nan)))
    above = 1.002432 * c**2 + 0.148386 * c + 0.0096467
    return np.asarray(above / (c**3 + 0.149864 * c**2 + 0.0102963 * c + 0.000303978))


def zenith_seeing_arcsec(fwhm_arcsec: ArrayLike, at_airmass: ArrayLike, wavelength_nm: float) -> Array:
    """Correct a FWHM to the zenith and 500 nm: times airmass^-0.6 and (wavelength / 500 nm)^0.2 (Kolmogorov).

    Parameters
    ----------
    fwhm_arcsec, at_airmass
        Measured.
    wavelength_nm
        Effective wavelength of the band.

    Returns
    -------
    numpy.ndarray
        Arcsec.
    """
    factor = np.asarray(at_airmass, np.float64) ** -0.6 * (wavelength_nm / _REFERENCE_NM) ** 0.2
    return np.asarray(np.asarray(fwhm_arcsec, np.float64) * factor)


def mjd_of_jyear(jyear: float) -> float:
    """Give the modified Julian date of a Julian year, both of one time scale.

    Parameters
    ----------
    jyear
        Julian year.

    Returns
    -------
    float
        Days.
    """
    return (jyear - 2000.0) * JULIAN_YEAR_DAYS + 51544.5
