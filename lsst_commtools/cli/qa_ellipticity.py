"""``commtools qa ellipticity``: residual correlations, rho statistics and ellipticity of many visits."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.cli.qa_trend import open_trend, trend_source
from lsst_commtools.errors import InputError

if TYPE_CHECKING:
    from lsst_commtools.qa.columns import ColumnMap
    from lsst_commtools.qa.model_health import ModelHealth
    from lsst_commtools.qa.psf_metrics import EllipticityMetrics
    from lsst_commtools.qa.survey import SurveyStars

__all__ = ["command", "read_stars"]

_MOST_PROBLEMS = 12


@click.command("ellipticity")
@click.argument("stars", nargs=-1, required=True)
@click.option("--repository", help="Butler repository, of which STARS are collections.")
@click.option("--dataset", default="star_table", show_default=True, help="Dataset type of the star tables.")
@click.option(
    "--columns", type=click.Path(path_type=Path), help="YAML that maps our names to the tables' columns."
)
@click.option("--band", type=click.Choice(list("ugrizy")), help="Band, for the seeing at 500 nm.")
@click.option(
    "--bin-slop",
    type=click.FloatRange(0.0, 1.0),
    help="TreeCorr's accuracy for rho [default: 0, which is exact, up to 50 000 stars in a visit; then 0.05].",
)
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to this HTML file."
)
@click.option("--instrument", help="Camera: write the figures to the trend store under it.")
@click.option("--day-obs", type=int, help="Night in the trend store [default: the last of the visits].")
@click.option("--store", metavar="URL", help="Trend store [default: trend.sqlite3 in the commtools home].")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Dask scheduler whose workers do it; local: a cluster of this machine.",
)
@click.pass_obj
def command(
    context: Context,
    stars: tuple[str, ...],
    repository: str | None,
    dataset: str,
    columns: Path | None,
    band: str | None,
    bin_slop: float | None,
    report: Path | None,
    instrument: str | None,
    day_obs: int | None,
    store: str | None,
    scheduler: str | None,
) -> int:
    """Measure TE1 to TE4, rho 1 to 5, SE1, SE2 and EF1 from STARS: tables of one or more visits, or folders of parquet.

    The tables have visit, ra and dec (degrees), ixx, iyy, ixy, ixx_psf, iyy_psf, ixy_psf (arcsec^2), and x, y and
    detector, by which ellipticities are turned to the axes of the sky. Exit code 1 if a figure is beyond its limit or
    unknown, or stars had to be left out.
    """
    from lsst_commtools.qa.columns import read_column_map
    from lsst_commtools.qa.frames import EFFECTIVE_WAVELENGTHS_NM
    from lsst_commtools.qa.psf_metrics import measure_ellipticity
    from lsst_commtools.qa.workers import DaskWorkers

    if report is not None and not report.absolute().parent.is_dir():
        raise InputError(f"There is no folder {report.absolute().parent} to write the report to.")
    survey = read_stars(stars, repository, dataset, read_column_map(columns) if columns else None)
    with contextlib.ExitStack() as stack:
        metrics = measure_ellipticity(
            survey,
            bin_slop=bin_slop,
            wavelength_nm=EFFECTIVE_WAVELENGTHS_NM[band] if band else None,
            workers=stack.enter_context(DaskWorkers(scheduler)) if scheduler else None,
        )
    document = metrics.document()
    if report is not None:
        from lsst_commtools.qa.figures.ellipticity import write_ellipticity_report

        document["report"] = str(write_ellipticity_report(metrics, survey, report))
    if instrument is not None:
        from lsst_commtools.qa.trend_rows import last_day_obs, rows_of_ellipticity

        night = day_obs or last_day_obs(visit.visit for visit in metrics.visits)
        made = {"command": "qa ellipticity", "stars": list(stars), "repository": repository, "dataset": dataset,
                "columns": str(columns) if columns else None}  # fmt: skip
        rows = rows_of_ellipticity(
            metrics,
            night,
            instrument,
            band=band or "",
            source=trend_source(stars, repository),
            provenance=made,
        )
        document["trend"] = {"day_obs": night, "n_values": open_trend(store).add(rows)}
    context.emit(document, _text(metrics, document))
    return 1 if metrics.problems else 0


def read_stars(
    names: Sequence[str], repository: str | None, dataset: str, column_map: ColumnMap | None
) -> SurveyStars:
    """Read star tables: files and folders, or collections of a repository.

    Parameters
    ----------
    names
        Files, folders, or collections.
    repository
        Butler repository, if they are collections.
    dataset
        Dataset type of the star tables there.
    column_map
        Where our quantities are.

    Returns
    -------
    SurveyStars
        All rows.
    """
    from lsst_commtools.qa.survey import SurveyStars, join_tables, read_survey

    if repository is None:
        return read_survey([Path(name) for name in names], column_map)
    from lsst_commtools.qa.butler import survey_of_collection

    read = [
        survey_of_collection(repository, name, dataset_type=dataset, column_map=column_map) for name in names
    ]
    return SurveyStars(join_tables([stars.table for stars in read]))


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _text(metrics: EllipticityMetrics, document: dict[str, Any]) -> str:
    """Write the result for people."""
    lines = [f"{metrics.n_stars} {metrics.sample} in {len(metrics.visits)} visits: {metrics.status}"]
    for name in ("TE1", "TE2", "TE3", "TE4"):
        m = metrics.metrics[name]
        parts = ", ".join(f"{part} {_number(m[part])}" for part in ("E1", "E2", "EX"))
        lines.append(f"{name}   {parts} (design {m['design']:g}): {m['status']}")
    for name in ("SE1", "SE2", "EF1"):
        m = metrics.metrics[name]
        lines.append(f"{name}   {_number(m['value'])} {m['unit']} (design {m['design']:g}): {m['status']}")
    for name, rho in metrics.rho.items():
        full = rho.n_pairs > 0
        if full.any():
            first = int(full.argmax())
            lines.append(
                f"{name}  {rho.xi[first]:.3g} +- {rho.sigma[first]:.2g} at {rho.theta_arcmin[first]:.3g} arcmin "
                f"(bin_slop {rho.bin_slop:g})"
            )
    lines += [_model_line(health) for health in metrics.health[:_MOST_PROBLEMS]]
    lines += [f"  - {safe_text(problem)}" for problem in metrics.problems[:_MOST_PROBLEMS]]
    if len(metrics.problems) > _MOST_PROBLEMS:
        lines.append(f"  - and {len(metrics.problems) - _MOST_PROBLEMS} more")
    if "trend" in document:
        lines.append(f"trend store: {document['trend']['n_values']} values of {document['trend']['day_obs']}")
    if "report" in document:
        lines.append(f"report: {safe_text(document['report'])}")
    return "\n".join(lines)


def _model_line(health: ModelHealth) -> str:
    chi2 = health.figures.get("chi2_per_dof")
    told = _number(chi2) if chi2 is not None else f"unknown ({health.reasons.get('chi2_per_dof', '')})"
    counts = ", ".join(
        f"{'unknown' if n is None else n} {what}"
        for n, what in ((health.n_used, "used"), (health.n_reserved, "reserved"), (health.n_failed, "failed"))
    )
    return f"PSF model of visit {health.visit}: chi2/dof {told}; stars: {counts}"
