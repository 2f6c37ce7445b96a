"""Telling others, and asking what was told: announcements, the logs of the night, states from the EFD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "efd": ["Efd", "StateEvent", "StateHistory", "StateSpan"],
        "narrative_log": ["LogEntry", "NarrativeLog", "TimeLost", "TimeLostSum", "sum_time_lost"],
        "night_report": ["NightReportText", "NightReports", "StoredNightReport"],
        "slack": ["Announcement", "Notices"],
    },
)
