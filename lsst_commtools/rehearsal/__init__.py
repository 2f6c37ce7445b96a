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
    from lsst_commtools.rehearsal.progress import QuantumLog
    from lsst_commtools.rehearsal.rehearsal import Rehearsal, problem_id
    from lsst_commtools.rehearsal.report import (
        amend_report,
        sign_report,
        write_night_report,
        write_rehearsal_report,
    )
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
    "QuantumLog",
    "Rehearsal",
    "RehearsalNight",
    "RehearsalSettings",
    "Role",
    "Step",
    "amend_report",
    "campaign_state",
    "change_problem",
    "default_rehearsal",
    "failure_rate",
    "find_step",
    "group_failures",
    "problem_id",
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
    "QuantumLog": "progress",
    "Rehearsal": "rehearsal",
    "problem_id": "rehearsal",
    "amend_report": "report",
    "sign_report": "report",
    "write_night_report": "report",
    "write_rehearsal_report": "report",
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
