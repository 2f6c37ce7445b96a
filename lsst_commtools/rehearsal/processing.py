"""The data facility's work of a night: ingest what arrives, make calibrations, process visits as they are complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import CommtoolsError, RejectedError
from lsst_commtools.ingest import (
    Ingester,
    IngestReport,
    create_repository,
    ingest_refcat,
    open_repository,
    register_instrument,
)
from lsst_commtools.ingest.arrival import ArrivalWatcher
from lsst_commtools.ingest.arrival_journal import ArrivedFile
from lsst_commtools.night.counts import Problem, ingest_problem
from lsst_commtools.night.expectations import bottleneck
from lsst_commtools.pipeline.outcomes import ProcessingReport, QuantumOutcome
from lsst_commtools.rehearsal.batch import BatchQueue, Reservation, unsubmitted_groups, waiting_problems
from lsst_commtools.rehearsal.checks import check_arrivals, check_cycle, check_headers, check_image
from lsst_commtools.rehearsal.choices import Choice, current_choice, select
from lsst_commtools.rehearsal.datasets import BENCH_PIPELINE
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.outline import Role
from lsst_commtools.rehearsal.progress import QuantumLog
from lsst_commtools.rehearsal.states import StepStatus, outline_states

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.calibrations import GeneratedCalibrations
    from lsst_commtools.rehearsal.night import RehearsalNight

__all__ = ["Processed", "arrival_journal", "choose", "make_calibrations", "process_arrivals", "take_in"]

Progress = Callable[[str, int, int], None]

_LOOK_S = 0.3
_INGEST_S = 0.2
"""What a file may add to the time of an ingest."""
_STEP = "run-pipeline"


@dataclass
class Processed:
    """What came of a night's processing.

    Parameters
    ----------
    visits
        Exposure to the detectors that were missing when it was processed.
    refused
        Groups that the batch system did not take, with the reason.
    report
        Outcome of each quantum of the night; None if there was nothing to process.
    """

    visits: dict[int, tuple[int, ...]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    report: ProcessingReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values: what is signed."""
        report = self.report
        return {
            "visits": len(self.visits),
            "quanta": 0 if report is None else report.expected,
            "succeeded": 0 if report is None else report.succeeded,
            "failed": 0 if report is None else len(report.failed),
            "no_work": 0 if report is None else len(report.no_work),
            "by_task": {} if report is None else _by_task(report),
            "refused_groups": dict(self.refused),
        }


def _by_task(report: ProcessingReport) -> dict[str, dict[str, int]]:
    """Count quanta of each task; what an earlier attempt did counts as done, so that a resumed run signs the same."""
    counts: dict[str, dict[str, int]] = {}
    for task, found in report.by_task().items():
        done = found.get("succeeded", 0) + found.get("existing", 0)
        rest = {name: number for name, number in found.items() if name not in ("succeeded", "existing")}
        counts[task] = {"done": done, **rest}
    return counts


def arrival_journal(night: RehearsalNight) -> Path:
    """Name the file in which the watcher remembers what arrived.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    pathlib.Path
        Its folder is made.
    """
    folder = night.rehearsal.settings.work / "arrivals"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{night.day_obs}.sqlite"


def take_in(night: RehearsalNight, progress: Progress) -> list[ArrivedFile]:
    """Ingest all that has arrived by now.

    Parameters
    ----------
    night
        The night.
    progress
        Shows how far it is.

    Returns
    -------
    list of ArrivedFile
        All files of the night with their outcomes, those of earlier calls too.
    """
    with _watching(night, 0.0, lambda *_: None) as watcher:
        while (report := watcher.poll()).unsettled or report.files:
            files = watcher.files()
            progress("ingest", len(files), len(files) + report.unsettled)
            time.sleep(_LOOK_S)
        return watcher.files()


def make_calibrations(night: RehearsalNight, progress: Progress) -> GeneratedCalibrations:
    """Ingest and combine the night's calibration exposures, judge the results, and name what is wrong.

    Parameters
    ----------
    night
        The night.
    progress
        Shows how far it is.

    Returns
    -------
    GeneratedCalibrations
        Verdicts and problems.
    """
    from lsst_commtools.rehearsal.calibrations import generate

    step = "generate-calibrations"
    files = take_in(night, progress)
    night.note(ingest_problems(night, files), role=Role.LDF, step=step, place="ingest")
    with _slots(night, f"calibrations of night {night.number}", step):
        made = generate(night.settings, night.journal, night=night.number, progress=progress)
    night.note(made.problems, role=Role.LDF, step=step, place="calibrations")
    return made


def choose(night: RehearsalNight, wishes: Mapping[str, Any]) -> Choice:
    """Choose what the night is processed with, and name what is wrong with it.

    Parameters
    ----------
    night
        The night.
    wishes
        As `choices.select` takes them; those that are empty are left to it.

    Returns
    -------
    Choice
        As it was recorded.
    """
    from lsst_commtools.rehearsal.lab_site import lab_site

    site = lab_site(night.rehearsal.site, night.rehearsal.settings.work)
    told = {name: value for name, value in wishes.items() if value}
    if not night.expectations.sky:
        # Bench images have no stars: what comes after the instrument's signature would only fail.
        told.setdefault("pipeline", str(BENCH_PIPELINE))
    choice = select(night.settings, site, night.journal, night=night.number, **told)
    step = "select-configuration"
    night.note(choice.problems, role=Role.SCIOPS, step=step, place="choice")
    night.note(check_cycle(night, choice), role=Role.SCIOPS, step=step, place="lab image")
    if choice.image.tag:
        night.note(check_image(night, choice.image.tag), role=Role.SCIOPS, step=step, place="lab image")
    return choice


def process_arrivals(night: RehearsalNight, progress: Progress) -> Processed:
    """Ingest what arrives, process each visit as it is complete, and what is left in the end.

    Parameters
    ----------
    night
        The night.
    progress
        Shows how far it is.

    Returns
    -------
    Processed
        Visits and outcomes.
    """
    work = _Work(night, progress)
    work.follow()
    return work.complete()


class _Work:
    def __init__(self, night: RehearsalNight, progress: Progress) -> None:
        self._night, self._progress = night, progress
        self._shots = {shot.exposure_id: shot for shot in night.shots() if not shot.calibration}
        self._groups = {exposure: number for number, exposure in enumerate(sorted(self._shots), start=1)}
        self._choice = _choice_of(night)
        self._done = Processed()
        self._waiting: list[tuple[int, tuple[int, ...]]] = []

    def follow(self) -> None:
        """Work while files are sent."""
        section = self._night.rehearsal.site.rehearsal
        timeout_s = section.visit_timeout_s * max(1.0, self._night.rehearsal.clock.speed)
        began_s = time.monotonic()
        with _watching(self._night, timeout_s, self._announce) as watcher:
            while _is_sent(self._night, time.monotonic() - began_s):
                watcher.poll()
                self._process_waiting()
                time.sleep(_LOOK_S)

    def complete(self) -> Processed:
        """Take in the rest, process what is left, and name what is wrong."""
        night = self._night
        with _watching(night, 0.0, self._announce) as watcher:
            while (report := watcher.poll()).unsettled or report.files:
                self._process_waiting()
                time.sleep(_LOOK_S)
            files = watcher.files()
        self._process_waiting()
        night.note(ingest_problems(night, files), role=Role.LDF, step=_STEP, place="ingest")
        night.note(missing_images(night), role=Role.LDF, step=_STEP, place="arrival")
        night.note(check_arrivals(night), role=Role.LDF, step=_STEP, place="arrival")
        night.note(check_headers(night), role=Role.SCIOPS, step=_STEP, place="headers")
        arrived = {f.exposure for f in files if f.counts and f.exposure in self._shots}
        taken = sorted(e for e in arrived if e is not None and self._submitted(e))
        if taken:
            self._done.report = self._run(taken)
            self._note_failures(self._done.report)
        planned = {number: f"visit {exposure}" for exposure, number in self._groups.items()}
        night.note(
            unsubmitted_groups(planned, self._done.refused), role=Role.LDF, step=_STEP, place="batch system"
        )
        return self._done

    def _announce(self, exposure: int, _: tuple[int, ...], missing: tuple[int, ...]) -> None:
        if exposure in self._shots:
            self._waiting.append((exposure, missing))

    def _process_waiting(self) -> None:
        while self._waiting:
            exposure, missing = self._waiting.pop(0)
            self._progress("visits", len(self._done.visits), len(self._shots))
            self._done.visits[exposure] = missing
            # A batch system gets the night as a whole: its submission costs more than a visit.
            if self._night.rehearsal.site.pipeline.executor != "bps" and self._submitted(exposure):
                self._run([exposure])

    def _submitted(self, exposure: int) -> bool:
        group = self._groups[exposure]
        try:
            BatchQueue(self._night.rehearsal.settings.work / "batch").submit(group)
        except RejectedError as error:
            self._done.refused[group] = error.message
            return False
        self._done.refused.pop(group, None)
        return True

    def _run(self, exposures: Sequence[int]) -> ProcessingReport:
        from lsst_commtools.pipeline import run_pipeline
        from lsst_commtools.pipeline.bps import run_by_bps

        night, site = self._night, self._night.rehearsal.site
        settings = night.settings
        where = f"instrument='{settings.camera.name}' AND exposure IN ({', '.join(map(str, exposures))})"
        repository, output = settings.repository, settings.output_collection
        pipeline, inputs = self._choice.pipeline, self._choice.inputs
        with _slots(night, f"pipeline of night {night.number}", _STEP), QuantumLog(night) as log:

            def ended(done: int, total: int, outcome: QuantumOutcome) -> None:
                log(done, total, outcome)
                self._progress("pipeline", done, total)

            if site.pipeline.executor == "bps":
                report = run_by_bps(
                    repository,
                    where,
                    output,
                    site.pipeline,
                    settings.work / "bps",
                    ended,
                    pipeline=pipeline,
                    inputs=inputs,
                )
            else:
                report = run_pipeline(
                    repository, where, output, settings.processes, ended, pipeline=pipeline, inputs=inputs
                )
            log.record(report)
        return report

    def _note_failures(self, report: ProcessingReport) -> None:
        for name, why in report.not_submitted.items():
            self._night.note_problem(
                "submission-failed",
                f"{name} was not submitted: {why}",
                f"{self._night.day_obs}, {name}",
                role=Role.LDF,
                step=_STEP,
                place="batch",
            )
        for outcome in (*report.failed, *report.no_work):
            self._night.note_problem(
                "processing-failed",
                f"{outcome.task}: {outcome.message or 'no work'}",
                outcome.where,
                role=Role.LDF,
                step=_STEP,
                exception=outcome.error,
                place=outcome.task,
            )


def _choice_of(night: RehearsalNight) -> Choice:
    """Give the choice in force; without any, the usual one is taken and said so."""
    entries = night.journal.entries({Kind.CHOICE, Kind.CALIBRATION})
    choice = current_choice(entries, night.number)
    if choice is None:
        night.note_problem(
            "no-choice",
            "Nothing was selected for this night: it is processed with the site's own configuration.",
            str(night.day_obs),
            role=Role.LDF,
            step=_STEP,
        )
        choice = select(
            night.settings, night.rehearsal.site, night.journal, night=night.number, role=Role.LDF
        )
    return choice


def _is_sent(night: RehearsalNight, waited_s: float) -> bool:
    """Tell whether more files may come: while they are sent, and for a while before anybody has begun to."""
    entries = night.rehearsal.entries({Kind.STEP_STARTED, Kind.STEP_ENDED, Kind.COUNTS}, night.number)
    state = outline_states(entries, len(night.rehearsal.settings.nights))[night.number, "transmit-science"]
    sent = [e for e in entries if e.kind is Kind.COUNTS and e.data.get("what") == "science"]
    if sent and sent[-1].number > state.started:
        return False
    if state.status is StepStatus.STARTED and _lives(night, state.run):
        return True
    over = state.status in (StepStatus.DONE, StepStatus.FAILED)
    return not over and waited_s < night.rehearsal.site.rehearsal.transfer_patience_s


def _lives(night: RehearsalNight, run: str) -> bool:
    from lsst_commtools.procedure import Ledger, RunStatus, show_run

    section = night.rehearsal.site.procedure
    try:
        return show_run(Ledger.at(section), section, run).status in (RunStatus.RUNNING, RunStatus.WAITING)
    except CommtoolsError:
        return False


class _TimedIngester:
    """Ingests, and tells when the registry keeps it waiting."""

    def __init__(self, night: RehearsalNight, ingester: Ingester) -> None:
        self._night, self._ingester = night, ingester

    def ingest(self, paths: Sequence[Path]) -> IngestReport:
        with _registry_timed(self._night, len(paths)):
            return self._ingester.ingest(paths)


@contextmanager
def _registry_timed(night: RehearsalNight, files: int = 0) -> Iterator[None]:
    """Tell when the registry kept this waiting."""
    began_s = time.monotonic()
    yield
    limit_s = night.rehearsal.site.rehearsal.registry_s + _INGEST_S * files
    slow = bottleneck(
        {"registry": [time.monotonic() - began_s]}, {"registry": limit_s}, {"registry": "slow-registry"}
    )
    night.note(slow, role=Role.LDF, step=_STEP, place="registry")


@contextmanager
def _watching(
    night: RehearsalNight,
    visit_timeout_s: float,
    on_visit: Callable[[int, tuple[int, ...], tuple[int, ...]], None],
) -> Iterator[ArrivalWatcher]:
    settings, whole = night.settings, night.rehearsal
    create_repository(settings.repository)
    with open_repository(settings.repository, writeable=True) as butler:
        with _registry_timed(night):
            register_instrument(butler, settings.camera)
        if settings.reference is not None:
            ingest_refcat(butler, sorted(settings.reference.glob("*.fits")))
    with ArrivalWatcher(
        night.storage,
        _TimedIngester(night, Ingester(settings.repository, settings.camera, work=whole.settings.work)),
        expected_detectors=[detector.id for detector in settings.camera.science_detectors],
        settle_s=whole.site.rehearsal.settle_s,
        visit_timeout_s=visit_timeout_s,
        on_visit=on_visit,
        now_utc=whole.clock.now_utc,
        journal=arrival_journal(night),
    ) as watcher:
        yield watcher


@contextmanager
def _slots(night: RehearsalNight, purpose: str, step: str) -> Iterator[None]:
    """Hold all job slots of the facility; who holds them up is named."""

    def wait(waited_s: float, holders: tuple[Reservation, ...]) -> None:
        problems = waiting_problems(waited_s, holders, purpose, limit_s=section.jobs_wait_s)
        night.note(problems, role=Role.LDF, step=step, place="batch system")

    section = night.rehearsal.site.rehearsal
    queue = BatchQueue(night.rehearsal.settings.work / "batch", section.job_slots)
    with ExitStack() as stack:
        stack.enter_context(queue.reserve(queue.slots, owner=str(Role.LDF), purpose=purpose, on_wait=wait))
        yield


def ingest_problems(night: RehearsalNight, files: Sequence[ArrivedFile]) -> list[Problem]:
    """Name the files that did not simply end in the repository.

    Parameters
    ----------
    night
        The night.
    files
        What arrived.

    Returns
    -------
    list of Problem
        In the order of the files.
    """
    problems = []
    for file in files:
        where = Path(file.path).relative_to(night.storage).as_posix()
        problem = ingest_problem(file.outcome, file.reason, where)
        if problem is not None:
            of_filter = problem.kind == "wrong-header" and "filter" in file.reason
            problems.append(replace(problem, kind="wrong-filter") if of_filter else problem)
    return problems


def missing_images(night: RehearsalNight) -> list[Problem]:
    """Name the images that were planned and that the summit has not written.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    list of Problem
        Kind ``missing-detector``. Those that were lost later are found by `check_arrivals`.
    """
    return [
        Problem(
            "missing-detector",
            f"{name} was planned; the summit has not written it.",
            f"visit {shot.exposure_id}, {Path(name).name.split('.')[0]}",
        )
        for shot in night.shots()
        for name in shot.files
        if not (night.summit / name).is_file() and not (night.storage / name).is_file()
    ]
