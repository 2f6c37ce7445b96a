"""Interactive figures of WCS and PSF quality: plain arrays and tables in, bokeh models out.

Figures that share one source from `star_source` share their selection. Colours are safe for colour-blind people,
status is told by text as well, and what is written as HTML needs no network.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "correlations": ["rho_figure", "significance_map"],
        "density": ["LiveDensityMap", "density_map"],
        "differences": ["difference_histogram"],
        "distributions": ["ellipticity_histogram", "ellipticity_plane", "residual_scatter"],
        "ellipticity": ["ellipticity_blocks", "write_ellipticity_report"],
        "explorer": ["focal_plane_explorer", "linked_stars", "night_explorer", "write_focal_plane_report"],
        "export": ["html_page", "write_html", "write_png"],
        "focal_plane": ["focal_plane_mosaic"],
        "maps": ["residual_map", "residual_vectors", "whisker_plot"],
        "positions": ["with_focal_plane", "with_sky_plane"],
        "repeatability": [
            "repeatability_blocks",
            "requirements_chart",
            "tally_histogram",
            "write_repeatability_report",
        ],
        "series": ["night_series", "night_source"],
        "style": ["flow", "star_source"],
        "trend": ["trend_series", "write_trend_report"],
        "visit": ["visit_blocks", "write_visit_report"],
        "wcs": ["corner_mosaic", "pointing_figure", "refraction_figure", "wcs_blocks", "write_wcs_report"],
    },
)
