"""Astrometric solution of one detector against a reference catalogue.

The nominal WCS of the header may be off by a minute of arc: the pattern of the brightest stars gives the shift, then
the match and the fit are repeated with a radius that follows the residuals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import DataError
from lsst_commtools.qa.match import match_pattern, match_sky
from lsst_commtools.qa.motion import apply_proper_motion, jyear_from_mjd
from lsst_commtools.qa.projection import sky_to_tangent, tangent_to_sky
from lsst_commtools.qa.statistics import mad
from lsst_commtools.qa.wcs import WcsFit, fit_tan_polynomial

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = [
    "AstrometrySettings",
    "AstrometrySolution",
    "ReferenceStars",
    "failed_solution",
    "read_references",
    "solve_astrometry",
]

_RADIAN_TO_MAS = np.degrees(1.0) * 3600e3
_AB_ZERO_NJY = 31.4  # AB magnitude of 1 nJy


@dataclass(frozen=True)
class AstrometrySettings:
    """Limits of the match and the fit.

    Parameters
    ----------
    max_shift_arcsec
        Largest pointing error that is looked for.
    first_radius_arcsec, least_radius_arcsec
        Match radius after the pattern match, and the smallest to which it shrinks.
    order
        Highest order of the polynomial.
    stars_per_term
        Fewer matches than this for each term lower the order.
    clip_sigma
        Clipping of the fit.
    """

    max_shift_arcsec: float = 60.0
    first_radius_arcsec: float = 2.0
    least_radius_arcsec: float = 0.3
    order: int = 3
    stars_per_term: float = 3.0
    clip_sigma: float = 3.5


@dataclass(frozen=True)
class ReferenceStars:
    """Reference stars at the epoch of an exposure; arrays of shape (stars,).

    Parameters
    ----------
    id
        Number in the catalogue.
    ra_deg, dec_deg
        ICRS, proper motion applied.
    mag
        AB magnitude, NaN where unknown.
    """

    id: NDArray[np.int64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    mag: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True)
class AstrometrySolution:
    """Result of a fit, or why there is none.

    Parameters
    ----------
    fit
        The WCS, or None.
    star, reference
        Matched rows of the star table and of the reference stars, shape (pairs,), in the order of the fit's arrays.
    pointing_offset_ra_arcsec, pointing_offset_dec_arcsec
        Fitted minus nominal position of the detector's middle, east and north.
    n_reference
        Reference stars that could lie on the detector.
    failure
        Why there is no fit; empty if there is one.
    """

    fit: WcsFit | None
    star: NDArray[np.int64]
    reference: NDArray[np.int64]
    pointing_offset_ra_arcsec: float
    pointing_offset_dec_arcsec: float
    n_reference: int
    failure: str


def failed_solution(failure: str, n_reference: int = 0) -> AstrometrySolution:
    """Give the result where no fit is possible.

    Parameters
    ----------
    failure
        Why.
    n_reference
        Reference stars that could lie on the detector.

    Returns
    -------
    AstrometrySolution
        Without a fit.
    """
    none = np.empty(0, dtype=np.int64)
    return AstrometrySolution(None, none, none, float("nan"), float("nan"), n_reference, failure)


def read_references(
    columns: Mapping[str, Any], epoch_mjd_tai: float, flux_column: str = "phot_g_mean_flux"
) -> ReferenceStars:
    """Move a reference catalogue to the epoch of an exposure.

    Parameters
    ----------
    columns
        Columns of an LSST reference catalogue: ``id``, ``coord_ra``, ``coord_dec`` in radians and, where known,
        ``pm_ra``, ``pm_dec`` in radians a year (``pm_ra`` includes cos Dec), ``epoch`` as MJD TAI, a flux in nJy.
    epoch_mjd_tai
        Middle of the exposure.
    flux_column
        Name of the flux.

    Returns
    -------
    ReferenceStars
        Stars without a proper motion stay where they are.
    """
    ra, dec = (np.degrees(np.asarray(columns[name], dtype=np.float64)) for name in ("coord_ra", "coord_dec"))
    if {"pm_ra", "pm_dec", "epoch"} <= set(columns) and np.isfinite(epoch_mjd_tai):
        motion = [
            np.nan_to_num(np.asarray(columns[name], dtype=np.float64)) * _RADIAN_TO_MAS
            for name in ("pm_ra", "pm_dec")
        ]
        epoch = np.asarray(columns["epoch"], dtype=np.float64)
        start = 2000.0 + (np.where(np.isfinite(epoch), epoch, epoch_mjd_tai) - 51544.5) / 365.25
        ra, dec = apply_proper_motion(ra, dec, motion[0], motion[1], start, jyear_from_mjd(epoch_mjd_tai))
    mag = np.full(len(ra), np.nan)
    if flux_column in columns:
        flux = np.asarray(columns[flux_column], dtype=np.float64)
        mag = _AB_ZERO_NJY - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))
    return ReferenceStars(np.asarray(columns["id"], dtype=np.int64), ra, dec, mag)


def _near(
    references: ReferenceStars, centre: tuple[float, float], reach_arcsec: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Rows within reach of the field's middle, brightest first, with their tangent plane positions."""
    with np.errstate(invalid="ignore"):
        xi, eta = sky_to_tangent(references.ra_deg, references.dec_deg, centre)
        rows = np.flatnonzero(np.hypot(xi, eta) <= reach_arcsec)
    rows = rows[np.argsort(np.nan_to_num(references.mag[rows], nan=99.0), kind="stable")]
    return rows, xi[rows], eta[rows]


def _fitting_order(pairs: int, settings: AstrometrySettings) -> int:
    for order in range(settings.order, 0, -1):
        if pairs >= settings.stars_per_term * (order + 1) * (order + 2) / 2:
            return order
    return 0


def solve_astrometry(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    usable: NDArray[np.bool_],
    *,
    nominal: WCS,
    shape: tuple[int, int],
    references: ReferenceStars,
    settings: AstrometrySettings | None = None,
) -> AstrometrySolution:
    """Match stars to the reference and fit the WCS.

    Parameters
    ----------
    x, y
        Zero-based pixels of all stars, brightest first.
    usable
        Stars that may take part.
    nominal
        WCS from the header.
    shape
        Rows and columns of the detector.
    references
        Reference stars at the epoch of the exposure.
    settings
        Limits; the defaults if not given.

    Returns
    -------
    AstrometrySolution
        With ``failure`` set where no fit is possible.
    """
    settings = settings or AstrometrySettings()
    rows, columns = shape
    middle = ((columns - 1) / 2.0, (rows - 1) / 2.0)
    centre_ra, centre_dec = (float(v) for v in nominal.wcs_pix2world(*middle, 0))
    centre = (centre_ra, centre_dec)
    corner_ra, corner_dec = nominal.wcs_pix2world([0, columns - 1], [0, rows - 1], 0)
    half_diagonal = float(np.hypot(*sky_to_tangent(corner_ra, corner_dec, centre)).max())
    near, ref_xi, ref_eta = _near(references, centre, half_diagonal + 1.5 * settings.max_shift_arcsec)
    stars = np.flatnonzero(usable)
    if not near.size:
        return failed_solution("no reference star near the pointing of the header")
    if stars.size < 3:
        return failed_solution(f"only {stars.size} usable stars", int(near.size))
    star_ra, star_dec = nominal.wcs_pix2world(x[stars], y[stars], 0)
    star_xi, star_eta = sky_to_tangent(star_ra, star_dec, centre)
    try:
        pattern = match_pattern(
            star_xi, star_eta, ref_xi, ref_eta, max_shift_arcsec=settings.max_shift_arcsec
        )
    except DataError as error:
        return failed_solution(
            f"{stars.size} stars, {near.size} reference stars: {error.message}", int(near.size)
        )
    sky = tangent_to_sky(*pattern.apply(star_xi, star_eta), centre)
    local = ReferenceStars(
        references.id[near], references.ra_deg[near], references.dec_deg[near], references.mag[near]
    )
    solution = _iterate(x[stars], y[stars], sky, local, middle=middle, settings=settings)
    if solution.fit is None:
        return replace(solution, n_reference=int(near.size))
    fitted_ra, fitted_dec = solution.fit.pixel_to_sky(*middle)
    offset_ra, offset_dec = sky_to_tangent(fitted_ra, fitted_dec, centre)
    return replace(
        solution,
        star=stars[solution.star],
        reference=near[solution.reference],
        pointing_offset_ra_arcsec=float(offset_ra[0]),
        pointing_offset_dec_arcsec=float(offset_dec[0]),
        n_reference=int(near.size),
    )


def _iterate(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    sky: tuple[NDArray[np.float64], NDArray[np.float64]],
    references: ReferenceStars,
    *,
    middle: tuple[float, float],
    settings: AstrometrySettings,
) -> AstrometrySolution:
    """Match and fit in turns: first a plain TAN, then the polynomial, the radius following the residuals."""
    radius = settings.first_radius_arcsec
    solution = failed_solution("not fitted")
    for order_limit in (1, settings.order, settings.order):
        star, reference, _ = match_sky(*sky, references.ra_deg, references.dec_deg, radius)
        order = min(order_limit, _fitting_order(len(star), settings))
        if order == 0:
            return failed_solution(f"only {len(star)} of {len(x)} stars match the reference")
        try:
            fit = fit_tan_polynomial(
                x[star],
                y[star],
                references.ra_deg[reference],
                references.dec_deg[reference],
                order=order,
                crpix=middle,
                clip_sigma=settings.clip_sigma,
            )
        except DataError as error:
            return failed_solution(f"{len(star)} matches: {error.message}")
        solution = AstrometrySolution(fit, star, reference, 0.0, 0.0, 0, "")
        sky = fit.pixel_to_sky(x, y)
        scatter_mas = max(mad(fit.ra_residual_mas[fit.used]), mad(fit.dec_residual_mas[fit.used]))
        radius = min(max(settings.least_radius_arcsec, 6.0 * scatter_mas / 1e3), settings.first_radius_arcsec)
    return solution
