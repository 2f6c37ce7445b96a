"""A change of state by commands: each step is sent, and then seen to have happened."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from lsst_commtools.control.backend import Backend
from lsst_commtools.control.plan import Plan
from lsst_commtools.control.states import SummaryState, Transition, is_camera
from lsst_commtools.control.values import LogMessage, StateSample
from lsst_commtools.errors import (
    RejectedError,
    ServiceError,
    ServiceTimeoutError,
    StepError,
    UnknownOutcomeError,
    UnreachableError,
)
from lsst_commtools.ids import CscName

__all__ = ["Patience", "carry_out", "complaints", "confirm", "observe"]

_ASK_AGAIN_S = 2.0
_AFTER_REFUSAL_S = 1.0
_CLOCK_SLACK_S = 1.0


@dataclass(frozen=True)
class Patience:
    """How long to wait for what.

    Parameters
    ----------
    observe_s
        For a state and a heartbeat, in seconds.
    transition_s
        For one change of state, in seconds.
    """

    observe_s: float
    transition_s: float


def observe(backend: Backend, cscs: list[CscName], timeout_s: float) -> None:
    """Wait until all that can be known of some CSCs is known.

    Parameters
    ----------
    backend
        Way to the CSCs.
    cscs
        The CSCs.
    timeout_s
        How long to wait, in seconds; a CSC that is silent then is unknown.

    Raises
    ------
    UnreachableError
        If nothing could be heard at all.
    """
    board = backend.board
    backend.follow(cscs)
    known = board.wait(
        lambda: all(board.alive(csc) is not None and board.state_sample(csc) is not None for csc in cscs), timeout_s
    )
    if not known:
        backend.check_hearing()


def carry_out(backend: Backend, plan: Plan, patience: Patience, saw: Callable[[SummaryState], None]) -> None:
    """Send a plan's commands one after the other, each after the one before was seen to work.

    Parameters
    ----------
    backend
        Way to the CSC.
    plan
        What to do.
    patience
        How long to wait.
    saw
        Called with each state that was observed.

    Raises
    ------
    StepError
        If the CSC was seen to go elsewhere.
    ServiceError
        If a command was refused, or not acknowledged, and had no effect.
    UnknownOutcomeError
        If the effect could not be observed.
    """
    backend.listen(plan.csc)
    for transition in plan.transitions:
        backend.check_command(plan.csc, transition.command, plan.parameters(transition))
    for transition in plan.transitions:
        _one_step(backend, plan, transition, patience, saw)


def _one_step(
    backend: Backend, plan: Plan, transition: Transition, patience: Patience, saw: Callable[[SummaryState], None]
) -> None:
    csc, board = plan.csc, backend.board
    before = board.state_sample(csc)
    started_tai_s = backend.tai_now_s() - _CLOCK_SLACK_S
    trouble: ServiceError | None = None
    wait_s = patience.transition_s
    try:
        backend.command(csc, transition.command, plan.parameters(transition))
    except RejectedError as error:
        trouble, wait_s = error, _AFTER_REFUSAL_S
    except ServiceTimeoutError as error:
        trouble = error
    except UnreachableError as error:
        trouble, wait_s = error, min(patience.observe_s, patience.transition_s)
    sample = _next_state(backend, csc, before, transition.after, wait_s)
    if sample is not None:
        saw(sample.state)
        if sample.state is transition.after:
            return
    raise _failure(backend, plan, transition, sample, trouble, started_tai_s)


def _next_state(
    backend: Backend, csc: CscName, before: StateSample | None, wanted: SummaryState, timeout_s: float
) -> StateSample | None:
    """Wait for a newer event that says the wanted state, or FAULT; ask again now and then, as events can get lost."""

    def newer() -> StateSample | None:
        sample = backend.board.state_sample(csc)
        is_news = sample is not None and (before is None or sample.stamp > before.stamp)
        return sample if is_news else None

    def arrived() -> bool:
        sample = newer()
        return sample is not None and sample.state in (wanted, SummaryState.FAULT)

    deadline_s = time.monotonic() + timeout_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        if backend.board.wait(arrived, min(left_s, _ASK_AGAIN_S)):
            break
        backend.follow([csc])
    return newer()


def _failure(
    backend: Backend,
    plan: Plan,
    transition: Transition,
    sample: StateSample | None,
    trouble: ServiceError | None,
    started_tai_s: float,
) -> StepError | ServiceError:
    csc = plan.csc
    said = complaints(backend, csc, started_tai_s)
    seen = backend.board.csc_state(csc)
    if sample is not None:
        return StepError(f"{csc} went to {sample.state.name} on {transition.command}.", changed=f"{seen}", advice=said)
    if isinstance(trouble, RejectedError):
        return RejectedError(
            f"{transition.command} of {csc} was refused or broken: LOVE gives no reason.",
            changed=f"{seen}",
            advice=said or "The CSC logged nothing: see its log, and whether LOVE's commander is up.",
        )
    if isinstance(trouble, UnreachableError):
        return UnreachableError(trouble.message, changed=f"It is not known whether {csc} got {transition.command}. {seen}")
    if seen.alive is False:
        return UnknownOutcomeError(
            f"{csc} fell silent on {transition.command}.",
            changed=f"{seen}",
            advice=said or "See whether its process runs, and its log.",
        )
    unacknowledged = " and was not acknowledged" if trouble is not None else ""
    return UnknownOutcomeError(
        f"{transition.command} of {csc} had no effect within the time{unacknowledged}.",
        changed=f"{seen} The command may still take effect.",
        advice=said or "See the CSC's log.",
    )


def complaints(backend: Backend, csc: CscName, since_tai_s: float) -> str:
    """Put into words what a CSC complained of.

    Parameters
    ----------
    backend
        Way to the CSC, which listens to it.
    csc
        The CSC.
    since_tai_s
        From when on, TAI unix seconds.

    Returns
    -------
    str
        Error codes and the last warnings and errors; empty if there are none.
    """
    messages = [m for m in backend.board.log_messages(csc) if m.stamp.sent_tai_s >= since_tai_s]
    grave = [m for m in messages if m.level >= logging.WARNING]
    return " ".join(_complaint(m) for m in grave[-3:])


def _complaint(message: LogMessage) -> str:
    what = "logged" if message.error_code is None else f"gave error code {message.error_code}"
    lines = message.message.strip().splitlines()
    return f"{message.csc} {what}: {lines[0][:300] if lines else '(nothing)'}."


def confirm(backend: Backend, csc: CscName, target: SummaryState, timeout_s: float) -> str:
    """See that a CSC is in a state and alive, or, for OFFLINE, that it has ended.

    Parameters
    ----------
    backend
        Way to the CSC.
    csc
        The CSC.
    target
        State that it should be in.
    timeout_s
        How long to wait for heartbeats to come, or to cease, in seconds.

    Returns
    -------
    str
        What was observed.

    Raises
    ------
    StepError
        If it is seen to be elsewhere.
    UnknownOutcomeError
        If that cannot be observed.
    """
    board = backend.board
    ends = target is SummaryState.OFFLINE and not is_camera(csc)
    board.wait(lambda: board.alive(csc) is (not ends), timeout_s)
    seen = board.csc_state(csc)
    if seen.last_reported is not target:
        raise StepError(f"{csc} is not in {target.name}.", changed=f"{seen}")
    if not ends and seen.alive is not True:
        raise UnknownOutcomeError(
            f"{csc} reported {target.name} but is not seen to be alive.",
            changed=f"{seen}",
            advice="See whether its process runs, and its log.",
        )
    if ends and seen.alive is True:
        raise UnknownOutcomeError(
            f"{csc} reported OFFLINE but its heart still beats.",
            changed=f"{seen}",
            advice="See whether its process hangs, or whether another process has the same name and index.",
        )
    if ends and seen.alive is None:
        raise UnknownOutcomeError(
            f"{csc} reported OFFLINE, but whether its process has ended cannot be told.",
            changed=f"{seen}",
            advice="See whether LOVE's producer is up.",
        )
    if ends:
        return f"OFFLINE event seen, and heartbeats have ceased ({seen.evidence})."
    return ""
