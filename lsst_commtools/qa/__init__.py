"""WCS and PSF quality: star tables in, figures and verdicts out.

Pure functions of arrays: numpy in, values out. What is slow to import is imported at first use.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "butler": ["read_visit", "read_visit_summary", "survey_of_collection"],
        "calibrations": ["CalibrationVerdict", "judge_calibration"],
        "columns": ["read_column_map"],
        "comparison": ["beside_summary", "compare_figures", "figures_of_survey"],
        "correlations": ["rho_statistics"],
        "detect": ["detect_stars", "read_image_stars"],
        "higher_moments": ["measure_higher_moments"],
        "limits": [
            "DEFAULT_LIMITS",
            "Limit",
            "SRD_LIMITS",
            "Status",
            "Verdict",
            "history_limit",
            "judge",
            "worst",
        ],
        "match": ["PatternMatch", "match_pattern", "match_sky"],
        "metrics": ["DetectorMetrics", "VisitMetrics", "measure_detector", "measure_visit"],
        "model_health": ["ModelHealth", "measure_model_health"],
        "moments": ["Moments", "measure_moments", "moments_of_stamps"],
        "motion": ["apply_proper_motion"],
        "pointing": ["PointingModel", "fit_pointing_model"],
        "psf": ["MomentModel", "fit_moment_model"],
        "psf_metrics": ["measure_ellipticity"],
        "references": ["ReferenceStars", "read_references"],
        "refraction": ["refraction_terms"],
        "shape_kernel": ["shapes_of_moments"],
        "shapes": ["ellipticity", "fwhm_from_moments"],
        "significance": ["map_residuals"],
        "statistics": ["mad"],
        "survey": ["SurveyStars", "join_tables", "read_survey", "shapes_of_visits"],
        "tables": ["StarTable", "make_star_table", "read_star_table"],
        "trend": ["TrendRow", "TrendStore", "TrendVerdict"],
        "wcs": ["WcsFit", "fit_tan_polynomial"],
        "wcs_compare": ["CornerDistance", "WcsShift", "corner_distances", "night_drift", "wcs_shift"],
        "wcs_night": ["NightWcs", "measure_wcs", "read_pointings"],
    },
)
