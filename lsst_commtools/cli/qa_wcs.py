"""``commtools qa wcs``: the WCS of the visits of a night."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.cli.qa_ellipticity import read_stars
from lsst_commtools.errors import InputError

if TYPE_CHECKING:
    from lsst_commtools.qa.wcs_night import NightWcs

__all__ = ["command"]

_MOST_PROBLEMS = 12


@click.command("wcs")
@click.argument("stars", nargs=-1, required=True)
@click.option("--repository", help="Butler repository, of which STARS are collections.")
@click.option("--dataset", default="star_table", show_default=True, help="Dataset type of the star tables.")
@click.option(
    "--reference",
    "references",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Reference catalogue, Gaia's columns or LSST's format; may be given several times.",
)
@click.option("--camera", help="Where the detectors are: LSSTCam, LSSTComCam or LATISS.")
@click.option(
    "--pointings",
    type=click.Path(path_type=Path),
    help="Table of where the telescope was told to look: visit, ra and dec (degrees).",
)
@click.option(
    "--columns", type=click.Path(path_type=Path), help="YAML that maps our names to the tables' columns."
)
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to this HTML file."
)
@click.pass_obj
def command(
    context: Context,
    stars: tuple[str, ...],
    repository: str | None,
    dataset: str,
    references: tuple[Path, ...],
    camera: str | None,
    pointings: Path | None,
    columns: Path | None,
    report: Path | None,
) -> int:
    """Measure drift, shift, neighbours, pointing, refraction and proper motion of the WCS of STARS, visit by visit.

    Exit code 1 if no visit has a WCS, or a detector has none.
    """
    from lsst_commtools.instrument.cameras import get_camera
    from lsst_commtools.qa.columns import read_column_map
    from lsst_commtools.qa.references import read_references
    from lsst_commtools.qa.wcs_night import measure_wcs, read_pointings

    if report is not None and not report.absolute().parent.is_dir():
        raise InputError(f"There is no folder {report.absolute().parent} to write the report to.")
    known = get_camera(camera) if camera else None
    measured = measure_wcs(
        read_stars(stars, repository, dataset, read_column_map(columns) if columns else None),
        read_references(references) if references else None,
        camera=known,
        pointings=read_pointings(pointings) if pointings else None,
    )
    document = measured.document()
    if report is not None:
        from lsst_commtools.qa.figures.wcs import write_wcs_report

        document["report"] = str(write_wcs_report(measured, report, known))
    context.emit(document, _text(measured, document))
    return 0 if measured.is_measured and not measured.problems else 1


def _text(measured: NightWcs, document: dict[str, Any]) -> str:
    """Write the result for people."""
    from lsst_commtools.qa.wcs_night import FIGURES

    visits = measured.visits
    lines = [f"{int(np.isfinite(visits['pixel_scale_arcsec']).sum())} of {len(visits)} visits have a WCS"]
    for name in FIGURES:
        values = visits[name].to_numpy(np.float64)
        full = values[np.isfinite(values)]
        if full.size:
            lines.append(
                f"{name:<24} median {np.median(full):.6g}, {full.min():.6g} to {full.max():.6g}, {full.size} visits"
            )
        else:
            whys = sorted({reasons[name] for reasons in measured.reasons.values() if name in reasons})
            lines.append(f"{name:<24} unknown: {safe_text('; '.join(whys)) or 'there is no visit'}")
    if measured.model is not None:
        terms = ", ".join(
            f"{t} {v:.2f} +- {measured.model.errors_arcsec[t]:.1g}"
            for t, v in measured.model.terms_arcsec.items()
        )
        lines.append(f"pointing model [arcsec]: {terms}; leaves {measured.model.rms_arcsec:.3g} rms")
    lines += [f"  - {safe_text(problem)}" for problem in measured.problems[:_MOST_PROBLEMS]]
    if len(measured.problems) > _MOST_PROBLEMS:
        lines.append(f"  - and {len(measured.problems) - _MOST_PROBLEMS} more")
    if "report" in document:
        lines.append(f"report: {safe_text(document['report'])}")
    return "\n".join(lines)
