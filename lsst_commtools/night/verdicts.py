"""Judge the visits of a night: figures over the detectors, limits, and what is missing."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lsst_commtools.qa.limits import DEFAULT_LIMITS, Limit, Status, judge, worst

__all__ = ["VisitVerdict", "judge_night", "judge_visit"]

_REQUIRED = ("ra_mad_mas", "dec_mad_mas", "fwhm_arcsec", "ellipticity")
_MEDIANS = (
    "ra_mad_mas", "dec_mad_mas", "ra_offset_mas", "dec_offset_mas", "pixel_scale_arcsec", "rotation_deg",
    "pointing_offset_ra_arcsec", "pointing_offset_dec_arcsec", "fwhm_arcsec", "e1", "e2", "de1_median", "de1_mad",
    "de2_median", "de2_mad", "dt_over_t_median", "dt_over_t_mad", "de1_reserved_median", "de2_reserved_median",
    "dt_over_t_reserved_median", "dt_over_t_reserved_mad",
)  # fmt: skip


@dataclass(frozen=True)
class VisitVerdict:
    """One visit: its figures, and whether it is good.

    Parameters
    ----------
    visit
        Visit.
    physical_filter
        Filter.
    mid_exposure_mjd_tai
        Middle of the exposure; NaN if no detector was measured.
    n_expected, n_measured
        Detectors that there should be, and those with a WCS and a PSF.
    values
        Figure to value, the unit in the name; NaN where it could not be measured.
    status
        Verdict.
    reasons
        Why it is not good, one line each.
    """

    visit: int
    physical_filter: str
    mid_exposure_mjd_tai: float
    n_expected: int
    n_measured: int
    values: Mapping[str, float]
    status: Status
    reasons: tuple[str, ...]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'>{name}</td><td>{value:.6g}</td></tr>"
            for name, value in self.values.items()
        )
        reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in self.reasons)
        return (
            f"<p>Visit {self.visit}, {html.escape(self.physical_filter)}: <b>{self.status}</b>, "
            f"{self.n_measured} of {self.n_expected} detectors measured.</p><ul>{reasons}</ul><table>{rows}</table>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the verdict as the command's JSON document has it."""
        v = self.values
        return {
            "visit": self.visit,
            "physical_filter": self.physical_filter,
            "status": str(self.status),
            "reasons": list(self.reasons),
            "n_expected": self.n_expected,
            "n_measured": self.n_measured,
            "wcs": {
                "n_matched": int(v["n_matched"]),
                **{
                    key: v[key]
                    for key in (
                        "ra_mad_mas",
                        "dec_mad_mas",
                        "pixel_scale_arcsec",
                        "rotation_deg",
                        "pointing_offset_arcsec",
                    )
                },
            },
            "psf": {
                "fwhm_arcsec": v["fwhm_arcsec"],
                "e1": v["e1"],
                "e2": v["e2"],
                "size_residual_mad": v["dt_over_t_mad"],
                "de1_median": v["de1_median"],
                "de2_median": v["de2_median"],
                "de1_reserved_median": v["de1_reserved_median"],
                "de2_reserved_median": v["de2_reserved_median"],
            },
        }


def judge_visit(rows: pd.DataFrame, limits: Mapping[str, Limit] = DEFAULT_LIMITS) -> VisitVerdict:
    """Judge one visit.

    Parameters
    ----------
    rows
        Its visit summary: one row for each expected detector. Figures of the visit are medians over the detectors.
    limits
        What the figures are judged by.

    Returns
    -------
    VisitVerdict
        Never good if a detector is missing or a required figure could not be measured.
    """
    # A summary that another version wrote may lack columns: what is not there is unknown.
    rows = rows.reindex(columns=list(dict.fromkeys([*rows.columns, *_MEDIANS, "field_pixel_scale_arcsec"])))
    values = {name: _median(rows[name]) for name in _MEDIANS}
    # One detector knows its own scale less well than the whole field does, where enough of them were solved.
    field_scale = _median(rows["field_pixel_scale_arcsec"])
    if np.isfinite(field_scale):
        values["pixel_scale_arcsec"] = field_scale
    values["n_matched"] = float(rows["n_matched"].sum())
    values["pointing_offset_arcsec"] = float(
        np.hypot(values["pointing_offset_ra_arcsec"], values["pointing_offset_dec_arcsec"])
    )
    values["ellipticity"] = float(np.hypot(values["e1"], values["e2"]))
    measured = rows["ra_mad_mas"].notna() & rows["fwhm_arcsec"].notna()
    verdict = judge(values, limits, required=_REQUIRED)
    reasons = list(verdict.reasons)
    status = verdict.status
    if not measured.all():
        missing = rows.loc[~measured]
        named = zip(missing["detector_name"], missing["failure"], strict=True)
        listed = ", ".join(f"{name} ({failure or 'not measured'})" for name, failure in named)
        reasons.append(f"{len(missing)} of {len(rows)} detectors without figures: {listed}")
        status = worst([status, Status.WARNING])
    if (masked := rows["bad_amplifiers"].astype(bool)).any():
        reasons.append(f"amplifiers masked on {', '.join(rows.loc[masked, 'detector_name'])}")
        status = worst([status, Status.WARNING])
    filters = [name for name in rows["physical_filter"] if name]
    return VisitVerdict(
        visit=int(rows["visit"].iloc[0]),
        physical_filter=filters[0] if filters else "unknown",
        mid_exposure_mjd_tai=_median(rows["mid_exposure_mjd_tai"]),
        n_expected=len(rows),
        n_measured=int(measured.sum()),
        values=values,
        status=status,
        reasons=tuple(reasons),
    )


def judge_night(summaries: pd.DataFrame, limits: Mapping[str, Limit] = DEFAULT_LIMITS) -> list[VisitVerdict]:
    """Judge each visit of a night.

    Parameters
    ----------
    summaries
        Visit summaries of the night.
    limits
        What the figures are judged by.

    Returns
    -------
    list of VisitVerdict
        By visit.
    """
    return [judge_visit(rows, limits) for _, rows in summaries.groupby("visit")]


def _median(values: pd.Series) -> float:
    """Median of the finite values; unlike numpy's, NaN of none without a warning."""
    finite = values[np.isfinite(values.astype(np.float64))]
    return float(finite.median()) if len(finite) else float("nan")
