"""Limits of quality, as data with their source, and the verdict on measured values.

A value is compared by its magnitude. Up to ``design`` it is good, up to ``minimum`` a warning, beyond it bad; what was
not measured is unknown, and unknown is never a pass.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lsst_commtools.errors import InputError
from lsst_commtools.qa.statistics import finite, mad, median

__all__ = [
    "DEFAULT_LIMITS",
    "SRD_LIMITS",
    "Limit",
    "Status",
    "Verdict",
    "history_limit",
    "judge",
    "known_limit",
    "worst",
]

_SRD = "LPM-17"
_GATE = "pipe_tasks selectImages"
_LEAST_HISTORY = 5


class Status(enum.StrEnum):
    """Verdict on a value, a detector or a visit."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    UNKNOWN = "unknown"


def worst(statuses: Iterable[Status]) -> Status:
    """Combine verdicts: bad before unknown before warning before good.

    Parameters
    ----------
    statuses
        Verdicts; none at all is unknown.

    Returns
    -------
    Status
        The one that counts.
    """
    found = set(statuses)
    for status in (Status.BAD, Status.UNKNOWN, Status.WARNING, Status.GOOD):
        if status in found:
            return status
    return Status.UNKNOWN


@dataclass(frozen=True)
class Limit:
    """How large the magnitude of a value may be.

    Parameters
    ----------
    metric
        Name of the value, with its unit.
    stretch, design, minimum
        Goals from hard to easy, in that order: ``stretch <= design <= minimum``.
    source
        Where the numbers come from.
    centre
        What the value is compared with.
    """

    metric: str
    stretch: float
    design: float
    minimum: float
    source: str
    centre: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.stretch <= self.design <= self.minimum:
            raise InputError(
                f"The limit of {self.metric} breaks stretch <= design <= minimum: "
                f"{self.stretch:g}, {self.design:g}, {self.minimum:g}."
            )

    def judge(self, value: float | None) -> Status:
        """Compare a value.

        Parameters
        ----------
        value
            Measured value; None or NaN where there is none.

        Returns
        -------
        Status
            Verdict.
        """
        if value is None or not math.isfinite(value):
            return Status.UNKNOWN
        size = abs(value - self.centre)
        if size <= self.design:
            return Status.GOOD
        return Status.WARNING if size <= self.minimum else Status.BAD


def _table(*limits: Limit) -> dict[str, Limit]:
    return {limit.metric: limit for limit in limits}


SRD_LIMITS: Mapping[str, Limit] = _table(
    Limit("AM1_mas", 5, 10, 20, _SRD),
    Limit("AM2_mas", 5, 10, 20, _SRD),
    Limit("AM3_mas", 10, 15, 30, _SRD),
    Limit("AF1_percent", 5, 10, 20, _SRD),
    Limit("AF2_percent", 5, 10, 20, _SRD),
    Limit("AF3_percent", 5, 10, 20, _SRD),
    Limit("AD1_mas", 10, 20, 40, _SRD),
    Limit("AD2_mas", 10, 20, 40, _SRD),
    Limit("AD3_mas", 20, 30, 50, _SRD),
    Limit("AB1_mas", 5, 10, 20, _SRD),
    Limit("ABF1_percent", 5, 10, 20, _SRD),
    Limit("AB2_mas", 10, 20, 40, _SRD),
    Limit("AA1_mas", 20, 50, 100, _SRD),
    Limit("SE1", 0.03, 0.04, 0.05, _SRD),
    Limit("EF1_percent", 5, 5, 10, _SRD),
    Limit("SE2", 0.05, 0.07, 0.1, _SRD),
    Limit("SR1_arcsec", 0.70, 0.74, 0.80, _SRD),
    Limit("SR2_arcsec", 1.14, 1.20, 1.31, _SRD),
    Limit("SR3_arcsec", 1.59, 1.66, 1.81, _SRD),
    Limit("TE1", 1e-5, 2e-5, 3e-5, _SRD),
    Limit("TE2", 5e-8, 1e-7, 3e-7, _SRD),
    Limit("TE3", 2e-5, 4e-5, 6e-5, _SRD),
    Limit("TE4", 1e-7, 2e-7, 5e-7, _SRD),
    Limit("TEF_percent", 10, 15, 15, _SRD),
    Limit("pixSize_arcsec", 0.22, 0.22, 0.22, _SRD),
)
"""The science requirements (LSST Science Requirements Document, tables.tex)."""

DEFAULT_LIMITS: Mapping[str, Limit] = _table(
    Limit("ra_offset_mas", 20, 50, 100, f"{_SRD} AA1"),
    Limit("dec_offset_mas", 20, 50, 100, f"{_SRD} AA1"),
    Limit("ra_mad_mas", 20, 50, 100, f"{_SRD} AA1, for the scatter of one visit"),
    Limit("dec_mad_mas", 20, 50, 100, f"{_SRD} AA1, for the scatter of one visit"),
    Limit("pointing_offset_arcsec", 5, 10, 60, "this package: 60 arcsec is what the pattern match searches"),
    Limit("fwhm_arcsec", 0.69, 1.8, 1.8, f"{_GATE}; stretch: {_SRD} delivered seeing"),
    Limit("ellipticity", 0.03, 0.05, 0.1, f"{_SRD} SE1 design and minimum, SE2 minimum"),
    Limit("de1_median", 0.007, 0.007, 0.007, _GATE),
    Limit("de2_median", 0.007, 0.007, 0.007, _GATE),
    Limit("scaled_size_scatter", 0.019, 0.019, 0.019, _GATE),
    Limit("psf_trace_radius_delta_pixel", 0.7, 0.7, 0.7, _GATE),
    Limit("psf_ap_flux_delta", 0.24, 0.24, 0.24, _GATE),
    Limit("psf_ap_corr_sigma_scaled_delta", 0.22, 0.22, 0.22, _GATE),
    Limit(
        "astrometry_offset_mas", 500, 500, 500, "meas_astrom maxMeanDistanceArcsec: beyond it the fit failed"
    ),
    Limit("dt_over_t_mad", 0.038, 0.038, 0.038, f"{_GATE}: scaled size scatter, of which dT/T is twice"),
)
"""What a single visit or detector is judged by."""


def known_limit(metric: str, limits: Mapping[str, Limit] | None = None) -> Limit | None:
    """Find the limit of a metric; each part of TE (``TE1_E1``) has that of the whole.

    Parameters
    ----------
    metric
        Name.
    limits
        By default those of a visit and of the survey.

    Returns
    -------
    Limit or None
        None where it has none.
    """
    known = {**SRD_LIMITS, **DEFAULT_LIMITS} if limits is None else limits
    whole, _, part = metric.rpartition("_")
    return known.get(metric) or (known.get(whole) if part in ("E1", "E2", "EX") else None)


@dataclass(frozen=True)
class Verdict:
    """Verdict on a set of values.

    Parameters
    ----------
    status
        Over all values.
    statuses
        Metric to verdict, only what was judged.
    reasons
        One line for each verdict that is not good.
    """

    status: Status
    statuses: Mapping[str, Status]
    reasons: tuple[str, ...]


def judge(
    values: Mapping[str, float | None],
    limits: Mapping[str, Limit] = DEFAULT_LIMITS,
    *,
    required: Iterable[str] = (),
) -> Verdict:
    """Compare values with their limits.

    Parameters
    ----------
    values
        Metric to measured value. Metrics without a limit are not judged.
    limits
        Metric to limit.
    required
        Metrics that must have been measured; where one is missing the verdict is unknown.

    Returns
    -------
    Verdict
        Status and reasons.
    """
    statuses: dict[str, Status] = {}
    reasons: list[str] = []
    for metric in dict.fromkeys([*required, *values]):
        if metric in limits:
            limit, value = limits[metric], values.get(metric)
            statuses[metric] = status = limit.judge(value)
        else:
            continue
        if status is Status.UNKNOWN:
            reasons.append(f"{metric} is unknown")
        elif status is not Status.GOOD:
            bound = limit.design if status is Status.WARNING else limit.minimum
            about = f" from {limit.centre:.4g}" if limit.centre else ""
            reasons.append(f"{metric} {value:.4g} is more than {bound:.4g}{about} ({limit.source})")
    return Verdict(worst(statuses.values()), statuses, tuple(reasons))


def history_limit(metric: str, nightly_values: Iterable[float]) -> Limit | None:
    """Make a limit from what the nights before gave: warning beyond 3, bad beyond 5 robust sigma.

    Parameters
    ----------
    metric
        Name of the value.
    nightly_values
        One value a night.

    Returns
    -------
    Limit or None
        None where there are fewer than five nights, or they do not scatter.
    """
    sample = finite(list(nightly_values))
    sigma = mad(sample)
    if sample.size < _LEAST_HISTORY or not sigma > 0:
        return None
    return Limit(metric, sigma, 3 * sigma, 5 * sigma, "3 and 5 sigma of nightly history", median(sample))
