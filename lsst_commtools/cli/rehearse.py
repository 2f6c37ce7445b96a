"""``commtools rehearse``: nights with people, roles and faults."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli.groups import lazy_group
from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.errors import CommtoolsError, InputError

if TYPE_CHECKING:
    from lsst_commtools.procedure.campaign.executors import Executor
    from lsst_commtools.rehearsal import Rehearsal
    from lsst_commtools.rehearsal.states import StepKey, StepState

__all__ = ["command"]

_COMMANDS = {
    "status": ("rehearse_status", "Show how the steps stand, and who is waited for."),
    "report": ("rehearse_report", "Write the reports of nights and of the rehearsal, and the standup pages."),
    "backlog": ("rehearse_backlog", "Show, assign and solve problems; export them."),
    "score": ("rehearse_score", "Which faults were noticed, by whom, and how long it took."),
}
_WORKERS = 3
_PAGE_S = 2.0


@click.group("rehearse", cls=lazy_group(_COMMANDS), invoke_without_command=True)
@click.option("--nights", type=click.IntRange(1, 30), help="How many nights [default: 3].")
@click.option("--dataset", metavar="simulated|DIR", help="Where the images come from [default: simulated].")
@click.option(
    "--inject",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The coordinator's file of faults; it is sealed.",
)
@click.option("--speed", type=float, help="Seconds of rehearsal in one real second [default: 10].")
@click.option("--unattended", is_flag=True, help="Stand-ins sign instead of people; every page says so.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder [default: below $COMMTOOLS_HOME].",
)
@click.option("--scheduler", metavar="ADDRESS", help="Run the notebooks on this Dask scheduler.")
@click.pass_context
def command(
    ctx: click.Context,
    nights: int | None,
    dataset: str | None,
    inject: Path | None,
    speed: float | None,
    work: Path | None,
    scheduler: str | None,
    *,
    unattended: bool,
) -> int | None:
    """Hold an operations rehearsal: transmission, calibrations, standup, processing, QA, report, night after night.

    Run again, the same command goes on where it stopped. Without --unattended it waits at each hold until those who
    own the step have signed. Exit code 1 if problems were noticed, 3 if a step failed.
    """
    if ctx.invoked_subcommand is not None:
        told = (nights, dataset, inject, speed, work, scheduler)
        if unattended or any(value is not None for value in told):
            raise InputError(f"Options belong after {ctx.invoked_subcommand!r}.")
        return None
    from lsst_commtools.rehearsal.opening import Wish, settle
    from lsst_commtools.rehearsal.rehearsal import Rehearsal

    context: Context = ctx.obj
    settings = settle(context.site, Wish(nights, dataset, speed, unattended, work))
    rehearsal = Rehearsal.create(context.site, settings)
    if inject is not None:
        from lsst_commtools.rehearsal.injects import seal

        seal(settings.work, rehearsal.journal, inject, len(settings.nights))
    stop = threading.Event()
    states = _conduct(rehearsal, scheduler, stop)
    return _tell(context, rehearsal, states, stopped=stop.is_set())


def _conduct(rehearsal: Rehearsal, scheduler: str | None, stop: threading.Event) -> dict[StepKey, StepState]:
    from lsst_commtools.rehearsal.conductor import conduct
    from lsst_commtools.rehearsal.monitor import LivePage

    with contextlib.ExitStack() as stack:
        page = stack.enter_context(LivePage(rehearsal))
        _say(f"rehearsal in {rehearsal.settings.work}")
        _say(f"campaign: {page.url}")
        stack.enter_context(_observatory(rehearsal))
        executor = _executor(scheduler)
        stack.callback(executor.close)
        stack.enter_context(_stoppable(stop, str(rehearsal.settings.work)))
        return conduct(rehearsal, executor, told=_say, stop=stop, changed=_Page(rehearsal))


class _Page:
    """Writes the campaign's page after changes, not too often."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal, self._written_s = rehearsal, 0.0

    def __call__(self) -> None:
        from lsst_commtools.rehearsal.monitor import write_page

        if time.monotonic() - self._written_s >= _PAGE_S:
            with contextlib.suppress(CommtoolsError, OSError):  # a page must not cost the night
                write_page(self._rehearsal)
            self._written_s = time.monotonic()


def _executor(scheduler: str | None) -> Executor:
    if scheduler is not None:
        from lsst_commtools.procedure.campaign.dask import DaskExecutor

        return DaskExecutor(scheduler, None)
    from lsst_commtools.procedure.campaign.executors import LocalExecutor

    # Transmission and processing go side by side, whatever the number of cores.
    return LocalExecutor(_WORKERS)


@contextlib.contextmanager
def _observatory(rehearsal: Rehearsal) -> Iterator[None]:
    """Have the simulated observatory at site ``local``; one that runs already is used and left."""
    from lsst_commtools.site.stand_ins import read_stand_ins

    if rehearsal.site.name != "local":
        yield
        return
    from lsst_commtools.simulate.observatory import start_simulator, stop_simulator

    mark = rehearsal.settings.work / "simulator.pid"
    running = read_stand_ins()
    if running is None:
        mark.write_text(str(start_simulator().pid), encoding="ascii")
    try:
        yield
    finally:
        running = read_stand_ins()
        if running is not None and mark.is_file() and mark.read_text(encoding="ascii") == str(running.pid):
            with contextlib.suppress(CommtoolsError):
                stop_simulator()
            mark.unlink(missing_ok=True)


@contextlib.contextmanager
def _stoppable(stop: threading.Event, work: str) -> Iterator[None]:
    """Let Ctrl-C and a polite kill stop the rehearsal instead of this process: what runs is ended in order."""

    def handle(number: int, _: Any) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        _say(f"Stopping. Go on with: commtools rehearse --work {work}")
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    kept = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _tell(context: Context, rehearsal: Rehearsal, states: dict[StepKey, StepState], *, stopped: bool) -> int:
    from lsst_commtools.rehearsal.journal import Kind
    from lsst_commtools.rehearsal.monitor import write_page
    from lsst_commtools.rehearsal.report import write_rehearsal_report
    from lsst_commtools.rehearsal.states import StepStatus, state_rows

    page = write_rehearsal_report(rehearsal)
    write_page(rehearsal)
    problems = {entry.data["problem"] for entry in rehearsal.entries({Kind.PROBLEM})}
    failed = [state for state in states.values() if state.status is StepStatus.FAILED]
    done = sum(state.status is StepStatus.DONE for state in states.values())
    document = {
        "work": str(rehearsal.settings.work),
        "unattended": rehearsal.unattended,
        "interrupted": stopped,
        "steps": state_rows(states),
        "problems": len(problems),
        "report": str(page),
    }
    lines = [f"{done} of {len(states)} steps are done, {len(problems)} problems were noticed."]
    if rehearsal.unattended:
        lines.append("Unattended: signed by stand-ins.")
    lines += [f"failed: night {s.night}, {s.step.id}: {s.reason}" for s in failed]
    context.emit(document, "\n".join([*map(safe_text, lines), str(page)]))
    if stopped:
        return 130
    if done < len(states):
        return 3
    return 1 if problems else 0


def _say(text: str) -> None:
    print(safe_text(text), file=sys.stderr, flush=True)
