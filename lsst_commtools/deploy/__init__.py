"""Where a CSC runs: its Job in Argo CD for production, a container on a host for tests."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.deploy.argocd import ArgoCd
    from lsst_commtools.deploy.bench import Bench
    from lsst_commtools.deploy.restore import restore_production
    from lsst_commtools.deploy.rules import find_job
    from lsst_commtools.deploy.values import BenchContainer, Checkout, CscJob, JobState, Restored

__all__ = [
    "ArgoCd",
    "Bench",
    "BenchContainer",
    "Checkout",
    "CscJob",
    "JobState",
    "Restored",
    "find_job",
    "restore_production",
]

_HOMES = {
    "ArgoCd": "argocd",
    "Bench": "bench",
    "BenchContainer": "values",
    "Checkout": "values",
    "CscJob": "values",
    "JobState": "values",
    "Restored": "values",
    "find_job": "rules",
    "restore_production": "restore",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.deploy.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
