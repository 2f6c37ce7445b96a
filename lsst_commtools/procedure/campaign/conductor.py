"""Running a campaign: what is ready is handed to the executor, what ends makes others ready."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsst_commtools.errors import CommtoolsError, InputError, LedgerAwayError
from lsst_commtools.procedure.campaign.executors import Executor
from lsst_commtools.procedure.campaign.model import Campaign
from lsst_commtools.procedure.campaign.plan import Task, content_key, plan_tasks, resolve_parameters
from lsst_commtools.procedure.campaign.work import WorkOrder, WorkResult, runs_of
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.ledger.store import ledger_url
from lsst_commtools.procedure.notebook import NotebookFile, code_sha256, read_notebook
from lsst_commtools.procedure.parameters import check_parameters
from lsst_commtools.procedure.values import Kind, slug
from lsst_commtools.site import Site

__all__ = ["CampaignReport", "Progress", "TaskState", "new_campaign_run", "run_campaign"]

_TICK_S = 0.5
_LOST_TRIES = 3
_ENDED = frozenset({"done", "failed", "aborted", "unknown", "refused", "cancelled", "blocked"})


@dataclass
class TaskState:
    """How a task stands.

    Parameters
    ----------
    task
        Its name.
    status
        ``waiting``, ``running``, or how it ended: ``done``, ``failed``, ``aborted``, ``unknown``, ``refused``,
        ``cancelled``, or ``blocked`` by one that it needs.
    run
        Name of its last run.
    reason
        Why it is not done.
    executed
        Whether it was run now; False for one that was done before.
    tries
        How often it was handed to the executor.
    results
        What it measured.
    """

    task: str
    status: str = "waiting"
    run: str | None = None
    reason: str = ""
    executed: bool = False
    tries: int = 0
    results: Mapping[str, Any] = field(default_factory=dict)


Progress = Callable[[Mapping[str, TaskState]], None]


@dataclass(frozen=True)
class CampaignReport:
    """How a campaign ended.

    Parameters
    ----------
    campaign
        Its name.
    run
        Name under which the ledger has its course.
    tasks
        How each task ended, in order.
    """

    campaign: str
    run: str
    tasks: list[TaskState]

    @property
    def good(self) -> bool:
        """Whether all tasks are done."""
        return all(task.status == "done" for task in self.tasks)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, for JSON output."""
        return {
            "campaign": self.campaign,
            "run": self.run,
            "tasks": [
                {
                    "task": t.task,
                    "status": t.status,
                    "run": t.run,
                    "reason": t.reason,
                    "executed": t.executed,
                    "tries": t.tries,
                    "results": dict(t.results),
                }
                for t in self.tasks
            ],
        }


def run_campaign(
    campaign: Campaign,
    executor: Executor,
    *,
    site: Site | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    run: str | None = None,
) -> CampaignReport:
    """Run a campaign.

    Parameters
    ----------
    campaign
        What to run.
    executor
        Where to run it; the caller closes it.
    site
        Where notebooks work, by default as `Site.load` says.
    progress
        Called after each change with how all tasks stand.
    stop
        When it is set, running cells are interrupted, their closing cells run, and nothing more is begun.
    run
        Name under which its course is recorded, by default a new one.

    Returns
    -------
    CampaignReport
        How each task ended; a notebook that fails is told there, not raised.

    Raises
    ------
    InputError
        If a notebook is missing, or a parameter is unknown to it; nothing was run.
    """
    return _Conductor(
        campaign, executor, site or Site.load(), progress, stop, run or new_campaign_run(campaign)
    ).run()


def new_campaign_run(campaign: Campaign) -> str:
    """Make the name under which the ledger has the course of a campaign.

    Parameters
    ----------
    campaign
        The campaign.

    Returns
    -------
    str
        Its name.
    """
    return f"campaign-{slug(campaign.campaign)[:40]}-{secrets.token_hex(4)}"


class _Conductor:
    def __init__(
        self,
        campaign: Campaign,
        executor: Executor,
        site: Site,
        progress: Progress | None,
        stop: threading.Event | None,
        run: str,
    ) -> None:
        self._campaign = campaign
        self._executor = executor
        self._stop = stop or threading.Event()
        self._progress = progress or (lambda _: None)
        # Workers elsewhere must write into the same ledger, wherever their own user's folder is.
        url = ledger_url(site.procedure)
        self._site = site.model_copy(
            update={"procedure": site.procedure.model_copy(update={"ledger_url": url})}
        )
        self._ledger = Ledger.at(self._site.procedure)
        self._journal = Journal(self._ledger, run)
        self._tasks = {task.name: task for task in plan_tasks(campaign)}
        self._notebooks = self._read_notebooks()
        self._states = {name: TaskState(name) for name in self._tasks}
        self._futures: dict[Future[WorkResult], WorkOrder] = {}
        self._hashes: dict[Path, tuple[tuple[int, int], str]] = {}

    def run(self) -> CampaignReport:
        self._note_plan()
        self._progress(self._states)
        cancelled = False
        while self._futures or not all(state.status in _ENDED for state in self._states.values()):
            if self._stop.is_set() and not cancelled:
                cancelled = True
                self._executor.cancel(self._campaign.campaign)
            self._begin_ready(cancelled=cancelled)
            if not self._futures:
                continue
            ended, _ = wait(self._futures, timeout=_TICK_S, return_when=FIRST_COMPLETED)
            for future in ended:
                self._end(self._futures.pop(future), future)
        return CampaignReport(self._campaign.campaign, self._journal.run, list(self._states.values()))

    def _begin_ready(self, *, cancelled: bool) -> None:
        """Hand over what is ready; tell what can no more become so."""
        slots = self._executor.slots
        for name, state in self._states.items():
            if state.status != "waiting":
                continue
            if cancelled:
                self._set(state, "cancelled", reason="the campaign was cancelled")
                continue
            needs = [self._states[need] for need in self._tasks[name].needs]
            bad = next((n for n in needs if n.status in _ENDED and n.status != "done"), None)
            if bad is not None:
                self._set(state, "blocked", reason=f"{bad.task} is {bad.status}")
            elif len(self._futures) < slots and all(n.status == "done" for n in needs):
                self._begin(self._tasks[name], state)

    def _begin(self, task: Task, state: TaskState) -> None:
        try:
            order = self._order(task, state.tries + 1)
        except CommtoolsError as error:
            self._set(state, "refused", reason=error.message)
            return
        state.tries += 1
        self._set(state, "running")
        self._futures[self._executor.submit(order)] = order

    def _order(self, task: Task, number: int) -> WorkOrder:
        entry = task.entry
        results = {name: state.results for name, state in self._states.items()}
        values = resolve_parameters(task, self._tasks, results)
        notebook = self._notebooks[entry.id]
        from lsst_commtools.procedure.runner import notebook_parameters

        check_parameters(notebook_parameters(notebook.nb), values)
        inputs = [(str(path), self._hash(self._campaign.folder / path)) for path in entry.inputs]
        content = content_key(code_sha256(notebook.nb), values, inputs)
        tries = f"-try{number}" if number > 1 else ""
        digest = hashlib.sha256(task.name.encode()).hexdigest()[:6]
        name = f"{slug(task.name)}-{digest}-{content[:8]}{tries}.ipynb"
        return WorkOrder(
            campaign=self._campaign.campaign,
            task=task.name,
            notebook=str(notebook.path),
            parameters=values,
            content=content,
            output=str(self._campaign.folder / self._campaign.output / name),
            site=self._site,
            kernel=entry.kernel or self._campaign.kernel,
            idempotent=entry.idempotent,
            batch=entry.batch,
            cell_timeout_s=entry.cell_timeout_s,
            run_timeout_s=entry.run_timeout_s,
        )

    def _end(self, order: WorkOrder, future: Future[WorkResult]) -> None:
        state = self._states[order.task]
        error = future.exception()
        result = self._lost(order, error) if error is not None else future.result()
        harmless = order.idempotent and result.status in ("failed", "aborted", "unknown")
        allowed = self._tasks[order.task].entry.retries if harmless else 0
        if error is not None and result.run is None and result.status == "aborted":
            allowed += (
                _LOST_TRIES  # it never began: its claim in the ledger would keep it from beginning twice
            )
        again = state.tries <= allowed and result.status != "done" and not self._stop.is_set()
        state.run, state.results = result.run, result.results
        state.executed = state.executed or result.executed
        self._set(state, "waiting" if again else result.status, reason=result.reason)

    def _lost(self, order: WorkOrder, error: BaseException) -> WorkResult:
        """Tell of a task whose worker is gone what the ledger knows."""
        why = f"its worker gave no result: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        try:
            self._ledger.merge_spools()
            found = runs_of(self._ledger, self._site, order)
        except LedgerAwayError:
            return WorkResult(order.task, "unknown", reason=f"{why}, and the ledger is away", executed=True)
        if not found:
            return WorkResult(order.task, "aborted", reason=f"{why} before it began")
        last = found[-1]
        if last.status == "done":
            return WorkResult(order.task, "done", last.run, executed=True)
        owed = f"; still owed: {', '.join(last.owed)}" if last.owed else ""
        status = "unknown" if last.status in ("unknown", "running", "waiting") else "aborted"
        return WorkResult(order.task, status, last.run, f"{why}{owed}", executed=True)

    def _set(self, state: TaskState, status: str, *, reason: str = "") -> None:
        state.status, state.reason = status, reason
        with contextlib.suppress(LedgerAwayError):
            self._journal.note(
                Kind.NOTE,
                campaign=self._campaign.campaign,
                task=state.task,
                status=status,
                reason=reason,
                task_run=state.run,
                tries=state.tries,
            )
        self._progress(self._states)

    def _note_plan(self) -> None:
        self._journal.note(Kind.NOTE, campaign=self._campaign.campaign, plan=list(self._tasks))

    def _read_notebooks(self) -> dict[str, NotebookFile]:
        """Read all notebooks, and look whether their parameters are known, before anything is run."""
        from lsst_commtools.procedure.runner import notebook_parameters

        found = {}
        for entry in self._campaign.notebooks:
            notebook = read_notebook(self._campaign.folder / entry.notebook)
            known = {parameter.name for parameter in notebook_parameters(notebook.nb)}
            unknown = sorted({*entry.parameters, *entry.matrix} - known)
            if unknown:
                raise InputError(
                    f"{entry.id}: {notebook.path.name} has no parameter {unknown[0]!r}.",
                    changed="Nothing was run.",
                    advice=f"It has {', '.join(sorted(known)) or 'none'}.",
                )
            found[entry.id] = notebook
        return found

    def _hash(self, path: Path) -> str:
        """Hash an input; again only if it has changed since."""
        try:
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_size)
            if self._hashes.get(path, (None, ""))[0] != mark:
                with path.open("rb") as stream:
                    self._hashes[path] = (mark, hashlib.file_digest(stream, "sha256").hexdigest())
        except OSError as error:
            raise InputError(f"The input {path} cannot be read: {error.strerror}.") from None
        return self._hashes[path][1]
