"""Figures of merit over a night."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import BoxAnnotation, ColumnDataSource, FactorRange, Span
from bokeh.plotting import figure

from lsst_commtools.qa.figures.style import BAND_STYLES, CATEGORY, add_hover, make_figure
from lsst_commtools.qa.limits import Limit
from lsst_commtools.qa.statistics import finite

__all__ = ["night_series", "night_source"]


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
        Design is drawn as a dashed, minimum as a solid line; what is beyond is shaded.
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
    plot = make_figure(title or metric, "time" if time else "visit", label, width=720, height=300, **axis)
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
        _draw_limit(plot, limit, signed=bool(finite(values).size and finite(values).min() < 0))
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


def _draw_limit(plot: figure, limit: Limit, *, signed: bool) -> None:
    for sign in (1, -1) if signed or limit.centre else (1,):
        for bound, dash in ((limit.design, "dashed"), (limit.minimum, "solid")):
            plot.add_layout(
                Span(
                    location=limit.centre + sign * bound,
                    dimension="width",
                    line_color="#D55E00",
                    line_dash=dash,
                )
            )
        edge = limit.centre + sign * limit.minimum
        side = {"bottom": edge} if sign > 0 else {"top": edge}
        plot.add_layout(BoxAnnotation(**side, fill_color="#D55E00", fill_alpha=0.08))
