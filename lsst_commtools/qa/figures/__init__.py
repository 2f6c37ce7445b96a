"""Interactive figures of WCS and PSF quality: plain arrays and tables in, bokeh models out.

Figures that share one source from `star_source` share their selection. Colours are safe for colour-blind people,
status is told by text as well, and what is written as HTML needs no network.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "LiveDensityMap": "density",
    "corner_mosaic": "wcs",
    "density_map": "density",
    "difference_histogram": "differences",
    "ellipticity_blocks": "ellipticity",
    "ellipticity_histogram": "distributions",
    "ellipticity_plane": "distributions",
    "flow": "style",
    "focal_plane_explorer": "explorer",
    "focal_plane_mosaic": "focal_plane",
    "html_page": "export",
    "linked_stars": "explorer",
    "night_explorer": "explorer",
    "night_series": "series",
    "night_source": "series",
    "pointing_figure": "wcs",
    "refraction_figure": "wcs",
    "repeatability_blocks": "repeatability",
    "requirements_chart": "repeatability",
    "residual_map": "maps",
    "residual_scatter": "distributions",
    "residual_vectors": "maps",
    "rho_figure": "correlations",
    "significance_map": "correlations",
    "star_source": "style",
    "tally_histogram": "repeatability",
    "trend_series": "trend",
    "visit_blocks": "visit",
    "wcs_blocks": "wcs",
    "whisker_plot": "maps",
    "with_focal_plane": "positions",
    "with_sky_plane": "positions",
    "write_ellipticity_report": "ellipticity",
    "write_focal_plane_report": "explorer",
    "write_html": "export",
    "write_png": "export",
    "write_repeatability_report": "repeatability",
    "write_trend_report": "trend",
    "write_visit_report": "visit",
    "write_wcs_report": "wcs",
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
