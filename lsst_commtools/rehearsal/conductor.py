"""The conductor: runs the notebooks of the outline in their turn, and goes on where it was stopped."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import TYPE_CHECKING

from lsst_commtools.errors import CommtoolsError, StepError
from lsst_commtools.procedure.campaign.executors import Executor
from lsst_commtools.procedure.campaign.plan import content_key
from lsst_commtools.procedure.campaign.work import WorkOrder, WorkResult
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.procedure.ledger.store import ledger_url
from lsst_commtools.procedure.notebook import code_sha256, read_notebook
from lsst_commtools.rehearsal.injects import Injector
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.outline import FINAL_STANDUP, OUTLINE, Role, Step
from lsst_commtools.rehearsal.poll import polls
from lsst_commtools.rehearsal.stand_ins import StandIns, waiting
from lsst_commtools.rehearsal.states import (
    StepKey,
    StepState,
    StepStatus,
    all_steps,
    needs_of,
    outline_states,
    stale,
)

if TYPE_CHECKING:
    from lsst_commtools.procedure.ledger.leases import Lease
    from lsst_commtools.rehearsal.rehearsal import Rehearsal
    from lsst_commtools.site import Site

__all__ = ["Told", "conduct", "notebook_of"]

Told = Callable[[str], None]
"""Called with one line for people."""

_TICK_S = 0.5
_WATCH_S = 5.0
_TRIES = 3
_RETRY_S = 2.0
_STEP_TIMEOUT_S = 7200.0


def notebook_of(step: Step) -> Path:
    """Find the notebook of a step.

    Parameters
    ----------
    step
        The step.

    Returns
    -------
    pathlib.Path
        The file.
    """
    from lsst_commtools.night.notebooks import notebooks_folder

    number = (*OUTLINE, FINAL_STANDUP).index(step) + 1
    return notebooks_folder() / "rehearsal" / f"{number:02d}_{step.notebook}.ipynb"


def conduct(
    rehearsal: Rehearsal,
    executor: Executor,
    *,
    told: Told,
    stop: threading.Event,
    changed: Callable[[], None] = lambda: None,
) -> dict[StepKey, StepState]:
    """Run all steps that are not done.

    A step that fails does not stop the night: what follows it goes on with what there is. Called again, the failed
    steps are tried again, and then what follows them.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    executor
        Where notebooks run; the caller closes it.
    told
        Called with what people should know.
    stop
        When it is set, running notebooks are interrupted, and nothing more is begun.
    changed
        Called after each change.

    Returns
    -------
    dict
        How each step stands.

    Raises
    ------
    LeaseError
        If somebody else conducts this rehearsal.
    """
    with _conducting(rehearsal) as lost:
        return _Conductor(rehearsal, executor, told, stop, changed, lost).run()


class _Conductor:
    def __init__(
        self,
        rehearsal: Rehearsal,
        executor: Executor,
        told: Told,
        stop: threading.Event,
        changed: Callable[[], None],
        lost: threading.Event,
    ) -> None:
        self._rehearsal, self._executor, self._told, self._stop = rehearsal, executor, told, stop
        self._changed, self._lost = changed, lost
        self._nights = len(rehearsal.settings.nights)
        self._site = _site_of_workers(rehearsal.site)
        self._injector = Injector.of(rehearsal)
        self._running: dict[Future[WorkResult], tuple[StepKey, contextlib.ExitStack]] = {}
        self._tries: dict[StepKey, int] = {}
        self._again_s: dict[StepKey, float] = {}
        self._asked: set[str] = set()
        self._here: set[StepKey] = set()

    def run(self) -> dict[StepKey, StepState]:
        self._injector.recover()
        cancelled = False
        with StandIns(self._rehearsal, self._told), _watched(self._rehearsal, self._night):
            while True:
                if (self._stop.is_set() or self._lost.is_set()) and not cancelled:
                    cancelled = True
                    self._executor.cancel(self._campaign)
                if not cancelled:
                    self._begin_ready()
                if not self._running and (cancelled or not self._left()):
                    break
                self._look()
        states = self._states()
        if not cancelled and all(state.status is StepStatus.DONE for state in states.values()):
            self._reveal()
        clock = self._rehearsal.clock
        if clock.speed:
            clock.set(None, 0.0, "nobody conducts the rehearsal")
        return states

    @property
    def _campaign(self) -> str:
        return f"rehearsal-{self._rehearsal.settings.work.name}"

    def _states(self) -> dict[StepKey, StepState]:
        return outline_states(self._rehearsal.entries({Kind.STEP_STARTED, Kind.STEP_ENDED}), self._nights)

    def _night(self) -> int:
        """Give the night that is worked at."""
        running = [key[0] for key, _ in self._running.values()]
        return max(running) if running else 1

    def _left(self) -> list[StepKey]:
        """List the steps that are still to be begun here."""
        states = self._states()
        return [key for key in states if self._wanted(key, states)]

    def _wanted(self, key: StepKey, states: dict[StepKey, StepState]) -> bool:
        if key in (k for k, _ in self._running.values()) or self._tries.get(key, 0) >= _TRIES:
            return False
        if states[key].status is StepStatus.FAILED and key in self._here and not self._may_retry(key):
            return False
        return stale(states, key)

    def _may_retry(self, key: StepKey) -> bool:
        # People decide themselves when a step is tried again; stand-ins cannot.
        return self._rehearsal.settings.unattended and self._tries.get(key, 0) < _TRIES

    def _begin_ready(self) -> None:
        states = self._states()
        busy = {key for key, _ in self._running.values()}
        for number, step in all_steps(self._nights):
            key = (number, step.id)
            if len(self._running) >= self._executor.slots:
                return
            if not self._wanted(key, states) or time.monotonic() < self._again_s.get(key, 0.0):
                continue
            needs = needs_of(number, step)
            ended = (StepStatus.DONE, StepStatus.FAILED)
            blocked = any(
                need in busy or states[need].status not in ended or self._wanted(need, states)
                for need in needs
            )
            if not blocked:
                self._begin(key, step, states)

    def _begin(self, key: StepKey, step: Step, states: dict[StepKey, StepState]) -> None:
        number = key[0]
        night = self._rehearsal.night(number)
        self._tries[key] = self._tries.get(key, 0) + 1
        self._here.add(key)
        stack = contextlib.ExitStack()
        try:
            if not step.after and step is not FINAL_STANDUP:
                night.prepare()
            self._injector.before(step.id, number)
            stack.enter_context(self._injector.during(step.id, number))
            order = self._order(key, step, states)
        except CommtoolsError as error:
            stack.close()
            self._fail(key, "", error.message, type(error).__name__)
            return
        self._told(f"night {number}: {step.title} ({step.owner})")
        self._running[self._executor.submit(order)] = key, stack
        self._changed()

    def _order(self, key: StepKey, step: Step, states: dict[StepKey, StepState]) -> WorkOrder:
        number = key[0]
        night = self._rehearsal.night(number)
        notebook = read_notebook(notebook_of(step))
        parameters = {"work": str(self._rehearsal.settings.work), "night": number}
        # Done anew since, what it follows makes it another task.
        after = [
            (f"{n} {name}", str(states[n, name].ended)) for n, name in needs_of(number, step) if n == number
        ]
        return WorkOrder(
            campaign=self._campaign,
            task=f"night-{number}-{step.id}",
            notebook=str(notebook.path),
            parameters=parameters,
            content=content_key(code_sha256(notebook.nb), parameters, after),
            output=str(night.notebooks / f"{notebook.path.stem}.ipynb"),
            site=self._site,
            kernel=self._rehearsal.site.rehearsal.kernel,
            idempotent=True,
            run_timeout_s=_STEP_TIMEOUT_S if self._rehearsal.settings.unattended else None,
            resumes=True,
        )

    def _look(self) -> None:
        """Wait a little; settle what has ended; say who is waited for."""
        ended, _ = (
            wait(self._running, timeout=_TICK_S, return_when=FIRST_COMPLETED) if self._running else ((), ())
        )
        if not self._running:
            time.sleep(_TICK_S)
        for future in ended:
            key, stack = self._running.pop(future)
            stack.close()
            self._end(key, future)
        self._injector.tick()
        self._rehearsal.check_clock()
        if not self._rehearsal.settings.unattended:
            self._ask()

    def _end(self, key: StepKey, future: Future[WorkResult]) -> None:
        error = future.exception()
        if error is not None:
            self._fail(key, "", f"its worker gave no result: {error}", type(error).__name__)
        else:
            result = future.result()
            state = self._states()[key]
            if result.status == "done" and state.status is StepStatus.DONE:
                seconds = _seconds(state)
                self._told(f"night {key[0]}: {state.step.title}: done in {seconds:.0f} s")
            elif result.status == "cancelled":
                self._told(f"night {key[0]}: {state.step.title}: interrupted")
            else:
                run = result.run or state.run
                self._fail(key, run, self._why(run, result.reason or result.status), result.status)
        self._changed()

    def _fail(self, key: StepKey, run: str, reason: str, exception: str) -> None:
        number, name = key
        step = self._states()[key].step
        self._told(f"night {number}: {step.title}: failed: {reason}")
        if self._may_retry(key):
            self._again_s[key] = time.monotonic() + _RETRY_S * self._tries.get(key, 1)
            return
        self._rehearsal.note_problem(
            "step-failed",
            f"{step.title}: {reason}",
            f"step {name}",
            role=step.owners[0] if len(step.owners) == 1 else Role.COORDINATOR,
            night=number,
            step=name,
            exception=exception,
            place=name,
        )
        self._rehearsal.journal.append(
            Kind.STEP_ENDED, number, role=step.owner, step=name, run=run, status="failed", reason=reason
        )

    def _why(self, run: str, reason: str) -> str:
        """Say which step of a notebook failed and why, where the ledger knows it."""
        from lsst_commtools.procedure.runs import show_run

        section = self._rehearsal.site.procedure
        try:
            steps = show_run(Ledger.at(section), section, run).steps
        except CommtoolsError:
            return reason
        failed = [step for step in steps if step.reason and step.status.value in ("failed", "unknown")]
        return f"{failed[-1].name}: {failed[-1].reason}" if failed else reason

    def _ask(self) -> None:
        """Say once of each hold and poll who is waited for."""
        for hold in waiting(self._rehearsal):
            roles = ", ".join(hold.data["roles"])
            self._say_once(
                f"waiting for {roles}: {hold.data['name']}. Sign in the widget of procedures, or: commtools runs sign "
                f"{hold.run} {hold.data['step']} --as ROLE --name NAME"
            )
        kinds = {Kind.POLL_OPENED, Kind.POLL_ANSWERED, Kind.POLL_CLOSED}
        for poll in polls(self._rehearsal.entries(kinds)):
            if not poll.closed:
                self._say_once(
                    f"waiting for {', '.join(poll.asked)}: {poll.question} Answer in a notebook with "
                    f"lsst_commtools.widgets.PollPanel('{self._rehearsal.settings.journal}')"
                )

    def _say_once(self, text: str) -> None:
        if text not in self._asked:
            self._asked.add(text)
            self._told(text)

    def _reveal(self) -> None:
        left = self._injector.end()
        for name, why in left.items():
            self._told(f"the inject {name} is not undone: {why}")


def _seconds(state: StepState) -> float:
    import datetime as dt

    started, ended = (dt.datetime.fromisoformat(text) for text in (state.started_utc, state.ended_utc))
    return (ended - started).total_seconds()


def _site_of_workers(site: Site) -> Site:
    """Workers elsewhere must write into the same ledger, wherever their own user's folder is."""
    return site.model_copy(
        update={"procedure": site.procedure.model_copy(update={"ledger_url": ledger_url(site.procedure)})}
    )


@contextlib.contextmanager
def _conducting(rehearsal: Rehearsal) -> Iterator[threading.Event]:
    """Hold the right to conduct, and renew it; that of a process which was seen to be gone is free."""
    section = rehearsal.site.procedure
    ledger = Ledger.at(section)
    ticket = f"conductor-{secrets.token_hex(8)}"
    holder = ProcessId.of()
    key = f"rehearsal:{rehearsal.settings.work}"
    held: Lease | None = leases.lease_of(ledger, key)
    gone = held if held is not None and held.alive(section.stale_after_s) is False else None
    leases.take(ledger, key, ticket, holder, instead_of=gone)
    leases.take(ledger, leases.run_key(ticket), ticket, holder)
    lost, stop = threading.Event(), threading.Event()

    def renew() -> None:
        while not stop.wait(section.heartbeat_s):
            with contextlib.suppress(CommtoolsError):
                if not leases.renew(ledger, ticket, holder):
                    lost.set()
                    return

    thread = threading.Thread(target=renew, name="conductor", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        stop.set()
        thread.join()
        with contextlib.suppress(CommtoolsError):
            leases.release(ledger, ticket)
    if lost.is_set():
        raise StepError("The right to conduct this rehearsal was taken over by somebody else.")


@contextlib.contextmanager
def _watched(rehearsal: Rehearsal, night: Callable[[], int]) -> Iterator[None]:
    """Watch the observatory meanwhile, in a thread of its own: services that are down take their time to say so."""
    from lsst_commtools.rehearsal.meetings import note_sight
    from lsst_commtools.rehearsal.watch import ObservatoryWatch

    stop = threading.Event()

    def look() -> None:
        with ObservatoryWatch(rehearsal.site) as watch:
            while not stop.wait(_WATCH_S):
                with contextlib.suppress(CommtoolsError):
                    note_sight(rehearsal, watch, night())

    thread = threading.Thread(target=look, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
