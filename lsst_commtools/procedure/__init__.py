"""A notebook as a procedure: typed parameters, steps, holds, closing steps, and the record of all runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.procedure.ledger import Ledger
    from lsst_commtools.procedure.procedure import Procedure
    from lsst_commtools.procedure.record import CellRecord, RunRecord, StepRecord
    from lsst_commtools.procedure.recover import recover_run
    from lsst_commtools.procedure.runner import resume_run, run_notebook
    from lsst_commtools.procedure.runs import list_runs, show_run, sign
    from lsst_commtools.procedure.steps import Step
    from lsst_commtools.procedure.switch import StopSwitch
    from lsst_commtools.procedure.values import CellStatus, RunStatus, StepStatus

__all__ = [
    "CellRecord",
    "CellStatus",
    "Ledger",
    "Procedure",
    "RunRecord",
    "RunStatus",
    "Step",
    "StepRecord",
    "StepStatus",
    "StopSwitch",
    "list_runs",
    "recover_run",
    "resume_run",
    "run_notebook",
    "show_run",
    "sign",
]

_HOMES = {
    "CellRecord": "record",
    "CellStatus": "values",
    "Ledger": "ledger",
    "Procedure": "procedure",
    "RunRecord": "record",
    "RunStatus": "values",
    "Step": "steps",
    "StepRecord": "record",
    "StepStatus": "values",
    "StopSwitch": "switch",
    "list_runs": "runs",
    "recover_run": "recover",
    "resume_run": "runner",
    "run_notebook": "runner",
    "show_run": "runs",
    "sign": "runs",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.procedure.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
