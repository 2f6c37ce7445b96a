"""Figures of releases, in bokeh: the graph of milestones by date, and the burn-down."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure

from lsst_commtools.releases.board import Releases
from lsst_commtools.releases.evidence import Status
from lsst_commtools.releases.graph import find_cycles, needs_all

__all__ = ["COLOURS", "burn_down_figure", "milestone_graph"]

COLOURS = {
    Status.VERIFIED: "#1b7837",
    Status.STALE: "#a6dba0",
    Status.NOT_TESTED: "#bdbdbd",
    Status.BLOCKED: "#fdae61",
    Status.FAILED: "#d73027",
}
"""Colour of each status; the status is also written out wherever it is shown."""


def milestone_graph(board: Releases, source: str) -> figure:
    """Draw the milestones of one source, what needs what, and how ready they are.

    Parameters
    ----------
    board
        Releases of a site.
    source
        ``text`` or ``table``; without dates, milestones stand by how many others they need.

    Returns
    -------
    bokeh.plotting.figure
        A dot for each milestone, a line for each need.
    """
    told = board.model.source(source)
    due = {i: None if (day := told.due(i)) is None else _midnight(day) for i in told.milestones}
    depth = {i: sum(j in due for j in needs_all(told, i)) for i in told.milestones}
    dated = any(due.values())
    x: dict[str, Any] = {i: due[i] for i in due if due[i] is not None} if dated else dict(depth)
    rows = {i: row for row, i in enumerate(reversed(told.milestones))}
    statuses = {i: board.readiness.status(i, source) for i in told.milestones}
    plot = figure(
        title=f"Milestones by the {source}: {len(find_cycles(told))} cycles",
        x_axis_type="datetime" if dated else "linear",
        x_axis_label="target date" if dated else "number of milestones that it needs",
        y_range=[*reversed(told.milestones)],
        width=900,
        height=120 + 22 * len(rows),
        tools="pan,wheel_zoom,reset,save",
    )
    edges = [(i, j) for i in x for j in told.requires(i) if j in x]
    plot.segment(
        x0=[x[j] for _, j in edges],
        y0=[j for _, j in edges],
        x1=[x[i] for i, _ in edges],
        y1=[i for i, _ in edges],
        line_color="#999999",
    )
    for status in [s for s in Status if s in statuses.values()]:
        ids = [i for i in x if statuses[i] is status]
        data = ColumnDataSource(
            {
                "x": [x[i] for i in ids],
                "y": ids,
                "title": [told.title(i) for i in ids],
                "due": [str(told.due(i)) for i in ids],
                "status": [status.value for _ in ids],
            }
        )
        plot.scatter("x", "y", size=11, color=COLOURS[status], legend_label=status.value, source=data)
    plot.add_tools(HoverTool(tooltips=[("", "@y @title"), ("due", "@due"), ("status", "@status")]))
    plot.legend.click_policy = "hide"
    return plot


def burn_down_figure(board: Releases, dates: Sequence[dt.date]) -> figure:
    """Draw how many features were to be open, and how many are, over time.

    Parameters
    ----------
    board
        Releases of a site.
    dates
        Days to count at.

    Returns
    -------
    bokeh.plotting.figure
        Two lines.
    """
    rows = board.burn_down(dates)
    plot = figure(
        title="Features that are not verified",
        x_axis_type="datetime",
        x_axis_label="date (UTC)",
        y_axis_label="features",
        width=900,
        height=300,
        tools="pan,wheel_zoom,reset,save",
    )
    days = [_midnight(row["date"]) for row in rows]
    plot.step(
        days, [row["planned_open"] for row in rows], legend_label="planned", color="#999999", mode="after"
    )
    plot.step(
        days, [row["open"] for row in rows], legend_label="open", color="#d73027", mode="after", line_width=2
    )
    plot.y_range.start = 0
    return plot


def _midnight(day: dt.date | str) -> dt.datetime:
    """Give the time at which a day begins: bokeh draws no bare dates."""
    date = dt.date.fromisoformat(day) if isinstance(day, str) else day
    return dt.datetime(date.year, date.month, date.day)  # noqa: DTZ001 - bokeh's axes know no time zones
