"""What the stars of one detector give: residuals of the WCS, shapes of the PSF.

Residuals are measured minus reference on the tangent plane, so that they are right at any declination and across RA 0.
Star minus model: de = e_star - e_model and dT/T = (T_star - T_model) / T_star, as in Piff; the scaled size scatter is
that of pipe_tasks, MAD(size_star - size_model) / median(size_star) with size = sqrt(T / 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import DataError
from lsst_commtools.qa.match import match_sky
from lsst_commtools.qa.polynomials import n_terms
from lsst_commtools.qa.projection import mean_direction, sky_to_tangent
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.shapes import fwhm_from_trace
from lsst_commtools.qa.statistics import mad, median, rms
from lsst_commtools.qa.tables import StarTable
from lsst_commtools.qa.wcs import WcsFit, fit_tan_polynomial

__all__ = [
    "HIGHER_MOMENTS",
    "LEAST_STARS",
    "Measured",
    "Targets",
    "find_targets",
    "measure_stars",
    "psf_figures",
    "psf_sample",
    "residual_figures",
]

DEFAULT_ORDER = 3
LEAST_STARS = 5
"""Fewer stars give no verdict."""
HIGHER_MOMENTS = ("coma1", "coma2", "trefoil1", "trefoil2", "e4_1", "e4_2", "kurtosis")
"""Of `higher_moments`, where there were stamps to measure them from."""
_STARS_PER_TERM = 2
_CLIP_SIGMA = 5.0
_BRIGHT_SNR = 50.0
_MATCH_RADIUS_ARCSEC = 2.0


@dataclass(frozen=True, eq=False)
class Targets:
    """Where the stars should be.

    Parameters
    ----------
    source
        ``file``, ``table`` or ``own``.
    ra_deg, dec_deg
        Reference positions, shape (n,), NaN where a star has none; None where there are no positions at all.
    problems
        What could not be done.
    """

    source: str
    ra_deg: NDArray[np.float64] | None
    dec_deg: NDArray[np.float64] | None
    problems: tuple[str, ...]

    def rows(self, selection: NDArray[np.bool_]) -> Targets:
        """Take some rows.

        Parameters
        ----------
        selection
            Mask, shape (n,).

        Returns
        -------
        Targets
            Of these rows only.
        """
        if self.ra_deg is None or self.dec_deg is None:
            return self
        return Targets(self.source, self.ra_deg[selection], self.dec_deg[selection], self.problems)


@dataclass
class Measured:
    """What one detector gave, before the verdict.

    Parameters
    ----------
    figures
        Figure to value.
    stars
        Columns for each star.
    fit
        The WCS; None where none could be fitted.
    problems
        One line for each thing that is missing.
    """

    figures: dict[str, float] = field(default_factory=dict)
    stars: dict[str, NDArray[Any]] = field(default_factory=dict)
    fit: WcsFit | None = None
    problems: list[str] = field(default_factory=list)


def measure_stars(
    table: StarTable, sample: NDArray[np.bool_], targets: Targets, order: int | None
) -> Measured:
    """Measure the WCS and the PSF of one detector.

    Parameters
    ----------
    table
        Its stars.
    sample
        Those that show the PSF, shape (n,).
    targets
        Their reference positions, from `find_targets`.
    order
        Order of the WCS; by default 3, and lower where there are few stars.

    Returns
    -------
    Measured
        Figures, columns for each star, fit, and what is missing.
    """
    measured = Measured(problems=list(targets.problems))
    for name in ("x", "y", "ra", "dec", "mag", "snr", "e1", "e2"):
        if name in table:
            measured.stars[name] = table[name]
    _measure_wcs(measured, table, targets, order)
    _measure_psf(measured, table, sample)
    return measured


def psf_sample(table: StarTable) -> tuple[NDArray[np.bool_], str]:
    """Choose the stars that show the PSF: those of the PSF model, or bright point sources, or all.

    Parameters
    ----------
    table
        Stars.

    Returns
    -------
    sample
        Mask, shape (n,).
    name
        What was chosen.
    """
    good = table.good
    bright, name = good, "all stars"
    if "extendedness" in table:
        bright, name = bright & (table["extendedness"] < 0.5), "point sources"
    if "snr" in table and "extendedness" in table:
        bright, name = bright & (table["snr"] > _BRIGHT_SNR), "point sources with SNR > 50"
    used = np.zeros(len(table), dtype=bool)
    for column in ("psf_used", "psf_reserved"):
        if column in table:
            used |= good & (table[column] > 0)
    return (
        (used, "stars of the PSF model")
        if used.sum() >= min(LEAST_STARS, bright.sum()) > 0
        else (bright, name)
    )


def find_targets(table: StarTable, references: ReferenceStars | None) -> Targets:
    """Give each star its reference position at the epoch of the exposure.

    Parameters
    ----------
    table
        Stars of a visit or detector.
    references
        Reference catalogue; by default the reference positions in the table, or else its own sky positions.

    Returns
    -------
    Targets
        As many rows as the table has.
    """
    problems: list[str] = []
    if references is None and not table.has("ref_ra", "ref_dec"):
        known = table.has("ra", "dec")
        return Targets("own", table["ra"] if known else None, table["dec"] if known else None, ())
    if references is None:
        own = ReferenceStars.from_table(table)
        ra, dec = own.at(_epoch(table, own, problems))
        return Targets("table", ra, dec, tuple(problems))
    if not table.has("ra", "dec"):
        problems.append("the table has no positions on the sky to match with the reference")
        return Targets("file", None, None, tuple(problems))
    ra, dec = references.at(median(_epoch(table, references, problems)))
    good = np.flatnonzero(table.good & np.isfinite(table["ra"]) & np.isfinite(table["dec"]))
    index, reference_index, _ = match_sky(
        table["ra"][good], table["dec"][good], ra, dec, _MATCH_RADIUS_ARCSEC
    )
    matched = np.full((2, len(table)), np.nan)
    matched[:, good[index]] = ra[reference_index], dec[reference_index]
    return Targets("file", matched[0], matched[1], tuple(problems))


def _epoch(table: StarTable, references: ReferenceStars, problems: list[str]) -> NDArray[np.float64]:
    moving = bool(np.any(np.isfinite(references.pm_ra_mas_yr)))
    if moving and not references.can_move:
        problems.append("the epoch of the reference is not known: proper motions were not applied")
    if "epoch" in table:
        return table["epoch"]
    if references.can_move:
        problems.append("the epoch of the exposure is not known: proper motions were not applied")
    return np.full(len(table), np.nan)


def _measure_wcs(measured: Measured, table: StarTable, targets: Targets, order: int | None) -> None:
    figures, problems = measured.figures, measured.problems
    missing = np.full(len(table), np.nan)
    measured.stars.update(
        ra_residual_mas=missing, dec_residual_mas=missing, wcs_used=np.zeros(len(table), bool)
    )
    if targets.ra_deg is None or targets.dec_deg is None or not table.has("x", "y"):
        lacking = "pixel positions x, y" if targets.ra_deg is not None else "reference positions"
        problems.append(f"no WCS: the table has no {lacking}")
        return
    target = targets.ra_deg, targets.dec_deg
    good = table.good
    positioned = np.isfinite(table["x"]) & np.isfinite(table["y"])
    if (bad := int((good & ~positioned).sum())) > 0:
        problems.append(f"{bad} of {len(table)} stars have no finite pixel position")
    matched = good & positioned & np.isfinite(target[0]) & np.isfinite(target[1])
    if targets.source == "own" and (bad := int((good & positioned & ~matched).sum())) > 0:
        problems.append(f"{bad} of {len(table)} stars have no finite sky position")
    figures["n_matched"] = float(matched.sum())
    if targets.source != "own" and table.has("ra", "dec"):
        _measure_offset(figures, table, target, matched)
    try:
        chosen = _order(int(matched.sum()), order)
        fit = fit_tan_polynomial(
            np.where(matched, table["x"], np.nan), table["y"], *target, order=chosen, clip_sigma=_CLIP_SIGMA
        )
    except DataError as error:
        problems.append(f"no WCS: {error.message[0].lower()}{error.message[1:].rstrip('.')}")
        return
    measured.fit = fit
    measured.stars.update(_sky_frame(fit, table))
    measured.stars.update(
        ra_residual_mas=fit.ra_residual_mas, dec_residual_mas=fit.dec_residual_mas, wcs_used=fit.used
    )
    figures.update(
        order=float(fit.order),
        n_used=float(fit.n_used),
        pixel_scale_arcsec=fit.pixel_scale_arcsec,
        rotation_deg=fit.rotation_deg,
    )
    if fit.degrees_of_freedom < LEAST_STARS - n_terms(1):
        problems.append(f"WCS of order {fit.order}: {fit.n_used} stars, too few to judge")
        return
    figures.update(residual_figures(fit.ra_residual_mas[fit.used], fit.dec_residual_mas[fit.used]))


def _sky_frame(fit: WcsFit, table: StarTable) -> dict[str, NDArray[Any]]:
    """Give positions by the fit, and the axis of the ellipticity in the plane of east and north."""
    columns = dict(zip(("ra_fit", "dec_fit"), fit.pixel_to_sky(table["x"], table["y"]), strict=True))
    if table.has("e1", "e2"):
        angle = 0.5 * np.arctan2(table["e2"], table["e1"])
        east, north = fit.cd_deg @ np.stack([np.cos(angle), np.sin(angle)])
        columns["whisker_angle_sky_rad"] = np.arctan2(north, east)
    return columns


def _order(n_stars: int, order: int | None) -> int:
    """Take the order that was asked for, or the highest up to 3 that so many stars determine well."""
    if order is not None:
        return order
    fitting = [k for k in range(1, DEFAULT_ORDER + 1) if n_stars >= _STARS_PER_TERM * n_terms(k)]
    return max(fitting, default=1)


def _measure_offset(
    figures: dict[str, float],
    table: StarTable,
    target: tuple[NDArray[np.float64], NDArray[np.float64]],
    matched: NDArray[np.bool_],
) -> None:
    """Compare the table's own sky positions with the reference, without a fit."""
    rows = matched & np.isfinite(table["ra"]) & np.isfinite(table["dec"])
    if not rows.any():
        return
    centre = mean_direction(target[0][rows], target[1][rows])
    own = sky_to_tangent(table["ra"][rows], table["dec"][rows], centre)
    reference = sky_to_tangent(target[0][rows], target[1][rows], centre)
    for name, measured, true in zip(("ra", "dec"), own, reference, strict=True):
        figures[f"{name}_offset_mas"] = median(measured - true) * 1e3
        figures[f"{name}_offset_mad_mas"] = mad(measured - true) * 1e3


def residual_figures(ra_mas: NDArray[Any], dec_mas: NDArray[Any]) -> dict[str, float]:
    """Give the scatter of residuals.

    Parameters
    ----------
    ra_mas, dec_mas
        Residuals of the stars that were used.

    Returns
    -------
    dict
        MAD and rms of each coordinate.
    """
    return {
        "ra_mad_mas": mad(ra_mas),
        "dec_mad_mas": mad(dec_mas),
        "ra_rms_mas": rms(ra_mas),
        "dec_rms_mas": rms(dec_mas),
    }


def _measure_psf(measured: Measured, table: StarTable, sample: NDArray[np.bool_]) -> None:
    problems, stars = measured.problems, measured.stars
    stars["psf_sample"] = sample & np.zeros(len(table), dtype=bool)
    if not table.has("e1", "e2"):
        problems.append("no PSF: the table has no moments or ellipticities")
        return
    shaped = sample & np.isfinite(table["e1"]) & np.isfinite(table["e2"])
    if (bad := int((sample & ~shaped).sum())) > 0:
        problems.append(f"{bad} of {int(sample.sum())} PSF stars have no finite shape")
    stars["psf_sample"] = shaped
    scale = 1.0 if table.size_unit == "arcsec2" else _pixel_scale(measured, table)
    if "t" in table:
        fwhm = fwhm_from_trace(table["t"])
        stars["fwhm_arcsec"] = fwhm * scale
        if table.size_unit == "pixel2":
            stars["fwhm_pixel"] = fwhm
        if np.isnan(scale):
            problems.append("no FWHM in arcsec: the pixel scale is not known without a WCS")
    else:
        problems.append("no FWHM: the table has no sizes")
    stars["ellipticity"] = np.hypot(table["e1"], table["e2"])
    if table.has("e1_psf", "e2_psf"):
        stars.update(de1=table["e1"] - table["e1_psf"], de2=table["e2"] - table["e2_psf"])
    if table.has("t", "t_psf"):
        with np.errstate(divide="ignore", invalid="ignore"):
            stars["dt_over_t"] = (table["t"] - table["t_psf"]) / table["t"]
            stars["size"], stars["size_psf"] = np.sqrt(table["t"] / 2.0), np.sqrt(table["t_psf"] / 2.0)
    stars.update({name: table[name] for name in HIGHER_MOMENTS if name in table})
    if 0 < shaped.sum() < LEAST_STARS:
        problems.append(f"PSF stars: {int(shaped.sum())}, too few to judge")
    measured.figures.update(psf_figures(stars))


def _pixel_scale(measured: Measured, table: StarTable) -> float:
    """Take the scale of the WCS, or else that of the table's own sky positions."""
    if "pixel_scale_arcsec" in measured.figures or not table.has("x", "y", "ra", "dec"):
        return measured.figures.get("pixel_scale_arcsec", float("nan"))
    try:
        return fit_tan_polynomial(
            table["x"], table["y"], table["ra"], table["dec"], order=1
        ).pixel_scale_arcsec
    except DataError:
        return float("nan")


def psf_figures(stars: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """Give medians and scatters over the PSF stars.

    Parameters
    ----------
    stars
        Columns, ``psf_sample`` among them.

    Returns
    -------
    dict
        Figure to value, as many as the columns allow.
    """
    sample = np.asarray(stars["psf_sample"], dtype=bool)
    figures = {"n_psf": float(sample.sum())}
    for name, key in (
        ("fwhm_arcsec", "fwhm_mad_arcsec"),
        ("fwhm_pixel", ""),
        ("e1", "e1_mad"),
        ("e2", "e2_mad"),
    ):
        if name in stars:
            figures[name] = median(stars[name][sample])
            if key:
                figures[key] = mad(stars[name][sample])
    if not sample.any():
        return figures
    figures["ellipticity"] = median(stars["ellipticity"][sample])
    for name in ("de1", "de2", "dt_over_t"):
        if name in stars:
            figures[f"{name}_median"], figures[f"{name}_mad"] = (
                median(stars[name][sample]),
                mad(stars[name][sample]),
            )
    figures.update({name: median(stars[name][sample]) for name in HIGHER_MOMENTS if name in stars})
    if "size" in stars:
        size = stars["size"][sample]
        figures["scaled_size_scatter"] = mad(size - stars["size_psf"][sample]) / median(size)
    return figures
