"""The PSF of one visit: size, ellipticity in three frames, seeing at the zenith and 500 nm, star minus model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.frames import (
    RUBIN_LATITUDE_DEG,
    airmass,
    altitude_deg,
    local_sidereal_time_deg,
    mjd_of_jyear,
    parallactic_angle_deg,
    rotate_ellipticity,
    zenith_seeing_arcsec,
)
from lsst_commtools.qa.projection import mean_direction
from lsst_commtools.qa.statistics import mad, median
from lsst_commtools.qa.survey import VisitShapes
from lsst_commtools.qa.tables import StarTable

__all__ = ["TAI_MINUS_UTC_DAYS", "VisitPsf", "measure_visit_psf"]

TAI_MINUS_UTC_DAYS = 37.0 / 86400.0  # since 2017


@dataclass(frozen=True)
class VisitPsf:
    """PSF of one visit.

    Parameters
    ----------
    visit
        Its number.
    n_stars
        Stars that gave the figures.
    figures
        Figure to median over the stars, the unit in the name; only what could be measured.
    frame
        Axes of ``e1_sky`` and ``e2_sky``.
    reasons
        Figure that could not be measured to the reason.
    """

    visit: int
    n_stars: int
    figures: Mapping[str, float]
    frame: str
    reasons: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Give the figures for JSON."""
        return {
            "visit": self.visit, "n_stars": self.n_stars, **self.figures, "sky_frame": self.frame,
            "unknown": dict(self.reasons),
        }  # fmt: skip


def measure_visit_psf(
    stars: VisitShapes, table: StarTable, *, wavelength_nm: float | None = None
) -> VisitPsf:
    """Measure the PSF of a visit.

    Parameters
    ----------
    stars
        Its usable stars.
    table
        Table that they are rows of; with ``epoch`` (Julian years, TAI) the horizon's frame is known.
    wavelength_nm
        Effective wavelength of the band.

    Returns
    -------
    VisitPsf
        Medians over the stars: ``fwhm_arcsec`` (of HSM moments, above the true FWHM), e1 and e2 in the axes of
        detector, sky and horizon, ``de1``, ``de2``, ``dt_over_t`` and their MAD, ``airmass``,
        ``fwhm_zenith_500nm_arcsec``.
    """
    shapes = stars.shapes
    figures: dict[str, float] = {}
    reasons: dict[str, str] = {}
    if stars.size_unit == "arcsec2":
        figures["fwhm_arcsec"], figures["fwhm_mad_arcsec"] = median(stars.fwhm), mad(stars.fwhm)
    else:
        figures["fwhm_pixel"], reasons["fwhm_arcsec"] = median(stars.fwhm), "the moments are in pixels"
    for frame, e1, e2 in (("detector", stars.detector_e1, stars.detector_e2), ("sky", shapes.e1, shapes.e2)):
        figures[f"e1_{frame}"], figures[f"e2_{frame}"] = median(e1), median(e2)
    for name, values in (("de1", shapes.de1), ("de2", shapes.de2), ("dt_over_t", shapes.dt_over_t)):
        figures[f"{name}_median"], figures[f"{name}_mad"] = median(values), mad(values)
    _add_horizon(figures, reasons, stars, table, wavelength_nm)
    return VisitPsf(stars.visit, len(shapes), figures, stars.frame, reasons)


def _add_horizon(
    figures: dict[str, float],
    reasons: dict[str, str],
    stars: VisitShapes,
    table: StarTable,
    wavelength_nm: float | None,
) -> None:
    epoch = median(table["epoch"][stars.rows]) if "epoch" in table else float("nan")
    if not np.isfinite(epoch):
        reasons["e1_altaz"] = reasons["fwhm_zenith_500nm_arcsec"] = "the table does not tell the time"
        return
    ra, dec = mean_direction(stars.shapes.ra_deg, stars.shapes.dec_deg)
    lst = local_sidereal_time_deg(mjd_of_jyear(epoch) - TAI_MINUS_UTC_DAYS)
    altitude = float(altitude_deg(ra, dec, lst, RUBIN_LATITUDE_DEG))
    if altitude <= 0.0:
        reasons["e1_altaz"] = reasons["fwhm_zenith_500nm_arcsec"] = (
            "the field was below the horizon at that time"
        )
        return
    angle = -float(parallactic_angle_deg(ra, dec, lst, RUBIN_LATITUDE_DEG))
    turned: tuple[NDArray[np.float64], NDArray[np.float64]] = rotate_ellipticity(
        stars.shapes.e1, stars.shapes.e2, angle
    )
    figures["e1_altaz"], figures["e2_altaz"] = median(turned[0]), median(turned[1])
    figures["altitude_deg"], figures["airmass"] = altitude, float(airmass(altitude))
    if wavelength_nm is None:
        reasons["fwhm_zenith_500nm_arcsec"] = "the band is not known"
    elif "fwhm_arcsec" in figures:
        figures["fwhm_zenith_500nm_arcsec"] = float(
            zenith_seeing_arcsec(figures["fwhm_arcsec"], figures["airmass"], wavelength_nm)
        )
