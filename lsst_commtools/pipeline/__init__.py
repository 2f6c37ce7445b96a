"""The single-frame pipeline of a night: raw images in, star tables and visit summaries out.

The algorithms are pure functions; the package `tasks` wraps them as PipelineTasks, and `run_pipeline` runs these
in this machine's processes. ``pipetask run -p`` takes the same pipeline files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "outcomes": ["ProcessingReport", "QuantumOutcome", "QuantumStatus"],
        "run": ["CALIBRATION_PIPELINE", "NIGHT_PIPELINE", "run_pipeline"],
    },
)
