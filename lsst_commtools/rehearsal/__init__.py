"""Operations rehearsals: many nights with people, a clock, faults, and a record of all of it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.backlog import Backlog, BacklogItem, change_problem
    from lsst_commtools.rehearsal.clock import Clock
    from lsst_commtools.rehearsal.failures import (
        Failure,
        FailureGroup,
        FailureRate,
        failure_rate,
        group_failures,
    )
    from lsst_commtools.rehearsal.journal import Entry, Journal, Kind
    from lsst_commtools.rehearsal.monitor import LivePage, campaign_state
    from lsst_commtools.rehearsal.night import RehearsalNight
    from lsst_commtools.rehearsal.outline import FINAL_STANDUP, OUTLINE, Role, Step, find_step
    from lsst_commtools.rehearsal.people import Roster, begin_shift, hand_over
    from lsst_commtools.rehearsal.poll import Poll, answer_poll, close_poll, open_poll, polls
    from lsst_commtools.rehearsal.precursors import Precursors, read_precursors, shipped_precursors
    from lsst_commtools.rehearsal.progress import QuantumLog
    from lsst_commtools.rehearsal.rehearsal import Rehearsal, problem_id
    from lsst_commtools.rehearsal.report import (
        amend_report,
        sign_report,
        write_night_report,
        write_rehearsal_report,
    )
    from lsst_commtools.rehearsal.score import Score
    from lsst_commtools.rehearsal.settings import RehearsalSettings, default_rehearsal
    from lsst_commtools.rehearsal.standup import write_standup

__all__ = [
    "FINAL_STANDUP",
    "OUTLINE",
    "Backlog",
    "BacklogItem",
    "Clock",
    "Entry",
    "Failure",
    "FailureGroup",
    "FailureRate",
    "Journal",
    "Kind",
    "LivePage",
    "Poll",
    "Precursors",
    "QuantumLog",
    "Rehearsal",
    "RehearsalNight",
    "RehearsalSettings",
    "Role",
    "Roster",
    "Score",
    "Step",
    "amend_report",
    "answer_poll",
    "begin_shift",
    "campaign_state",
    "change_problem",
    "close_poll",
    "default_rehearsal",
    "failure_rate",
    "find_step",
    "group_failures",
    "hand_over",
    "open_poll",
    "polls",
    "problem_id",
    "read_precursors",
    "shipped_precursors",
    "sign_report",
    "write_night_report",
    "write_rehearsal_report",
    "write_standup",
]

_HOMES = {
    "Backlog": "backlog",
    "BacklogItem": "backlog",
    "change_problem": "backlog",
    "Clock": "clock",
    "Failure": "failures",
    "FailureGroup": "failures",
    "FailureRate": "failures",
    "failure_rate": "failures",
    "group_failures": "failures",
    "Entry": "journal",
    "Journal": "journal",
    "Kind": "journal",
    "LivePage": "monitor",
    "campaign_state": "monitor",
    "RehearsalNight": "night",
    "FINAL_STANDUP": "outline",
    "OUTLINE": "outline",
    "Role": "outline",
    "Step": "outline",
    "find_step": "outline",
    "Roster": "people",
    "begin_shift": "people",
    "hand_over": "people",
    "Poll": "poll",
    "answer_poll": "poll",
    "close_poll": "poll",
    "open_poll": "poll",
    "polls": "poll",
    "Precursors": "precursors",
    "read_precursors": "precursors",
    "shipped_precursors": "precursors",
    "QuantumLog": "progress",
    "Rehearsal": "rehearsal",
    "problem_id": "rehearsal",
    "amend_report": "report",
    "sign_report": "report",
    "write_night_report": "report",
    "write_rehearsal_report": "report",
    "Score": "score",
    "RehearsalSettings": "settings",
    "default_rehearsal": "settings",
    "write_standup": "standup",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
