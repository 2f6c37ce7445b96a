"""Runs a pipeline by BPS: submits what was not submitted, waits, and counts what became of every quantum."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lsst_commtools.errors import CommtoolsError, InputError, ServiceTimeoutError
from lsst_commtools.pipeline.bps.batches import Batch, GroupRecord, GroupState, batch_key, locked
from lsst_commtools.pipeline.bps.config import environment, write_config
from lsst_commtools.pipeline.bps.marks import hold, is_held, jobs_at_work
from lsst_commtools.pipeline.bps.outcomes import read_outcomes, unfinished, write_outcome
from lsst_commtools.pipeline.bps.outputs import bring_in, make_batch
from lsst_commtools.pipeline.outcomes import ProcessingReport, QuantumOutcome, QuantumStatus
from lsst_commtools.pipeline.run import NIGHT_PIPELINE, Progress
from lsst_commtools.site.pipeline import PipelineSection

__all__ = ["BPS", "check_service", "find_or_make_batch", "last_words", "run_by_bps"]

_MOST_RUNS = 3
# Processes of BPS, which go on when their conductor gives up: Python warns of those that nobody remembers.
_STARTED: list[subprocess.Popen[bytes]] = []
_RUN_ID = re.compile(r"^Run Id: (\S+)\s*$", re.MULTILINE)
BPS = "from lsst.ctrl.bps.cli.bps import main; main()"
"""Program that is BPS, for ``python -c``."""


def run_by_bps(
    repository: str | Path,
    data_query: str,
    output_run: str,
    section: PipelineSection,
    folder: Path,
    progress: Progress | None = None,
    *,
    pipeline: str | Path | None = None,
    inputs: Sequence[str] = (),
    before_submit: Callable[[str], None] | None = None,
) -> ProcessingReport:
    """Run a pipeline by BPS on all data that a query selects.

    What an earlier call submitted, and what still runs of it although that call was killed, is found again in the
    folder and not submitted twice.

    Parameters
    ----------
    repository, data_query, output_run, pipeline, inputs
        As of `run_pipeline`.
    section
        Batch system.
    folder
        Where submissions are recorded; all jobs must be able to write there.
    progress
        Called after each quantum.
    before_submit
        Called with the name of each submission before it is made; what it raises is the reason why it is not.

    Returns
    -------
    ProcessingReport
        One outcome for each quantum that the data call for. Those of a submission that failed are skipped, and it is
        named in ``not_submitted``; the next call tries it again.

    Raises
    ------
    InputError
        If BPS or the batch system's package is not installed, or the query or a setting is refused.
    LeaseError
        If another process submits from the same folder.
    ServiceTimeoutError
        If a submission does not end in time; it goes on.
    """
    start = time.monotonic()
    check_service(section.service)
    with locked(folder):
        what = (str(repository), data_query, output_run, str(pipeline or NIGHT_PIPELINE), tuple(inputs))
        batch = find_or_make_batch(folder, section, *what)
        conductor = _Conductor(batch, section, _Watch(batch, progress))
        records = conductor.run(before_submit)
        if all(record.state is GroupState.ENDED for record in records):
            batch.end()
    return _report(batch, output_run, records, time.monotonic() - start)


def check_service(service: str) -> None:
    """Find out whether a batch system's class is there.

    Parameters
    ----------
    service
        Its full name.

    Raises
    ------
    InputError
        If its package is not installed, or cannot be imported.
    """
    module, _, name = service.rpartition(".")
    try:
        getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, OSError) as error:  # PanDA's client asks the network at its import
        raise InputError(
            f"The batch system's class {service} cannot be used: {error}.",
            changed="Nothing was submitted.",
            advice="Install its package, for instance lsst_commtools[bps] for Parsl, or lsst-ctrl-bps-htcondor.",
        ) from None


def find_or_make_batch(
    folder: Path,
    section: PipelineSection,
    repository: str,
    data_query: str,
    output_run: str,
    pipeline: str,
    inputs: tuple[str, ...],
) -> Batch:
    """Find the batch that is not over, or make one.

    Parameters
    ----------
    folder
        Folder of batches.
    section
        Says into how many submissions it is parted.
    repository, data_query, output_run, pipeline, inputs
        As the pipeline is run.

    Returns
    -------
    Batch
        Of the same query, pipeline and collections.
    """
    try:
        content = Path(pipeline).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"The pipeline {pipeline} cannot be read: {error.strerror}.") from error
    repository = str(Path(repository).absolute())
    key = batch_key(repository, data_query, output_run, content, *inputs)
    known = sorted(path for path in folder.glob("b[0-9]*") if path.is_dir())
    for path in reversed(known):
        batch = Batch.read(path)
        if batch is None or batch.ended or batch.output_run != output_run:
            continue
        if batch.key == key:
            return batch
        # Another part of the same run: what it writes must be there before it is known what is left to do.
        _Conductor(batch, section, _Watch(batch, None)).conclude()
    number = 1 + max((int(path.name[1:]) for path in known if path.name[1:].isdigit()), default=0)
    return make_batch(
        folder.absolute() / f"b{number:03d}",
        key,
        repository=repository,
        data_query=data_query,
        output_run=output_run,
        pipeline=pipeline,
        inputs=inputs,
        groups=section.groups,
    )


class _Watch:
    """Tells of each quantum once, as soon as its outcome is seen."""

    def __init__(self, batch: Batch, progress: Progress | None) -> None:
        self._batch = batch
        self._progress = progress
        self._seen = set(batch.done)

    def look(self, name: str) -> None:
        waited = [quantum for quantum in self._batch.quanta(name) if quantum not in self._seen]
        for quantum, outcome in read_outcomes(self._batch.outcomes, waited).items():
            self._seen.add(quantum)
            if self._progress is not None:
                self._progress(len(self._seen), len(self._batch.order), outcome)


@dataclass
class _Conductor:
    """Takes each submission from where it stands to its end."""

    batch: Batch
    section: PipelineSection
    watch: _Watch

    def run(self, before_submit: Callable[[str], None] | None) -> list[GroupRecord]:
        """Take all submissions to their end; what a batch system keeps by itself runs beside one another."""
        pending = list(self.batch.groups)
        while pending:
            for name in pending:
                self._advance(name, before_submit)
            for name in pending:
                self._await_run(name)
            pending = [name for name in pending if self.batch.record(name).state is GroupState.NEW]
        return [self.batch.record(name) for name in self.batch.groups]

    def conclude(self) -> None:
        """Wait for what runs and bring it in; submit no more of it."""
        for name in self.batch.groups:
            record = self.batch.record(name)
            if record.state is GroupState.SUBMITTED and not record.run_id:
                self._after_submit(name, record, None)
            self._await_run(name)
            self._let_jobs_end(name)
            bring_in(self.batch, read_outcomes(self.batch.outcomes, self.batch.quanta(name)))
        self.batch.end()

    def _advance(self, name: str, before_submit: Callable[[str], None] | None) -> None:
        """Bring a submission so far that the batch system has it, or has done it where it has no ids for runs."""
        record = self.batch.record(name)
        if record.state is GroupState.SUBMITTED and not record.run_id:
            record = self._after_submit(name, record, None)
        if record.state is GroupState.ENDED or record.run_id:
            return
        if record.attempts:
            self._let_jobs_end(name)
        if not self._unfinished(name) or record.runs >= _MOST_RUNS:
            self._end(record)
            return
        if before_submit is not None:
            try:
                before_submit(name)
            except CommtoolsError as error:
                self.batch.note(replace(record, state=GroupState.REFUSED, reason=error.message))
                return
        self._submit(name, record)

    def _await_run(self, name: str) -> None:
        """Wait for a run that the batch system knows by an id."""
        record = self.batch.record(name)
        if record.state is not GroupState.SUBMITTED or not record.run_id:
            return
        deadline = time.monotonic() + self.section.timeout_s
        over, reason = False, ""
        while self._unfinished(name) and not over:
            self._check_time(name, deadline)
            over, reason = _ask(self.section.service, record.run_id)
            self.watch.look(name)
            if not over:
                time.sleep(self.section.poll_s)
        self._settle(replace(record, reason=reason if over else ""))

    def _unfinished(self, name: str) -> list[str]:
        return unfinished(self.batch.outcomes, self.batch.quanta(name))

    def _settle(self, record: GroupRecord) -> GroupRecord:
        """After a run: give lost jobs their outcome, and have what waited for them submitted again."""
        _note_lost(self.batch, record, only_ready=True)
        if not self._unfinished(record.name):
            return self._end(record)
        return self.batch.note(replace(record, state=GroupState.NEW, runs=record.runs + 1, run_id=""))

    def _submit(self, name: str, record: GroupRecord) -> GroupRecord:
        """Start ``bps submit`` as a process of its own, which lives on when this one is killed."""
        record = replace(record, state=GroupState.SUBMITTED, attempts=record.attempts + 1, reason="", pid=0)
        folder = self.batch.group_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        mark = hold(self._mark(name, record))
        if mark is None:  # it was started by a process that was killed before it could tell
            return self._after_submit(name, self.batch.note(record), None)
        with mark:
            config = write_config(self.batch, name, record.attempts, self.section)
            self.batch.note(record)
            with self._log(name, record).open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-c", BPS, "submit", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=environment(),
                    start_new_session=True,
                    pass_fds=(mark.fileno(),),
                )
        _STARTED.append(process)
        return self._after_submit(name, self.batch.note(replace(record, pid=process.pid)), process)

    def _after_submit(
        self, name: str, record: GroupRecord, process: subprocess.Popen[bytes] | None
    ) -> GroupRecord:
        """Wait for ``bps submit``, and read from what it says how far the submission came."""
        deadline = time.monotonic() + self.section.timeout_s
        mark = self._mark(name, record)
        while is_held(mark) if process is None else process.poll() is None:
            self.watch.look(name)
            self._check_time(name, deadline)
            time.sleep(min(self.section.poll_s, 0.5))
        self.watch.look(name)
        said = _read_text(self._log(name, record))
        found = _RUN_ID.search(said)
        if found is not None:
            run_id = found[1] if found[1] != "None" else ""
            record = replace(record, run_id=run_id)
            return self.batch.note(record) if run_id else self._settle(record)
        begun = len(self._unfinished(name)) < len(self.batch.quanta(name))
        failed = process is not None and process.returncode > 0
        if failed and not begun:
            return self.batch.note(replace(record, state=GroupState.REFUSED, reason=last_words(said)))
        # It was killed, or broke down in the middle: the next attempt does what is left.
        reason = last_words(said) if failed else "it was interrupted"
        return self.batch.note(replace(record, state=GroupState.NEW, runs=record.runs + 1, reason=reason))

    def _let_jobs_end(self, name: str) -> None:
        """Wait for jobs that outlived what started them: another attempt would do the same beside them."""
        deadline = time.monotonic() + self.section.timeout_s
        while jobs_at_work(self.batch.outcomes):
            self.watch.look(name)
            self._check_time(name, deadline)
            time.sleep(min(self.section.poll_s, 0.5))

    def _end(self, record: GroupRecord) -> GroupRecord:
        _note_lost(self.batch, record, only_ready=False)
        self.watch.look(record.name)
        ended = read_outcomes(self.batch.outcomes, self.batch.quanta(record.name))
        bring_in(self.batch, ended)
        return self.batch.note(replace(record, state=GroupState.ENDED))

    def _check_time(self, name: str, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise ServiceTimeoutError(
                f"The submission {name} has not ended within {self.section.timeout_s:g} s.",
                changed="It goes on.",
                advice="Call again to wait for it.",
            )

    def _mark(self, name: str, record: GroupRecord) -> Path:
        return self.batch.group_folder(name) / f"bps-{record.attempts}.lock"

    def _log(self, name: str, record: GroupRecord) -> Path:
        return self.batch.group_folder(name) / f"bps-{record.attempts}.log"


def _ask(service: str, run_id: str) -> tuple[bool, str]:
    """Ask the batch system whether a run is over; what cannot be seen is not over."""
    from lsst.ctrl.bps import WmsStates
    from lsst.ctrl.bps.status import status

    try:
        state, message = status(service, run_id)
    except Exception as error:  # noqa: BLE001 - whatever a batch system's client raises, the run may well go on
        return False, str(error)
    over = state in (WmsStates.SUCCEEDED, WmsStates.FAILED, WmsStates.DELETED, WmsStates.PRUNED)
    return over, f"the run {run_id} ended as {state.name.lower()} {message}".strip()


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def last_words(said: str) -> str:
    """Give the last line of what a process said, which in a traceback is the exception.

    Parameters
    ----------
    said
        Its output.

    Returns
    -------
    str
        One line.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "bps submit said nothing"


def _note_lost(batch: Batch, record: GroupRecord, *, only_ready: bool) -> None:
    """Write the outcome of quanta whose job ended without one: killed, or never begun.

    Where ``only_ready`` is set, jobs that waited for others are left out: they may not have begun because of those.
    """
    told = {quantum: (task, data_id) for quantum, task, data_id in batch.order}
    clusters = batch.groups[record.name]
    missing = {cluster.name: unfinished(batch.outcomes, cluster.quanta) for cluster in clusters}
    for cluster in clusters:
        left = missing[cluster.name]
        if not left or (only_ready and any(missing[before] for before in cluster.waits_for)):
            continue
        why = _why_lost(batch, record.name, cluster.name) or record.reason
        message = "its job ended without an outcome" + (f": {why}" if why else "")
        for place, quantum in enumerate(left):
            task, data_id = told[quantum]
            outcome = (
                QuantumOutcome(task, data_id, QuantumStatus.SKIPPED, message=f"{told[left[0]][0]} failed")
                if place
                else QuantumOutcome(task, data_id, QuantumStatus.FAILED, "JobLost", message)
            )
            write_outcome(batch.outcomes, quantum, outcome)


def _why_lost(batch: Batch, name: str, job: str) -> str:
    """Find the last words of a job in what BPS keeps of it."""
    found = sorted(batch.group_folder(name).glob(f"submit-*/logs/**/{job}.stderr"))
    said = _read_text(found[-1]) if found else ""
    return last_words(said) if said.strip() else ""


def _report(
    batch: Batch, output_run: str, records: Sequence[GroupRecord], seconds: float
) -> ProcessingReport:
    outcomes = read_outcomes(batch.outcomes, (quantum for quantum, _, _ in batch.order))
    refused = {r.name: r.reason for r in records if r.state is GroupState.REFUSED}
    group = {quantum: name for name in batch.groups for quantum in batch.quanta(name)}
    rows = []
    for quantum, task, data_id in batch.order:
        if quantum in outcomes:
            rows.append(outcomes[quantum])
        elif quantum in batch.done:
            rows.append(QuantumOutcome(task, data_id, QuantumStatus.EXISTING))
        else:
            message = f"{group[quantum]} was not submitted: {refused[group[quantum]]}"
            rows.append(QuantumOutcome(task, data_id, QuantumStatus.SKIPPED, message=message))
    return ProcessingReport(output_run, tuple(rows), seconds, refused)
