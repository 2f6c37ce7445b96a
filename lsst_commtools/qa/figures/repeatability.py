"""Figures of astrometric repeatability, and their report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, Span
from bokeh.plotting import figure

from lsst_commtools.qa.figures.export import write_html
from lsst_commtools.qa.figures.style import (
    CATEGORY,
    STATUS_COLOURS,
    STATUS_MARKERS,
    add_hover,
    flow,
    make_figure,
)
from lsst_commtools.qa.limits import Limit, Status
from lsst_commtools.qa.repeatability.measurement import Measurement
from lsst_commtools.qa.repeatability.metrics import Repeatability
from lsst_commtools.qa.repeatability.tally import Tally

__all__ = ["repeatability_blocks", "requirements_chart", "tally_histogram", "write_repeatability_report"]

_CELLS = 120
_DASHES = ("solid", "dashed", "dotted", "dotdash")


def repeatability_blocks(measured: Repeatability) -> list[Any]:
    """Make the tables and figures of a measurement, for `export.html_page`.

    Parameters
    ----------
    measured
        From `measure_repeatability`.

    Returns
    -------
    list
        Texts, tables and bokeh models.
    """
    band = f" in {measured.band}" if measured.band else ""
    blocks: list[Any] = [
        f"{measured.n_objects} objects in {measured.n_visits} visits{band}: status {measured.status}.",
        *measured.notes,
        ("Requirements", "Values of the science requirements (LPM-17): stretch, design, minimum."),
        _table(measured),
    ]
    plots = [requirements_chart(measured)]
    for number, sums in measured.separations.items():
        d = f"{sums.separation_arcmin:g} arcmin"
        if sums.rms_mas.n:
            plots.append(
                tally_histogram(
                    {"pairs": sums.rms_mas}, title=f"AM{number}: pairs at {d}", x_label="rms of the separation [mas]",
                    limit=measured.measurements[f"AM{number}"].limit,
                )
            )  # fmt: skip
        if sums.deviation_mas.n:
            plots.append(
                tally_histogram(
                    {"separations": sums.deviation_mas}, title=f"AD{number}: separations at {d}",
                    x_label=f"deviation from the {sums.centre} of the pair [mas]",
                    limit=measured.measurements[f"AD{number}"].limit,
                )
            )  # fmt: skip
    std = dict(zip(("RA*", "Dec"), measured.coordinates.std_mas, strict=True))
    if any(tally.n for tally in std.values()):
        plots.append(tally_histogram(std, title="Objects, per coordinate", x_label="std over visits [mas]"))
    return [*blocks, flow(plots)]


def write_repeatability_report(measured: Repeatability, path: Path) -> Path:
    """Write the report: one HTML file without any link to another host.

    Parameters
    ----------
    measured
        From `measure_repeatability`.
    path
        HTML file.

    Returns
    -------
    pathlib.Path
        The file.
    """
    return write_html(path, "Astrometric repeatability", repeatability_blocks(measured))


def requirements_chart(measured: Repeatability) -> figure:
    """Draw each figure as a multiple of its minimum requirement, with the verdict as a word.

    Parameters
    ----------
    measured
        From `measure_repeatability`.

    Returns
    -------
    bokeh.plotting.figure
        The figure; what is unknown stands at 0 and says so.
    """
    known = {name: m for name, m in measured.measurements.items() if m.limit is not None}
    names = list(known)[::-1]
    statuses = [known[name].status or Status.UNKNOWN for name in names]
    shares = [_share(known[name], known[name].limit) for name in names]
    source = ColumnDataSource(
        {
            "name": names,
            "share": [s if np.isfinite(s) else 0.0 for s in shares],
            "design": [m.limit.design / m.limit.minimum for m in map(known.__getitem__, names) if m.limit],
            "status": [str(s) for s in statuses],
            "colour": [STATUS_COLOURS[s] for s in statuses],
            "marker": [STATUS_MARKERS[s] for s in statuses],
            "told": [_told(known[name]) for name in names],
        }
    )
    plot = make_figure(
        "Requirements", "value / minimum requirement", "", y_range=names, output_backend="canvas"
    )
    dots = plot.scatter(
        "share", "name", source=source, size=12, marker="marker", fill_color="colour", line_color="black"
    )
    plot.scatter("design", "name", source=source, marker="dash", angle=np.pi / 2, size=14, line_color="black")
    plot.text("share", "name", text="status", source=source, x_offset=10, y_offset=5, text_font_size="11px")
    plot.add_layout(Span(location=1.0, dimension="height", line_color="#D55E00"))
    add_hover(plot, [dots], [("", "@name"), ("value", "@told"), ("status", "@status")])
    return plot


def tally_histogram(
    tallies: dict[str, Tally], *, title: str, x_label: str, limit: Limit | None = None
) -> figure:
    """Draw how many values lie where.

    Parameters
    ----------
    tallies
        Label to values.
    title, x_label
        Texts.
    limit
        Design is drawn as a dashed, minimum as a solid line.

    Returns
    -------
    bokeh.plotting.figure
        The figure; it holds counts, not values, so its size does not depend on their number.
    """
    plot = make_figure(title, x_label, "number", output_backend="canvas")
    most = max((t.quantile(0.995) for t in tallies.values() if t.n), default=1.0)
    edges = np.linspace(0.0, 1.1 * max(most, 1e-3), _CELLS + 1)
    for k, (label, tally) in enumerate(tallies.items()):
        source = ColumnDataSource(
            {
                "middle": (0.5 * (edges[1:] + edges[:-1])).astype(np.float32),
                "count": tally.histogram(edges).astype(float),
            }
        )
        line = plot.step(
            "middle", "count", source=source, mode="center", line_color=CATEGORY[k], line_dash=_DASHES[k], line_width=2,
            legend_label=f"{label}: {tally.n}, median {tally.quantile(0.5):.4g} mas",
        )  # fmt: skip
        add_hover(plot, [line], [(label, "@middle{0.00} mas"), ("number", "@count{0}")])
    for value, dash in ((limit.design, "dashed"), (limit.minimum, "solid")) if limit is not None else ():
        plot.add_layout(Span(location=value, dimension="height", line_color="#D55E00", line_dash=dash))
    return plot


def _share(m: Measurement, limit: Limit | None) -> float:
    return m.value / limit.minimum if limit is not None else float("nan")


def _told(m: Measurement) -> str:
    return m.reason or f"{m.value:.4g} +- {m.error:.2g} {m.unit}"


def _table(measured: Repeatability) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("figure", "value", "pairs", "stretch", "design", "minimum", "status")]
    for name, m in measured.measurements.items():
        limits = (
            (f"{v:g}" for v in (m.limit.stretch, m.limit.design, m.limit.minimum))
            if m.limit
            else ("", "", "")
        )
        rows.append((name, _told(m), str(m.n_pairs), *limits, str(m.status or "no requirement")))
    return rows
