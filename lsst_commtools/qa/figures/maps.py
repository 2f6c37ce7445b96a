"""Maps over the detector or field: residual vectors, binned residuals, whiskers of the PSF."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, Label, LinearColorMapper
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from lsst_commtools.qa.figures.style import CATEGORY, DIVERGING, SEQUENTIAL, add_hover, make_figure
from lsst_commtools.qa.statistics import finite, median

__all__ = ["residual_map", "residual_vectors", "whisker_plot"]

_LABELS = {
    "x": "x [pixel]", "y": "y [pixel]", "xi_arcmin": "xi, east [arcmin]", "eta_arcmin": "eta, north [arcmin]",
    "x_mm": "x [mm]", "y_mm": "y [mm]",
}  # fmt: skip
_ROUND = (1, 2, 5)


def _round_value(value: float) -> float:
    """Give a round number that is not far below a value, for scale bars."""
    if not np.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(r for r in _ROUND if r * power <= value * (1 + 1e-9)) * power)


def _span(values: ArrayLike) -> float:
    sample = finite(values)
    return float(np.ptp(sample)) if sample.size and np.ptp(sample) > 0 else 1.0


def _frame(source: ColumnDataSource, title: str, x: str, y: str) -> figure:
    plot = make_figure(f"{title} ({source.name})", _LABELS.get(x, x), _LABELS.get(y, y), match_aspect=True)
    if x == "xi_arcmin":
        plot.x_range.flipped = True  # east is on the left, as on the sky
    return plot


def _scale_bar(plot: figure, source: ColumnDataSource, x: str, y: str, length: float, text: str) -> None:
    """Draw what a length means, below the stars."""
    xs, ys = finite(source.data[x]), finite(source.data[y])
    if not xs.size or not ys.size:
        return
    bottom = float(ys.min()) - 0.06 * _span(ys)
    flipped = x == "xi_arcmin"
    left, right = (
        (float(xs.max()), float(xs.max()) - length)
        if flipped
        else (float(xs.min()), float(xs.min()) + length)
    )
    plot.segment([left], [bottom], [right], [bottom], line_color="black", line_width=3)
    plot.add_layout(Label(x=left, y=bottom, text=text, text_font_size="11px", y_offset=3))


def _tooltips(source: ColumnDataSource) -> list[tuple[str, str]]:
    shown = [
        ("detector", "@detector"), ("x, y", "@x{0.0}, @y{0.0} px"), ("mag", "@mag{0.00}"), ("SNR", "@snr{0}"),
        ("dRA*", "@ra_residual_mas{0.00} mas"), ("dDec", "@dec_residual_mas{0.00} mas"),
        ("e1, e2", "@e1{0.000}, @e2{0.000}"), ("FWHM", "@fwhm_arcsec{0.000} arcsec"),
    ]  # fmt: skip
    return [(name, text) for name, text in shown if text.split("{")[0].lstrip("@") in source.data]


def residual_vectors(
    source: ColumnDataSource,
    *,
    x: str = "xi_arcmin",
    y: str = "eta_arcmin",
    x_residual: str = "ra_residual_mas",
    y_residual: str = "dec_residual_mas",
    title: str = "Residuals, measured minus reference",
) -> figure:
    """Draw the residual of each star as a vector at its place.

    Parameters
    ----------
    source
        From `star_source`.
    x, y
        Columns of the position.
    x_residual, y_residual
        Columns of the residual in mas, along the same axes.
    title
        What is shown.

    Returns
    -------
    bokeh.plotting.figure
        The figure; vectors are drawn so that the median one is 4 % of the field.
    """
    size = np.hypot(source.data[x_residual], source.data[y_residual])
    typical = median(size)
    span = max(_span(source.data[x]), _span(source.data[y]))
    factor = 0.04 * span / typical if np.isfinite(typical) and typical > 0 else 0.0
    for name, position, residual in (("vector_x", x, x_residual), ("vector_y", y, y_residual)):
        source.data[name] = (source.data[position] + factor * source.data[residual]).astype(np.float32)
    plot = _frame(source, title, x, y)
    plot.segment(x, y, "vector_x", "vector_y", source=source, line_color=CATEGORY[0], line_width=1.2)
    dots = plot.scatter(x, y, source=source, size=4, color=CATEGORY[0], nonselection_alpha=0.15)
    add_hover(plot, [dots], _tooltips(source))
    bar = _round_value(2.0 * typical)
    _scale_bar(plot, source, x, y, bar * factor, f"{bar:g} mas")
    return plot


def whisker_plot(
    source: ColumnDataSource, *, x: str = "xi_arcmin", y: str = "eta_arcmin", title: str = "PSF ellipticity"
) -> figure:
    """Draw the ellipticity of each star as a line along its major axis.

    Parameters
    ----------
    source
        From `star_source`, with ``ellipticity`` and ``whisker_angle_rad``, from this figure's x axis to its y axis.
    x, y
        Columns of the position.
    title
        What is shown.

    Returns
    -------
    bokeh.plotting.figure
        The figure.
    """
    size, angle = np.asarray(source.data["ellipticity"]), np.asarray(source.data["whisker_angle_rad"])
    typical = median(size)
    span = max(_span(source.data[x]), _span(source.data[y]))
    factor = 0.02 * span / typical if np.isfinite(typical) and typical > 0 else 0.0
    step_x, step_y = factor * size * np.cos(angle), factor * size * np.sin(angle)
    for name, position, step in (("whisker_x", x, step_x), ("whisker_y", y, step_y)):
        source.data[f"{name}0"] = (source.data[position] - step).astype(np.float32)
        source.data[f"{name}1"] = (source.data[position] + step).astype(np.float32)
    plot = _frame(source, title, x, y)
    lines = plot.segment(
        "whisker_x0", "whisker_y0", "whisker_x1", "whisker_y1", source=source, line_color=CATEGORY[1], line_width=1.6,
        nonselection_alpha=0.15,
    )  # fmt: skip
    dots = plot.scatter(x, y, source=source, size=3, color="#666666", alpha=0.4, nonselection_alpha=0.1)
    add_hover(plot, [lines, dots], _tooltips(source))
    bar = _round_value(2.0 * typical)
    _scale_bar(plot, source, x, y, 2.0 * bar * factor, f"e = {bar:g}")
    return plot


def _binned_mean(
    x: NDArray[Any], y: NDArray[Any], values: NDArray[Any], bins: int
) -> tuple[NDArray[np.float32], tuple[float, float, float, float]]:
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(values)
    if not good.any():
        return np.full((bins, bins), np.nan, np.float32), (0.0, 1.0, 0.0, 1.0)
    x, y, values = x[good], y[good], values[good]
    left, right, bottom, top = float(x.min()), float(x.max()), float(y.min()), float(y.max())
    column = np.minimum((bins * (x - left) / max(right - left, 1e-9)).astype(np.int64), bins - 1)
    row = np.minimum((bins * (y - bottom) / max(top - bottom, 1e-9)).astype(np.int64), bins - 1)
    cell = row * bins + column
    counts = np.bincount(cell, minlength=bins**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(cell, values, minlength=bins**2) / counts
    return mean.reshape(bins, bins).astype(np.float32), (left, right, bottom, top)


def residual_map(
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    *,
    title: str,
    unit: str = "mas",
    x_label: str = "x [pixel]",
    y_label: str = "y [pixel]",
    bins: int | None = None,
    diverging: bool = True,
) -> figure:
    """Draw the mean of a value in cells, as an image: its size does not depend on the number of stars.

    Parameters
    ----------
    x, y
        Positions, shape (n,).
    values
        What is averaged, shape (n,).
    title, unit, x_label, y_label
        Texts.
    bins
        Cells along each axis; by default so many that ten stars fall into one, 4 to 200.
    diverging
        Colours centred on 0; otherwise a sequence from low to high.

    Returns
    -------
    bokeh.plotting.figure
        The figure.
    """
    xs, ys, zs = (np.asarray(v, dtype=np.float64) for v in (x, y, values))
    cells = bins or int(np.clip(np.sqrt(xs.size / 10), 4, 200))
    image, (left, right, bottom, top) = _binned_mean(xs, ys, zs, cells)
    shown = finite(image)
    if diverging:
        high = float(np.percentile(np.abs(shown), 98)) if shown.size else 1.0
        mapper = LinearColorMapper(
            palette=list(DIVERGING), low=-(high or 1.0), high=high or 1.0, nan_color="#EEEEEE"
        )
    else:
        low, high = (float(v) for v in np.percentile(shown, [1, 99])) if shown.size else (0.0, 1.0)
        mapper = LinearColorMapper(
            palette=list(SEQUENTIAL), low=low, high=max(high, low + 1e-9), nan_color="#EEEEEE"
        )
    plot = make_figure(f"{title} (mean in {cells} x {cells} cells)", x_label, y_label, match_aspect=True)
    picture = plot.image(
        [image], x=left, y=bottom, dw=max(right - left, 1e-9), dh=max(top - bottom, 1e-9), color_mapper=mapper
    )
    plot.add_layout(ColorBar(color_mapper=mapper, title=unit, width=10), "right")
    add_hover(plot, [picture], [("value", f"@image{{0.000}} {unit}"), ("place", "$x{0.0}, $y{0.0}")])
    return plot
