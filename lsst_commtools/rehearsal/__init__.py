"""Operations rehearsals: many nights with people, a clock, faults, and a record of all of it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.clock import Clock
    from lsst_commtools.rehearsal.journal import Entry, Journal, Kind
    from lsst_commtools.rehearsal.night import RehearsalNight
    from lsst_commtools.rehearsal.outline import FINAL_STANDUP, OUTLINE, Role, Step, find_step
    from lsst_commtools.rehearsal.rehearsal import Rehearsal, problem_id
    from lsst_commtools.rehearsal.settings import RehearsalSettings, default_rehearsal

__all__ = [
    "FINAL_STANDUP",
    "OUTLINE",
    "Clock",
    "Entry",
    "Journal",
    "Kind",
    "Rehearsal",
    "RehearsalNight",
    "RehearsalSettings",
    "Role",
    "Step",
    "default_rehearsal",
    "find_step",
    "problem_id",
]

_HOMES = {
    "Clock": "clock",
    "Entry": "journal",
    "Journal": "journal",
    "Kind": "journal",
    "RehearsalNight": "night",
    "FINAL_STANDUP": "outline",
    "OUTLINE": "outline",
    "Role": "outline",
    "Step": "outline",
    "find_step": "outline",
    "Rehearsal": "rehearsal",
    "problem_id": "rehearsal",
    "RehearsalSettings": "settings",
    "default_rehearsal": "settings",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
