"""Name what went wrong with visits and detectors, from the figures that were measured."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lsst_commtools.night.counts import Problem

__all__ = ["diagnose_night"]

TRAILED_ELLIPTICITY = 0.15
"""Median ellipticity above which a visit is called trailed: atmosphere and optics stay below 0.1."""

DEFOCUSED_CORE_DEPTH = 0.9
"""Light in the middle of the stars over their brightest ring, below which they are donuts."""

DEFOCUSED_FWHM_RATIO = 1.6
"""FWHM over the night's median above which a round visit is called defocused."""

_NAMED_BEFORE = "no raw"
"""A file that did not come or was refused has its own problem already."""


def diagnose_night(summaries: pd.DataFrame) -> list[Problem]:
    """Find trailed and defocused visits, dead amplifiers, and detectors without figures.

    Parameters
    ----------
    summaries
        Visit summaries of the night: one row for each expected detector of each visit.

    Returns
    -------
    list of Problem
        By visit and detector; a cause that concerns a whole visit stands once.
    """
    if summaries.empty:
        return []
    problems: list[Problem] = []
    typical_fwhm_arcsec = (
        float(np.nanmedian(summaries["fwhm_arcsec"])) if summaries["fwhm_arcsec"].notna().any() else np.nan
    )
    for visit, rows in summaries.groupby("visit"):
        shape = _diagnose_shape(rows, typical_fwhm_arcsec)
        if shape is not None:
            kind, what = shape
            problems.append(Problem(kind, what, f"visit {visit}"))
        for row in rows.to_dict("records"):
            where = f"visit {visit}, detector {row['detector']} ({row['detector_name']})"
            if row["bad_amplifiers"]:
                problems.append(
                    Problem("dead-amplifier", f"Amplifiers masked: {row['bad_amplifiers']}.", where)
                )
            if row["failure"] not in ("", _NAMED_BEFORE) and shape is None:
                problems.append(Problem("not-measured", f"{row['failure']}.", where))
    return problems


def _diagnose_shape(rows: pd.DataFrame, typical_fwhm_arcsec: float) -> tuple[str, str] | None:
    figures = rows[["e1", "e2", "fwhm_arcsec", "core_depth"]].median()
    ellipticity = float(np.hypot(figures["e1"], figures["e2"]))
    if ellipticity > TRAILED_ELLIPTICITY:
        return "trailed-visit", f"All stars are drawn out: median ellipticity {ellipticity:.2f}."
    ratio = float(figures["fwhm_arcsec"]) / typical_fwhm_arcsec
    if figures["core_depth"] < DEFOCUSED_CORE_DEPTH:
        return (
            "defocused-visit",
            f"Stars are donuts: their middles have {figures['core_depth']:.2f} of the ring's light.",
        )
    if ratio > DEFOCUSED_FWHM_RATIO:
        return "defocused-visit", f"Stars are {ratio:.1f} times as wide as in the rest of the night."
    return None
