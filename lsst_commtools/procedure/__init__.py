"""A notebook as a procedure: typed parameters, steps, holds, closing steps, and the record of all runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "ledger": ["Ledger"],
        "procedure": ["Procedure"],
        "record": ["CellRecord", "RunRecord", "StepRecord"],
        "recover": ["recover_run"],
        "runner": ["resume_run", "run_notebook"],
        "runs": ["list_runs", "show_run", "sign"],
        "steps": ["Step"],
        "switch": ["StopSwitch"],
        "values": ["CellStatus", "RunStatus", "StepStatus"],
    },
)
