"""The figures of PSF ellipticity over many visits, and their report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lsst_commtools.qa.figures.correlations import rho_figure, significance_map
from lsst_commtools.qa.figures.distributions import ellipticity_histogram
from lsst_commtools.qa.figures.export import write_html
from lsst_commtools.qa.figures.series import night_series
from lsst_commtools.qa.figures.style import flow
from lsst_commtools.qa.model_health import ModelHealth
from lsst_commtools.qa.psf_metrics import EllipticityMetrics
from lsst_commtools.qa.survey import SurveyStars, shapes_of_visits

__all__ = ["ellipticity_blocks", "write_ellipticity_report"]


def ellipticity_blocks(metrics: EllipticityMetrics, stars: SurveyStars) -> list[Any]:
    """Make the tables and figures of a measurement, for `export.html_page`.

    Parameters
    ----------
    metrics
        From `measure_ellipticity`.
    stars
        What it was measured from.

    Returns
    -------
    list
        Texts, tables and bokeh models.
    """
    blocks: list[Any] = [
        f"{metrics.n_stars} {metrics.sample} in {len(metrics.visits)} visits: status {metrics.status}."
    ]
    if metrics.problems:
        blocks += [("Problems", ""), [("problem",), *((p,) for p in metrics.problems)]]
    blocks += [("Requirements", "Values of the science requirements (LPM-17): stretch, design, minimum."),
               _requirements(metrics)]  # fmt: skip
    if metrics.health:
        told = "chi2 of star minus model over the noise 2 / SNR; reserved stars test the model, the used ones made it."
        blocks += [("Health of the PSF model", told), _health_table(metrics.health)]
    plots: list[Any] = [rho_figure(metrics.rho)] if metrics.rho else []
    chi2 = [h.figures.get("chi2_per_dof", np.nan) for h in metrics.health]
    if np.isfinite(chi2).any():
        visits = pd.DataFrame({"visit": [h.visit for h in metrics.health], "chi2_per_dof": chi2})
        plots.append(night_series(visits, "chi2_per_dof", title="PSF model: chi2 per degree of freedom"))
    plots += _maps(stars)
    return [*blocks, ("Figures", ""), flow(plots)] if plots else blocks


def write_ellipticity_report(metrics: EllipticityMetrics, stars: SurveyStars, path: Path) -> Path:
    """Write the report: one HTML file without any link to another host.

    Parameters
    ----------
    metrics, stars
        As for `ellipticity_blocks`.
    path
        HTML file.

    Returns
    -------
    pathlib.Path
        The file.
    """
    return write_html(path, "Ellipticity of the PSF", ellipticity_blocks(metrics, stars))


def _maps(stars: SurveyStars) -> list[Any]:
    visits, _, _ = shapes_of_visits(stars)
    if not visits or not stars.table.has("x", "y"):
        return []
    rows = np.concatenate([v.rows for v in visits])
    x, y = stars.table["x"][rows], stars.table["y"][rows]
    residuals = {
        name: np.concatenate([getattr(v.shapes, name) for v in visits])
        for name in ("de1", "de2", "dt_over_t")
    }
    maps = [
        significance_map(x, y, values, title=f"{name}, detectors stacked", label="pixel")
        for name, values in residuals.items()
    ]
    return [*maps, ellipticity_histogram(residuals, title="Star minus model")]


def _show(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _requirements(metrics: EllipticityMetrics) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("metric", "value", "stretch", "design", "minimum", "status", "why")]
    for name, m in metrics.metrics.items():
        value = (
            ", ".join(f"{p} {_show(m[p])}" for p in ("E1", "E2", "EX")) if "E1" in m else _show(m["value"])
        )
        limits = (f"{m[key]:g}" for key in ("stretch", "design", "minimum"))
        rows.append((name, value, *limits, str(m["status"]), str(m.get("reason", ""))))
    return rows


def _health_table(healths: tuple[ModelHealth, ...]) -> list[tuple[str, ...]]:
    names = ("chi2_per_dof", "chi2_per_dof_used", "chi2_per_dof_reserved", "trace_radius_delta")
    rows: list[tuple[str, ...]] = [
        ("visit", "used", "reserved", "failed", "detectors without a model", *names, "why unknown")
    ]
    for h in healths:
        counts = ("unknown" if n is None else str(n) for n in (h.n_used, h.n_reserved, h.n_failed))
        figures = (_show(h.figures.get(name)) for name in names)
        whys = "; ".join(f"{name}: {why}" for name, why in h.reasons.items())
        rows.append((str(h.visit), *counts, ", ".join(map(str, h.failed_detectors)), *figures, whys))
    return rows
