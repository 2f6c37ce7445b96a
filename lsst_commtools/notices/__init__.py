"""Telling others, and asking what was told: announcements, the logs of the night, states from the EFD."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.notices.efd import Efd, StateEvent, StateHistory, StateSpan
    from lsst_commtools.notices.narrative_log import (
        LogEntry,
        NarrativeLog,
        TimeLost,
        TimeLostSum,
        sum_time_lost,
    )
    from lsst_commtools.notices.night_report import NightReports, NightReportText, StoredNightReport
    from lsst_commtools.notices.slack import Announcement, Notices

__all__ = [
    "Announcement",
    "Efd",
    "LogEntry",
    "NarrativeLog",
    "NightReportText",
    "NightReports",
    "Notices",
    "StateEvent",
    "StateHistory",
    "StateSpan",
    "StoredNightReport",
    "TimeLost",
    "TimeLostSum",
    "sum_time_lost",
]

_HOMES = {
    "Announcement": "slack",
    "Efd": "efd",
    "LogEntry": "narrative_log",
    "NarrativeLog": "narrative_log",
    "NightReportText": "night_report",
    "NightReports": "night_report",
    "Notices": "slack",
    "StateEvent": "efd",
    "StateHistory": "efd",
    "StateSpan": "efd",
    "StoredNightReport": "night_report",
    "TimeLost": "narrative_log",
    "TimeLostSum": "narrative_log",
    "sum_time_lost": "narrative_log",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.notices.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
