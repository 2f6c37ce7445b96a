"""Pipelines on a batch system, submitted by BPS, with the same account of every quantum as in this machine's processes.

One quantum graph is parted into submissions. BPS turns each into jobs of its batch system (Parsl, HTCondor, PanDA or
another); a job executes quanta one after another, and writes what became of each. The outputs are brought into the
repository here, as soon as a submission has ended.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.pipeline.bps.prepare import Prepared, prepare_bps
    from lsst_commtools.pipeline.bps.run import run_by_bps

__all__ = ["Prepared", "prepare_bps", "run_by_bps"]


_HOMES = {"Prepared": "prepare", "prepare_bps": "prepare", "run_by_bps": "run"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.pipeline.bps.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
