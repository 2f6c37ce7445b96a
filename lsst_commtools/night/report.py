"""The night's report: one HTML file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.ingest.transfer import TransferRecord
from lsst_commtools.night.counts import STATIONS, Counts, Problem
from lsst_commtools.night.settings import NightSettings
from lsst_commtools.night.verdicts import VisitVerdict
from lsst_commtools.qa.limits import Limit, Status

__all__ = ["ReportContent", "write_report"]


@dataclass(frozen=True)
class ReportContent:
    """What a report shows.

    Parameters
    ----------
    settings
        The night.
    status
        Verdict on the night.
    counts
        Detector images at each station.
    visits
        Verdicts on the visits.
    problems
        What a person should know.
    provenance
        Name to text: versions, parameters, collections, times.
    records
        Transferred files with their checksums.
    notebooks
        Title to executed notebook, which lies below the work folder.
    visit_notebooks
        Visit to its executed notebook.
    figures
        Bokeh models, in order.
    written_utc
        When the report was written, ISO 8601 on the UTC scale.
    limits
        What the visits were judged by.
    """

    settings: NightSettings
    status: Status
    counts: Counts
    visits: Sequence[VisitVerdict]
    problems: Sequence[Problem]
    provenance: Mapping[str, str]
    records: Sequence[TransferRecord]
    notebooks: Mapping[str, Path]
    visit_notebooks: Mapping[int, Path]
    figures: Sequence[Any]
    written_utc: str
    limits: Mapping[str, Limit]


def write_report(content: ReportContent) -> Path:
    """Write the report.

    Parameters
    ----------
    content
        What it shows; text from outside is escaped here.

    Returns
    -------
    pathlib.Path
        The file. It is written beside and renamed, so that a reader never sees half of one.
    """
    from bokeh.embed import components
    from bokeh.resources import INLINE
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("lsst_commtools.night"), autoescape=select_autoescape(), trim_blocks=True
    )
    environment.filters["number"] = _number
    scripts, divisions = components(list(content.figures)) if content.figures else ("", ())
    settings = content.settings
    text = environment.get_template("night.html").render(
        instrument=settings.instrument,
        day_obs=settings.day_obs,
        origin=settings.origin,
        status=content.status,
        written_utc=content.written_utc,
        counts=_count_rows(content.counts),
        visits=[_visit_row(visit, content) for visit in content.visits],
        problems=content.problems,
        provenance=list(content.provenance.items()),
        notebooks=[{"title": t, "href": _link(p, settings)} for t, p in content.notebooks.items()],
        limits=[
            {
                "metric": name,
                "warning": f"{limit.design:g}",
                "bad": f"{limit.minimum:g}",
                "source": limit.source,
            }
            for name, limit in content.limits.items()
        ],
        checksums=content.records,
        figures=divisions,
        bokeh_resources=INLINE.render() if content.figures else "",
        bokeh_scripts=scripts,
    )
    part = settings.report.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    return part.replace(settings.report)


def _count_rows(counts: Counts) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    before: int | None = None
    for station, count in counts.to_dict().items():
        lost = 0 if before is None else before - count
        rows.append({"station": station, "count": count, "lost": lost, "meaning": STATIONS[station]})
        before = count
    return rows


def _visit_row(visit: VisitVerdict, content: ReportContent) -> dict[str, Any]:
    notebook = content.visit_notebooks.get(visit.visit)
    return {
        **visit.values,
        "size_residual_mad": visit.values["dt_over_t_mad"],
        "visit": visit.visit,
        "physical_filter": visit.physical_filter,
        "status": visit.status,
        "n_measured": visit.n_measured,
        "n_expected": visit.n_expected,
        "reasons": visit.reasons,
        "notebook": _link(notebook, content.settings) if notebook is not None else "",
    }


def _link(path: Path, settings: NightSettings) -> str:
    """Links are relative, so that the work folder can be moved or copied whole."""
    return path.relative_to(settings.work).as_posix()


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if value is not None and math.isfinite(value) else "unknown"
