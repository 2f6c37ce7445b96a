"""WCS and PSF quality: star tables in, figures and verdicts out.

Pure functions of arrays: numpy in, values out. What is slow to import is imported at first use.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "CalibrationVerdict": "calibrations",
    "CornerDistance": "wcs_compare",
    "DEFAULT_LIMITS": "limits",
    "DetectorMetrics": "metrics",
    "Limit": "limits",
    "ModelHealth": "model_health",
    "MomentModel": "psf",
    "Moments": "moments",
    "NightWcs": "wcs_night",
    "PatternMatch": "match",
    "PointingModel": "pointing",
    "ReferenceStars": "references",
    "SRD_LIMITS": "limits",
    "StarTable": "tables",
    "Status": "limits",
    "SurveyStars": "survey",
    "TrendRow": "trend",
    "TrendStore": "trend",
    "TrendVerdict": "trend",
    "Verdict": "limits",
    "VisitMetrics": "metrics",
    "WcsFit": "wcs",
    "WcsShift": "wcs_compare",
    "apply_proper_motion": "motion",
    "beside_summary": "comparison",
    "compare_figures": "comparison",
    "corner_distances": "wcs_compare",
    "detect_stars": "detect",
    "ellipticity": "shapes",
    "figures_of_survey": "comparison",
    "fit_moment_model": "psf",
    "fit_pointing_model": "pointing",
    "fit_tan_polynomial": "wcs",
    "fwhm_from_moments": "shapes",
    "history_limit": "limits",
    "join_tables": "survey",
    "judge": "limits",
    "judge_calibration": "calibrations",
    "mad": "statistics",
    "make_star_table": "tables",
    "map_residuals": "significance",
    "match_pattern": "match",
    "match_sky": "match",
    "measure_detector": "metrics",
    "measure_ellipticity": "psf_metrics",
    "measure_higher_moments": "higher_moments",
    "measure_model_health": "model_health",
    "measure_moments": "moments",
    "measure_visit": "metrics",
    "measure_wcs": "wcs_night",
    "moments_of_stamps": "moments",
    "night_drift": "wcs_compare",
    "read_column_map": "columns",
    "read_image_stars": "detect",
    "read_pointings": "wcs_night",
    "read_references": "references",
    "refraction_terms": "refraction",
    "read_star_table": "tables",
    "read_survey": "survey",
    "read_visit": "butler",
    "read_visit_summary": "butler",
    "rho_statistics": "correlations",
    "shapes_of_moments": "shape_kernel",
    "shapes_of_visits": "survey",
    "survey_of_collection": "butler",
    "worst": "limits",
    "wcs_shift": "wcs_compare",
}

__all__ = [  # noqa: PLE0604  # the names are strings; ruff cannot see through sorted()
    *sorted(_HOMES),
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
