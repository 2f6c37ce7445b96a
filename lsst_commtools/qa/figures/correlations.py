"""Figures of PSF correlations and of star minus model over the field."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, LinearColorMapper, Whisker
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from lsst_commtools.qa.correlations import Correlation
from lsst_commtools.qa.figures.style import CATEGORY, DIVERGING, add_hover, make_figure
from lsst_commtools.qa.significance import map_residuals

__all__ = ["rho_figure", "significance_map"]

_MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle")


def rho_figure(rho: Mapping[str, Correlation], *, title: str = "Rho statistics") -> figure:
    """Draw the magnitude of correlations against separation; negative ones are hollow.

    Parameters
    ----------
    rho
        Name to correlation.
    title
        Text; TreeCorr's accuracy is added.

    Returns
    -------
    bokeh.plotting.figure
        Both axes logarithmic. Click on the legend to hide one.
    """
    slops = sorted({c.bin_slop for c in rho.values()})
    told = ", ".join("exact" if slop == 0 else f"bin_slop {slop:g}" for slop in slops)
    plot = make_figure(
        f"{title} ({told})" if told else title, "separation [arcmin]", "|xi+|", width=640,
        x_axis_type="log", y_axis_type="log", output_backend="canvas",
    )  # fmt: skip
    for number, (name, correlation) in enumerate(rho.items()):
        full = (correlation.n_pairs > 0) & np.isfinite(correlation.xi) & (correlation.xi != 0)
        xi, sigma = correlation.xi[full], correlation.sigma[full]
        colour, size = CATEGORY[number % len(CATEGORY)], np.abs(xi)
        source = ColumnDataSource(
            {
                "theta": correlation.theta_arcmin[full],
                "size": size,
                "xi": xi,
                "sigma": sigma,
                "low": np.maximum(size - sigma, size * 1e-2),
                "high": size + sigma,
                "fill": [colour if v > 0 else "white" for v in xi],
                "pairs": correlation.n_pairs[full],
            }
        )
        dots = plot.scatter(
            "theta", "size", source=source, marker=_MARKERS[number % len(_MARKERS)], size=7, fill_color="fill",
            line_color=colour, legend_label=name,
        )  # fmt: skip
        bars = Whisker(base="theta", lower="low", upper="high", source=source, line_color=colour)
        bars.upper_head.size = bars.lower_head.size = 0
        plot.add_layout(bars)
        add_hover(plot, [dots], [(name, "@xi{0.00e+0} +- @sigma{0.0e+0}"), ("at", "@theta{0.00} arcmin"),
                                 ("pairs", "@pairs{0}")])  # fmt: skip
    if plot.legend:
        plot.legend.click_policy, plot.legend.location = "hide", "bottom_left"
    return plot


def significance_map(
    x: ArrayLike, y: ArrayLike, values: ArrayLike, *, title: str, label: str = "mm", cells: int = 20
) -> figure:
    """Draw the significance of mean residuals in cells; the title tells whether they are more than noise.

    Parameters
    ----------
    x, y, values
        Positions and residuals, shape (n,).
    title
        Text.
    label
        Unit of the positions.
    cells
        Along each side.

    Returns
    -------
    bokeh.plotting.figure
        Colours from -5 to 5 sigma.
    """
    found = map_residuals(x, y, values, cells=cells)
    left, right, bottom, top = found.extent
    told = (
        f"chi2 {found.chi2:.4g} of {found.dof} cells, p {found.probability:.2g}" if found.dof else "no cell"
    )
    plot = make_figure(f"{title}: {told}", f"x [{label}]", f"y [{label}]", output_backend="canvas")
    mapper = LinearColorMapper(palette=list(DIVERGING), low=-5, high=5, nan_color="#DDDDDD")
    source = ColumnDataSource(
        {"image": [found.significance.astype(np.float32)], "mean": [found.mean.astype(np.float32)],
         "count": [found.count.astype(np.int32)]}
    )  # fmt: skip
    shown = plot.image(
        "image", source=source, x=left, y=bottom, dw=right - left, dh=top - bottom, color_mapper=mapper
    )
    plot.add_layout(ColorBar(color_mapper=mapper, title="sigma", width=10), "right")
    add_hover(
        plot, [shown], [("mean", "@mean{0.00e+0}"), ("significance", "@image{0.0}"), ("stars", "@count")]
    )
    return plot
