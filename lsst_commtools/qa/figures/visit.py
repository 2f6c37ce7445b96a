"""The figures of one visit, and their report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lsst_commtools.qa.figures.distributions import ellipticity_histogram, ellipticity_plane, residual_scatter
from lsst_commtools.qa.figures.export import write_html
from lsst_commtools.qa.figures.maps import residual_map, residual_vectors, whisker_plot
from lsst_commtools.qa.figures.positions import with_sky_plane
from lsst_commtools.qa.figures.style import flow, star_source
from lsst_commtools.qa.metrics import VisitMetrics

__all__ = ["visit_blocks", "write_visit_report"]

_MAP_FROM = 50


def visit_blocks(metrics: VisitMetrics) -> list[Any]:
    """Make the tables and figures of a visit, for `export.html_page`.

    Parameters
    ----------
    metrics
        What was measured.

    Returns
    -------
    list
        Texts, tables and bokeh models; figures of stars share their selection.
    """
    document = metrics.document()
    blocks: list[Any] = [f"{metrics.n_stars} stars, status {document['status']}."]
    if metrics.problems:
        blocks += [("Problems", ""), [("problem",), *((p,) for p in metrics.problems)]]
    blocks += [("Figures of merit", ""), _figure_table(document)]
    if len(metrics.detectors) > 1:
        blocks += [("Detectors", ""), _detector_table(metrics)]
    stars = metrics.stars
    has_sky = "xi_arcmin" in (stars := _placed(stars)) and np.isfinite(stars["xi_arcmin"]).any()
    axes = ("xi_arcmin", "eta_arcmin") if has_sky else ("x", "y")
    if not set(axes) <= set(stars.columns):
        return blocks
    source = star_source(stars)
    wcs, psf = _wcs_figures(stars, source, axes), _psf_figures(stars, source, axes)
    for heading, plots in (("WCS", wcs), ("PSF", psf)):
        if plots:
            blocks += [(heading, "Select stars in one figure: they are marked in the others."), flow(plots)]
    return blocks


def write_visit_report(metrics: VisitMetrics, path: Path, *, title: str) -> Path:
    """Write the report of a visit: one HTML file without any link to another host.

    Parameters
    ----------
    metrics
        What was measured.
    path
        HTML file.
    title
        Of the page.

    Returns
    -------
    pathlib.Path
        The file.
    """
    return write_html(path, f"WCS and PSF of {title}", visit_blocks(metrics))


def _placed(stars: pd.DataFrame) -> pd.DataFrame:
    """Place stars on the sky where that is known, with the ellipticity's axis there."""
    if not {"ra_fit", "dec_fit"} <= set(stars.columns):
        return stars
    placed = with_sky_plane(stars, "ra_fit", "dec_fit")
    if "whisker_angle_sky_rad" in placed:
        placed = placed.assign(whisker_angle_rad=placed["whisker_angle_sky_rad"])
    return placed


def _wcs_figures(stars: pd.DataFrame, source: Any, axes: tuple[str, str]) -> list[Any]:
    if "ra_residual_mas" not in stars or not np.isfinite(stars["ra_residual_mas"]).any():
        return []
    plots = [residual_vectors(source, x=axes[0], y=axes[1]), residual_scatter(source)]
    if len(stars) >= _MAP_FROM:
        plots += [
            residual_map(
                stars["x"],
                stars["y"],
                stars[f"{name}_residual_mas"],
                title=f"{label} over the detectors, stacked",
            )
            for name, label in (("ra", "dRA*"), ("dec", "dDec"))
        ]
    return plots


def _psf_figures(stars: pd.DataFrame, source: Any, axes: tuple[str, str]) -> list[Any]:
    if not {"e1", "e2"} <= set(stars.columns):
        return []
    sample = stars[stars["psf_sample"].to_numpy(bool)]
    plots = [
        whisker_plot(source, x=axes[0], y=axes[1]),
        ellipticity_plane(source),
        ellipticity_histogram({"e1": sample["e1"], "e2": sample["e2"]}, x_label="ellipticity"),
    ]
    if "de1" in sample:
        plots.append(
            ellipticity_histogram(
                {"de1": sample["de1"], "de2": sample["de2"]}, title="Star minus model", x_label="ellipticity"
            )
        )
    if "fwhm_arcsec" in sample and len(sample) >= _MAP_FROM and "x" in sample:
        plots.append(
            residual_map(
                sample["x"],
                sample["y"],
                sample["fwhm_arcsec"],
                title="FWHM of the moments",
                unit="arcsec",
                diverging=False,
            )
        )
    return plots


def _show(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _figure_table(document: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("part", "figure", "value")]
    for part in ("wcs", "psf"):
        if document[part] is None:
            rows.append((part, "all", "unknown"))
        else:
            rows += [(part, name, _show(value)) for name, value in document[part].items()]
    return rows


def _detector_table(metrics: VisitMetrics) -> list[tuple[str, ...]]:
    names = ("n_used", "ra_mad_mas", "dec_mad_mas", "fwhm_arcsec", "e1", "e2")
    rows: list[tuple[str, ...]] = [("detector", "stars", *names, "status", "problems")]
    for d in metrics.detectors:
        figures = [d.figures.get(name) for name in names]
        shown = [_show(None if v is None or not np.isfinite(v) else float(v)) for v in figures]
        rows.append((str(d.detector), str(d.n_stars), *shown, str(d.status), "; ".join(d.problems)))
    return rows
