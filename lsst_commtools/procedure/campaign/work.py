"""One task, where it is executed: claimed in the ledger, run if it may be, told in a small record."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lsst_commtools.errors import CommtoolsError, LeaseError, LedgerAwayError, RefusedError
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.procedure.ledger.tables import EVENTS
from lsst_commtools.procedure.record import RunRecord
from lsst_commtools.procedure.run_names import new_run_name
from lsst_commtools.procedure.runs import show_run
from lsst_commtools.procedure.switch import StopSwitch
from lsst_commtools.procedure.values import Kind, RunStatus
from lsst_commtools.site import Site

__all__ = [
    "WorkOrder",
    "WorkResult",
    "allow_here",
    "cancel_here",
    "claimed",
    "do_work",
    "earlier",
    "results_of",
    "runs_of",
]


@dataclass(frozen=True)
class WorkOrder:
    """What an executor is to run; it may go to another machine.

    Parameters
    ----------
    campaign, task
        Names.
    notebook
        The file.
    parameters
        Values by name.
    content
        Hash of all that decides what it does.
    output
        The output notebook.
    site
        Settings of the site, the ledger's URL in full.
    kernel
        Name of the kernelspec.
    idempotent, batch
        As the campaign says.
    cell_timeout_s, run_timeout_s
        Limits, in seconds; None for those of the site.
    resumes
        Whether a run of it that did not end well is gone on with, so that what was signed in it counts; otherwise each
        execution is a new run.
    """

    campaign: str
    task: str
    notebook: str
    parameters: Mapping[str, Any]
    content: str
    output: str
    site: Site
    kernel: str
    idempotent: bool
    batch: bool = False
    cell_timeout_s: float | None = None
    run_timeout_s: float | None = None
    resumes: bool = False

    @property
    def lease_key(self) -> str:
        """What is held while the task runs."""
        digest = hashlib.sha256(self.task.encode()).hexdigest()[:12]
        return f"task:{self.campaign}:{self.task[:150]}:{digest}"


@dataclass(frozen=True)
class WorkResult:
    """What became of a task.

    Parameters
    ----------
    task
        Its name.
    status
        ``done``, ``failed``, ``aborted``, ``unknown``, ``refused``, ``cancelled``.
    run
        Name of its run; None if none was begun.
    reason
        Why it is not done.
    results
        What it measured, by name.
    executed
        Whether a kernel was started for it now.
    """

    task: str
    status: str
    run: str | None = None
    reason: str = ""
    results: Mapping[str, Any] = field(default_factory=dict)
    executed: bool = False


class _Running:
    """The tasks that run in this process, and how each is stopped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[str, Any] = {}
        self._cancelled: set[str] = set()

    @contextlib.contextmanager
    def entered(self, order: WorkOrder, stop: Any) -> Iterator[None]:
        key = f"{order.campaign}/{order.task}"
        with self._lock:
            self._stops[key] = stop
        try:
            yield
        finally:
            with self._lock:
                del self._stops[key]

    def stop(self, campaign: str) -> int:
        with self._lock:
            stops = [stop for key, stop in self._stops.items() if key.startswith(f"{campaign}/")]
            self._cancelled.add(campaign)
        for stop in stops:
            stop()
        return len(stops)

    def cancelled(self, campaign: str) -> bool:
        return campaign in self._cancelled

    def allow(self, campaign: str) -> None:
        self._cancelled.discard(campaign)


_running = _Running()


def cancel_here(campaign: str) -> int:
    """Stop all tasks of a campaign that run in this process, and begin no more of them.

    Their cells are interrupted and their closing cells run; a kernel that does not listen is killed with its process
    group.

    Parameters
    ----------
    campaign
        Its name.

    Returns
    -------
    int
        How many were running.
    """
    return _running.stop(campaign)


def allow_here(campaign: str) -> None:
    """Let tasks of a campaign begin in this process again, after an earlier campaign of that name was cancelled.

    Parameters
    ----------
    campaign
        Its name.
    """
    _running.allow(campaign)


def do_work(order: WorkOrder) -> WorkResult:
    """Execute a task, unless the ledger says that it is done, runs, or must not be begun twice.

    Parameters
    ----------
    order
        The task.

    Returns
    -------
    WorkResult
        What became of it; nothing is raised for a notebook that fails.
    """
    if _running.cancelled(order.campaign):
        return WorkResult(order.task, "cancelled", reason="the campaign was cancelled")
    try:
        site = order.site
        ledger = Ledger.at(site.procedure)
        ledger.merge_spools()
        done = earlier(ledger, site, order)
        if done is not None:
            return done
        with claimed(ledger, site, order):
            return earlier(ledger, site, order) or _execute(ledger, site, order)
    except LeaseError as error:
        return WorkResult(order.task, "refused" if order.idempotent else "unknown", reason=error.message)
    except CommtoolsError as error:
        return WorkResult(order.task, "refused", reason=error.message)


def earlier(ledger: Ledger, site: Site, order: WorkOrder) -> WorkResult | None:
    """Tell what the ledger knows of a task that forbids or spares running it.

    Parameters
    ----------
    ledger
        Where runs are recorded.
    site
        Its settings.
    order
        The task.

    Returns
    -------
    WorkResult or None
        Done, if it is done and unchanged; unknown or aborted, if it is not idempotent and was begun before; None if it
        may run.
    """
    found = runs_of(ledger, site, order)
    done = next((record for record in found if record.status is RunStatus.DONE), None)
    if done is not None:
        return WorkResult(order.task, "done", done.run, results=results_of(ledger, done.run))
    if order.idempotent or not found:
        return None
    last = found[-1]
    return WorkResult(
        order.task,
        "unknown" if last.status in (RunStatus.UNKNOWN, RunStatus.RUNNING, RunStatus.WAITING) else "aborted",
        last.run,
        reason=f"it was begun before and is {last.status.value} ({last.reason or 'no reason known'}); it may not run "
        f"twice: see 'commtools runs resume {last.run}' and 'commtools runs recover'",
    )


def runs_of(ledger: Ledger, site: Site, order: WorkOrder) -> list[RunRecord]:
    """Find the runs of a task with the content that it has now.

    Parameters
    ----------
    ledger
        Where runs are recorded.
    site
        Its settings.
    order
        The task.

    Returns
    -------
    list of RunRecord
        The oldest first.
    """
    query = (
        sa.select(EVENTS.c.run)
        .where(EVENTS.c.kind == Kind.RUN_STARTED.value, EVENTS.c.data.contains(f'"{order.content}"'))
        .order_by(EVENTS.c.id)
    )
    names = dict.fromkeys(row.run for row in ledger.read(query))
    mine = []
    for name in names:
        starts = ledger.events(name, [Kind.RUN_STARTED])
        told = starts[0].data.get("campaign") or {}
        if (told.get("name"), told.get("task"), told.get("content")) == (
            order.campaign,
            order.task,
            order.content,
        ):
            mine.append(show_run(ledger, site.procedure, name))
    return mine


def results_of(ledger: Ledger, run: str) -> dict[str, Any]:
    """Give what a run measured.

    Parameters
    ----------
    ledger
        Where it is recorded.
    run
        Its name.

    Returns
    -------
    dict
        Name to value; the last one where a name was measured twice.
    """
    return {event.data["name"]: event.data["value"] for event in ledger.events(run, [Kind.MEASURED])}


@contextlib.contextmanager
def claimed(ledger: Ledger, site: Site, order: WorkOrder) -> Iterator[None]:
    """Hold the lease of a task.

    Each execution claims under a name of its own, so that a scheduler that silently executes an order twice finds it
    held the second time. The lease of a dead process is taken over if running the task twice does no harm, or if the
    ledger shows that its run was never begun: its first event is written before its kernel is started.

    Parameters
    ----------
    ledger
        Where leases are kept.
    site
        Its settings.
    order
        The task.

    Raises
    ------
    LeaseError
        If it is held.
    """
    ticket = f"claim-{secrets.token_hex(8)}"
    holder = ProcessId.of()
    held = next((lease for lease in leases.all_leases(ledger) if lease.key == order.lease_key), None)
    free = False
    if held is not None:
        life = held.alive(site.procedure.stale_after_s)
        free = life is False and (order.idempotent or not runs_of(ledger, site, order))
        free = free or (life is None and order.idempotent)
        if free:
            leases.release(ledger, held.run)
    leases.take(ledger, order.lease_key, ticket, holder)
    try:
        yield
    finally:
        with contextlib.suppress(CommtoolsError):
            leases.release(ledger, ticket)


def _execute(ledger: Ledger, site: Site, order: WorkOrder) -> WorkResult:
    Path(order.output).parent.mkdir(parents=True, exist_ok=True)
    if order.batch:
        return _execute_batch(ledger, order)
    from lsst_commtools.procedure.runner import run_notebook

    switch = StopSwitch()
    with _running.entered(order, switch.stop):
        record = _resumed(ledger, site, order, switch) or run_notebook(
            order.notebook,
            order.parameters,
            output=order.output,
            site=site,
            kernel_name=order.kernel,
            cell_timeout_s=order.cell_timeout_s,
            run_timeout_s=order.run_timeout_s,
            folder=Path(order.notebook).parent,
            switch=switch,
            extra={"campaign": told(order)},
        )
    status = "cancelled" if record.status is RunStatus.ABORTED and switch.reason else record.status.value
    results: dict[str, Any] = {}
    with contextlib.suppress(LedgerAwayError):  # how it ended is known all the same
        results = results_of(ledger, record.run)
    return WorkResult(order.task, status, record.run, record.reason, results, executed=True)


def _resumed(ledger: Ledger, site: Site, order: WorkOrder, switch: StopSwitch) -> RunRecord | None:
    """Go on with the last run of a task, where that is asked for and can be; None where a new one is needed."""
    from lsst_commtools.procedure.runner import resume_run

    found = runs_of(ledger, site, order) if order.resumes else []
    if not found or found[-1].status not in (RunStatus.ABORTED, RunStatus.FAILED, RunStatus.UNKNOWN):
        return None
    try:
        return resume_run(
            found[-1].run,
            order.parameters,
            site=site,
            output=order.output,
            kernel_name=order.kernel,
            switch=switch,
        )
    except RefusedError:
        return None  # the notebook has changed, or whether its runner is dead cannot be seen


def _execute_batch(ledger: Ledger, order: WorkOrder) -> WorkResult:
    """Run a notebook of a quality check without a kernel; this process writes its record."""
    from lsst_commtools.procedure.notebook import read_notebook
    from lsst_commtools.procedure.parameters import json_values
    from lsst_commtools.procedure.warm.batch import BatchNotebook, run_in_fork

    run = new_run_name(order.notebook)
    journal = Journal(ledger, run)
    journal.note(
        Kind.RUN_STARTED,
        notebook=order.notebook,
        sha256=read_notebook(Path(order.notebook)).sha256,
        parameters=json_values(order.parameters),
        output=order.output,
        runner=ProcessId.of().to_dict(),
        engine="batch",
        campaign=told(order),
    )
    stopped = threading.Event()
    with contextlib.ExitStack() as stack:

        def started(process: Any) -> None:
            def stop() -> None:
                stopped.set()
                process.signal(signal.SIGKILL)

            stack.enter_context(_running.entered(order, stop))

        try:
            result = run_in_fork(
                BatchNotebook(Path(order.notebook), order.parameters, Path(order.output)),
                timeout_s=order.run_timeout_s,
                started=started,
            )
        except RefusedError as error:
            journal.note(Kind.RUN_ENDED, status="failed", reason=error.message, owed=[])
            raise
    for name, value in result.results.items():
        journal.note(Kind.MEASURED, name=name, value=value, unit="")
    journal.note(Kind.RUN_ENDED, status=result.status, reason=result.reason, owed=[])
    status = "cancelled" if stopped.is_set() else result.status
    return WorkResult(order.task, status, run, result.reason, result.results, executed=True)


def told(order: WorkOrder) -> dict[str, Any]:
    """Give what the first event of a run tells of its campaign, by which the task is found again.

    Parameters
    ----------
    order
        The task.

    Returns
    -------
    dict
        Plain values.
    """
    return {
        "name": order.campaign,
        "task": order.task,
        "content": order.content,
        "idempotent": order.idempotent,
        "worker": os.getpid(),
    }
