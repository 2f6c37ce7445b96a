"""The survey's PSF metrics: TE1 to TE4, rho 1 to 5, SE1, SE2, EF1, with their errors and verdicts.

TE is measured on the whole field of each visit. TE1 and TE2 are the medians over the visits of a survey, so one visit
has none; TE3 and TE4 are what at most TEF % of the visits exceed (LPM-17; the procedure is that of DM-3040).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsst_commtools.qa.correlations import (
    FAR_ARCMIN,
    NEAR_ARCMIN,
    Correlation,
    PairMeans,
    residual_correlations,
    rho_statistics,
)
from lsst_commtools.qa.limits import SRD_LIMITS, Limit, Status, worst
from lsst_commtools.qa.model_health import ModelHealth, measure_model_health
from lsst_commtools.qa.survey import SurveyStars, VisitShapes, shapes_of_visits
from lsst_commtools.qa.visit_psf import VisitPsf, measure_visit_psf
from lsst_commtools.qa.workers import Here, Workers

__all__ = ["EllipticityMetrics", "measure_ellipticity"]

_PARTS = ("E1", "E2", "EX")
_RHO = ("rho1", "rho2", "rho3", "rho4", "rho5")
_LEAST_VISITS = 2
_CERTAIN_SIGMA = 3.0
_MEDIAN_ERROR = (
    1.2533141373155003  # sqrt(pi / 2): error of a median over that of a mean, for a normal distribution
)
_SE_CONDITIONS = "LPM-17 asks for a seeing of 0.69 arcsec and a zenith distance of at most 10 degrees"


@dataclass(frozen=True, eq=False)
class EllipticityMetrics:
    """Metrics of the PSF over one or more visits.

    Parameters
    ----------
    metrics
        ``TE1`` to ``TE4``, ``SE1``, ``SE2``, ``EF1``: plain values for JSON.
    rho
        ``rho1`` to ``rho5``; empty if nothing could be correlated.
    visits
        Each visit's PSF.
    correlations
        Of each visit: visit, mean of near pairs, mean of far pairs.
    sample
        Which stars gave the figures.
    n_stars
        How many.
    health
        Of each visit's PSF model.
    status
        Verdict over all metrics.
    problems
        What is missing, was left out, or is beyond its limit.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    rho: Mapping[str, Correlation]
    visits: tuple[VisitPsf, ...]
    correlations: tuple[tuple[int, PairMeans, PairMeans], ...]
    sample: str
    n_stars: int
    health: tuple[ModelHealth, ...]
    status: Status
    problems: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Give the metrics for JSON.

        Returns
        -------
        dict
            ``TE1`` to ``TE4``, ``rho1`` to ``rho5``, ``SE1``, ``SE2``, ``EF1``, ``visits``, ``sample``, ``n_stars``,
            ``status``, ``problems``.
        """
        te = {name: dict(self.metrics[name]) for name in ("TE1", "TE2", "TE3", "TE4")}
        reason = _no_figure(self.problems) or "no visit has two usable stars"
        rho = {
            name: self.rho[name].to_dict()
            if name in self.rho
            else {"theta_arcmin": [], "xi": [], "sigma": [], "status": "unknown", "reason": reason}
            for name in _RHO
        }
        pairs = {number: (near, far) for number, near, far in self.correlations}
        health = {one.visit: one for one in self.health}
        visits = [
            {
                **visit.to_dict(),
                "near": _pair_dict(pairs[visit.visit][0]),
                "far": _pair_dict(pairs[visit.visit][1]),
                "model": health[visit.visit].to_dict(),
            }
            for visit in self.visits
        ]
        return {
            **te, **rho, **{name: dict(self.metrics[name]) for name in ("SE1", "SE2", "EF1")},
            "visits": visits, "sample": self.sample, "n_stars": self.n_stars, "status": str(self.status),
            "problems": list(self.problems),
        }  # fmt: skip


def measure_ellipticity(
    stars: SurveyStars,
    *,
    bin_slop: float | None = None,
    wavelength_nm: float | None = None,
    workers: Workers | None = None,
) -> EllipticityMetrics:
    """Measure the PSF metrics of the survey.

    Parameters
    ----------
    stars
        Star tables of one or more visits.
    bin_slop
        TreeCorr's accuracy for rho; by default exact where that is affordable.
    wavelength_nm
        Effective wavelength of the band, for the seeing at 500 nm.
    workers
        Who correlates the visits; by default this process. The figures are the same, whoever does it.

    Returns
    -------
    EllipticityMetrics
        Figures and verdict. What cannot be measured is unknown, with the reason.

    Raises
    ------
    ServiceError
        If the workers are lost.
    """
    visits, problems, sample = shapes_of_visits(stars)
    residuals = (workers or Here()).map(residual_correlations, (v.shapes for v in visits))
    pairs = tuple((v.visit, *means) for v, means in zip(visits, residuals, strict=True))
    reason = _no_figure(problems)
    metrics: dict[str, dict[str, Any]] = {}
    for survey, image, which in (("TE1", "TE3", 1), ("TE2", "TE4", 2)):
        means = [near if which == 1 else far for _, near, far in pairs]
        measured = [m for m in means if m.n_pairs]
        metrics[survey] = _survey_metric(survey, measured, which, reason)
        metrics[image] = _image_metric(image, measured, which, reason)
    metrics.update(_ellipticity_metrics(visits, reason))
    statuses = [Status(m["status"]) for m in metrics.values()]
    problems += [f"{name} is {m['status']}: {m['reason']}" for name, m in metrics.items() if "reason" in m]
    rho = rho_statistics([v.shapes for v in visits], bin_slop=bin_slop, workers=workers)
    measured_visits = tuple(measure_visit_psf(v, stars.table, wavelength_nm=wavelength_nm) for v in visits)
    n_stars = sum(len(v.shapes) for v in visits)
    health = measure_model_health(stars.table)
    problems += [f"visit {h.visit}: no PSF model on detector {d}" for h in health for d in h.failed_detectors]
    return EllipticityMetrics(
        metrics, rho, measured_visits, pairs, sample, n_stars, health, worst(statuses), tuple(problems)
    )


def _no_figure(problems: Sequence[str]) -> str:
    return next((p.removeprefix("no figure: ") for p in problems if p.startswith("no figure: ")), "")


def _limits(limit: Limit) -> dict[str, Any]:
    return {"unit": "", "design": limit.design, "minimum": limit.minimum, "stretch": limit.stretch}


def _range(which: int) -> dict[str, float]:
    return {"theta_max_arcmin": NEAR_ARCMIN} if which == 1 else {"theta_min_arcmin": FAR_ARCMIN}


def _unknown(extra: Mapping[str, Any], reason: str, keys: Sequence[str] = _PARTS) -> dict[str, Any]:
    return {**dict.fromkeys(keys), **extra, "status": str(Status.UNKNOWN), "reason": reason}


def _parts(means: Sequence[PairMeans]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Part to its values and errors over the visits."""
    values = np.array([(m.e1, m.e2, m.ex) for m in means])
    errors = np.array([m.errors for m in means])
    return {name: (values[:, k], errors[:, k]) for k, name in enumerate(_PARTS)}


def _about(means: Sequence[PairMeans], limit: Limit, which: int) -> dict[str, Any]:
    return {
        **_limits(limit), **_range(which), "n_visits": len(means), "n_pairs": sum(m.n_pairs for m in means),
        "bin_slop": 0.0,
    }  # fmt: skip


def _survey_metric(name: str, means: Sequence[PairMeans], which: int, reason: str) -> dict[str, Any]:
    """TE1 or TE2: the median over the visits."""
    limit = SRD_LIMITS[name]
    about = _about(means, limit, which)
    if len(means) < _LEAST_VISITS:
        own = f"{len(means)} visit has pairs, and {name} is a median over the visits of a survey"
        return _unknown(about, reason or (own if means else _no_pairs(which)))
    document: dict[str, Any] = {}
    errors: dict[str, float] = {}
    statuses: dict[str, Status] = {}
    for part, (values, _) in _parts(means).items():
        document[part] = float(np.median(values))
        errors[part] = float(_MEDIAN_ERROR * values.std(ddof=1) / np.sqrt(len(values)))
        statuses[part] = _unless_noise(limit.judge(document[part]), document[part], errors[part], limit)
    return _judged({**document, "errors": errors, **about}, statuses, limit)


def _image_metric(name: str, means: Sequence[PairMeans], which: int, reason: str) -> dict[str, Any]:
    """TE3 or TE4: what at most TEF % of the visits exceed, and how many exceed the limits."""
    limit, fraction = SRD_LIMITS[name], SRD_LIMITS["TEF_percent"]
    about = _about(means, limit, which)
    if not means:
        return _unknown(about, reason or _no_pairs(which))
    document: dict[str, Any] = {}
    errors: dict[str, float] = {}
    statuses: dict[str, Status] = {}
    percent: dict[str, float] = {}
    for part, (values, sigma) in _parts(means).items():
        order = np.argsort(np.abs(values))
        allowed = int(fraction.design / 100.0 * len(values))
        at = order[len(values) - 1 - allowed]
        document[part], errors[part] = float(values[at]), float(sigma[at])
        above = {
            goal: 100.0 * float(np.mean(np.abs(values) > goal)) for goal in (limit.design, limit.minimum)
        }
        percent[part] = above[limit.design]
        if above[limit.design] <= fraction.design:
            statuses[part] = Status.GOOD
        else:
            statuses[part] = Status.WARNING if above[limit.minimum] <= fraction.minimum else Status.BAD
        statuses[part] = _unless_noise(statuses[part], document[part], errors[part], limit)
    extra = {"errors": errors, "percent_above_design": percent, "TEF_percent": fraction.design, **about}
    return _judged({**document, **extra}, statuses, limit)


def _no_pairs(which: int) -> str:
    return f"no visit has pairs {'up to 1' if which == 1 else 'from 5'} arcmin"


def _judged(document: dict[str, Any], statuses: Mapping[str, Status], limit: Limit) -> dict[str, Any]:
    status = worst(statuses.values())
    document["statuses"] = {part: str(s) for part, s in statuses.items()}
    document["status"] = str(status)
    over = {part: s for part, s in statuses.items() if s in (Status.BAD, Status.WARNING)}
    noise = [part for part, s in statuses.items() if s is Status.UNKNOWN]
    reasons = []
    if over:
        bound = limit.minimum if Status.BAD in over.values() else limit.design
        reasons.append(f"{_listed(document, over)} beyond {bound:.3g} ({limit.source})")
    if noise:
        reasons.append(
            f"{_listed(document, noise)} is noise: more stars are needed to judge by {limit.minimum:.3g}"
        )
    if reasons:
        document["reason"] = "; ".join(reasons)
    return document


def _listed(document: Mapping[str, Any], parts: Iterable[str]) -> str:
    return ", ".join(f"{part} {document[part]:.3g} +- {document['errors'][part]:.1g}" for part in parts)


def _unless_noise(status: Status, value: float, error: float, limit: Limit) -> Status:
    """Give no verdict on what does not differ from 0, if that says nothing about the limit either."""
    return Status.UNKNOWN if error > limit.minimum and abs(value) < _CERTAIN_SIGMA * error else status


def _ellipticity_metrics(visits: Sequence[VisitShapes], reason: str) -> dict[str, dict[str, Any]]:
    """SE1 (median), EF1 (percent above SE2's design) and SE2 (what EF1's design percent exceed) of |e| of the stars."""
    limits = {name: SRD_LIMITS[key] for name, key in (("SE1", "SE1"), ("SE2", "SE2"), ("EF1", "EF1_percent"))}
    if not visits:
        return {name: _unknown(_limits(limit), reason, ("value", "error")) for name, limit in limits.items()}
    size = np.concatenate([np.hypot(v.shapes.e1, v.shapes.e2) for v in visits])
    n, tail = len(size), limits["EF1"].design
    fraction = float(np.mean(size > limits["SE2"].design))
    values = {
        "SE1": float(np.median(size)),
        "SE2": float(np.percentile(size, 100.0 - tail)),
        "EF1": 100.0 * fraction,
    }
    errors = {
        "SE1": _MEDIAN_ERROR * float(size.std(ddof=1)) / np.sqrt(n) if n > 1 else None,
        "SE2": _quantile_error(size, 1.0 - tail / 100.0),
        "EF1": 100.0 * float(np.sqrt(max(fraction * (1.0 - fraction), 1.0 / n) / n)),
    }
    metrics = {}
    for name, limit in limits.items():
        status = limit.judge(values[name])
        metrics[name] = {
            "value": values[name], "error": errors[name], **_limits(limit), "n_stars": n, "conditions": _SE_CONDITIONS,
            "status": str(status),
        }  # fmt: skip
        if status is not Status.GOOD:
            metrics[name]["reason"] = f"{values[name]:.3g} is more than {limit.design:.3g} ({limit.source})"
    metrics["EF1"]["unit"] = "percent"
    return metrics


def _quantile_error(sample: np.ndarray, quantile: float) -> float | None:
    """Half the distance of the order statistics that lie one binomial sigma beside a quantile."""
    n = len(sample)
    width = np.sqrt(quantile * (1.0 - quantile) / n)
    if n < 20 or quantile + width > 1.0:  # below 20 no star is beyond the quantile
        return None
    low, high = np.quantile(sample, [quantile - width, quantile + width])
    return float(0.5 * (high - low))


def _pair_dict(means: PairMeans) -> dict[str, Any]:
    document: dict[str, Any] = {"E1": means.e1, "E2": means.e2, "EX": means.ex}
    return {**document, "errors": dict(zip(_PARTS, means.errors, strict=True)), "n_pairs": means.n_pairs}
