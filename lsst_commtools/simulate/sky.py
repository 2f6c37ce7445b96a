"""A sky: stars with magnitudes, colours and proper motions, and the reference catalogue made of them.

Counts rise with magnitude as ``dN/dm ~ 10^(0.22 m)``, between the Galactic pole (0.15) and the plane (0.3).
The motions have the wide wings of real ones (Student's t with 3 degrees of freedom); the median of 3 to 5
mas/yr is that of Gaia at G = 19.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.simulate.randoms import Stream, generator

__all__ = [
    "FIELDS",
    "REFERENCE_EPOCH_MJD_TAI",
    "StarField",
    "make_star_field",
    "reference_catalogue",
    "tangent_to_sky",
    "write_reference_shards",
]

REFERENCE_EPOCH_MJD_TAI = 57388.5 - 32.184 / 86400.0
"""Epoch of the catalogue, J2016.0, as MJD on the TAI scale."""

FIELDS: tuple[tuple[float, float], ...] = (
    (0.02, -32.1), (29.8, -59.7), (59.9, -27.9), (90.2, -61.3), (120.1, -33.8), (149.7, -58.9),
    (180.1, -24.6), (210.3, -60.2), (239.8, -31.4), (269.6, -62.0), (300.2, -29.3), (329.9, -58.6),
)  # fmt: skip
"""Fields to observe, RA and Dec in degrees: all round the sky, one across RA 0, every other one near Dec -60."""

COUNT_SLOPE = 0.22
MOTION_SCALE_MAS_YR = 3.5
MAX_MOTION_MAS_YR = 600.0
MAS_PER_RADIAN = math.degrees(1.0) * 3.6e6
DAYS_PER_YEAR = 365.25
AB_ZERO_NJY = 3630.78054770e9
HTM_LEVEL = 7


@dataclass(frozen=True)
class StarField:
    """Stars at one epoch.

    Parameters
    ----------
    id
        One number for each star.
    ra_deg, dec_deg
        Position at the epoch, ICRS.
    pm_ra_mas_yr, pm_dec_mas_yr
        Proper motion; in RA with cos(Dec).
    mag
        AB magnitude in the band of the night, which serves as Gaia's G too.
    colour
        BP - RP.
    epoch_mjd_tai
        The epoch.
    """

    id: NDArray[np.int64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    pm_ra_mas_yr: NDArray[np.float64]
    pm_dec_mas_yr: NDArray[np.float64]
    mag: NDArray[np.float64]
    colour: NDArray[np.float64]
    epoch_mjd_tai: float

    def at_epoch(self, mjd_tai: float) -> StarField:
        """Move the stars to another epoch.

        Parameters
        ----------
        mjd_tai
            The epoch, MJD on the TAI scale.

        Returns
        -------
        StarField
            The same stars where their proper motions have taken them: straight lines in space, without
            parallax and radial velocity.
        """
        years = (mjd_tai - self.epoch_mjd_tai) / DAYS_PER_YEAR
        ra, dec = tangent_to_sky(
            self.ra_deg,
            self.dec_deg,
            self.pm_ra_mas_yr * years / MAS_PER_RADIAN,
            self.pm_dec_mas_yr * years / MAS_PER_RADIAN,
        )
        return replace(self, ra_deg=ra, dec_deg=dec, epoch_mjd_tai=mjd_tai)

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> StarField:
        """Take some of the stars.

        Parameters
        ----------
        chosen
            Mask or indices.

        Returns
        -------
        StarField
            Those stars.
        """
        return StarField(
            self.id[chosen],
            self.ra_deg[chosen],
            self.dec_deg[chosen],
            self.pm_ra_mas_yr[chosen],
            self.pm_dec_mas_yr[chosen],
            self.mag[chosen],
            self.colour[chosen],
            self.epoch_mjd_tai,
        )


def tangent_to_sky(
    ra_deg: float | NDArray[np.float64],
    dec_deg: float | NDArray[np.float64],
    xi: NDArray[np.float64],
    eta: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Go from the tangent plane to the sky.

    Parameters
    ----------
    ra_deg, dec_deg
        Tangent points.
    xi, eta
        Gnomonic coordinates to the east and to the north, in radians.

    Returns
    -------
    ra_deg, dec_deg : numpy.ndarray
        Positions; RA is 0 to 360.
    """
    ra0, dec0 = np.radians(ra_deg), np.radians(dec_deg)
    across = np.cos(dec0) - eta * np.sin(dec0)
    # Twice, because a tiny negative angle modulo 360 rounds to 360.
    ra = np.degrees(ra0 + np.arctan2(xi, across)) % 360.0 % 360.0
    dec = np.degrees(np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(across, xi)))
    return ra, dec


@functools.lru_cache(maxsize=4)
def make_star_field(
    seed: int, field: int, radius_arcmin: float, stars_per_arcmin2: float, mag_range: tuple[float, float]
) -> StarField:
    """Make the stars of one field, at the catalogue's epoch.

    Parameters
    ----------
    seed
        Seed of the night.
    field
        Index into `FIELDS`.
    radius_arcmin
        Radius of the field.
    stars_per_arcmin2
        Mean density of all stars in the range of magnitudes.
    mag_range
        Brightest and faintest magnitude.

    Returns
    -------
    StarField
        The stars, in no order.
    """
    random = generator(seed, Stream.FIELD, field)
    count = int(random.poisson(stars_per_arcmin2 * math.pi * radius_arcmin**2))
    radius = math.radians(radius_arcmin / 60.0) * np.sqrt(random.random(count))
    angle = random.uniform(0.0, 2.0 * math.pi, count)
    ra, dec = tangent_to_sky(*FIELDS[field], radius * np.cos(angle), radius * np.sin(angle))
    bright, faint = mag_range
    span = 10.0 ** (COUNT_SLOPE * (faint - bright)) - 1.0
    motion = MOTION_SCALE_MAS_YR * random.standard_t(3.0, (2, count))
    motion = np.clip(motion, -MAX_MOTION_MAS_YR, MAX_MOTION_MAS_YR)
    return StarField(
        id=np.int64(10**12) * (field + 1) + np.arange(count, dtype=np.int64),
        ra_deg=ra,
        dec_deg=dec,
        pm_ra_mas_yr=motion[0],
        pm_dec_mas_yr=motion[1],
        mag=bright + np.log10(1.0 + span * random.random(count)) / COUNT_SLOPE,
        colour=np.clip(random.normal(1.1, 0.45, count), -0.3, 4.0),
        epoch_mjd_tai=REFERENCE_EPOCH_MJD_TAI,
    )


def reference_catalogue(
    stars: StarField, seed: int, field: int, mag_limit: float
) -> dict[str, NDArray[np.generic]]:
    """Measure the stars as a survey such as Gaia would.

    Parameters
    ----------
    stars
        The stars at the catalogue's epoch.
    seed, field
        Which random errors.
    mag_limit
        Fainter stars are not in the catalogue.

    Returns
    -------
    dict
        Columns of LSST's reference-catalogue format: angles in radian, fluxes in nJy. The errors, 0.05 to
        0.3 mas and 0.02 to 0.1 mas/yr, are applied as well as stated.
    """
    seen = stars.select(stars.mag < mag_limit)
    random = generator(seed, Stream.CATALOGUE, field)
    count = len(seen.id)
    growth = np.clip(10.0 ** (0.2 * (seen.mag - 18.0)), 1.0, 6.0)
    position_error, motion_error = 0.05 * growth, 0.017 * growth
    noise = random.standard_normal((4, count))
    ra, dec = tangent_to_sky(
        seen.ra_deg,
        seen.dec_deg,
        noise[0] * position_error / MAS_PER_RADIAN,
        noise[1] * position_error / MAS_PER_RADIAN,
    )
    columns: dict[str, NDArray[np.generic]] = {
        "id": seen.id,
        "coord_ra": np.radians(ra),
        "coord_dec": np.radians(dec),
        "coord_raErr": (position_error / MAS_PER_RADIAN).astype(np.float32),
        "coord_decErr": (position_error / MAS_PER_RADIAN).astype(np.float32),
        "epoch": np.full(count, seen.epoch_mjd_tai),
        "pm_ra": (seen.pm_ra_mas_yr + noise[2] * motion_error) / MAS_PER_RADIAN,
        "pm_dec": (seen.pm_dec_mas_yr + noise[3] * motion_error) / MAS_PER_RADIAN,
        "pm_raErr": (motion_error / MAS_PER_RADIAN).astype(np.float32),
        "pm_decErr": (motion_error / MAS_PER_RADIAN).astype(np.float32),
        "parallax": np.zeros(count),
        "parallaxErr": np.full(count, 0.05 / MAS_PER_RADIAN),
    }
    for name, mag in (
        ("phot_g_mean", seen.mag),
        ("phot_bp_mean", seen.mag + 0.6 * seen.colour),
        ("phot_rp_mean", seen.mag - 0.4 * seen.colour),
    ):
        flux = AB_ZERO_NJY * 10.0 ** (-0.4 * mag)
        columns[f"{name}_flux"] = flux
        columns[f"{name}_fluxErr"] = 0.002 * flux
    return columns


_UNITS = {
    "coord_ra": "rad", "coord_dec": "rad", "coord_raErr": "rad", "coord_decErr": "rad", "epoch": "day",
    "pm_ra": "rad / yr", "pm_dec": "rad / yr", "pm_raErr": "rad / yr", "pm_decErr": "rad / yr",
    "parallax": "rad", "parallaxErr": "rad",
}  # fmt: skip


def write_reference_shards(parts: Sequence[dict[str, NDArray[np.generic]]], folder: Path) -> list[Path]:
    """Write a reference catalogue as LSST does: one FITS table for each trixel of HTM level 7.

    Parameters
    ----------
    parts
        One for each field, from `reference_catalogue`.
    folder
        Where to; it is made.

    Returns
    -------
    list of Path
        The files, ``<htm7 id>.fits``.
    """
    from astropy.table import Table
    from lsst.sphgeom import HtmPixelization, LonLat, UnitVector3d

    folder.mkdir(parents=True, exist_ok=True)
    if not parts:
        return []
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    pixels = HtmPixelization(HTM_LEVEL)
    trixels = np.array(
        [
            pixels.index(UnitVector3d(LonLat.fromRadians(float(ra), float(dec))))
            for ra, dec in zip(columns["coord_ra"], columns["coord_dec"], strict=True)
        ],
        dtype=np.int64,
    )
    written = []
    for trixel in np.unique(trixels):
        table = Table({name: column[trixels == trixel] for name, column in columns.items()})
        for name, column in table.columns.items():
            column.unit = "nJy" if name.startswith("phot_") else _UNITS.get(name)
        table.meta["HIERARCH REFCAT_FORMAT_VERSION"] = 1
        written.append(folder / f"{trixel}.fits")
        part = written[-1].with_suffix(".part")
        table.write(part, format="fits", overwrite=True)
        part.replace(written[-1])
    return written
