"""CSCs and their summary states: plan a change, carry it out, see that it happened."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.control.backend import Backend
    from lsst_commtools.control.client import Control
    from lsst_commtools.control.plan import Plan, Via, plan_change
    from lsst_commtools.control.queue import ScriptQueue
    from lsst_commtools.control.scripts import ScriptResult, Verdict
    from lsst_commtools.control.states import SummaryState
    from lsst_commtools.control.values import CscState, LogMessage, Outcome

__all__ = [
    "Backend",
    "Control",
    "CscState",
    "LogMessage",
    "Outcome",
    "Plan",
    "ScriptQueue",
    "ScriptResult",
    "SummaryState",
    "Verdict",
    "Via",
    "plan_change",
]

_HOMES = {
    "Backend": "backend",
    "Control": "client",
    "CscState": "values",
    "LogMessage": "values",
    "Outcome": "values",
    "Plan": "plan",
    "ScriptQueue": "queue",
    "ScriptResult": "scripts",
    "SummaryState": "states",
    "Verdict": "scripts",
    "Via": "plan",
    "plan_change": "plan",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.control.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
