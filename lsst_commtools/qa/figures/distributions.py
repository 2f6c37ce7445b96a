"""Distributions of residuals and ellipticities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bokeh.models import ColumnDataSource, Span
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from lsst_commtools.qa.figures.style import CATEGORY, add_hover, make_figure
from lsst_commtools.qa.statistics import finite, mad, median

__all__ = ["ellipticity_histogram", "ellipticity_plane", "residual_scatter"]

_DASHES = ("solid", "dashed", "dotted", "dotdash")


def residual_scatter(source: ColumnDataSource, *, title: str = "Residuals") -> figure:
    """Draw the two residuals of each star against each other.

    Parameters
    ----------
    source
        From `star_source`, with ``ra_residual_mas`` and ``dec_residual_mas``.
    title
        What is shown.

    Returns
    -------
    bokeh.plotting.figure
        The figure, with an ellipse of one robust sigma.
    """
    ra, dec = source.data["ra_residual_mas"], source.data["dec_residual_mas"]
    text = f"{title}: MAD RA* {mad(ra):.3g}, Dec {mad(dec):.3g} mas"
    plot = make_figure(text, "dRA* [mas]", "dDec [mas]")
    dots = plot.scatter(
        "ra_residual_mas", "dec_residual_mas", source=source, size=5, color=CATEGORY[0], alpha=0.6,
        nonselection_alpha=0.1,
    )  # fmt: skip
    if finite(ra).size and finite(dec).size:
        plot.ellipse(
            x=[median(ra)], y=[median(dec)], width=[2 * mad(ra)], height=[2 * mad(dec)], fill_alpha=0.0,
            line_color="black", line_width=2,
        )  # fmt: skip
    add_hover(plot, [dots], [("dRA*", "@ra_residual_mas{0.00} mas"), ("dDec", "@dec_residual_mas{0.00} mas")])
    return plot


def ellipticity_plane(source: ColumnDataSource, *, title: str = "Ellipticity of the stars") -> figure:
    """Draw e1 and e2 of each star against each other.

    Parameters
    ----------
    source
        From `star_source`, with ``e1`` and ``e2``.
    title
        What is shown.

    Returns
    -------
    bokeh.plotting.figure
        The figure.
    """
    plot = make_figure(title, "e1", "e2", match_aspect=True)
    dots = plot.scatter(
        "e1", "e2", source=source, size=5, color=CATEGORY[1], alpha=0.6, nonselection_alpha=0.1
    )
    for dimension in ("width", "height"):
        plot.add_layout(Span(location=0.0, dimension=dimension, line_color="#888888", line_dash="dotted"))
    add_hover(plot, [dots], [("e1, e2", "@e1{0.000}, @e2{0.000}")])
    return plot


def ellipticity_histogram(
    samples: Mapping[str, ArrayLike], *, title: str = "Ellipticity", x_label: str = "value", bins: int = 40
) -> figure:
    """Draw histograms over one another.

    Parameters
    ----------
    samples
        Label to values, say e1 and e2, or de1 and de2; at most eight.
    title, x_label
        Texts.
    bins
        Number of cells.

    Returns
    -------
    bokeh.plotting.figure
        The figure; lines differ by dash as well as colour, the legend tells median and MAD.
    """
    plot = make_figure(title, x_label, "stars", output_backend="canvas")
    values = {label: finite(sample) for label, sample in samples.items()}
    everything = np.concatenate([v for v in values.values() if v.size] or [np.array([0.0, 1.0])])
    low, high = (float(v) for v in np.percentile(everything, [0.5, 99.5]))
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    for k, (label, sample) in enumerate(values.items()):
        counts, _ = np.histogram(sample, edges)
        source = ColumnDataSource(
            {"middle": 0.5 * (edges[1:] + edges[:-1]), "count": counts.astype(np.float32)}
        )
        line = plot.step(
            "middle",
            "count",
            source=source,
            mode="center",
            line_color=CATEGORY[k % 8],
            line_dash=_DASHES[k % 4],
            line_width=2,
            legend_label=f"{label}: {median(sample):.3g} (MAD {mad(sample):.2g})",
        )
        add_hover(plot, [line], [(label, "@middle{0.0000}"), ("stars", "@count")])
    plot.legend.location = "top_right"
    plot.legend.click_policy = "hide"
    return plot
