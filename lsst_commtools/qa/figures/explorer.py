"""Pages to look into a visit or a night: figures that answer to each other, also in a file without a server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, CustomJS, DataTable, Div, NumberFormatter, TableColumn
from bokeh.plotting import figure
from bokeh.transform import linear_cmap

from lsst_commtools.instrument.cameras import Camera
from lsst_commtools.qa.figures.density import density_map
from lsst_commtools.qa.figures.export import write_html
from lsst_commtools.qa.figures.focal_plane import focal_plane_mosaic
from lsst_commtools.qa.figures.style import SEQUENTIAL, add_hover, flow, make_figure
from lsst_commtools.qa.statistics import finite

__all__ = ["focal_plane_explorer", "linked_stars", "night_explorer", "write_focal_plane_report"]

_BINS = 40
_STARS_OF_DETECTOR = 50

_COUNT = """
const values = stars.data[name], n = bars.data.count.length;
const all = new Array(n).fill(0), chosen = new Array(n).fill(0);
const bin = (v) => Math.min(Math.floor((v - low) / width), n - 1);
for (const v of values) { const k = bin(v); if (k >= 0 && k < n) all[k] += 1; }
for (const i of stars.selected.indices) { const k = bin(values[i]); if (k >= 0 && k < n) chosen[k] += 1; }
bars.data = {...bars.data, count: all, chosen: chosen};
"""

_CHOOSE_BARS = """
const values = stars.data[name], n = bars.data.count.length, wanted = new Set(bars.selected.indices), found = [];
for (let i = 0; i < values.length; i++) {
  if (wanted.has(Math.min(Math.floor((values[i] - low) / width), n - 1))) found.push(i);
}
stars.selected.indices = found;
"""

_CHOOSE_DETECTORS = """
const wanted = new Set(detectors.selected.indices.map((i) => detectors.data.detector[i]));
const keep = [];
for (let i = 0; i < all.data.detector.length; i++) {
  if (wanted.size === 0 || wanted.has(all.data.detector[i])) keep.push(i);
}
const shown = {};
for (const [key, values] of Object.entries(all.data)) shown[key] = keep.map((i) => values[i]);
stars.selected.indices = [];
stars.data = shown;
const names = detectors.selected.indices.map((i) => detectors.data.name[i]).join(', ');
words.text = (names ? names : 'All detectors') + ': ' + keep.length + ' stars shown' + note;
"""

# The luminance decides on the colour of the text, as in `focal_plane.text_colour_on`.
_CHOOSE_VISIT = """
const i = visits.selected.indices[0];
if (i === undefined) return;
const n = cells.data.detector.length, value = Array.from(matrix.data.value.slice(i * n, (i + 1) * n));
const text = value.map((v) => isNaN(v) ? 'no data' : v.toPrecision(3));
const linear = (c) => c <= 0.04045 ? c / 12.92 : Math.pow((c + 0.055) / 1.055, 2.4);
const legible = value.map((v) => {
  if (isNaN(v)) return '#000000';
  const m = mapper.palette.length;
  const place = Math.floor((v - mapper.low) / (mapper.high - mapper.low) * m);
  const fill = mapper.palette[Math.max(0, Math.min(m - 1, place))];
  const rgb = typeof fill === 'number'
    ? [fill >>> 24, (fill >>> 16) & 255, (fill >>> 8) & 255] : [1, 3, 5].map((k) => parseInt(fill.slice(k, k + 2), 16));
  const [r, g, b] = rgb.map((c) => linear(c / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? '#000000' : '#FFFFFF';
});
cells.data = {...cells.data, value: value, text: text, label: text, text_colour: legible};
title.text = metric + ' of visit ' + visits.data.label[i];
"""


def linked_stars(
    source: ColumnDataSource, value: str, *, x: str, y: str, unit: str = ""
) -> tuple[figure, figure, DataTable]:
    """Draw stars as a map, a histogram and a table: what is chosen in one is chosen in all.

    Parameters
    ----------
    source
        Of `star_source`: the stars.
    value
        Column that the histogram is of.
    x, y
        Columns of the position.
    unit
        Of the value.

    Returns
    -------
    map, histogram, table
        Lasso or box on the map, tap on bars, rows of the table.
    """
    numbers = np.asarray(source.data[value], dtype=np.float64)
    sample = finite(numbers)
    low, high = np.percentile(sample, [0.5, 99.5]) if sample.size else (0.0, 1.0)
    width = float((high - low) / _BINS) or 1.0 / _BINS
    edges = float(low) + width * np.arange(_BINS + 1)
    count, _ = np.histogram(sample, edges)
    bars = ColumnDataSource(
        {"left": edges[:-1], "right": edges[1:], "count": count.astype(float), "chosen": np.zeros(_BINS)}
    )
    label = f"{value} [{unit}]" if unit else value
    stars = make_figure(f"{label} of each star", x, y, match_aspect=True)
    colour = linear_cmap(value, list(SEQUENTIAL), float(low), float(low) + width * _BINS, nan_color="#DDDDDD")
    dots = stars.scatter(x, y, source=source, size=5, color=colour, nonselection_alpha=0.1)
    add_hover(stars, [dots], [(value, f"@{value}{{0.0000}} {unit}".rstrip()), ("detector", "@detector")])
    histogram = make_figure(
        label, label, "stars", tools="tap,box_select,reset,save", output_backend="canvas", height=300
    )
    histogram.quad(
        left="left", right="right", bottom=0, top="count", source=bars, color="#999999", line_color="white",
        nonselection_alpha=0.5,
    )  # fmt: skip
    histogram.quad(
        left="left", right="right", bottom=0, top="chosen", source=bars, color="#0072B2", nonselection_alpha=1.0,
        legend_label="chosen",
    )  # fmt: skip
    args = {"stars": source, "bars": bars, "name": value, "low": float(low), "width": width}
    source.selected.js_on_change("indices", CustomJS(args=args, code=_COUNT))
    source.js_on_change("data", CustomJS(args=args, code=_COUNT))
    bars.selected.js_on_change("indices", CustomJS(args=args, code=_CHOOSE_BARS))
    wanted = [name for name in ("detector", x, y, value, "e1", "e2") if name in source.data]
    columns = [
        TableColumn(
            field=name, title=name, formatter=NumberFormatter(format="0" if name == "detector" else "0.0000")
        )
        for name in dict.fromkeys(wanted)
    ]
    table = DataTable(source=source, columns=columns, width=520, height=300, selectable="checkbox")
    return stars, histogram, table


def focal_plane_explorer(
    stars: pd.DataFrame,
    camera: Camera,
    value: str,
    *,
    unit: str = "",
    most_of_detector: int = _STARS_OF_DETECTOR,
) -> Any:
    """Draw the stars of a visit: their means over the focal plane, and the stars of the detectors that are clicked.

    Parameters
    ----------
    stars
        With ``detector``, ``x_mm``, ``y_mm`` (`with_focal_plane`) and the value; any number.
    camera
        Where the detectors are.
    value
        Column.
    unit
        Of the value.
    most_of_detector
        So many stars of each detector stand in the page, taken evenly; the text tells how many that leaves out.

    Returns
    -------
    bokeh layout
        Map, detectors (median of each), stars, histogram and table.
    """
    grouped = stars.groupby("detector")[value].median()
    medians = dict(zip(grouped.index.astype(int), grouped.astype(float), strict=True))
    mosaic = focal_plane_mosaic(
        camera, medians, title=f"{value}: median of each detector; click to see its stars", unit=unit
    )
    detectors = mosaic.renderers[0].data_source
    shown = _thinned(stars, value, most_of_detector)
    kept = ColumnDataSource(shown)
    source = ColumnDataSource(dict(shown))
    note = f" of {len(stars)}" if len(shown["detector"]) < len(stars) else ""
    words = Div(text=f"All detectors: {len(shown['detector'])} stars shown{note}")
    chosen = CustomJS(
        args={"detectors": detectors, "all": kept, "stars": source, "words": words,
              "note": f" (at most {most_of_detector} of each detector)" if note else ""},
        code=_CHOOSE_DETECTORS,
    )  # fmt: skip
    detectors.selected.js_on_change("indices", chosen)
    title = f"{value}: mean of {len(stars)} stars in cells"
    cells = density_map(stars["x_mm"], stars["y_mm"], stars[value], title=title, unit=unit)
    points, histogram, table = linked_stars(source, value, x="x_mm", y="y_mm", unit=unit)
    return column(
        flow([cells, mosaic]), words, flow([points, column(histogram, table)]), sizing_mode="stretch_width"
    )


def _thinned(stars: pd.DataFrame, value: str, most: int) -> dict[str, Any]:
    """Take the stars of each detector evenly, the columns as small as they can be."""
    order = np.argsort(stars["detector"].to_numpy(), kind="stable")
    numbers = stars["detector"].to_numpy()[order]
    starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]]) if numbers.size else np.empty(0, int)
    ends = np.r_[starts[1:], numbers.size]
    picked = [
        order[np.unique(np.linspace(a, b - 1, min(most, b - a)).astype(int))]
        for a, b in zip(starts, ends, strict=False)
    ]
    rows = np.concatenate(picked) if picked else np.empty(0, int)
    names = [name for name in dict.fromkeys(("x_mm", "y_mm", value, "e1", "e2")) if name in stars.columns]
    columns: dict[str, Any] = {name: stars[name].to_numpy()[rows].astype(np.float32) for name in names}
    columns["detector"] = stars["detector"].to_numpy()[rows].astype(np.int32)
    return columns


def night_explorer(
    visits: Mapping[int, Mapping[int, float]], camera: Camera, metric: str, *, unit: str = ""
) -> Any:
    """Draw a metric over the visits of a night; a click on a visit shows its detectors.

    Parameters
    ----------
    visits
        Visit to detector number to value.
    camera
        Where the detectors are.
    metric, unit
        What it is.

    Returns
    -------
    bokeh layout
        Series and focal plane; at first that of the last visit.
    """
    numbers = sorted(visits)
    detectors = [d.id for d in camera.science_detectors]
    table = np.array([[visits[v].get(d, np.nan) for d in detectors] for v in numbers], np.float32)
    medians = [float(np.median(finite(line))) if finite(line).size else float("nan") for line in table]
    source = ColumnDataSource(
        {
            "order": np.arange(len(numbers)),
            "label": [str(v) for v in numbers],
            "value": np.array(medians, np.float32),
        }
    )
    label = f"{metric} [{unit}]" if unit else metric
    series = make_figure(
        f"{metric}: median of each visit; click to see its detectors", "visit of the night", label,
        width=720, height=300, tools="pan,wheel_zoom,box_zoom,tap,reset,save", output_backend="canvas",
    )  # fmt: skip
    dots = series.scatter("order", "value", source=source, size=9, color="#0072B2", nonselection_alpha=0.3)
    add_hover(series, [dots], [("visit", "@label"), (metric, f"@value{{0.000}} {unit}".rstrip())])
    last = dict(zip(detectors, table[-1].tolist(), strict=True)) if numbers else {}
    good = finite(table)
    low, high = (float(v) for v in np.percentile(good, [1, 99])) if good.size else (0.0, 1.0)
    title = f"{metric} of visit {numbers[-1] if numbers else ''}"
    mosaic = focal_plane_mosaic(camera, last, title=title, unit=unit, value_range=(low, high))
    cells = mosaic.renderers[0].data_source
    matrix = ColumnDataSource({"value": table.ravel()})
    args = {"visits": source, "cells": cells, "matrix": matrix, "title": mosaic.title, "metric": metric,
            "mapper": mosaic.renderers[0].glyph.fill_color["transform"]}  # fmt: skip
    source.selected.js_on_change("indices", CustomJS(args=args, code=_CHOOSE_VISIT))
    return column(series, mosaic)


def write_focal_plane_report(
    stars: pd.DataFrame, camera: Camera, value: str, path: Path, *, unit: str = ""
) -> Path:
    """Write `focal_plane_explorer` as one HTML file: under 5 MB for any number of stars.

    Parameters
    ----------
    stars, camera, value, unit
        As for `focal_plane_explorer`.
    path
        File.

    Returns
    -------
    pathlib.Path
        The file.
    """
    return write_html(
        path, f"{value} over the focal plane", [focal_plane_explorer(stars, camera, value, unit=unit)]
    )
