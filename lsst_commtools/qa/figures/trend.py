"""Metrics over the nights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from bokeh.models import BoxAnnotation, ColumnDataSource, Range1d
from bokeh.plotting import figure

from lsst_commtools.errors import NotFoundError
from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.qa.figures.export import write_html
from lsst_commtools.qa.figures.series import draw_limit
from lsst_commtools.qa.figures.style import BAND_STYLES, CATEGORY, add_hover, flow, make_figure
from lsst_commtools.qa.limits import Limit, history_limit, known_limit

__all__ = ["trend_series", "write_trend_report"]

_MARKERS = ("circle", "square", "triangle", "diamond")


def trend_series(values: pd.DataFrame, metric: str, *, limit: Limit | None = None) -> figure:
    """Draw a metric over the nights, with its limits and the spread of its history.

    Parameters
    ----------
    values
        Rows of a `TrendStore`: ``day_obs``, ``metric``, ``value``, ``band``, ``status``.
    metric
        Which.
    limit
        By default that of a visit or of the survey.

    Returns
    -------
    bokeh.plotting.figure
        The figure: one colour and marker for each band; a grey belt is 3 robust sigma about the median of all
        nights shown. Nights without a value are not drawn, and the title tells how many they are.
    """
    rows = values[values["metric"] == metric]
    full = rows[np.isfinite(rows["value"].astype(float))]
    missing = len(rows) - len(full)
    title = metric + (f" ({missing} without a value)" if missing else "")
    plot = make_figure(
        title, "night", metric, width=560, height=300, x_axis_type="datetime", output_backend="canvas"
    )
    shown = []
    for number, (band, part) in enumerate(full.groupby("band")):
        name = str(band) or "all bands"
        colour, marker = _style(str(part["instrument"].iloc[0]), str(band), number)
        source = ColumnDataSource(
            {
                "night": pd.to_datetime(part["day_obs"].astype(str), format="%Y%m%d"),
                "value": part["value"].to_numpy(np.float64),
                "label": part["day_obs"].astype(str),
                "status": part["status"].astype(str),
                "source": part["source"].astype(str),
            }
        )
        plot.line("night", "value", source=source, line_color=colour, line_alpha=0.5)
        shown.append(
            plot.scatter(
                "night", "value", source=source, size=8, marker=marker, color=colour, legend_label=name
            )
        )
    if not shown:
        return plot
    tooltips = [
        ("night", "@label"),
        (metric, "@value{0.0000}"),
        ("by limit", "@status"),
        ("source", "@source"),
    ]
    add_hover(plot, shown, tooltips)
    nights = pd.to_datetime(full["day_obs"].astype(str), format="%Y%m%d")
    plot.x_range = Range1d(nights.min() - pd.Timedelta(days=1), nights.max() + pd.Timedelta(days=1))
    plot.legend.location, plot.legend.click_policy = "top_left", "hide"
    numbers = full["value"].to_numpy(np.float64)
    if len(set(full["band"])) == 1 and (belt := history_limit(metric, numbers)) is not None:
        low, high = belt.centre - belt.design, belt.centre + belt.design
        plot.add_layout(
            BoxAnnotation(bottom=low, top=high, fill_color="#888888", fill_alpha=0.15, level="underlay")
        )
    known = limit or known_limit(metric)
    if known is not None:
        draw_limit(plot, known, numbers)
    return plot


def _style(instrument: str, physical_filter: str, number: int) -> tuple[str, str]:
    """Colour and marker of a filter's band; where it has none, others by turns."""
    try:
        band = get_camera(instrument).band(physical_filter)
    except NotFoundError:
        band = None
    return BAND_STYLES.get(
        band or physical_filter, (CATEGORY[number % len(CATEGORY)], _MARKERS[number % len(_MARKERS)])
    )


def write_trend_report(values: pd.DataFrame, path: Path) -> Path:
    """Write the trends of all metrics as one HTML file.

    Parameters
    ----------
    values
        Rows of a `TrendStore`.
    path
        File.

    Returns
    -------
    pathlib.Path
        The file.
    """
    plots = [trend_series(values, str(metric)) for metric in dict.fromkeys(values["metric"])]
    return write_html(path, "Metrics over the nights", [flow(plots)])
