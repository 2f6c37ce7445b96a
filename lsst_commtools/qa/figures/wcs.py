"""Figures of the WCS over a night: pointing, drift, neighbours, shift, and the terms that move stars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, Span
from bokeh.plotting import figure

from lsst_commtools.instrument.cameras import Camera
from lsst_commtools.qa.figures.export import write_html
from lsst_commtools.qa.figures.focal_plane import focal_plane_mosaic
from lsst_commtools.qa.figures.series import night_series, night_source
from lsst_commtools.qa.figures.style import CATEGORY, add_hover, flow, make_figure
from lsst_commtools.qa.refraction import refraction_stretch_ppm
from lsst_commtools.qa.wcs_night import FIGURES, NightWcs

__all__ = ["corner_mosaic", "pointing_figure", "refraction_figure", "wcs_blocks", "write_wcs_report"]

_SERIES = {
    "scale_ppm": ("Pixel scale against the night's median", "ppm"),
    "rotation_arcsec": ("Rotation against the night's median", "arcsec"),
    "shift_largest_arcsec": ("Largest shift of a detector, final minus initial WCS", "arcsec"),
    "corner_largest_arcsec": ("Largest excess of a corner distance", "arcsec"),
    "motion_rms_mas": ("Proper motion of the reference stars since their epoch, rms", "mas"),
}
_TERMS = {
    "pointing_az_arcsec": "solved minus told, along azimuth on the sky",
    "pointing_el_arcsec": "solved minus told, along elevation",
    "refraction_arcsec": "differential refraction: lift of the field, k tan z",
    "refraction_along_ppm": "differential refraction: pixels larger along the zenith's direction, k / cos^2 z",
    "refraction_across_ppm": "differential refraction: pixels larger across, k",
    "refraction_stretch_ppm": "differential refraction: the difference of the two, k tan^2 z",
    "stretch_ppm": "measured: pixels larger along the zenith's direction than across",
    "motion_ra_mas": "proper motion since the catalogue's epoch, median RA*",
    "motion_dec_mas": "proper motion since the catalogue's epoch, median Dec",
    "motion_rms_mas": "proper motion since the catalogue's epoch, rms",
    "shift_east_arcsec": "final minus initial WCS, median to the east",
    "shift_north_arcsec": "final minus initial WCS, median to the north",
    "shift_largest_arcsec": "final minus initial WCS, the largest anywhere",
    "shift_scale_ppm": "final minus initial WCS, scale",
    "shift_rotation_arcsec": "final minus initial WCS, rotation",
    "corner_excess_arcsec": "corner distances of neighbours, median excess",
    "corner_largest_arcsec": "corner distances of neighbours, largest excess",
    "scale_ppm": "pixel scale against the night's median",
    "rotation_arcsec": "rotation against the night's median",
}


def wcs_blocks(measured: NightWcs, camera: Camera | None = None) -> list[Any]:
    """Make the tables and figures of a night's WCS, for `export.html_page`.

    Parameters
    ----------
    measured
        From `measure_wcs`.
    camera
        Where the detectors are.

    Returns
    -------
    list
        Texts, tables and bokeh models; series share their selection.
    """
    visits = measured.visits
    known = int(np.isfinite(visits["pixel_scale_arcsec"]).sum())
    blocks: list[Any] = [f"{known} of {len(visits)} visits have a WCS."]
    if measured.problems:
        blocks += [("Problems", ""), [("problem",), *((p,) for p in measured.problems)]]
    blocks += [
        ("Terms", "Each by its name; the median over the visits, and their range."),
        _term_table(measured),
    ]
    if measured.model is not None:
        told = f"rms {measured.model.rms_arcsec:.3g} arcsec over {int(measured.model.used.sum())} visits"
        left = ", ".join(measured.model.left_out)
        blocks += [("Pointing model", told + (f"; these visits cannot tell {left}" if left else "")),
                   _model_table(measured)]  # fmt: skip
    source = night_source(visits)
    plots: list[Any] = [
        night_series(visits, name, unit=unit, source=source, title=title)
        for name, (title, unit) in _SERIES.items()
        if np.isfinite(visits[name]).any()
    ]
    if np.isfinite(visits["pointing_az_arcsec"]).any():
        plots += [pointing_figure(measured, along) for along in ("azimuth_deg", "altitude_deg")]
    if np.isfinite(visits["stretch_ppm"]).any():
        plots.append(refraction_figure(visits))
    if camera is not None and len(measured.corners):
        plots.append(corner_mosaic(measured.corners, camera))
    return [*blocks, flow(plots)] if plots else blocks


def write_wcs_report(measured: NightWcs, path: Path, camera: Camera | None = None) -> Path:
    """Write the report: one HTML file without any link to another host.

    Parameters
    ----------
    measured
        From `measure_wcs`.
    path
        HTML file.
    camera
        Where the detectors are.

    Returns
    -------
    pathlib.Path
        The file.
    """
    return write_html(path, "WCS of a night", wcs_blocks(measured, camera))


def pointing_figure(measured: NightWcs, along: str = "azimuth_deg") -> figure:
    """Draw where the telescope looked minus where it was told to look, before and after the pointing model.

    Parameters
    ----------
    measured
        From `measure_wcs`.
    along
        ``azimuth_deg`` or ``altitude_deg``.

    Returns
    -------
    bokeh.plotting.figure
        Offsets along azimuth (on the sky) and elevation; hollow marks are what the model leaves.
    """
    visits, model = measured.visits, measured.model
    name = {"azimuth_deg": "azimuth", "altitude_deg": "elevation"}[along]
    plot = make_figure(
        f"Pointing against {name}: solved minus told", f"{name} [deg]", "arcsec", width=720, height=360,
        output_backend="canvas",
    )  # fmt: skip
    plot.add_layout(Span(location=0.0, dimension="width", line_color="#999999"))
    left = {} if model is None else {"az": model.az_residual_arcsec, "el": model.el_residual_arcsec}
    for number, (axis, label, marker) in enumerate(
        (("az", "azimuth on the sky", "circle"), ("el", "elevation", "triangle"))
    ):
        data = {
            "place": visits[along].to_numpy(), "offset": visits[f"pointing_{axis}_arcsec"].to_numpy(),
            "left": left.get(axis, np.full(len(visits), np.nan)), "visit": [str(v) for v in visits["visit"]],
        }  # fmt: skip
        source, colour = ColumnDataSource(data), CATEGORY[number]
        shown = [plot.scatter("place", "offset", source=source, marker=marker, size=8, color=colour,
                              legend_label=label)]  # fmt: skip
        if model is not None:
            shown.append(plot.scatter("place", "left", source=source, marker=marker, size=8, fill_color="white",
                                      line_color=colour, legend_label=f"{label}, minus the model"))  # fmt: skip
        add_hover(plot, shown, [("visit", "@visit"), (label, "@offset{0.00} arcsec"),
                                ("minus the model", "@left{0.00} arcsec")])  # fmt: skip
    plot.legend.click_policy, plot.legend.location = "hide", "top_left"
    return plot


def refraction_figure(visits: pd.DataFrame) -> figure:
    """Draw the stretch of the pixels towards the zenith against zenith distance, beside that of refraction.

    Parameters
    ----------
    visits
        Of `NightWcs`: ``visit``, ``altitude_deg``, ``stretch_ppm``.

    Returns
    -------
    bokeh.plotting.figure
        Marks are measured, the line is k tan^2 z.
    """
    plot = make_figure(
        "Differential refraction, by zenith distance", "zenith distance [deg]",
        "pixel along / across the zenith's direction - 1 [ppm]", width=720, height=360, output_backend="canvas",
    )  # fmt: skip
    z = 90.0 - visits["altitude_deg"].to_numpy()
    source = ColumnDataSource(
        {"z": z, "stretch": visits["stretch_ppm"].to_numpy(), "visit": [str(v) for v in visits["visit"]],
         "expected": refraction_stretch_ppm(z)}
    )  # fmt: skip
    dots = plot.scatter("z", "stretch", source=source, size=8, color=CATEGORY[0], legend_label="measured")
    line = np.linspace(0.0, float(np.nanmax(z, initial=60.0)), 80)
    plot.line(line, refraction_stretch_ppm(line), line_color=CATEGORY[1], line_width=2,
              legend_label="refraction: k tan^2 z")  # fmt: skip
    add_hover(
        plot, [dots], [("visit", "@visit"), ("measured", "@stretch{0} ppm"), ("expected", "@expected{0} ppm")]
    )
    plot.legend.location = "top_left"
    return plot


def corner_mosaic(corners: pd.DataFrame, camera: Camera) -> figure:
    """Draw how far each detector lies off its neighbours.

    Parameters
    ----------
    corners
        Of `NightWcs`.
    camera
        Where the detectors are.

    Returns
    -------
    bokeh.plotting.figure
        Median over corners and visits of the magnitude of the excess of the distance.
    """
    size = corners["excess_arcsec"].abs()
    both = pd.concat([pd.DataFrame({"detector": corners[f"detector{k}"], "size": size}) for k in (1, 2)])
    medians = both.groupby("detector")["size"].median()
    return focal_plane_mosaic(
        camera, dict(zip(medians.index.astype(int).tolist(), medians.tolist(), strict=True)),
        title="Neighbours: corner distance minus that of the camera, median magnitude", unit="arcsec",
    )  # fmt: skip


def _term_table(measured: NightWcs) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("term", "what it is", "median", "least", "most", "visits", "why unknown")]
    for name in (n for n in FIGURES if n in _TERMS):
        values = measured.visits[name].to_numpy(np.float64)
        full = values[np.isfinite(values)]
        told = (
            tuple(f"{v:.4g}" for v in (np.median(full), full.min(), full.max()))
            if full.size
            else ("unknown", "", "")
        )
        whys = sorted({reasons[name] for reasons in measured.reasons.values() if name in reasons})
        rows.append((name, _TERMS[name], *told, str(full.size), "; ".join(whys)))
    return rows


def _model_table(measured: NightWcs) -> list[tuple[str, ...]]:
    model = measured.model
    rows: list[tuple[str, ...]] = [("term", "arcsec", "error")]
    if model is not None:
        rows += [(t, f"{v:.3f}", f"{model.errors_arcsec[t]:.2g}") for t, v in model.terms_arcsec.items()]
    return rows
