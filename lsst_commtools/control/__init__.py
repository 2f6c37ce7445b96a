"""CSCs and their summary states: plan a change, carry it out, see that it happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "backend": ["Backend"],
        "client": ["Control"],
        "plan": ["Plan", "Via", "plan_change"],
        "queue": ["ScriptQueue"],
        "scripts": ["ScriptResult", "Verdict"],
        "states": ["SummaryState"],
        "values": ["CscState", "LogMessage", "Outcome"],
    },
)
