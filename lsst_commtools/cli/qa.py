"""``commtools qa``: judge the WCS and PSF of star tables."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli import qa_compare, qa_ellipticity, qa_repeatability, qa_trend, qa_wcs
from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.errors import InputError

if TYPE_CHECKING:
    from lsst_commtools.qa.columns import ColumnMap
    from lsst_commtools.qa.metrics import VisitMetrics
    from lsst_commtools.qa.references import ReferenceStars
    from lsst_commtools.qa.tables import StarTable

__all__ = ["command"]

_MOST_DETECTOR_ROWS = 12


@click.group("qa")
def command() -> None:
    """Judge the WCS and PSF of star tables."""


command.add_command(qa_ellipticity.command)
command.add_command(qa_trend.command)
command.add_command(qa_compare.command)
command.add_command(qa_repeatability.command)
command.add_command(qa_wcs.command)


@command.command("visit")
@click.argument("stars", type=click.Path(path_type=Path))
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
    "--order", type=click.IntRange(1, 9), help="Order of the WCS [default: 3, lower where stars are few]."
)
@click.option(
    "--stamps", metavar="COLUMN", help="Measure the moments from the cut-out images in this column."
)
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to this HTML file."
)
@click.pass_obj
def visit(
    context: Context,
    stars: Path,
    references: tuple[Path, ...],
    columns: Path | None,
    order: int | None,
    stamps: str | None,
    report: Path | None,
) -> int:
    """Measure the WCS and PSF of one visit from STARS: a table (FITS, LDAC, parquet, ECSV) or a FITS image.

    Exit code 1 if a figure is beyond its limit, unknown, or stars had to be left out.
    """
    from lsst_commtools.qa.metrics import measure_visit

    if report is not None and not report.absolute().parent.is_dir():
        raise InputError(f"There is no folder {report.absolute().parent} to write the report to.")
    column_map, reference_mag = _column_map(columns)
    catalogue = _references(references, reference_mag)
    table = _read(stars, column_map, stamps)
    metrics = measure_visit(table, catalogue, order=order)
    document = metrics.document()
    if report is not None:
        from lsst_commtools.qa.figures.visit import write_visit_report

        write_visit_report(metrics, report, title=stars.name)
        document["report"] = str(report)
    context.emit(document, _text(metrics, document))
    return 1 if metrics.problems else 0


def _column_map(path: Path | None) -> tuple[ColumnMap | None, Any]:
    """Read the map; a cut on the magnitude of references goes with the reference catalogue."""
    from lsst_commtools.qa.columns import ColumnMap, read_column_map

    if path is None:
        return None, None
    read = read_column_map(path)
    entries = dict(read.entries)
    cut = entries.get("ref_mag")
    if cut is not None and not cut.columns:
        del entries["ref_mag"]
    return (ColumnMap(read.name, entries) if entries else None), cut


def _references(paths: tuple[Path, ...], mag: Any) -> ReferenceStars | None:
    from lsst_commtools.qa.references import read_references

    return read_references(paths, mag) if paths else None


def _read(path: Path, column_map: ColumnMap | None, stamps: str | None) -> StarTable:
    from lsst_commtools.qa.readers import is_fits_image
    from lsst_commtools.qa.tables import read_star_table

    if is_fits_image(path):
        from lsst_commtools.qa.detect import read_image_stars

        if stamps is not None:
            raise InputError(f"{path} is an image, not a table with a column {stamps!r}.")
        return read_image_stars(path)
    table = read_star_table(path, column_map, stamps=stamps)
    if table.stamps is None:
        return table
    from lsst_commtools.qa.higher_moments import measure_higher_moments
    from lsst_commtools.qa.moments import moments_of_stamps
    from lsst_commtools.qa.tables import with_moments

    moments = moments_of_stamps(table.stamps)
    return with_moments(table, moments).with_columns(**vars(measure_higher_moments(table.stamps, moments)))


def _number(value: float | None, digits: int = 4) -> str:
    return "unknown" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


_REFERENCES = {
    "file": "the reference catalogue",
    "table": "the reference positions in the table",
    "own": "the table's own sky positions",
}


def _text(metrics: VisitMetrics, document: dict[str, Any]) -> str:
    """Write the result for people."""
    lines = [f"{metrics.n_stars} stars: {document['status']}"]
    wcs, psf = document["wcs"], document["psf"]
    if wcs is None:
        lines.append("WCS   unknown")
    else:
        lines.append(
            f"WCS   order {wcs['order']}, {wcs['n_used']} stars against {_REFERENCES[metrics.reference]}: "
            f"scatter (MAD) RA* {_number(wcs['ra_mad_mas'])} mas, Dec {_number(wcs['dec_mad_mas'])} mas; "
            f"{_number(wcs['pixel_scale_arcsec'], 7)} arcsec/pixel"
        )
        if "ra_offset_mas" in wcs:
            lines.append(
                f"      measured minus reference, without a fit: RA* {_number(wcs['ra_offset_mas'])} "
                f"(MAD {_number(wcs.get('ra_offset_mad_mas'))}) mas, Dec {_number(wcs['dec_offset_mas'])} "
                f"(MAD {_number(wcs.get('dec_offset_mad_mas'))}) mas"
            )
    if psf is None:
        lines.append("PSF   unknown")
    else:
        lines.append(
            f"PSF   {psf['n_psf']} {metrics.psf_sample}: FWHM (of moments) {_number(psf['fwhm_arcsec'])} arcsec, "
            f"e1 {_number(psf['e1'], 3)}, e2 {_number(psf['e2'], 3)}"
        )
        if "dt_over_t_median" in psf:
            lines.append(
                f"      star minus model: de1 {_number(psf['de1_median'], 3)}, de2 {_number(psf['de2_median'], 3)}, "
                f"dT/T {_number(psf['dt_over_t_median'], 3)}"
            )
    lines += [f"  - {safe_text(problem)}" for problem in metrics.problems[:_MOST_DETECTOR_ROWS]]
    if len(metrics.problems) > _MOST_DETECTOR_ROWS:
        lines.append(f"  - and {len(metrics.problems) - _MOST_DETECTOR_ROWS} more")
    if "report" in document:
        lines.append(f"report: {safe_text(document['report'])}")
    return "\n".join(lines)
