"""The stations of a night before it is judged: choose files, bring them in, ingest, calibrate, process."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsst_commtools.errors import DataError, InputError
from lsst_commtools.ids import day_obs_date
from lsst_commtools.ingest.transfer import TransferRecord, find_raw_files, transfer_files
from lsst_commtools.instrument.cameras import Camera
from lsst_commtools.night.counts import Problem, file_of_image, ingest_problem
from lsst_commtools.night.settings import NightSettings

if TYPE_CHECKING:
    from lsst_commtools.ingest import IngestReport
    from lsst_commtools.pipeline.outcomes import ProcessingReport
    from lsst_commtools.site.pipeline import PipelineSection

__all__ = [
    "Progress",
    "bring_in",
    "calibrate",
    "calibration_problems",
    "choose_files",
    "expected_calibrations",
    "find_day_obs",
    "ingest",
    "ingest_problems",
    "make_calibrations",
    "process",
]

Progress = Callable[[str, int, int], None]
"""Called with the stage, the parts done and the parts in all."""


def find_day_obs(folder: Path, camera: Camera) -> int:
    """Tell which night a folder of raw files holds.

    Parameters
    ----------
    folder
        Where the raw files are.
    camera
        Files of other cameras do not count.

    Returns
    -------
    int
        The day_obs that all its files share.

    Raises
    ------
    InputError
        If there are no files of this camera, or files of several nights.
    """
    files = [file for file in (file_of_image(p.name, camera) for p in find_raw_files(folder)) if file]
    nights = Counter(file.obs_id.day_obs for file in files)
    if len(nights) == 1:
        return next(iter(nights))
    if not nights:
        raise InputError(
            f"No file in {folder} has the name of a raw file of {camera.name}.",
            advice=f"Raw files are named as {camera.code}_O_20261120_000012_{camera.detectors[0].name}.fits; "
            "give --instrument for another camera, or --day-obs.",
        )
    listed = ", ".join(f"{night} ({number} files)" for night, number in sorted(nights.items()))
    raise InputError(f"{folder} holds several nights: {listed}.", advice="Choose one with --day-obs.")


def choose_files(settings: NightSettings) -> list[Path]:
    """List the files of the night.

    Parameters
    ----------
    settings
        The night.

    Returns
    -------
    list of pathlib.Path
        Files whose names say this night, and those whose names say nothing: they get their outcome at ingest.
    """
    chosen = []
    for path in find_raw_files(settings.raw):
        file = file_of_image(path.name, settings.camera)
        if file is None or file.obs_id.day_obs == settings.day_obs:
            chosen.append(path)
    if not chosen:
        raise InputError(
            f"{settings.raw} has no raw files of {settings.day_obs}.", advice="Is it another --day-obs?"
        )
    return chosen


def bring_in(settings: NightSettings, files: Sequence[Path], progress: Progress) -> list[TransferRecord]:
    """Transfer the night's files to its storage folder."""
    return transfer_files(
        settings.raw, settings.storage, files, progress=lambda done, total: progress("transfer", done, total)
    )


def ingest(settings: NightSettings, records: Sequence[TransferRecord], progress: Progress) -> IngestReport:
    """Ingest what arrived into the night's repository, which is made where it is not there.

    Parameters
    ----------
    settings
        The night.
    records
        What arrived.
    progress
        Shows how far it is.

    Returns
    -------
    IngestReport
        One outcome for each file.
    """
    from lsst_commtools.ingest import (
        Ingester,
        create_repository,
        ingest_refcat,
        open_repository,
        register_instrument,
    )

    create_repository(settings.repository)
    with open_repository(settings.repository, writeable=True) as butler:
        register_instrument(butler, settings.camera)
        if settings.reference is not None:
            ingest_refcat(butler, sorted(settings.reference.glob("*.fits")))
    return Ingester(settings.repository, settings.camera).ingest(
        [settings.storage / record.path for record in records],
        progress=lambda done, total: progress("ingest", done, total),
    )


def ingest_problems(report: IngestReport, settings: NightSettings) -> list[Problem]:
    """Name the files that did not simply end in the repository.

    Parameters
    ----------
    report
        What became of each file.
    settings
        The night.

    Returns
    -------
    list of Problem
        In the order of the files.
    """
    found = (
        ingest_problem(file.outcome, file.reason, str(file.path.relative_to(settings.storage)))
        for file in report.files
    )
    return [problem for problem in found if problem is not None]


def make_calibrations(settings: NightSettings, progress: Progress) -> ProcessingReport:
    """Combine the night's biases, darks and flats; certify nothing.

    Parameters
    ----------
    settings
        The night.
    progress
        Shows how far it is.

    Returns
    -------
    ProcessingReport
        One outcome for each quantum; those of a type without exposures are not among them.
    """
    from lsst_commtools.ingest import calib_run, defaults_collection
    from lsst_commtools.pipeline import run_pipeline
    from lsst_commtools.pipeline.run import CALIBRATION_PIPELINE

    return run_pipeline(
        settings.repository,
        _where(settings, "exposure.observation_type IN ('bias', 'dark', 'flat')"),
        calib_run(settings.camera, str(settings.day_obs)),
        settings.processes,
        lambda done, total, _: progress("calibrations", done, total),
        pipeline=str(CALIBRATION_PIPELINE),
        inputs=(defaults_collection(settings.camera),),
    )


def calibration_problems(report: ProcessingReport) -> list[Problem]:
    """Name the calibrations that could not be made.

    Parameters
    ----------
    report
        From `make_calibrations`.

    Returns
    -------
    list of Problem
        In the order of the pipeline.
    """
    return _failures(report, "calibration-failed")


def expected_calibrations(report: ProcessingReport) -> tuple[str, ...]:
    """Tell which calibrations a night should give.

    Parameters
    ----------
    report
        From `make_calibrations`.

    Returns
    -------
    tuple of str
        ``bias`` and ``flat`` always, ``dark`` where there are dark exposures.
    """
    darks = any(outcome.task == "combine_dark" for outcome in report.outcomes)
    return ("bias", "dark", "flat") if darks else ("bias", "flat")


def calibrate(settings: NightSettings, progress: Progress) -> list[Problem]:
    """Combine the night's biases, darks and flats, and certify them for the night.

    Parameters
    ----------
    settings
        The night.
    progress
        Shows how far it is.

    Returns
    -------
    list of Problem
        Calibrations that could not be made.
    """
    from lsst_commtools.ingest import calib_run, certify, open_repository

    run = calib_run(settings.camera, str(settings.day_obs))
    report = make_calibrations(settings, progress)
    begin = dt.datetime.combine(day_obs_date(settings.day_obs), dt.time(12))
    problems = calibration_problems(report)
    with open_repository(settings.repository, writeable=True) as butler:
        for name in expected_calibrations(report):
            try:
                certify(
                    butler, settings.camera, name, run, begin_tai=begin, end_tai=begin + dt.timedelta(days=1)
                )
            except DataError as error:
                problems.append(
                    Problem("no-calibration", f"There is no {name}: {error.message}", str(settings.day_obs))
                )
    return problems


def process(
    settings: NightSettings,
    progress: Progress,
    *,
    section: PipelineSection | None = None,
    inputs: Sequence[str] = (),
    pipeline: Path | None = None,
    before_submit: Callable[[str], None] | None = None,
) -> tuple[ProcessingReport, list[Problem]]:
    """Run the pipeline on the night's visits.

    Parameters
    ----------
    settings
        The night.
    progress
        Shows how far it is.
    section
        Whether it is run by BPS, and how; by default it runs in this machine's processes.
    inputs
        Collections to read; by default the camera's own.
    pipeline
        Pipeline file; by default the night's.
    before_submit
        Called with the name of each submission to a batch system; what it raises is why it is not made.

    Returns
    -------
    report : ProcessingReport
        One outcome for each quantum.
    problems : list of Problem
        Quanta that failed or found no work, and parts of the night that were not submitted.
    """
    from lsst_commtools.ingest import defaults_collection
    from lsst_commtools.pipeline import run_pipeline

    inputs = tuple(inputs) or (defaults_collection(settings.camera),)
    where = _where(settings, "exposure.observation_type = 'science'")
    if section is not None and section.executor == "bps":
        from lsst_commtools.pipeline.bps import run_by_bps

        report = run_by_bps(
            settings.repository,
            where,
            settings.output_collection,
            section,
            settings.work / "bps",
            lambda done, total, _: progress("pipeline", done, total),
            pipeline=pipeline,
            inputs=inputs,
            before_submit=before_submit,
        )
    else:
        report = run_pipeline(
            settings.repository,
            where,
            settings.output_collection,
            settings.processes,
            lambda done, total, _: progress("pipeline", done, total),
            pipeline=pipeline,
            inputs=inputs,
        )
    problems = _failures(report, "processing-failed")
    problems += [
        Problem("submission-failed", f"{name} was not submitted: {why}", f"{settings.day_obs}, {name}")
        for name, why in report.not_submitted.items()
    ]
    return report, problems


def _where(settings: NightSettings, more: str) -> str:
    return f"instrument='{settings.camera.name}' AND exposure.day_obs={settings.day_obs} AND {more}"


def _failures(report: ProcessingReport, kind: str) -> list[Problem]:
    """List failures, and tasks without work: those count as done for the framework, and as a problem here."""
    return [
        Problem(kind, f"{outcome.task}: {outcome.error or 'no work'}: {outcome.message}", outcome.where)
        for outcome in (*report.failed, *report.no_work)
    ]
