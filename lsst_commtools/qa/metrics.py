"""Figures of a detector and of a visit, with the verdict: how well the WCS holds, what the PSF looks like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.qa.limits import DEFAULT_LIMITS, Limit, Status, judge, worst
from lsst_commtools.qa.measuring import (
    HIGHER_MOMENTS,
    LEAST_STARS,
    Measured,
    find_targets,
    measure_stars,
    psf_figures,
    psf_sample,
    residual_figures,
)
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.statistics import median
from lsst_commtools.qa.survey import repeated_rows
from lsst_commtools.qa.tables import StarTable
from lsst_commtools.qa.wcs import WcsFit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DetectorMetrics", "VisitMetrics", "measure_detector", "measure_visit"]

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
    *HIGHER_MOMENTS,
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
    n_stars = len(table)
    placed = [np.isfinite(table[name]) for name in ("ra", "dec", "x", "y") if name in table]
    repeated = repeated_rows(table, np.all(placed, axis=0)) if placed else ""
    if repeated:
        table = table.rows(np.zeros(n_stars, dtype=bool))
    targets = find_targets(table, references)
    sample, sample_name = psf_sample(table)
    numbers = table["detector"] if "detector" in table else np.zeros(len(table))
    known = np.unique(numbers[np.isfinite(numbers)])
    detectors = []
    for number in known if known.size else [0.0]:
        rows = numbers == number if known.size else np.ones(len(table), dtype=bool)
        measured = measure_stars(table.rows(rows), sample[rows], targets.rows(rows), order)
        label = int(number) if known.size and "detector" in table else None
        detectors.append(_judged(label, int(rows.sum()), measured, limits))
    figures = _combine(detectors)
    problems = [] if len(table) else [f"no figure: {repeated}" if repeated else "the table has no stars"]
    problems += _shared_problems(detectors)
    if (bad := int((~np.isfinite(numbers)).sum())) > 0:
        problems.append(f"{bad} of {len(table)} stars have no detector")
    verdict = judge(_judgeable(figures), limits, required=_REQUIRED)
    status, odd = verdict.status, [d for d in detectors if d.status in (Status.BAD, Status.UNKNOWN)]
    reasons = list(_explained(problems, verdict.reasons))
    if len(detectors) > 1 and odd:
        status = worst([status, Status.WARNING])
        reasons += [f"detector {d.detector} is {d.status}" for d in odd]
    return VisitMetrics(
        tuple(detectors), n_stars, figures, targets.source, sample_name, status, tuple(reasons)
    )


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
    measured = measure_stars(table, psf_sample(table)[0], find_targets(table, references), order)
    return _judged(int(number) if np.isfinite(number) else None, len(table), measured, limits)


def _judged(
    number: int | None, n_stars: int, measured: Measured, limits: Mapping[str, Limit]
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
        figures.update(residual_figures(residuals[0], residuals[1]))
    for name in ("ra_offset_mas", "dec_offset_mas", "ra_offset_mad_mas", "dec_offset_mad_mas"):
        weights = [(d.figures[name], d.figures["n_matched"]) for d in parts if name in d.figures]
        if weights:
            figures[name] = float(np.average([v for v, _ in weights], weights=[w for _, w in weights]))
    shaped = [d.stars for d in parts if "ellipticity" in d.stars]
    if shaped:
        common = set.intersection(*(set(stars) for stars in shaped))
        figures.update(
            psf_figures({name: np.concatenate([stars[name] for stars in shaped]) for name in common})
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
