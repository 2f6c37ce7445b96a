"""Interactive figures of WCS and PSF quality: plain arrays and tables in, bokeh models out.

Figures that share one source from `star_source` share their selection. Colours are safe for colour-blind people,
status is told by text as well, and what is written as HTML needs no network.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "difference_histogram": "differences",
    "significance_map": "correlations",
    "rho_figure": "correlations",
    "write_png": "export",
    "write_focal_plane_report": "explorer",
    "night_explorer": "explorer",
    "linked_stars": "explorer",
    "focal_plane_explorer": "explorer",
    "density_map": "density",
    "LiveDensityMap": "density",
    "write_trend_report": "trend",
    "trend_series": "trend",
    "ellipticity_histogram": "distributions",
    "ellipticity_plane": "distributions",
    "focal_plane_mosaic": "focal_plane",
    "html_page": "export",
    "night_series": "series",
    "residual_map": "maps",
    "residual_scatter": "distributions",
    "residual_vectors": "maps",
    "star_source": "style",
    "visit_blocks": "visit",
    "whisker_plot": "maps",
    "with_focal_plane": "positions",
    "with_sky_plane": "positions",
    "night_source": "series",
    "write_html": "export",
    "write_visit_report": "visit",
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
