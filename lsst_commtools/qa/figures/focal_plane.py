"""Mosaics of the focal plane: one rectangle for each detector, coloured by a value."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, LinearColorMapper
from bokeh.plotting import figure

from lsst_commtools.instrument.cameras import PIXEL_MM, Camera
from lsst_commtools.qa.figures.style import DIVERGING, SEQUENTIAL, STATUS_COLOURS, add_hover, make_figure
from lsst_commtools.qa.limits import Status
from lsst_commtools.qa.statistics import finite

__all__ = ["focal_plane_mosaic", "text_colour_on"]

_TEXT_IN_DETECTORS = 30


def focal_plane_mosaic(
    camera: Camera,
    values: Mapping[int, float],
    *,
    title: str,
    unit: str = "",
    statuses: Mapping[int, Status] | None = None,
    diverging: bool = False,
    value_range: tuple[float, float] | None = None,
    source_name: str | None = None,
) -> figure:
    """Draw the detectors of a camera, coloured by a value, or by status where that is given.

    Parameters
    ----------
    camera
        Where its detectors are.
    values
        Detector number to value. Detectors without one are grey and say "no data".
    title, unit
        Texts.
    statuses
        Detector number to verdict: the colour is then the status and the value is text.
    diverging
        Colours centred on 0.
    value_range
        Values of the first and the last colour; by default from the values.
    source_name
        Name of the source, so that other code finds it.

    Returns
    -------
    bokeh.plotting.figure
        The figure. The value stands in the detector as text where there is room, and under the pointer always.
    """
    detectors = camera.science_detectors
    measured = np.array([values.get(d.id, np.nan) for d in detectors], dtype=np.float32)
    words = [f"{v:.3g}" if np.isfinite(v) else "no data" for v in measured]
    verdicts = [str((statuses or {}).get(d.id, Status.UNKNOWN)) for d in detectors]
    colours = [STATUS_COLOURS[Status(s)] for s in verdicts]
    mapper = _mapper(measured if value_range is None else np.array(value_range), diverging=diverging)
    filled = colours if statuses is not None else [_mapped(mapper, float(v)) for v in measured]
    source = ColumnDataSource(
        {
            "x": np.array([d.x_mm for d in detectors], np.float32),
            "y": np.array([d.y_mm for d in detectors], np.float32),
            "width": np.array([d.columns * PIXEL_MM for d in detectors], np.float32),
            "height": np.array([d.rows * PIXEL_MM for d in detectors], np.float32),
            "name": [d.name for d in detectors],
            "detector": np.array([d.id for d in detectors], np.int32),
            "value": measured,
            "text": words,
            "status": verdicts,
            "label": [f"{w}\n{s}" if statuses else w for w, s in zip(words, verdicts, strict=True)],
            "colour": colours,
            "text_colour": [text_colour_on(c) for c in filled],
        },
        name=source_name,
    )
    plot = make_figure(title, "x [mm]", "y [mm]", match_aspect=True, output_backend="canvas")
    fill = "colour" if statuses is not None else {"field": "value", "transform": mapper}
    boxes = plot.rect(
        "x", "y", "width", "height", source=source, fill_color=fill, line_color="white", line_width=1
    )
    if len(detectors) <= _TEXT_IN_DETECTORS:
        plot.text(
            "x", "y", text="label", source=source, text_align="center", text_baseline="middle",
            text_font_size="12px", text_color="text_colour",
        )  # fmt: skip
    if statuses is None:
        plot.add_layout(ColorBar(color_mapper=mapper, title=unit, width=10), "right")
    tooltips = [("detector", "@name (@detector)"), ("value", f"@text {unit}".rstrip())]
    add_hover(plot, [boxes], [*tooltips, ("status", "@status")] if statuses is not None else tooltips)
    return plot


def text_colour_on(fill: str) -> str:
    """Choose the colour of text by what is behind it.

    Parameters
    ----------
    fill
        Colour, ``#RRGGBB``.

    Returns
    -------
    str
        Black or white, whichever has the higher contrast (WCAG 2.1: at least 4.5 to 1 for any fill).
    """
    channels = [int(fill[k : k + 2], 16) / 255.0 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#FFFFFF"


def _mapped(mapper: LinearColorMapper, value: float) -> str:
    """Give the colour that the browser will choose."""
    if not np.isfinite(value):
        return str(mapper.nan_color)
    place = (value - mapper.low) / (mapper.high - mapper.low)
    return str(mapper.palette[int(np.clip(place * len(mapper.palette), 0, len(mapper.palette) - 1))])


def _mapper(values: np.ndarray, *, diverging: bool) -> LinearColorMapper:
    sample = finite(values)
    if diverging:
        high = float(np.abs(sample).max()) if sample.size else 1.0
        return LinearColorMapper(
            palette=list(DIVERGING), low=-(high or 1.0), high=high or 1.0, nan_color="#DDDDDD"
        )
    low, high = (float(sample.min()), float(sample.max())) if sample.size else (0.0, 1.0)
    return LinearColorMapper(
        palette=list(SEQUENTIAL), low=low, high=high if high > low else low + 1.0, nan_color="#DDDDDD"
    )
