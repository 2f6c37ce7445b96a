"""The single-frame pipeline of a night: raw images in, star tables and visit summaries out.

The algorithms are pure functions; the package `tasks` wraps them as PipelineTasks, and `run_pipeline` runs these
in this machine's processes. ``pipetask run -p`` takes the same pipeline files.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.pipeline.outcomes import ProcessingReport, QuantumOutcome, QuantumStatus
    from lsst_commtools.pipeline.run import CALIBRATION_PIPELINE, NIGHT_PIPELINE, run_pipeline

__all__ = [
    "CALIBRATION_PIPELINE",
    "NIGHT_PIPELINE",
    "ProcessingReport",
    "QuantumOutcome",
    "QuantumStatus",
    "run_pipeline",
]

_HOMES = {
    "CALIBRATION_PIPELINE": "run",
    "NIGHT_PIPELINE": "run",
    "ProcessingReport": "outcomes",
    "QuantumOutcome": "outcomes",
    "QuantumStatus": "outcomes",
    "run_pipeline": "run",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.pipeline.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
