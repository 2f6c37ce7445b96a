"""Where a CSC runs: its Job in Argo CD for production, a container on a host for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "argocd": ["ArgoCd"],
        "bench": ["Bench"],
        "postconditions": ["Postcondition", "observe_postconditions"],
        "production": ["restore_production", "survey_production", "wait_for_pod"],
        "rules": ["find_job"],
        "settle": ["queue_before", "stop_under_test", "wait_for_scripts"],
        "values": ["BenchContainer", "Checkout", "CscJob", "JobState", "Production", "Restored"],
    },
)
