"""How the steps of a rehearsal stand, as its journal tells. Pure functions of entries."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from lsst_commtools.rehearsal.journal import Entry, Kind
from lsst_commtools.rehearsal.outline import FINAL_STANDUP, OUTLINE, Step

__all__ = [
    "StepKey",
    "StepState",
    "StepStatus",
    "all_steps",
    "needs_of",
    "outline_states",
    "stale",
    "state_rows",
]

StepKey = tuple[int, str]
"""Number of the night, and identifier of the step."""


class StepStatus(enum.StrEnum):
    """How a step stands, as far as the journal knows."""

    WAITING = "waiting"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class StepState:
    """How a step stands.

    Parameters
    ----------
    night
        Number of its night.
    step
        The step.
    status
        How it stands.
    run
        Its last run in the ledger.
    started, ended
        Numbers of the entries that tell of its last start and end; 0 where there is none.
    started_utc, ended_utc, started_rehearsal_utc, ended_rehearsal_utc
        When that was, by both clocks; empty where it was not.
    reason
        Why it failed.
    starts
        How often it was begun.
    """

    night: int
    step: Step
    status: StepStatus = StepStatus.WAITING
    run: str = ""
    started: int = 0
    ended: int = 0
    started_utc: str = ""
    ended_utc: str = ""
    started_rehearsal_utc: str = ""
    ended_rehearsal_utc: str = ""
    reason: str = ""
    starts: int = 0

    @property
    def key(self) -> StepKey:
        """What names it."""
        return self.night, self.step.id


def all_steps(nights: int) -> list[tuple[int, Step]]:
    """List the steps of all nights.

    Parameters
    ----------
    nights
        How many nights there are.

    Returns
    -------
    list of tuple of int and Step
        In order; the final standup belongs to the last night.
    """
    return [(night, step) for night in range(1, nights + 1) for step in OUTLINE] + [(nights, FINAL_STANDUP)]


def needs_of(night: int, step: Step) -> list[StepKey]:
    """List what must have ended before a step may begin.

    Parameters
    ----------
    night, step
        The step.

    Returns
    -------
    list of tuple of int and str
        Steps of its night, or the last one of the night before.
    """
    last = OUTLINE[-1].id
    if step is FINAL_STANDUP:
        return [(night, last)]
    if not step.after:
        return [(night - 1, last)] if night > 1 else []
    return [(night, name) for name in step.after]


def outline_states(entries: Iterable[Entry], nights: int) -> dict[StepKey, StepState]:
    """Tell how each step stands.

    Parameters
    ----------
    entries
        The journal.
    nights
        How many nights there are.

    Returns
    -------
    dict
        In the order of the outline.
    """
    states = {(night, step.id): StepState(night, step) for night, step in all_steps(nights)}
    for entry in entries:
        key = (entry.night, str(entry.data.get("step", "")))
        if key not in states:
            continue
        if entry.kind is Kind.STEP_STARTED:
            states[key] = replace(
                states[key],
                status=StepStatus.STARTED,
                run=str(entry.data.get("run", "")),
                started=entry.number,
                started_utc=entry.at_utc,
                started_rehearsal_utc=entry.at_rehearsal_utc,
                ended_utc="",
                ended_rehearsal_utc="",
                reason="",
                starts=states[key].starts + 1,
            )
        elif entry.kind is Kind.STEP_ENDED:
            done = entry.data.get("status") == "done"
            states[key] = replace(
                states[key],
                status=StepStatus.DONE if done else StepStatus.FAILED,
                ended=entry.number,
                ended_utc=entry.at_utc,
                ended_rehearsal_utc=entry.at_rehearsal_utc,
                reason=str(entry.data.get("reason", "")),
            )
    return states


def stale(states: dict[StepKey, StepState], key: StepKey) -> bool:
    """Tell whether a step is to be done (again): it is not done, or what it follows has been done anew since.

    Parameters
    ----------
    states
        How all steps stand.
    key
        The step.

    Returns
    -------
    bool
        Whether it is.
    """
    state = states[key]
    if state.status is not StepStatus.DONE:
        return True
    # The next night does not begin anew because an old report was written again.
    needs = [need for need in needs_of(state.night, state.step) if need[0] == state.night]
    return any(states[need].ended > state.started for need in needs)


def state_rows(states: dict[StepKey, StepState]) -> list[dict[str, Any]]:
    """Give how the steps stand as plain values.

    Parameters
    ----------
    states
        How each stands.

    Returns
    -------
    list of dict
        One for each step.
    """
    return [
        {
            "night": state.night,
            "step": state.step.id,
            "owner": state.step.owner,
            "status": str(state.status),
            "run": state.run,
            "starts": state.starts,
            "started_utc": state.started_utc,
            "ended_utc": state.ended_utc,
            "started_rehearsal_utc": state.started_rehearsal_utc,
            "ended_rehearsal_utc": state.ended_rehearsal_utc,
            "reason": state.reason,
        }
        for state in states.values()
    ]
