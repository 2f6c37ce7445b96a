"""Figures of a detector and of a visit: how well the WCS holds, what the PSF looks like, and the verdict.

Residuals are measured minus reference on the tangent plane, so that they are right at any declination and across RA 0.
Star minus model: de = e_star - e_model and dT/T = (T_star - T_model) / T_star, as in Piff; the scaled size scatter is
that of pipe_tasks, MAD(size_star - size_model) / median(size_star) with size = sqrt(T / 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import DataError
from lsst_commtools.qa.limits import DEFAULT_LIMITS, Limit, Status, judge, worst
from lsst_commtools.qa.match import match_sky
from lsst_commtools.qa.polynomials import n_terms
from lsst_commtools.qa.projection import mean_direction, sky_to_tangent
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.shapes import fwhm_from_trace
from lsst_commtools.qa.statistics import mad, median, rms
from lsst_commtools.qa.tables import StarTable
from lsst_commtools.qa.wcs import WcsFit, fit_tan_polynomial

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DetectorMetrics", "VisitMetrics", "measure_detector", "measure_visit"]

DEFAULT_ORDER = 3
LEAST_STARS = 5
_STARS_PER_TERM = 2
_CLIP_SIGMA = 5.0
_BRIGHT_SNR = 50.0
_MATCH_RADIUS_ARCSEC = 2.0
_REQUIRED = ("ra_mad_mas", "dec_mad_mas", "fwhm_arcsec", "ellipticity")


@dataclass(frozen=True, eq=False)
class DetectorMetrics:
    """Figures of one detector.

    Parameters
    ----------
    detector
        Its number; None where the table does not say.
    n_stars
        Rows of the table.
    figures
        Figure to value, the unit in the name; NaN where it could not be measured.
    fit
        The WCS; None where none could be fitted.
    stars
        Columns for each star, for figures: x, y, ra_residual_mas, dec_residual_mas, e1, e2, fwhm_arcsec,
        psf_sample, and others.
    status
        Verdict.
    problems
        One line for each thing that is missing or beyond its limit.
    missing
        Those of them that are missing.
    """

    detector: int | None
    n_stars: int
    figures: Mapping[str, float]
    fit: WcsFit | None
    stars: Mapping[str, NDArray[Any]]
    status: Status
    problems: tuple[str, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class VisitMetrics:
    """Figures of one visit.

    Parameters
    ----------
    detectors
        Each detector by itself.
    n_stars
        Rows of all.
    figures
        Figure to value over all stars of the visit; NaN where it could not be measured.
    reference
        What positions were compared with: ``file``, ``table``, or ``own`` (the table's own sky positions).
    psf_sample
        Which stars gave the PSF's figures.
    status
        Verdict over the visit's figures.
    problems
        One line for each thing that is missing or beyond its limit.
    """

    detectors: tuple[DetectorMetrics, ...]
    n_stars: int
    figures: Mapping[str, float]
    reference: str
    psf_sample: str
    status: Status
    problems: tuple[str, ...]

    @property
    def stars(self) -> pd.DataFrame:
        """All stars, one row each, for figures."""
        import pandas as pd

        return pd.concat(
            [pd.DataFrame({"detector": d.detector or 0, **d.stars}) for d in self.detectors],
            ignore_index=True,
        )

    def document(self) -> dict[str, Any]:
        """Give the figures for JSON.

        Returns
        -------
        dict
            ``n_stars``, ``wcs``, ``psf``, ``status``, ``problems``, ``detectors``.
        """
        parts = _parts(self.figures)
        wcs, psf = parts["wcs"], parts["psf"]
        if wcs is not None:
            wcs["reference"] = self.reference
        if psf is not None:
            psf["sample"] = self.psf_sample
        return {
            "n_stars": self.n_stars,
            "wcs": wcs,
            "psf": psf,
            "status": str(self.status),
            "problems": list(self.problems),
            "detectors": [
                {
                    "detector": d.detector,
                    "n_stars": d.n_stars,
                    **_parts(d.figures),
                    "status": str(d.status),
                    "problems": list(d.problems),
                }
                for d in self.detectors
            ],
        }


_WCS_KEYS = (
    "order", "n_used", "n_matched", "ra_mad_mas", "dec_mad_mas", "ra_rms_mas", "dec_rms_mas", "pixel_scale_arcsec",
    "rotation_deg", "ra_offset_mas", "dec_offset_mas", "ra_offset_mad_mas", "dec_offset_mad_mas",
)  # fmt: skip
_PSF_KEYS = (
    "fwhm_arcsec", "e1", "e2", "fwhm_mad_arcsec", "e1_mad", "e2_mad", "n_psf", "ellipticity", "fwhm_pixel",
    "de1_median", "de1_mad", "de2_median", "de2_mad", "dt_over_t_median", "dt_over_t_mad", "scaled_size_scatter",
)  # fmt: skip
_ALWAYS = {"order", "n_used", "ra_mad_mas", "dec_mad_mas", "pixel_scale_arcsec", "fwhm_arcsec", "e1", "e2"}
_COUNTS = {"order", "n_used", "n_matched", "n_psf"}


def _parts(figures: Mapping[str, float]) -> dict[str, dict[str, Any] | None]:
    """Split figures into the parts of the JSON document; a part of which nothing was measured is None."""
    parts: dict[str, dict[str, Any] | None] = {}
    for name, keys, sign in (("wcs", _WCS_KEYS, "n_used"), ("psf", _PSF_KEYS, "n_psf")):
        if not figures.get(sign, 0):
            parts[name] = None
            continue
        part: dict[str, Any] = {}
        for key in keys:
            value = figures.get(key, float("nan"))
            if np.isfinite(value):
                part[key] = int(value) if key in _COUNTS else float(value)
            elif key in _ALWAYS:
                part[key] = None
        parts[name] = part
    return parts


@dataclass
class _Measured:
    """What one detector gave, before the verdict."""

    figures: dict[str, float] = field(default_factory=dict)
    stars: dict[str, NDArray[Any]] = field(default_factory=dict)
    fit: WcsFit | None = None
    problems: list[str] = field(default_factory=list)


def measure_visit(
    table: StarTable,
    references: ReferenceStars | None = None,
    *,
    order: int | None = None,
    limits: Mapping[str, Limit] = DEFAULT_LIMITS,
) -> VisitMetrics:
    """Measure all detectors of a visit.

    Parameters
    ----------
    table
        Stars of one visit.
    references
        Reference catalogue; by default the reference positions in the table, or else its own sky positions.
    order
        Order of the WCS; by default 3, and lower where a detector has few stars.
    limits
        What the figures are judged by.

    Returns
    -------
    VisitMetrics
        Figures and verdict. What cannot be measured is unknown, with a line in ``problems``.
    """
    source = "file" if references is not None else "table" if table.has("ref_ra", "ref_dec") else "own"
    sample, sample_name = _psf_sample(table)
    numbers = table["detector"] if "detector" in table else np.zeros(len(table))
    known = np.unique(numbers[np.isfinite(numbers)])
    detectors = []
    for number in known if known.size else [0.0]:
        rows = numbers == number if known.size else np.ones(len(table), dtype=bool)
        measured = _measure(table.rows(rows), sample[rows], references, order)
        detectors.append(
            _judged(int(number) if "detector" in table else None, int(rows.sum()), measured, limits)
        )
    figures = _combine(detectors)
    problems = [] if len(table) else ["the table has no stars"]
    problems += _shared_problems(detectors)
    if (bad := int((~np.isfinite(numbers)).sum())) > 0:
        problems.append(f"{bad} of {len(table)} stars have no detector")
    verdict = judge(_judgeable(figures), limits, required=_REQUIRED)
    status, odd = verdict.status, [d for d in detectors if d.status in (Status.BAD, Status.UNKNOWN)]
    reasons = list(_explained(problems, verdict.reasons))
    if len(detectors) > 1 and odd:
        status = worst([status, Status.WARNING])
        reasons += [f"detector {d.detector} is {d.status}" for d in odd]
    return VisitMetrics(tuple(detectors), len(table), figures, source, sample_name, status, tuple(reasons))


def measure_detector(
    table: StarTable,
    references: ReferenceStars | None = None,
    *,
    order: int | None = None,
    limits: Mapping[str, Limit] = DEFAULT_LIMITS,
) -> DetectorMetrics:
    """Measure one detector.

    Parameters
    ----------
    table
        Its stars.
    references
        Reference catalogue, as in `measure_visit`.
    order
        Order of the WCS; by default 3, and lower where there are few stars.
    limits
        What the figures are judged by.

    Returns
    -------
    DetectorMetrics
        Figures and verdict.
    """
    number = median(table["detector"]) if "detector" in table else float("nan")
    measured = _measure(table, _psf_sample(table)[0], references, order)
    return _judged(int(number) if np.isfinite(number) else None, len(table), measured, limits)


def _judged(
    number: int | None, n_stars: int, measured: _Measured, limits: Mapping[str, Limit]
) -> DetectorMetrics:
    verdict = judge(_judgeable(measured.figures), limits, required=_REQUIRED)
    problems = _explained(measured.problems, verdict.reasons)
    return DetectorMetrics(
        number,
        n_stars,
        measured.figures,
        measured.fit,
        measured.stars,
        verdict.status,
        problems,
        tuple(measured.problems),
    )


def _judgeable(figures: Mapping[str, float]) -> dict[str, float]:
    """Leave out what too few stars gave: it is shown, but it is no ground for a verdict."""
    few = figures.get("n_psf", 0.0) < LEAST_STARS
    return {name: value for name, value in figures.items() if not (few and name in _PSF_KEYS)}


def _explained(problems: Iterable[str], reasons: Iterable[str]) -> tuple[str, ...]:
    """Join problems and reasons; that a figure is unknown is only said where no problem tells why."""
    lines = tuple(problems)
    return (*lines, *(r for r in reasons if not lines or not r.endswith("is unknown")))


def _measure(
    table: StarTable, sample: NDArray[np.bool_], references: ReferenceStars | None, order: int | None
) -> _Measured:
    measured = _Measured()
    for name in ("x", "y", "ra", "dec", "mag", "snr", "e1", "e2"):
        if name in table:
            measured.stars[name] = table[name]
    _measure_wcs(measured, table, references, order)
    _measure_psf(measured, table, sample)
    return measured


def _psf_sample(table: StarTable) -> tuple[NDArray[np.bool_], str]:
    """Choose the stars that show the PSF: those of the PSF model, or bright point sources, or all."""
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


def _targets(
    table: StarTable, references: ReferenceStars | None, problems: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Give each row its reference position at the epoch of the exposure, NaN where it has none."""
    if references is None:
        if table.has("ref_ra", "ref_dec"):
            own = ReferenceStars.from_table(table)
            return own.at(_epoch(table, own, problems))
        return (table["ra"], table["dec"]) if table.has("ra", "dec") else None
    if not table.has("ra", "dec"):
        problems.append("the table has no positions on the sky to match with the reference")
        return None
    epoch = _epoch(table, references, problems)
    ra, dec = references.at(median(epoch))
    good = np.flatnonzero(table.good)
    index, reference_index, _ = match_sky(
        table["ra"][good], table["dec"][good], ra, dec, _MATCH_RADIUS_ARCSEC
    )
    target = np.full((2, len(table)), np.nan)
    target[:, good[index]] = ra[reference_index], dec[reference_index]
    return target[0], target[1]


def _epoch(table: StarTable, references: ReferenceStars, problems: list[str]) -> NDArray[np.float64]:
    moving = bool(np.any(np.isfinite(references.pm_ra_mas_yr)))
    if moving and not references.can_move:
        problems.append("the epoch of the reference is not known: proper motions were not applied")
    if "epoch" in table:
        return table["epoch"]
    if references.can_move:
        problems.append("the epoch of the exposure is not known: proper motions were not applied")
    return np.full(len(table), np.nan)


def _measure_wcs(
    measured: _Measured, table: StarTable, references: ReferenceStars | None, order: int | None
) -> None:
    figures, problems = measured.figures, measured.problems
    missing = np.full(len(table), np.nan)
    measured.stars.update(
        ra_residual_mas=missing, dec_residual_mas=missing, wcs_used=np.zeros(len(table), bool)
    )
    target = _targets(table, references, problems)
    if target is None or not table.has("x", "y"):
        lacking = "pixel positions x, y" if target is not None else "reference positions"
        problems.append(f"no WCS: the table has no {lacking}")
        return
    good = table.good
    positioned = np.isfinite(table["x"]) & np.isfinite(table["y"])
    if (bad := int((good & ~positioned).sum())) > 0:
        problems.append(f"{bad} of {len(table)} stars have no finite pixel position")
    matched = good & positioned & np.isfinite(target[0]) & np.isfinite(target[1])
    own = references is None and not table.has("ref_ra", "ref_dec")
    if own and (bad := int((good & positioned & ~matched).sum())) > 0:
        problems.append(f"{bad} of {len(table)} stars have no finite sky position")
    figures["n_matched"] = float(matched.sum())
    if references is not None or table.has("ra", "ref_ra"):
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
    figures.update(_residual_figures(fit.ra_residual_mas[fit.used], fit.dec_residual_mas[fit.used]))


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


def _residual_figures(ra_mas: NDArray[Any], dec_mas: NDArray[Any]) -> dict[str, float]:
    return {
        "ra_mad_mas": mad(ra_mas),
        "dec_mad_mas": mad(dec_mas),
        "ra_rms_mas": rms(ra_mas),
        "dec_rms_mas": rms(dec_mas),
    }


def _measure_psf(measured: _Measured, table: StarTable, sample: NDArray[np.bool_]) -> None:
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
    if 0 < shaped.sum() < LEAST_STARS:
        problems.append(f"PSF stars: {int(shaped.sum())}, too few to judge")
    measured.figures.update(_psf_figures(stars))


def _pixel_scale(measured: _Measured, table: StarTable) -> float:
    """Take the scale of the WCS, or else that of the table's own sky positions."""
    if "pixel_scale_arcsec" in measured.figures or not table.has("x", "y", "ra", "dec"):
        return measured.figures.get("pixel_scale_arcsec", float("nan"))
    try:
        return fit_tan_polynomial(
            table["x"], table["y"], table["ra"], table["dec"], order=1
        ).pixel_scale_arcsec
    except DataError:
        return float("nan")


def _psf_figures(stars: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """Medians and scatters over the PSF stars; with too few of them there is no figure to judge."""
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
    if "size" in stars:
        size = stars["size"][sample]
        figures["scaled_size_scatter"] = mad(size - stars["size_psf"][sample]) / median(size)
    return figures


def _combine(detectors: Iterable[DetectorMetrics]) -> dict[str, float]:
    """Take the visit's figures over the stars of all detectors."""
    parts = list(detectors)
    figures: dict[str, float] = {}
    for name in ("n_used", "n_matched"):
        found = [d.figures[name] for d in parts if name in d.figures]
        if found:
            figures[name] = float(sum(found))
    for name in ("order", "pixel_scale_arcsec", "rotation_deg"):
        found = [d.figures[name] for d in parts if name in d.figures]
        if found:
            figures[name] = max(found) if name == "order" else median(found)
    judged = [d for d in parts if "ra_mad_mas" in d.figures and d.fit is not None]
    if judged:
        used = [np.asarray(d.stars["wcs_used"], dtype=bool) for d in judged]
        residuals = [
            np.concatenate([d.stars[name][u] for d, u in zip(judged, used, strict=True)])
            for name in ("ra_residual_mas", "dec_residual_mas")
        ]
        figures.update(_residual_figures(residuals[0], residuals[1]))
    for name in ("ra_offset_mas", "dec_offset_mas", "ra_offset_mad_mas", "dec_offset_mad_mas"):
        weights = [(d.figures[name], d.figures["n_matched"]) for d in parts if name in d.figures]
        if weights:
            figures[name] = float(np.average([v for v, _ in weights], weights=[w for _, w in weights]))
    shaped = [d.stars for d in parts if "ellipticity" in d.stars]
    if shaped:
        common = set.intersection(*(set(stars) for stars in shaped))
        figures.update(
            _psf_figures({name: np.concatenate([stars[name] for stars in shaped]) for name in common})
        )
    return figures


def _shared_problems(detectors: Iterable[DetectorMetrics]) -> list[str]:
    """List the detectors' problems: those that all share once, the others with the number of the detector."""
    parts = list(detectors)
    lines: list[str] = []
    for detector in parts:
        for problem in detector.missing:
            if all(problem in other.missing for other in parts):
                line = problem
            else:
                line = f"detector {detector.detector}: {problem}"
            if line not in lines:
                lines.append(line)
    return lines
