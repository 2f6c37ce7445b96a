"""What all figures share: palettes, the frame, and the source that links selections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, HoverTool, Row
from bokeh.palettes import BuRd9, Cividis256, Colorblind8
from bokeh.plotting import figure

from lsst_commtools.qa.limits import Status

__all__ = [
    "BAND_STYLES",
    "CATEGORY",
    "DIVERGING",
    "MOST_STARS",
    "SEQUENTIAL",
    "STATUS_COLOURS",
    "STATUS_MARKERS",
    "flow",
    "make_figure",
    "star_source",
]

SEQUENTIAL: tuple[str, ...] = tuple(Cividis256)
"""For sizes: cividis."""

DIVERGING: tuple[str, ...] = tuple(BuRd9)
"""For signed values, centred on 0."""

CATEGORY: tuple[str, ...] = tuple(Colorblind8)
"""For categories, together with a marker."""

STATUS_COLOURS: Mapping[Status, str] = {
    Status.GOOD: "#56B4E9",
    Status.WARNING: "#F0E442",
    Status.BAD: "#D55E00",
    Status.UNKNOWN: "#BBBBBB",
}
"""Okabe and Ito's palette; always with the word beside it."""

STATUS_MARKERS: Mapping[Status, str] = {
    Status.GOOD: "circle",
    Status.WARNING: "triangle",
    Status.BAD: "x",
    Status.UNKNOWN: "square",
}

BAND_STYLES: Mapping[str, tuple[str, str]] = {
    "u": ("#1600EA", "circle"),
    "g": ("#31DE1F", "triangle"),
    "r": ("#B52626", "inverted_triangle"),
    "i": ("#370201", "square"),
    "z": ("#BA52FF", "star"),
    "y": ("#61A2B3", "hex"),
}
"""Colour and marker of each band (RTN-045, light background)."""

MOST_STARS = 20_000
"""More stars than this are thinned out in figures that draw each one."""

_TOOLS = "pan,wheel_zoom,box_zoom,box_select,lasso_select,tap,reset,save"


def make_figure(title: str, x_label: str, y_label: str, **options: Any) -> figure:
    """Make an empty figure in the house's style.

    Parameters
    ----------
    title, x_label, y_label
        Texts, units in the labels.
    **options
        Passed to `bokeh.plotting.figure`.

    Returns
    -------
    bokeh.plotting.figure
        The figure.
    """
    settings = {"width": 520, "height": 440, "tools": _TOOLS, "output_backend": "webgl", **options}
    plot = figure(title=title, x_axis_label=x_label, y_axis_label=y_label, **settings)
    plot.toolbar.logo = None
    plot.title.text_font_size = "13px"
    return plot


def flow(plots: Sequence[Any]) -> Row:
    """Put figures side by side, as many as the page or the notebook is wide.

    Parameters
    ----------
    plots
        Figures.

    Returns
    -------
    bokeh.models.Row
        The others follow below.
    """
    return Row(children=list(plots), styles={"flex-wrap": "wrap"}, sizing_mode="stretch_width")


def add_hover(plot: figure, renderers: list[Any], tooltips: list[tuple[str, str]]) -> None:
    """Show values under the pointer.

    Parameters
    ----------
    plot
        Figure.
    renderers
        Glyphs that react.
    tooltips
        Label and ``@column`` pairs.
    """
    plot.add_tools(HoverTool(renderers=renderers, tooltips=tooltips))


def star_source(stars: pd.DataFrame, most: int = MOST_STARS) -> ColumnDataSource:
    """Make the source that linked figures share.

    Parameters
    ----------
    stars
        One row for each star. With e1 and e2 but no ``whisker_angle_rad`` that angle is taken in the pixels' frame.
    most
        Thin out evenly to so many rows.

    Returns
    -------
    bokeh.models.ColumnDataSource
        Floating columns as float32, half the size in HTML; ``name`` tells if stars were left out.
    """
    rows = (
        np.unique(np.linspace(0, len(stars) - 1, most).astype(int))
        if len(stars) > most
        else np.arange(len(stars))
    )
    shown = stars.iloc[rows]
    data: dict[str, Any] = {}
    for column in shown.columns:
        values = shown[column].to_numpy()
        if values.dtype.kind == "f":
            data[str(column)] = values.astype(np.float32)
        elif values.dtype.kind in "iu":
            small = values.size == 0 or np.abs(values).max() < np.iinfo(np.int32).max
            data[str(column)] = values.astype(np.int32) if small else values.astype(str)
        else:
            data[str(column)] = values if values.dtype.kind == "b" else values.astype(str)
    if "e1" in data and "e2" in data:
        data.setdefault("ellipticity", np.hypot(data["e1"], data["e2"]))
        data.setdefault("whisker_angle_rad", 0.5 * np.arctan2(data["e2"], data["e1"]))
    thinned = f"{len(rows)} of {len(stars)} stars" if len(rows) < len(stars) else f"{len(stars)} stars"
    return ColumnDataSource(data, name=thinned)
