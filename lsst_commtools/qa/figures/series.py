"""Figures of merit over a night."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import BoxAnnotation, ColumnDataSource, FactorRange, Range1d, Span, Title
from bokeh.plotting import figure

from lsst_commtools.qa.figures.style import BAND_STYLES, CATEGORY, add_hover, make_figure
from lsst_commtools.qa.limits import Limit
from lsst_commtools.qa.statistics import finite

__all__ = ["draw_limit", "night_series", "night_source"]

_MOST_LIMIT_ROOM = 1.0  # limits may at most triple the range of the data


def night_series(
    visits: pd.DataFrame,
    metric: str,
    *,
    unit: str = "",
    limit: Limit | None = None,
    time: str | None = None,
    source: ColumnDataSource | None = None,
    title: str | None = None,
) -> figure:
    """Draw a figure of merit of the visits of a night, in the order of the table, with its limits.

    Parameters
    ----------
    visits
        One row for each visit: ``visit``, the metric, and where known ``band`` and ``status``.
    metric
        Column.
    unit
        Of the metric.
    limit
        Design is drawn as a dashed, minimum as a solid line; what is beyond is shaded. Limits far
        from the data are told by text.
    time
        Column of times (datetime) for the x axis; by default the visits stand side by side.
    source
        Shared with other series, so that they share the selection; made from ``visits`` where not given.
    title
        By default the metric.

    Returns
    -------
    bokeh.plotting.figure
        The figure. Visits without a value are marked at the bottom as "no value".
    """
    shared = source if source is not None else night_source(visits)
    labels = [str(v) for v in visits["visit"]]
    axis = {"x_axis_type": "datetime"} if time else {"x_range": FactorRange(*labels)}
    label = f"{metric} [{unit}]" if unit else metric
    plot = make_figure(title or metric, "time" if time else "visit", label, width=600, height=300, **axis)
    plot.output_backend = "canvas"
    x = time or "label"
    values = visits[metric].to_numpy(np.float64) if len(visits) else np.empty(0)
    dots = plot.scatter(
        x, metric, source=shared, size=10, marker="marker", fill_color="colour", line_color="black",
        nonselection_alpha=0.2,
    )  # fmt: skip
    tooltips = [("visit", "@label"), (metric, f"@{metric}{{0.000}} {unit}".rstrip())]
    tooltips += [(name, f"@{name}") for name in ("band", "status") if name in visits]
    add_hover(plot, [dots], tooltips)
    missing = ~np.isfinite(values)
    if missing.any():
        low = float(finite(values).min()) if finite(values).size else 0.0
        place = visits[time].to_numpy()[missing] if time else [labels[i] for i in np.flatnonzero(missing)]
        plot.text(
            place, np.full(int(missing.sum()), low), text=["no value"] * int(missing.sum()), angle=np.pi / 2,
            text_font_size="11px", text_color="#555555", text_baseline="middle",
        )  # fmt: skip
    if limit is not None:
        draw_limit(plot, limit, values)
    if not time:
        plot.xaxis.major_label_orientation = 0.8
    return plot


def night_source(visits: pd.DataFrame) -> ColumnDataSource:
    """Make the source that linked series share.

    Parameters
    ----------
    visits
        One row for each visit.

    Returns
    -------
    bokeh.models.ColumnDataSource
        With ``label``, and ``colour`` and ``marker`` of each visit's band.
    """
    data: dict[str, Any] = {
        str(name): visits[name].to_numpy(np.float32)
        if visits[name].dtype.kind == "f"
        else visits[name].to_numpy()
        for name in visits.columns
        if visits[name].dtype.kind in "fbM" or name in ("band", "status", "physical_filter", "reason")
    }
    styles = [
        BAND_STYLES.get(str(b), (CATEGORY[0], "circle")) for b in visits.get("band", [""] * len(visits))
    ]
    data["label"] = [str(v) for v in visits["visit"]]
    data["colour"], data["marker"] = [s[0] for s in styles], [s[1] for s in styles]
    return ColumnDataSource(data)


def draw_limit(plot: figure, limit: Limit, values: Any) -> None:
    """Draw design (dashed) and minimum (solid) of a limit, without squeezing the points.

    The y range follows the data. A limit that lies far outside of it, as seen on the range of the data, is told by
    text at the edge instead.

    Parameters
    ----------
    plot
        Figure.
    limit
        What the values are judged by.
    values
        Values that are drawn.
    """
    sample = finite(values)
    low, high = (float(sample.min()), float(sample.max())) if sample.size else (-limit.minimum, limit.minimum)
    signed = bool(sample.size and low < 0) or bool(limit.centre)
    bounds = [
        limit.centre + sign * b
        for sign in ((1, -1) if signed else (1,))
        for b in (limit.design, limit.minimum)
    ]
    reach = _MOST_LIMIT_ROOM * max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-12)
    near = [b for b in bounds if low - reach <= b <= high + reach]
    bottom, top = min([low, *near]), max([high, *near])
    margin = 0.08 * ((top - bottom) or abs(top) or 1.0)
    plot.y_range = Range1d(bottom - margin, top + margin)
    for number, bound in enumerate(bounds):
        dash = "solid" if number % 2 else "dashed"
        if bound in near:
            plot.add_layout(Span(location=bound, dimension="width", line_color="#D55E00", line_dash=dash))
    for minimum in bounds[1::2]:
        above = minimum > limit.centre
        plot.add_layout(
            BoxAnnotation(
                **({"bottom": minimum} if above else {"top": minimum}), fill_color="#D55E00", fill_alpha=0.08
            )
        )
    _tell_far_limits(plot, limit, [b for b in bounds if b not in near and b > high], above=True)
    _tell_far_limits(plot, limit, [b for b in bounds if b not in near and b < low], above=False)


def _tell_far_limits(plot: figure, limit: Limit, far: list[float], *, above: bool) -> None:
    if not far:
        return
    names = {limit.design: "design", limit.minimum: "minimum"}
    told = dict.fromkeys(f"{names.get(abs(b - limit.centre), 'limit')} {b:.4g}" for b in far)
    arrow = "\u2191" if above else "\u2193"
    title = Title(
        text=f"{arrow} outside: {', '.join(told)}", text_font_size="11px", text_color="#8A3B00", align="right"
    )
    plot.add_layout(title, "above" if above else "below")
