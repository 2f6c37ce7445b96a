"""One night from raw files to the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.ingest.outcomes import Outcome
from lsst_commtools.ingest.transfer import TransferRecord
from lsst_commtools.night import stages
from lsst_commtools.night.archive import Night
from lsst_commtools.night.counts import Counts, ImageKey, Problem, images_by_name
from lsst_commtools.night.diagnose import diagnose_night
from lsst_commtools.night.figures import night_figures
from lsst_commtools.night.notebooks import run_notebooks
from lsst_commtools.night.provenance import collect_provenance, now_utc
from lsst_commtools.night.report import ReportContent, write_report
from lsst_commtools.night.settings import NightSettings
from lsst_commtools.night.stages import Progress
from lsst_commtools.night.verdicts import VisitVerdict, judge_night
from lsst_commtools.qa.limits import DEFAULT_LIMITS, Status, worst
from lsst_commtools.qa.trend import TrendStore
from lsst_commtools.site import commtools_home

if TYPE_CHECKING:
    from lsst_commtools.ingest import IngestReport
    from lsst_commtools.pipeline.outcomes import ProcessingReport
    from lsst_commtools.site import Site

__all__ = ["NightResult", "run_night"]

# With these outcomes an image of the data id is in the repository, from this file or another.
_THERE = (Outcome.INGESTED, Outcome.IDENTICAL_DUPLICATE, Outcome.COLLISION)


@dataclass(frozen=True)
class NightResult:
    """What became of a night.

    Parameters
    ----------
    settings
        The night.
    status
        Verdict: the worst of its visits, and never good while there are problems.
    counts
        Detector images at each station.
    problems
        What a person should know.
    visits
        Verdicts on the visits.
    report
        The HTML file.
    """

    settings: NightSettings
    status: Status
    counts: Counts
    problems: tuple[Problem, ...]
    visits: tuple[VisitVerdict, ...]
    report: Path

    def to_dict(self) -> dict[str, Any]:
        """Give the result as the command's JSON document has it."""
        return {
            "day_obs": self.settings.day_obs,
            "instrument": self.settings.instrument,
            "status": str(self.status),
            "counts": self.counts.to_dict(),
            "problems": [problem.to_dict() for problem in self.problems],
            "visits": [visit.to_dict() for visit in self.visits],
            "report": str(self.report),
        }


def run_night(settings: NightSettings, site: Site, progress: Progress) -> NightResult:
    """Take a night from raw files to the report; run again with the same work folder, it does what is missing.

    Parameters
    ----------
    settings
        The night.
    site
        Names of dataset types.
    progress
        Called with the stage, the parts done and the parts in all.

    Returns
    -------
    NightResult
        Counts, problems, verdicts, and the report.

    Raises
    ------
    InputError
        If there are no raw files of this night, or the work folder holds another one.
    ServiceError
        If a folder cannot be written.
    """
    started_utc = now_utc()
    files = stages.choose_files(settings)
    settings.claim()
    records = stages.bring_in(settings, files, progress)
    ingested = stages.ingest(settings, records, progress)
    science, calibration = _exposures(settings)
    problems = stages.ingest_problems(ingested, settings)
    if calibration:
        problems += stages.calibrate(settings, progress)
    else:
        problems.append(
            Problem("no-calibration", "The night has no bias or flat exposures.", str(settings.day_obs))
        )
    processing, failures = (
        (None, []) if not science else stages.process(settings, progress, section=site.pipeline)
    )
    problems += failures
    images = _Images.collect(settings, records, ingested, processing, set(calibration))
    problems += images.missing(settings)
    visits, figures = _judge(settings, site, problems) if processing is not None else ([], [])
    provenance = collect_provenance(settings, records, started_utc)
    if visits:
        TrendStore.in_folder(commtools_home()).add_night(
            settings.day_obs,
            settings.instrument,
            visits,
            source=settings.output_collection,
            provenance=provenance,
        )
    counts = images.counts(sum(visit.n_measured for visit in visits))
    status = worst([v.status for v in visits] + ([Status.WARNING] if problems else []))
    executed = run_notebooks(settings, site, [v.visit for v in visits], progress)
    problems += executed.problems
    report = write_report(
        ReportContent(
            settings=settings,
            status=status,
            counts=counts,
            visits=visits,
            problems=problems,
            provenance=provenance,
            records=records,
            notebooks=executed.titles,
            visit_notebooks=executed.visits,
            figures=figures,
            written_utc=now_utc(),
            limits=DEFAULT_LIMITS,
        )
    )
    return NightResult(settings, status, counts, tuple(problems), tuple(visits), report)


def _exposures(settings: NightSettings) -> tuple[list[int], list[int]]:
    """List the ingested exposures that can be measured, and those that calibrate."""
    from lsst_commtools.ingest import open_repository

    with open_repository(settings.repository) as butler:
        records = butler.query_dimension_records(
            "exposure", instrument=settings.camera.name, day_obs=settings.day_obs, explain=False, limit=None
        )
        kinds = {record.id: record.observation_type for record in records}
    science = [exposure for exposure, kind in kinds.items() if kind == "science"]
    return science, [exposure for exposure, kind in kinds.items() if kind in ("bias", "dark", "flat")]


def _judge(
    settings: NightSettings, site: Site, problems: list[Problem]
) -> tuple[list[VisitVerdict], list[Any]]:
    night = Night(
        site, settings.repository, settings.day_obs, settings.instrument, settings.output_collection
    )
    summaries = night.visit_summaries()
    if summaries.empty:
        return [], []
    problems += diagnose_night(summaries)
    visits = judge_night(summaries)
    return visits, night_figures(summaries, visits, settings.camera)


@dataclass(frozen=True)
class _Images:
    """Detector images of science exposures at each station."""

    expected: frozenset[ImageKey]
    transferred: frozenset[ImageKey]
    ingested: frozenset[ImageKey]
    processed: frozenset[ImageKey]

    @classmethod
    def collect(
        cls,
        settings: NightSettings,
        records: Sequence[TransferRecord],
        ingested: IngestReport,
        processing: ProcessingReport | None,
        not_science: set[int],
    ) -> _Images:
        named = {
            key
            for key in images_by_name((r.path for r in records), settings.camera)
            if key[0] not in not_science
        }
        known = {
            (int(f.data_id["exposure"]), int(f.data_id["detector"]))
            for f in ingested.files
            if f.data_id is not None and f.outcome in _THERE and int(f.data_id["exposure"]) not in not_science
        }
        exposures = {exposure for exposure, _ in named | known}
        expected = {(exposure, d.id) for exposure in exposures for d in settings.camera.science_detectors}
        done = set() if processing is None else _processed(processing)
        return cls(
            frozenset(expected),
            frozenset(expected & (named | known)),
            frozenset(expected & known),
            frozenset(expected & done),
        )

    def missing(self, settings: NightSettings) -> list[Problem]:
        """Name the images of which no file came."""
        return [
            Problem(
                "missing-detector",
                "No file of this detector was found, while others of the same exposure are there.",
                f"visit {exposure}, detector {detector} ({settings.camera.detector(detector).name})",
            )
            for exposure, detector in sorted(self.expected - self.transferred)
        ]

    def counts(self, n_measured: int) -> Counts:
        """Count each station."""
        return Counts(
            len(self.expected), len(self.transferred), len(self.ingested), len(self.processed), n_measured
        )


def _processed(processing: ProcessingReport) -> set[ImageKey]:
    return {
        (int(o.data_id["visit"]), int(o.data_id["detector"]))
        for o in processing.outcomes
        if o.task == "astrometry" and o.status.value in ("succeeded", "existing")
    }
