"""Figures of a night and of one of its visits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lsst_commtools.instrument.cameras import Camera
from lsst_commtools.night.verdicts import VisitVerdict
from lsst_commtools.qa.figures import (
    ellipticity_histogram,
    ellipticity_plane,
    flow,
    focal_plane_mosaic,
    night_series,
    night_source,
    residual_map,
    residual_scatter,
    residual_vectors,
    star_source,
    whisker_plot,
    with_focal_plane,
    with_sky_plane,
)
from lsst_commtools.qa.limits import DEFAULT_LIMITS
from lsst_commtools.qa.shapes import ellipticity, fwhm_from_moments

__all__ = ["night_figures", "visit_figures"]

_SERIES = {
    "ra_mad_mas": "mas",
    "dec_mad_mas": "mas",
    "pointing_offset_arcsec": "arcsec",
    "fwhm_arcsec": "arcsec",
    "ellipticity": "",
    "dt_over_t_mad": "",
}
_MOSAICS = {"fwhm_arcsec": "arcsec", "ra_mad_mas": "mas", "dec_mad_mas": "mas"}


def night_figures(summaries: pd.DataFrame, visits: Sequence[VisitVerdict], camera: Camera) -> list[Any]:
    """Draw a night: figures of merit over the visits with their limits, and a focal plane for each visit.

    Parameters
    ----------
    summaries
        Visit summaries: one row for each expected detector of each visit.
    visits
        Verdicts on them.
    camera
        Where the detectors are.

    Returns
    -------
    list
        Bokeh models; the series share their selection. Empty if there are no visits.
    """
    from bokeh.models import TabPanel, Tabs

    if not visits:
        return []
    table = pd.DataFrame(
        {
            "visit": [v.visit for v in visits],
            "status": [str(v.status) for v in visits],
            "physical_filter": [v.physical_filter for v in visits],
            "band": [_first(summaries.loc[summaries["visit"] == v.visit, "band"]) for v in visits],
            **{name: [v.values[name] for v in visits] for name in _SERIES},
        }
    )
    source = night_source(table)
    series = [
        night_series(table, name, unit=unit, limit=DEFAULT_LIMITS.get(name), source=source)
        for name, unit in _SERIES.items()
    ]
    panels = [
        TabPanel(
            child=_mosaics(summaries[summaries["visit"] == v.visit], camera), title=f"{v.visit}: {v.status}"
        )
        for v in visits
    ]
    return [flow(series), Tabs(tabs=panels)]


def visit_figures(stars: pd.DataFrame, summary: pd.DataFrame, camera: Camera) -> list[Any]:
    """Draw a visit: residuals on the sky, PSF over the focal plane, star minus model, detectors.

    Parameters
    ----------
    stars
        Its stars: the pipeline's ``star_table`` of all detectors.
    summary
        Its visit summary.
    camera
        Where the detectors are.

    Returns
    -------
    list
        Bokeh models; the figures of one source share their selection.
    """
    figures = [_mosaics(summary, camera)]
    if stars.empty:
        return figures
    shaped = _with_shapes(stars, summary)
    matched = shaped[shaped["ra_residual_mas"].notna()]
    if len(matched):
        source = star_source(with_sky_plane(matched))
        plots = [
            residual_vectors(source),
            residual_scatter(source),
            residual_map(
                matched["x"], matched["y"], matched["ra_residual_mas"], title="dRA*, detectors stacked"
            ),
            residual_map(
                matched["x"], matched["y"], matched["dec_residual_mas"], title="dDec, detectors stacked"
            ),
        ]
        figures.append(flow(plots))
    psf = shaped[shaped["calib_psf_candidate"].astype(bool)]
    if len(psf):
        source = star_source(with_focal_plane(psf, camera, stars.attrs.get("shape")))
        plots = [
            whisker_plot(source, x="x_mm", y="y_mm", title="PSF ellipticity over the focal plane"),
            ellipticity_plane(source),
            residual_map(
                psf["x"],
                psf["y"],
                psf["fwhm_arcsec"],
                title="FWHM, detectors stacked",
                unit="arcsec",
                diverging=False,
            ),
            ellipticity_histogram(
                {"de1": psf["de1"], "de2": psf["de2"]}, title="Star minus model", x_label="ellipticity"
            ),
        ]
        figures.append(flow(plots))
    return figures


def _mosaics(summary: pd.DataFrame, camera: Camera) -> Any:
    detectors = [int(number) for number in summary["detector"]]
    plots = [
        focal_plane_mosaic(
            camera, dict(zip(detectors, summary[name].astype(float), strict=True)), title=name, unit=unit
        )
        for name, unit in _MOSAICS.items()
    ]
    return flow(plots)


def _with_shapes(stars: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Add ellipticities, FWHM and their differences from the model, as `qa.figures` names them."""
    scales = dict(zip(summary["detector"], summary["pixel_scale_arcsec"], strict=True))
    scale_arcsec = stars["detector"].map(scales).to_numpy(np.float64)
    e1, e2 = ellipticity(stars["ixx"], stars["iyy"], stars["ixy"])
    model_e1, model_e2 = ellipticity(stars["ixxPSF"], stars["iyyPSF"], stars["ixyPSF"])
    return stars.assign(
        e1=e1,
        e2=e2,
        de1=e1 - model_e1,
        de2=e2 - model_e2,
        fwhm_arcsec=fwhm_from_moments(stars["ixx"].to_numpy(), stars["iyy"].to_numpy()) * scale_arcsec,
    )


def _first(values: pd.Series) -> str:
    return next((value for value in values if value), "")
