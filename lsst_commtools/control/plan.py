"""Plan of a state change: which commands lead from one summary state to another."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import typing_extensions

from lsst_commtools.control.states import TRANSITIONS, SummaryState, Transition, is_camera
from lsst_commtools.errors import InputError, RefusedError, UnknownOutcomeError
from lsst_commtools.ids import CscName

__all__ = ["Plan", "Via", "plan_change"]

Via = Literal["direct", "queue"]
"""Way of a change: commands to the CSC, or ``set_summary_state.py`` on a script queue."""


@dataclass(frozen=True)
class Plan:
    """What a change of state will do.

    Parameters
    ----------
    csc
        The CSC.
    before, target
        Its state now, and the one asked for.
    transitions
        Commands in order; none when it is there already.
    override
        Value of ``configurationOverride`` for ``start``; None where none was given.
    question
        What must be agreed to before the plan is carried out; empty where nothing must.
    via
        Way of the change.
    queue
        Script queue, for ``via="queue"``.
    """

    csc: CscName
    before: SummaryState
    target: SummaryState
    transitions: tuple[Transition, ...]
    override: str | None = None
    question: str = ""
    via: Via = "direct"
    queue: str = ""

    @property
    def path(self) -> tuple[SummaryState, ...]:
        """States that the CSC goes through, the first one included."""
        return (self.before, *(t.after for t in self.transitions))

    def parameters(self, transition: Transition) -> Mapping[str, Any]:
        """Give the parameters of one of its commands.

        Parameters
        ----------
        transition
            One of its transitions.

        Returns
        -------
        mapping
            Parameter name to value.
        """
        return {"configurationOverride": self.override or ""} if transition.command == "start" else {}

    def to_dict(self) -> dict[str, Any]:
        """Give the plan as plain values.

        Returns
        -------
        dict
            Keys ``csc``, ``index``, ``before``, ``target``, ``path``, ``commands``, ``via``, ``queue``, ``question``.
        """
        return {
            "csc": self.csc.name,
            "index": self.csc.index,
            "before": self.before.name,
            "target": self.target.name,
            "path": [state.name for state in self.path],
            "commands": [
                {"command": t.command, "parameters": dict(self.parameters(t))} for t in self.transitions
            ],
            "via": self.via,
            "queue": self.queue,
            "question": self.question,
        }

    @typing_extensions.override
    def __str__(self) -> str:
        if not self.transitions:
            return f"{self.csc} is in {self.target.name} already: nothing to do."
        steps = [
            f"{t.command}{self._written(t)} ({t.before.name} to {t.after.name})" for t in self.transitions
        ]
        how = f"set_summary_state.py on the {self.queue} queue: " if self.via == "queue" else ""
        return f"{self.csc}: {how}{', '.join(steps)}." + (f" {self.question}" if self.question else "")

    def _written(self, transition: Transition) -> str:
        return f" with override {self.override!r}" if transition.command == "start" and self.override else ""


def plan_change(
    csc: CscName,
    before: SummaryState,
    target: SummaryState,
    *,
    override: str | None = None,
    reload: bool = False,
) -> Plan:
    """Plan the change of one CSC's summary state.

    Parameters
    ----------
    csc
        The CSC; its name tells whether it is a camera.
    before, target
        Its state now, and the one asked for.
    override
        Value of ``configurationOverride``; None to give none. It takes effect only when ``start`` is sent, so a CSC
        that is beyond STANDBY must go back there first.
    reload
        Whether such a detour is agreed to.

    Returns
    -------
    Plan
        The shortest way; with a question where a detour was not agreed to.

    Raises
    ------
    InputError
        If an override is given for a target that no ``start`` leads to.
    RefusedError
        If no command leads there: the process of a CSC that is OFFLINE has ended.
    UnknownOutcomeError
        If the state before is not known.
    """
    if before is SummaryState.UNKNOWN:
        raise UnknownOutcomeError(
            f"The state of {csc} is not known, so no command can be planned.",
            advice="See whether it is running.",
        )
    if override is None:
        return Plan(csc, before, target, _shortest(csc, before, target))
    if target not in (SummaryState.DISABLED, SummaryState.ENABLED):
        raise InputError(
            f"A configuration override has no effect on the way to {target.name}: no start command is sent.",
            advice="Give it when going to DISABLED or ENABLED.",
        )
    way = _shortest(csc, before, SummaryState.STANDBY) + _shortest(csc, SummaryState.STANDBY, target)
    beyond = before in (SummaryState.DISABLED, SummaryState.ENABLED)
    question = (
        f"{csc} is {before.name}, and an override is read only at start: this needs a detour through STANDBY. "
        "Agree to it with reload=True (--reload)."
    )
    return Plan(csc, before, target, way, override, question if beyond and not reload else "")


def _shortest(csc: CscName, before: SummaryState, target: SummaryState) -> tuple[Transition, ...]:
    """Search the transition graph breadth first."""
    allowed = [t for t in TRANSITIONS if t.command != "enterControl" or is_camera(csc)]
    ways: dict[SummaryState, tuple[Transition, ...]] = {before: ()}
    pending = deque([before])
    while pending and target not in ways:
        state = pending.popleft()
        for transition in allowed:
            if transition.before is state and transition.after not in ways:
                ways[transition.after] = (*ways[state], transition)
                pending.append(transition.after)
    if target not in ways:
        raise RefusedError(
            f"{csc} is {before.name}, and no command leads from there to {target.name}.",
            changed="Nothing was sent.",
            advice="Start its process first (Argo CD, or the bench); it comes up in STANDBY.",
        )
    return ways[target]
