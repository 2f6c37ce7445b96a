"""PipelineTasks of the single-frame pipeline, thin wrappers around the algorithms of this room.

Importing this package needs ``lsst.pipe.base``. Loggers outside ``lsst`` have no level of their own under
``pipetask``, and their INFO lines would never reach the log datasets: where nobody chose a level, it is set here.
"""

from __future__ import annotations

import logging

from lsst_commtools.pipeline.tasks.astrometry import AstrometryTask
from lsst_commtools.pipeline.tasks.combine import CombineBiasTask, CombineDarkTask, CombineFlatTask
from lsst_commtools.pipeline.tasks.isr import IsrTask
from lsst_commtools.pipeline.tasks.measure import MeasureTask
from lsst_commtools.pipeline.tasks.visit_summary import VisitSummaryTask

__all__ = [
    "AstrometryTask",
    "CombineBiasTask",
    "CombineDarkTask",
    "CombineFlatTask",
    "IsrTask",
    "MeasureTask",
    "VisitSummaryTask",
]

if logging.getLogger("lsst_commtools").level == logging.NOTSET:
    logging.getLogger("lsst_commtools").setLevel(logging.INFO)
