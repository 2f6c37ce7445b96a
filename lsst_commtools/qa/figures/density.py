"""Maps of more stars than a browser can draw: means in cells, at two levels in a file, or anew at each zoom."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.events import RangesUpdate
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    CustomJS,
    CustomJSHover,
    HoverTool,
    LinearColorMapper,
    Range1d,
)
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from lsst_commtools.qa.figures.style import DIVERGING, SEQUENTIAL, make_figure

__all__ = ["LiveDensityMap", "binned_mean", "density_map"]

Extent = tuple[float, float, float, float]
_COARSE, _FINE = 200, 900
_LEVELS = 254  # of a byte; 0 says that a cell is empty
_NOTHING = "#DDDDDD"


def binned_mean(
    x: ArrayLike, y: ArrayLike, values: ArrayLike, extent: Extent, cells: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Average values in square cells.

    Parameters
    ----------
    x, y, values
        Shape (n,); rows that are not finite are left out.
    extent
        Left, right, bottom, top.
    cells
        Along each side.

    Returns
    -------
    mean
        NaN in cells without a value, shape (cells, cells), the first row at the bottom.
    count
        Values in each cell.
    """
    xs, ys, vs = (np.asarray(a, dtype=np.float64) for a in (x, y, values))
    left, right, bottom, top = extent
    good = np.isfinite(xs) & np.isfinite(ys) & np.isfinite(vs)
    good &= (xs >= left) & (xs <= right) & (ys >= bottom) & (ys <= top)
    columns = np.minimum((xs[good] - left) * (cells / (right - left)), cells - 1).astype(np.int64)
    rows = np.minimum((ys[good] - bottom) * (cells / (top - bottom)), cells - 1).astype(np.int64)
    place = rows * cells + columns
    count = np.bincount(place, minlength=cells * cells)
    total = np.bincount(place, weights=vs[good], minlength=cells * cells)
    mean = np.full(cells * cells, np.nan, dtype=np.float32)
    np.divide(total, count, out=mean, where=count > 0, casting="unsafe")
    return mean.reshape(cells, cells), count.reshape(cells, cells)


def density_map(
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    *,
    title: str,
    unit: str = "",
    label: str = "mm",
    diverging: bool = False,
) -> figure:
    """Draw the mean of any number of stars in cells: a coarse level, and a fine one when the reader zooms in.

    Parameters
    ----------
    x, y, values
        Positions, and what is averaged, shape (n,).
    title, unit
        Texts.
    label
        Unit of the positions.
    diverging
        Colours centred on 0.

    Returns
    -------
    bokeh.plotting.figure
        About 1.3 MB in a file, whatever the number of stars.
    """
    extent = _extent(x, y)
    coarse, _ = binned_mean(x, y, values, extent, _COARSE)
    fine, _ = binned_mean(x, y, values, extent, _FINE)
    low, high = _range(coarse, diverging=diverging)
    plot, true = _empty_map(title, unit, label, extent, low, high, diverging=diverging)
    left, right, bottom, top = extent
    place = {"x": left, "y": bottom, "dw": right - left, "dh": top - bottom}
    shown = plot.image(image=[coarse], color_mapper=true, **place)
    palette = list(DIVERGING if diverging else SEQUENTIAL)
    byte = LinearColorMapper(palette=palette, low=0.5, high=_LEVELS + 0.5, low_color=_NOTHING)
    zoomed = plot.image(image=[_as_bytes(fine, low, high)], color_mapper=byte, visible=False, **place)
    plot.x_range.js_on_change(
        "end",
        CustomJS(
            args={"range": plot.x_range, "coarse": shown, "fine": zoomed, "width": (right - left) / 2},
            code="const near = Math.abs(range.end - range.start) < width; fine.visible = near; coarse.visible = !near;",
        ),
    )
    back = CustomJSHover(
        args={"low": low, "step": (high - low) / (_LEVELS - 1)},
        code="return value > 0 ? (low + (value - 1) * step).toPrecision(4) : 'no stars'",
    )
    plain = CustomJSHover(code="return isNaN(value) ? 'no stars' : value.toPrecision(4)")
    for renderer, formatter in ((shown, plain), (zoomed, back)):
        tooltips = [("mean", f"@image{{custom}} {unit}".rstrip()), ("at", f"$x{{0.0}}, $y{{0.0}} {label}")]
        plot.add_tools(HoverTool(renderers=[renderer], tooltips=tooltips, formatters={"@image": formatter}))
    return plot


class LiveDensityMap:
    """A map that is aggregated anew for what the reader looks at, in JupyterLab (by ``jupyter_bokeh``) or a server.

    Parameters
    ----------
    x, y, values
        Positions, and what is averaged, shape (n,).
    title, unit, label, diverging
        As for `density_map`.
    cells
        Along each side of the view.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        values: ArrayLike,
        *,
        title: str,
        unit: str = "",
        label: str = "mm",
        diverging: bool = False,
        cells: int = 400,
    ) -> None:
        self._x, self._y, self._values = (np.asarray(a, dtype=np.float64) for a in (x, y, values))
        self._cells = cells
        extent = _extent(x, y)
        mean, _ = binned_mean(self._x, self._y, self._values, extent, cells)
        low, high = _range(mean, diverging=diverging)
        self.plot, mapper = _empty_map(title, unit, label, extent, low, high, diverging=diverging)
        self.source = ColumnDataSource(self._data(extent, mean))
        self.plot.image("image", "x", "y", "dw", "dh", source=self.source, color_mapper=mapper)
        self.plot.on_event(RangesUpdate, self._changed)

    def update(self, extent: Extent) -> None:
        """Aggregate the stars of one view.

        Parameters
        ----------
        extent
            Left, right, bottom, top.
        """
        mean, _ = binned_mean(self._x, self._y, self._values, extent, self._cells)
        self.source.data = self._data(extent, mean)

    def _changed(self, event: Any) -> None:
        self.update((event.x0, event.x1, event.y0, event.y1))

    @staticmethod
    def _data(extent: Extent, mean: NDArray[np.float32]) -> dict[str, Any]:
        left, right, bottom, top = extent
        return {"image": [mean], "x": [left], "y": [bottom], "dw": [right - left], "dh": [top - bottom]}


def _empty_map(
    title: str, unit: str, label: str, extent: Extent, low: float, high: float, *, diverging: bool
) -> tuple[figure, LinearColorMapper]:
    left, right, bottom, top = extent
    plot = make_figure(
        title, f"x [{label}]", f"y [{label}]", match_aspect=True, output_backend="canvas",
        x_range=Range1d(left, right), y_range=Range1d(bottom, top), tools="pan,wheel_zoom,box_zoom,reset,save",
    )  # fmt: skip
    palette = list(DIVERGING if diverging else SEQUENTIAL)
    mapper = LinearColorMapper(palette=palette, low=low, high=high, nan_color=_NOTHING)
    plot.add_layout(ColorBar(color_mapper=mapper, title=unit, width=10), "right")
    return plot, mapper


def _extent(x: ArrayLike, y: ArrayLike) -> Extent:
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    good = np.isfinite(xs) & np.isfinite(ys)
    if not good.any():
        return 0.0, 1.0, 0.0, 1.0
    sides = [(float(a[good].min()), float(a[good].max())) for a in (xs, ys)]
    half = max(high - low for low, high in sides) / 2 or 0.5
    (left, right), (bottom, top) = (((low + high) / 2 - half, (low + high) / 2 + half) for low, high in sides)
    return left, right, bottom, top


def _range(mean: NDArray[np.float32], *, diverging: bool) -> tuple[float, float]:
    """From the 1st to the 99th percentile of the cells, so that single ones do not take all colours."""
    sample = mean[np.isfinite(mean)]
    if not sample.size:
        return (-1.0, 1.0) if diverging else (0.0, 1.0)
    low, high = (float(v) for v in np.percentile(sample, [1.0, 99.0]))
    if diverging:
        reach = max(abs(low), abs(high)) or 1.0
        return -reach, reach
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _as_bytes(mean: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    scaled = 1.0 + (mean - low) * ((_LEVELS - 1) / (high - low))
    return np.where(np.isfinite(mean), np.clip(np.rint(scaled), 1, _LEVELS), 0).astype(np.uint8)
