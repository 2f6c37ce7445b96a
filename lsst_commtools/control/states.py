"""Summary states and the commands between them, by the enumeration of ``ts_xml`` and ``salobj.BaseCsc``."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from lsst_commtools.errors import InputError
from lsst_commtools.ids import CscName

__all__ = ["TRANSITIONS", "SummaryState", "Transition", "is_camera", "parse_target"]

_CAMERA = re.compile(r"[A-Z]{2}Camera", re.ASCII)


class SummaryState(enum.IntEnum):
    """Summary state of a CSC; UNKNOWN is that of one whose state is not evident."""

    UNKNOWN = 0
    DISABLED = 1
    ENABLED = 2
    FAULT = 3
    OFFLINE = 4
    STANDBY = 5

    @classmethod
    def from_sal(cls, value: object) -> SummaryState:
        """Read the number of an event.

        Parameters
        ----------
        value
            Anything that came with the event.

        Returns
        -------
        SummaryState
            UNKNOWN for what is no summary state.
        """
        known = isinstance(value, int | float) and value in cls._value2member_map_
        return cls(int(value)) if known else cls.UNKNOWN  # type: ignore[call-overload]  # `known` implies a number


@dataclass(frozen=True)
class Transition:
    """A command that changes the summary state.

    Parameters
    ----------
    command
        SAL name without ``cmd_``.
    before, after
        State in which it is allowed, and the state that it leads to.
    """

    command: str
    before: SummaryState
    after: SummaryState


TRANSITIONS = (
    Transition("enterControl", SummaryState.OFFLINE, SummaryState.STANDBY),
    Transition("start", SummaryState.STANDBY, SummaryState.DISABLED),
    Transition("enable", SummaryState.DISABLED, SummaryState.ENABLED),
    Transition("disable", SummaryState.ENABLED, SummaryState.DISABLED),
    Transition("standby", SummaryState.DISABLED, SummaryState.STANDBY),
    Transition("standby", SummaryState.FAULT, SummaryState.STANDBY),
    Transition("exitControl", SummaryState.STANDBY, SummaryState.OFFLINE),
)
"""All transitions; only cameras have ``enterControl``."""


def is_camera(csc: CscName) -> bool:
    """Tell whether a CSC is a camera, whose process goes on in OFFLINE and which has ``enterControl``.

    Parameters
    ----------
    csc
        The CSC.

    Returns
    -------
    bool
        By the rule of LOVE's frontend: two capitals and ``Camera``.
    """
    return _CAMERA.fullmatch(csc.name) is not None


def parse_target(value: str | SummaryState) -> SummaryState:
    """Read a state that a CSC can be told to go to.

    Parameters
    ----------
    value
        A state, or its name in any case.

    Returns
    -------
    SummaryState
        OFFLINE, STANDBY, DISABLED or ENABLED.

    Raises
    ------
    InputError
        If it is no state, or one that cannot be asked for.
    """
    name = value.name if isinstance(value, SummaryState) else str(value).strip().upper()
    if name == SummaryState.FAULT.name:
        raise InputError(
            "FAULT is no state that a CSC can be told to go to.",
            advice="Give OFFLINE, STANDBY, DISABLED or ENABLED.",
        )
    if name not in SummaryState.__members__ or name == SummaryState.UNKNOWN.name:
        raise InputError(
            f"{str(value)!r} is not a summary state.", advice="Give OFFLINE, STANDBY, DISABLED or ENABLED."
        )
    return SummaryState[name]
