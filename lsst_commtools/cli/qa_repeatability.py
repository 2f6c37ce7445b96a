"""``commtools qa repeatability``: the survey's astrometric requirements from star tables of many visits."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.cli.qa_trend import open_trend, trend_source
from lsst_commtools.errors import InputError

if TYPE_CHECKING:
    from lsst_commtools.qa.repeatability.measurement import Measurement
    from lsst_commtools.qa.repeatability.metrics import Repeatability

__all__ = ["command"]


@click.command("repeatability")
@click.argument("stars", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--band", help="Band to measure [default: r, or the only one].")
@click.option(
    "--reference",
    "references",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Reference catalogue, Gaia's columns or LSST's format; may be given several times.",
)
@click.option(
    "--columns", type=click.Path(path_type=Path), help="YAML that maps our names to the table's columns."
)
@click.option(
    "--centre",
    type=click.Choice(["median", "mean"]),
    default="median",
    show_default=True,
    help="What AF and AD deviate from: the median of a pair's separations (the document), or their mean.",
)
@click.option(
    "--memory-gib", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Bound on memory."
)
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to this HTML file."
)
@click.option(
    "--scratch",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder for what does not fit in memory; with --scheduler one that all workers see.",
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
    stars: tuple[Path, ...],
    band: str | None,
    references: tuple[Path, ...],
    columns: Path | None,
    centre: Any,
    memory_gib: float,
    report: Path | None,
    scratch: Path | None,
    instrument: str | None,
    day_obs: int | None,
    store: str | None,
    scheduler: str | None,
) -> int:
    """Measure AM, AF, AD, AB, ABF and AA over all pairs of stars in STARS: tables of visits, or folders of parquet.

    Exit code 1 if a figure is beyond its minimum, or nothing could be measured.
    """
    from lsst_commtools.cli.progress import progress_bars
    from lsst_commtools.qa.columns import read_column_map
    from lsst_commtools.qa.limits import Status
    from lsst_commtools.qa.references import read_references
    from lsst_commtools.qa.repeatability.metrics import measure_repeatability
    from lsst_commtools.qa.repeatability.sources import read_sources
    from lsst_commtools.qa.workers import DaskWorkers

    if report is not None and not report.absolute().parent.is_dir():
        raise InputError(f"There is no folder {report.absolute().parent} to write the report to.")
    column_map = None if columns is None else read_column_map(columns)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(progress_bars())
        measured = measure_repeatability(
            read_sources(stars, column_map),
            band=band,
            references=read_references(references) if references else None,
            centre=centre,
            memory_bytes=int(memory_gib * 2**30),
            scratch=scratch,
            workers=stack.enter_context(DaskWorkers(scheduler)) if scheduler else None,
            progress=None if context.json else progress,
        )
    if report is not None:
        from lsst_commtools.qa.figures.repeatability import write_repeatability_report

        write_repeatability_report(measured, report)
    trend = ""
    if instrument is not None:
        from lsst_commtools.qa.trend_rows import last_day_obs, rows_of_repeatability

        names = [str(path) for path in stars]
        made = {"command": "qa repeatability", "stars": names, "references": [str(p) for p in references],
                "columns": str(columns) if columns else None, "centre": centre}  # fmt: skip
        night = day_obs or last_day_obs(measured.visits)
        rows = rows_of_repeatability(
            measured, night, instrument, source=trend_source(names, None), provenance=made
        )
        trend = f"trend store: {open_trend(store).add(rows)} values of {night}"
    text = _text(measured, report)
    context.emit(measured.document(), f"{text}\n{trend}" if trend else text)
    return 1 if measured.status in (Status.BAD, Status.UNKNOWN) else 0


def _text(measured: Repeatability, report: Path | None) -> str:
    """Write the result for people."""
    band = f" in {safe_text(measured.band)}" if measured.band else ""
    lines = [f"{measured.n_objects} objects, {measured.n_visits} visits{band}: {measured.status}"]
    lines += [_line(name, m) for name, m in measured.measurements.items()]
    lines += [f"  - {safe_text(note)}" for note in measured.notes]
    if report is not None:
        lines.append(f"report: {safe_text(report)}")
    return "\n".join(lines)


def _line(name: str, m: Measurement) -> str:
    if m.reason:
        return f"{name:<16} unknown: {safe_text(m.reason)}"
    limits = ""
    if m.limit is not None:
        limits = f"  (stretch {m.limit.stretch:g}, design {m.limit.design:g}, minimum {m.limit.minimum:g}) {m.status}"
    return f"{name:<16} {m.value:8.3f} +- {m.error:.2g} {m.unit}, n = {m.n_pairs}{limits}"
