"""Two processings of the same visits: what got better, what worse, what is within errors."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lsst_commtools.qa.limits import DEFAULT_LIMITS, Limit, Status
from lsst_commtools.qa.metrics import measure_visit
from lsst_commtools.qa.statistics import MAD_TO_SIGMA
from lsst_commtools.qa.survey import SurveyStars

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COMPARED", "Change", "Comparison", "beside_summary", "compare_figures", "figures_of_survey"]

COMPARED = (
    "ra_mad_mas", "dec_mad_mas", "ra_offset_mas", "dec_offset_mas", "fwhm_arcsec", "fwhm_pixel", "ellipticity",
    "de1_median", "de1_mad", "de2_median", "de2_mad", "dt_over_t_median", "dt_over_t_mad",
)  # fmt: skip
"""Figures of which a smaller magnitude is better."""

SIGNIFICANT_SIGMA = 3.0
_LEAST_PAIRS = 3
_MEDIAN_ERROR = 1.2533141373155003  # sqrt(pi / 2)


class Change(enum.StrEnum):
    """What became of a metric."""

    BETTER = "better"
    WORSE = "worse"
    WITHIN_ERRORS = "within errors"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Comparison:
    """One metric in A and in B.

    Parameters
    ----------
    metric
        Name, with its unit.
    n_pairs
        Visits and detectors that have it in both.
    a, b
        Median magnitudes over these; NaN where there are none.
    difference, error
        Median of the paired differences of magnitude, B minus A, and its standard error.
    significance
        Difference in units of its error; infinite where every pair changed by the same amount.
    change
        Verdict.
    status_a, status_b
        Verdicts from the limit.
    reason
        Why it is unknown; otherwise empty.
    """

    metric: str
    n_pairs: int
    a: float
    b: float
    difference: float
    error: float
    significance: float
    change: Change
    status_a: Status
    status_b: Status
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the comparison for JSON."""
        return {
            "metric": self.metric, "n_pairs": self.n_pairs, "a": self.a, "b": self.b, "difference": self.difference,
            "error": self.error, "significance": self.significance, "change": str(self.change),
            "status_a": str(self.status_a), "status_b": str(self.status_b), "reason": self.reason,
        }  # fmt: skip


def figures_of_survey(stars: SurveyStars) -> pd.DataFrame:
    """Measure the figures of each detector of each visit.

    Parameters
    ----------
    stars
        Star tables of one or more visits.

    Returns
    -------
    pandas.DataFrame
        One row for each, indexed by ``visit`` and ``detector``; columns are figures, NaN where not measured.
    """
    import pandas as pd

    table = stars.table
    numbers = table["visit"] if "visit" in table else np.zeros(len(table))
    rows = []
    for visit in np.unique(numbers[np.isfinite(numbers)]):
        measured = measure_visit(table.rows(numbers == visit))
        rows += [{"visit": int(visit), "detector": d.detector or 0, **d.figures} for d in measured.detectors]
    if not rows:
        return pd.DataFrame(columns=["visit", "detector"]).set_index(["visit", "detector"])
    return pd.DataFrame(rows).set_index(["visit", "detector"]).sort_index()


def compare_figures(
    a: pd.DataFrame, b: pd.DataFrame, *, limits: Mapping[str, Limit] = DEFAULT_LIMITS
) -> list[Comparison]:
    """Compare figures pair by pair: each detector of each visit with itself.

    Parameters
    ----------
    a, b
        One row for each detector image, with a unique index such as visit and detector; rows that only one of them
        has are left out.
    limits
        What the medians are judged by.

    Returns
    -------
    list of Comparison
        Of each metric of `COMPARED` that either has, in that order. A change counts from 3 sigma on; fewer than three
        pairs tell nothing.
    """
    common = a.index.intersection(b.index).unique()
    metrics = [name for name in COMPARED if name in a.columns or name in b.columns]
    return [_compare(name, a, b, common, limits) for name in metrics]


def beside_summary(ours: pd.DataFrame, pipeline: pd.DataFrame) -> pd.DataFrame:
    """Put the pipeline's own figures of a visit beside ours.

    Parameters
    ----------
    ours
        Figures of each detector, indexed by ``detector``: one visit of `figures_of_survey`.
    pipeline
        Of `read_visit_summary`.

    Returns
    -------
    pandas.DataFrame
        For each figure that both have, in pairs of columns (figure, ``ours`` and ``pipeline``) and their
        ``difference``; detectors that only one has keep NaN for the other.
    """
    import pandas as pd

    shared = [name for name in ours.columns if name in pipeline.columns]
    joined = {
        (name, side): table[name]
        for name in shared
        for side, table in (("ours", ours), ("pipeline", pipeline))
    }
    columns = pd.MultiIndex.from_product([shared, ["ours", "pipeline", "difference"]])
    table = pd.DataFrame(joined, index=ours.index.union(pipeline.index))
    for name in shared:
        table[name, "difference"] = table[name, "ours"] - table[name, "pipeline"]
    return table.reindex(columns=columns)


def _compare(
    metric: str, a: pd.DataFrame, b: pd.DataFrame, common: pd.Index, limits: Mapping[str, Limit]
) -> Comparison:
    limit = limits.get(metric)
    nothing, unknown = float("nan"), Status.UNKNOWN
    sides = []
    for name, table in (("A", a), ("B", b)):
        if metric not in table.columns:
            return Comparison(
                metric, 0, nothing, nothing, nothing, nothing, nothing, Change.UNKNOWN, unknown, unknown,
                f"{name} does not have it",
            )  # fmt: skip
        sides.append(table.loc[common, metric].to_numpy(np.float64))
    both = np.isfinite(sides[0]) & np.isfinite(sides[1])
    # It is the magnitude that is good or bad, and of metrics with a centre the distance from it.
    centre = limit.centre if limit else 0.0
    first, second = (np.abs(side[both] - centre) for side in sides)
    n = int(both.sum())
    if n < _LEAST_PAIRS:
        return Comparison(
            metric, n, nothing, nothing, nothing, nothing, nothing, Change.UNKNOWN, unknown, unknown,
            f"{n} detector images have it in both, {_LEAST_PAIRS} are needed",
        )  # fmt: skip
    paired = second - first
    difference = float(np.median(paired))
    # Where more than half of the pairs agree exactly the MAD is 0; the plain scatter then tells more.
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(paired - difference))) or float(paired.std(ddof=1))
    error = _MEDIAN_ERROR * scatter / float(np.sqrt(n))
    significance = (
        difference / error
        if error > 0
        else (0.0 if difference == 0 else float(np.copysign(np.inf, difference)))
    )
    medians = [float(np.median(side)) for side in (first, second)]
    statuses = [limit.judge(value + centre) if limit else unknown for value in medians]
    if abs(significance) < SIGNIFICANT_SIGMA:
        change = Change.WITHIN_ERRORS
    else:
        change = Change.BETTER if difference < 0 else Change.WORSE
    return Comparison(
        metric, n, medians[0], medians[1], difference, error, significance, change, statuses[0], statuses[1]
    )
