"""What is thought of a night: its processing, its products, its observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import NotFoundError
from lsst_commtools.ingest.latency import LatencyReport
from lsst_commtools.night.archive import Night
from lsst_commtools.night.counts import Counts, ImageKey, Problem
from lsst_commtools.night.expectations import unprocessed_images
from lsst_commtools.night.verdicts import VisitVerdict, judge_night
from lsst_commtools.qa.limits import DEFAULT_LIMITS, Status, worst
from lsst_commtools.rehearsal.checks import check_arrivals
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.latency import night_latencies, night_speed
from lsst_commtools.rehearsal.outline import Role
from lsst_commtools.rehearsal.progress import Quanta, log_path, read_quanta
from lsst_commtools.rehearsal.stations import (
    begun_and_failed,
    count_datasets,
    images_at_stations,
    transfer_records,
)

if TYPE_CHECKING:
    import pandas as pd

    from lsst_commtools.rehearsal.night import RehearsalNight

__all__ = [
    "Observations",
    "Processing",
    "Products",
    "examine_products",
    "judge_observations",
    "judge_processing",
    "product_figures",
]


@dataclass(frozen=True)
class Processing:
    """What is thought of the processing of a night.

    Parameters
    ----------
    counts
        Detector images at each station; measured ones are known only once the observations are judged.
    by_task
        Task to status to number of quanta.
    failures
        Quanta that failed or found no work: exception, task, message, where.
    failed_fraction
        Fraction of the detector images that were begun and failed; None if none was begun.
    limit
        What it may be.
    latency
        Time from shutter close to each station, in seconds of the rehearsal.
    speed
        Seconds of the rehearsal in one real second.
    problems
        What a person should know.
    """

    counts: Counts
    by_task: Mapping[str, Mapping[str, int]]
    failures: tuple[dict[str, str], ...]
    failed_fraction: float | None
    limit: float
    latency: LatencyReport
    speed: float
    problems: tuple[Problem, ...]

    def latency_table(self) -> pd.DataFrame:
        """Give the latencies: seconds of the rehearsal, and real ones."""
        import pandas as pd

        rows = {
            latency.station: {
                "images": latency.n,
                **{
                    f"{name} [{unit}]": None if value is None else value / scale
                    for unit, scale in (("s of rehearsal", 1.0), ("s", self.speed))
                    for name, value in (
                        ("median", latency.median_s),
                        ("p95", latency.p95_s),
                        ("max", latency.max_s),
                    )
                },
            }
            for latency in self.latency.stations
        }
        return pd.DataFrame(rows).T

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values: what is signed. Times are left out, so that a second look signs the same."""
        return {
            "counts": {name: n for name, n in self.counts.to_dict().items() if name != "measured"},
            "failures": len(self.failures),
            "failed_fraction": self.failed_fraction,
            "limit": self.limit,
            "problems": [problem.to_dict() for problem in self.problems],
        }


@dataclass(frozen=True)
class Products:
    """Inputs and outputs of a night.

    Parameters
    ----------
    exposures
        One row for each planned exposure: files planned, at the summit, at the facility, in the Butler, processed.
    datasets
        Dataset type to number of datasets in the night's output collection.
    inputs
        Collections that the processing read.
    problems
        What is missing.
    """

    exposures: pd.DataFrame
    datasets: Mapping[str, int]
    inputs: tuple[str, ...]
    problems: tuple[Problem, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values: what is signed."""
        return {
            "exposures": len(self.exposures),
            "datasets": dict(self.datasets),
            "inputs": list(self.inputs),
            "problems": [problem.to_dict() for problem in self.problems],
        }


@dataclass(frozen=True)
class Observations:
    """What is thought of the observations of a night.

    Parameters
    ----------
    status
        The worst of the visits; unknown where no sky is expected and nothing is judged.
    counts
        Detector images at each station.
    visits
        Verdicts.
    problems
        What stands out.
    summaries
        Visit summaries.
    report
        The night's own report, one HTML file; None where no sky is expected.
    """

    status: Status
    counts: Counts
    visits: tuple[VisitVerdict, ...]
    problems: tuple[Problem, ...]
    summaries: pd.DataFrame = field(repr=False)
    report: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values: what is signed."""
        return {
            "status": str(self.status),
            "counts": self.counts.to_dict(),
            "visits": {str(visit.visit): str(visit.status) for visit in self.visits},
            "problems": [problem.to_dict() for problem in self.problems],
        }


def judge_processing(night: RehearsalNight) -> Processing:
    """Judge the processing of a night: see `RehearsalNight.judge_processing`.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    Processing
        Counts, failures, rates, latencies.
    """
    images, quanta = images_at_stations(night), _quanta(night)
    limit = night.rehearsal.site.rehearsal.failure_rate_limit
    begun, failed = begun_and_failed(quanta)
    fraction = len(failed) / len(begun) if begun else None
    problems = [*unprocessed_images(images.ingested, images.processed, failed), *check_arrivals(night)]
    if fraction is not None and fraction > limit:
        what = f"{len(failed)} of {len(begun)} detector images failed ({fraction:.1%}); up to {limit:.1%} is accepted."
        problems.append(Problem("failure-rate", what, f"processing of {night.day_obs}"))
    found = Processing(
        counts=images.counts(0),
        by_task=quanta.by_task,
        failures=tuple(
            {"exception": q.error, "task": q.task, "message": q.message or "no work", "where": q.where}
            for q in quanta.ended
            if q.status.value in ("failed", "no-work")
        ),
        failed_fraction=fraction,
        limit=limit,
        latency=night_latencies(night),
        speed=night_speed(night),
        problems=tuple(problems),
    )
    night.note(problems, role=Role.LDF, step="qa-processing", place="processing")
    night.journal.append(
        Kind.COUNTS,
        night.number,
        role=Role.LDF,
        stage="processed",
        what="science",
        quanta_by_task=found.by_task,
        failed_fraction=fraction,
        failed_limit=limit,
        latency_rehearsal_s=found.latency.to_dict(),
        speed=found.speed,
    )
    return found


def examine_products(night: RehearsalNight) -> Products:
    """See which inputs and outputs there are: see `RehearsalNight.examine_products`.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    Products
        Tables, and what is missing.
    """
    import pandas as pd

    from lsst_commtools.rehearsal.choices import current_choice

    images = images_at_stations(night)
    camera = night.settings.camera
    rows = [
        {
            "exposure": shot.exposure_id,
            "type": shot.observation_type,
            "filter": shot.physical_filter,
            "planned": len(shot.files),
            "at_summit": sum((night.summit / name).is_file() for name in shot.files),
            "at_facility": sum((night.storage / name).is_file() for name in shot.files),
            "ingested": _of(images.ingested, shot.exposure_id),
            "processed": _of(images.processed, shot.exposure_id),
        }
        for shot in night.shots()
        if not shot.calibration
    ]
    datasets = count_datasets(night)
    expected = ["star_table", "visit_summary"] if night.expectations.sky else ["post_isr_image"]
    problems = [
        Problem("no-product", f"The night has no {name}.", f"{camera.name} {night.day_obs}")
        for name in expected
        if rows and not datasets.get(name)
    ]
    choice = current_choice(night.journal.entries({Kind.CHOICE, Kind.CALIBRATION}), night.number)
    night.note(problems, role=Role.SCIOPS, step="examine-products", place="products")
    return Products(
        pd.DataFrame(rows), datasets, choice.inputs if choice is not None else (), tuple(problems)
    )


def judge_observations(night: RehearsalNight) -> Observations:
    """Judge the observations of a night: see `RehearsalNight.judge_observations`.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    Observations
        Verdicts, what stands out, and the report of the night's data.
    """
    import pandas as pd

    from lsst_commtools.night.diagnose import diagnose_night

    images = images_at_stations(night)
    summaries = pd.DataFrame()
    visits: list[VisitVerdict] = []
    problems: list[Problem] = []
    if night.expectations.sky:
        summaries = _summaries(night)
        if summaries.empty:
            problems.append(
                Problem("not-measured", "No visit of the night was measured.", str(night.day_obs))
            )
        else:
            visits = judge_night(summaries)
            problems += diagnose_night(summaries)
    counts = images.counts(sum(visit.n_measured for visit in visits))
    status = worst([visit.status for visit in visits]) if visits else Status.UNKNOWN
    night.note(problems, role=Role.SCIOPS, step="qa-observations", place="quality")
    report = _write_report(night, status, counts, visits, problems, summaries) if visits else None
    night.journal.append(
        Kind.COUNTS,
        night.number,
        role=Role.SCIOPS,
        stage="measured",
        what="science",
        counts=counts.to_dict(),
        status=str(status),
        expectations=night.expectations.name,
    )
    return Observations(status, counts, tuple(visits), tuple(problems), summaries, report)


def product_figures(night: RehearsalNight) -> list[Any]:
    """Draw each visit of a night: see `RehearsalNight.product_figures`.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    list
        Bokeh models, one panel for each visit; empty where there is nothing to draw.
    """
    from bokeh.layouts import column
    from bokeh.models import TabPanel, Tabs

    from lsst_commtools.night.figures import visit_figures

    summaries = _summaries(night) if night.expectations.sky else None
    if summaries is None or summaries.empty:
        return []
    settings = night.settings
    archive = Night(
        night.rehearsal.site,
        settings.repository,
        settings.day_obs,
        settings.instrument,
        settings.output_collection,
    )
    panels = [
        TabPanel(
            child=column(
                visit_figures(archive.stars(visit), summaries[summaries["visit"] == visit], settings.camera)
            ),
            title=str(visit),
        )
        for visit in sorted({int(visit) for visit in summaries["visit"]})
    ]
    return [Tabs(tabs=panels)]


def _write_report(
    night: RehearsalNight,
    status: Status,
    counts: Counts,
    visits: Sequence[VisitVerdict],
    problems: Sequence[Problem],
    summaries: pd.DataFrame,
) -> Path:
    from lsst_commtools.night.figures import night_figures
    from lsst_commtools.night.provenance import collect_provenance, now_utc
    from lsst_commtools.night.report import ReportContent, write_report
    from lsst_commtools.qa.trend import TrendStore

    settings = night.settings
    settings.claim()
    records = transfer_records(night)
    began_utc = night.planned_utc("transmit-calibrations").isoformat()
    provenance = {
        "rehearsal": night.banner(),
        **collect_provenance(settings, records, began_utc),
    }
    TrendStore.in_folder(night.rehearsal.settings.work).add_night(
        settings.day_obs,
        settings.instrument,
        visits,
        source=settings.output_collection,
        provenance=provenance,
    )
    return write_report(
        ReportContent(
            settings=settings,
            status=status,
            counts=counts,
            visits=visits,
            problems=problems,
            provenance=provenance,
            records=records,
            notebooks={},
            visit_notebooks={},
            figures=night_figures(summaries, visits, settings.camera),
            written_utc=now_utc(),
            limits=DEFAULT_LIMITS,
        )
    )


def _summaries(night: RehearsalNight) -> pd.DataFrame:
    import pandas as pd

    settings = night.settings
    try:
        archive = Night(
            night.rehearsal.site,
            settings.repository,
            settings.day_obs,
            settings.instrument,
            settings.output_collection,
        )
    except NotFoundError:
        return pd.DataFrame(columns=["visit", "detector"])
    return archive.visit_summaries()


def _quanta(night: RehearsalNight) -> Quanta:
    return read_quanta(log_path(night.rehearsal.settings.work, night.day_obs, "science"))


def _of(images: Iterable[ImageKey], exposure: int) -> int:
    return sum(key[0] == exposure for key in images)
