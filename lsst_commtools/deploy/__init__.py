"""Where a CSC runs: its Job in Argo CD for production, a container on a host for tests."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.deploy.argocd import ArgoCd
    from lsst_commtools.deploy.bench import Bench
    from lsst_commtools.deploy.postconditions import Postcondition, observe_postconditions
    from lsst_commtools.deploy.production import restore_production, survey_production, wait_for_pod
    from lsst_commtools.deploy.rules import find_job
    from lsst_commtools.deploy.settle import queue_before, stop_under_test, wait_for_scripts
    from lsst_commtools.deploy.values import (
        BenchContainer,
        Checkout,
        CscJob,
        JobState,
        Production,
        Restored,
    )

__all__ = [
    "ArgoCd",
    "Bench",
    "BenchContainer",
    "Checkout",
    "CscJob",
    "JobState",
    "Postcondition",
    "Production",
    "Restored",
    "find_job",
    "observe_postconditions",
    "queue_before",
    "restore_production",
    "stop_under_test",
    "survey_production",
    "wait_for_pod",
    "wait_for_scripts",
]

_HOMES = {
    "ArgoCd": "argocd",
    "Bench": "bench",
    "BenchContainer": "values",
    "Checkout": "values",
    "CscJob": "values",
    "JobState": "values",
    "Postcondition": "postconditions",
    "Production": "values",
    "Restored": "values",
    "find_job": "rules",
    "observe_postconditions": "postconditions",
    "queue_before": "settle",
    "restore_production": "production",
    "stop_under_test": "settle",
    "survey_production": "production",
    "wait_for_pod": "production",
    "wait_for_scripts": "settle",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.deploy.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
