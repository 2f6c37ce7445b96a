"""Operations rehearsals: many nights with people, a clock, faults, and a record of all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "backlog": ["Backlog", "BacklogItem", "change_problem"],
        "clock": ["Clock"],
        "failures": ["Failure", "FailureGroup", "FailureRate", "failure_rate", "group_failures"],
        "journal": ["Entry", "Journal", "Kind"],
        "monitor": ["LivePage", "campaign_state"],
        "night": ["RehearsalNight"],
        "outline": ["FINAL_STANDUP", "OUTLINE", "Role", "Step", "find_step"],
        "people": ["Roster", "begin_shift", "hand_over"],
        "poll": ["Poll", "answer_poll", "close_poll", "open_poll", "polls"],
        "precursors": ["Precursors", "read_precursors", "shipped_precursors"],
        "progress": ["QuantumLog"],
        "rehearsal": ["Rehearsal", "problem_id"],
        "report": ["amend_report", "sign_report", "write_night_report", "write_rehearsal_report"],
        "score": ["Score"],
        "settings": ["RehearsalSettings", "default_rehearsal"],
        "standup": ["write_standup"],
    },
)
