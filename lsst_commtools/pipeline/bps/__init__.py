"""Pipelines on a batch system, submitted by BPS, with the same account of every quantum as in this machine's processes.

One quantum graph is parted into submissions. BPS turns each into jobs of its batch system (Parsl, HTCondor, PanDA or
another); a job executes quanta one after another, and writes what became of each. The outputs are brought into the
repository here, as soon as a submission has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lsst_commtools.pipeline.bps.prepare import Prepared, prepare_bps
    from lsst_commtools.pipeline.bps.run import run_by_bps

__all__ = ["Prepared", "prepare_bps", "run_by_bps"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={"prepare": ["Prepared", "prepare_bps"], "run": ["run_by_bps"]},
)
