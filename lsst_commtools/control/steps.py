"""Steps of a change of state: each is sent, and then seen to have happened."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from lsst_commtools.control.backend import Backend
from lsst_commtools.control.plan import Plan
from lsst_commtools.control.states import SummaryState, Transition, is_camera
from lsst_commtools.control.values import CscState, LogMessage, Stamp, StateSample
from lsst_commtools.errors import (
    NotFoundError,
    RejectedError,
    ServiceError,
    ServiceTimeoutError,
    StepError,
    UnknownOutcomeError,
    UnreachableError,
)
from lsst_commtools.ids import CscName

__all__ = [
    "Patience",
    "applied_configuration",
    "carry_out",
    "complaints",
    "confirm",
    "evident_state",
    "observe",
]

_ASK_AGAIN_S = 2.0
_AFTER_DEATH_S = 1.0
_AFTER_REFUSAL_S = 1.0
_CLOCK_SLACK_S = 1.0


@dataclass(frozen=True)
class Patience:
    """How long to wait for what.

    Parameters
    ----------
    observe_s
        For a state and a heartbeat, in seconds.
    gone_s
        For heartbeats to cease after OFFLINE, in seconds.
    transition_s
        For one change of state, in seconds.
    """

    observe_s: float
    gone_s: float
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
        lambda: all(board.alive(csc) is not None and board.state_sample(csc) is not None for csc in cscs),
        timeout_s,
    )
    if not known:
        backend.check_hearing()


def evident_state(backend: Backend, csc: CscName) -> CscState:
    """Give the observed state of a CSC, if it is evident.

    Parameters
    ----------
    backend
        Way to the CSC, which was observed already.
    csc
        The CSC.

    Returns
    -------
    CscState
        A state from which a change can be planned.

    Raises
    ------
    NotFoundError
        If nothing is heard of it.
    UnknownOutcomeError
        If it is not running, or its state is not evident.
    """
    seen = backend.board.csc_state(csc)
    if seen.state is not SummaryState.UNKNOWN:
        return seen
    never_heard = seen.last_reported is SummaryState.UNKNOWN and seen.heartbeat_age_s is None
    if never_heard:
        backend.check_name(csc)
    if seen.alive is False:
        raise UnknownOutcomeError(
            f"{csc} is not running: {seen.evidence}.",
            changed="Nothing was sent.",
            advice="Start its process (Argo CD, or the bench); it comes up in STANDBY.",
        )
    if never_heard:
        others = sorted(str(other) for other in backend.board.heard() if other.name == csc.name)
        raise NotFoundError(
            f"Nothing is heard of {csc}: no state event and no heartbeat.",
            changed="Nothing was sent.",
            advice=f"Did you mean {' or '.join(others)}?"
            if others
            else "See its index, and whether LOVE's producer watches it.",
        )
    raise UnknownOutcomeError(
        f"The state of {csc} is not evident: {seen.evidence}.",
        changed="Nothing was sent.",
        advice="Wait some seconds and ask again; see LOVE's producer if it stays so.",
    )


def carry_out(backend: Backend, plan: Plan, patience: Patience) -> None:
    """Send a plan's commands one after the other, each after the one before was seen to work.

    Parameters
    ----------
    backend
        Way to the CSC.
    plan
        What to do.
    patience
        How long to wait.

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
        backend.board.check_abandoned()
        _Step(backend, plan, transition, patience).take()


class _Step:
    """One command and what comes of it."""

    def __init__(self, backend: Backend, plan: Plan, transition: Transition, patience: Patience) -> None:
        self._backend, self._plan, self._transition, self._patience = backend, plan, transition, patience
        self._csc = plan.csc
        self._before = backend.board.state_sample(plan.csc)
        self._known_logs = {m.stamp for m in backend.board.log_messages(plan.csc)}
        self._started_tai_s = backend.tai_now_s() - _CLOCK_SLACK_S

    def take(self) -> None:
        """Send it, and see its effect."""
        trouble: ServiceError | None = None
        wait_s = self._patience.transition_s
        try:
            self._backend.command(
                self._csc, self._transition.command, self._plan.parameters(self._transition)
            )
        except RejectedError as error:
            trouble, wait_s = error, _AFTER_REFUSAL_S
        except ServiceTimeoutError as error:
            trouble = error
        except UnreachableError as error:
            trouble, wait_s = error, min(self._patience.observe_s, wait_s)
        sample = self._next_state(wait_s)
        if sample is None or sample.state is not self._transition.after:
            raise self._failure(sample, trouble)

    def _newer(self) -> StateSample | None:
        sample = self._backend.board.state_sample(self._csc)
        is_news = sample is not None and (self._before is None or sample.stamp > self._before.stamp)
        return sample if is_news else None

    def _arrived(self) -> bool:
        sample = self._newer()
        return sample is not None and sample.state in (self._transition.after, SummaryState.FAULT)

    def _next_state(self, timeout_s: float) -> StateSample | None:
        """Wait for a newer event that says the wanted state, or FAULT; ask again, as events can get lost."""
        board = self._backend.board
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            heard = board.wait(
                lambda: self._arrived() or board.alive(self._csc) is False,
                min(left_s, _ASK_AGAIN_S),
                self._csc,
            )
            if self._arrived():
                break
            self._backend.follow([self._csc])
            if heard:  # it is dead: only an event that was lost can still come
                board.wait(self._arrived, _AFTER_DEATH_S, self._csc)
                break
        return self._newer()

    def _failure(self, sample: StateSample | None, trouble: ServiceError | None) -> StepError | ServiceError:
        csc, command = self._csc, self._transition.command
        said = complaints(self._backend, csc, self._started_tai_s, self._known_logs)
        seen = self._backend.board.csc_state(csc)
        if sample is not None and sample.state is not SummaryState.UNKNOWN:
            return StepError(
                f"{csc} went to {sample.state.name} on {command}.", changed=f"{seen}", advice=said
            )
        if isinstance(trouble, RejectedError):
            return RejectedError(
                trouble.message,
                changed=f"{seen}",
                advice=said
                or "The CSC logged nothing of it: see its log, and whether LOVE's commander is up.",
            )
        if isinstance(trouble, UnreachableError):
            return UnreachableError(
                trouble.message, changed=f"It is not known whether {csc} got {command}. {seen}"
            )
        if seen.alive is False:
            return UnknownOutcomeError(
                f"{csc} fell silent on {command}.",
                changed=f"{seen}",
                advice=said or "See whether its process runs, and its log.",
            )
        unacknowledged = " and was not acknowledged" if trouble is not None else ""
        return UnknownOutcomeError(
            f"{command} of {csc} had no effect within the time{unacknowledged}.",
            changed=f"{seen} The command may still take effect.",
            advice=said or "See the CSC's log.",
        )


def complaints(
    backend: Backend,
    csc: CscName,
    since_tai_s: float = 0.0,
    known: set[Stamp] | frozenset[Stamp] = frozenset(),
) -> str:
    """Put into words what a CSC or script complained of.

    Parameters
    ----------
    backend
        Way to the CSC, which listens to it.
    csc
        The CSC.
    since_tai_s
        From when on, TAI unix seconds.
    known
        Messages that are no news.

    Returns
    -------
    str
        Error codes and the last warnings and errors; empty if there are none.
    """
    grave = [
        message
        for message in backend.board.log_messages(csc)
        if message.stamp.sent_tai_s >= since_tai_s
        and message.stamp not in known
        and message.level >= logging.WARNING
    ]
    return " ".join(_complaint(message) for message in grave[-3:])


def _complaint(message: LogMessage) -> str:
    what = "logged" if message.error_code is None else f"gave error code {message.error_code}"
    lines = message.message.strip().splitlines()
    return f"{message.csc} {what}: {lines[0][:300].rstrip('.') if lines else '(nothing)'}."


def applied_configuration(backend: Backend, csc: CscName, since: StateSample | None) -> str:
    """Say which configuration a CSC told that it applied.

    Parameters
    ----------
    backend
        Way to the CSC, which listens to it.
    csc
        The CSC.
    since
        State before the change: what was applied earlier is no news.

    Returns
    -------
    str
        A sentence, also where nothing was told.
    """

    def told() -> str:
        values = backend.board.stream(csc.name, csc.index, "configurationApplied") or {}
        sent_tai_s = values.get("private_sndStamp")
        is_news = isinstance(sent_tai_s, int | float) and (
            since is None or sent_tai_s > since.stamp.sent_tai_s
        )
        return str(values.get("configurations", "")) if is_news else ""

    backend.board.wait(lambda: bool(told()), _AFTER_REFUSAL_S, csc)
    applied = told()
    return (
        f"Configuration applied: {applied}." if applied else "It did not tell which configuration it applied."
    )


def confirm(backend: Backend, csc: CscName, target: SummaryState, patience: Patience) -> str:
    """See that a CSC is in a state and alive, or, for OFFLINE, that it has ended.

    Parameters
    ----------
    backend
        Way to the CSC.
    csc
        The CSC.
    target
        State that it should be in.
    patience
        How long to wait for the event, and for heartbeats to come or to cease.

    Returns
    -------
    str
        What was observed; empty where that is nothing special.

    Raises
    ------
    StepError
        If it is seen to be elsewhere.
    UnknownOutcomeError
        If that cannot be observed.
    """
    board = backend.board
    ends = target is SummaryState.OFFLINE and not is_camera(csc)
    board.wait(
        lambda: board.csc_state(csc).last_reported is target and board.alive(csc) is (not ends),
        patience.gone_s if ends else patience.observe_s,
        csc,
    )
    seen = board.csc_state(csc)
    if seen.last_reported is not target:
        sample = board.state_sample(csc)
        since_tai_s = 0.0 if sample is None else sample.stamp.sent_tai_s - _CLOCK_SLACK_S
        said = complaints(backend, csc, since_tai_s)
        raise StepError(f"{csc} is not in {target.name}.", changed=f"{seen}", advice=said)
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
    return f"OFFLINE event seen, and heartbeats have ceased ({seen.evidence})." if ends else ""
