"""Faults that a coordinator prepares: what they do, when, what should be noticed; sealed until the rehearsal ends."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.injects.catalogue import CATALOGUE, fault_kind
    from lsst_commtools.rehearsal.injects.ground import Ground
    from lsst_commtools.rehearsal.injects.injector import Injector
    from lsst_commtools.rehearsal.injects.sealing import seal
    from lsst_commtools.rehearsal.injects.values import Expect, Inject, InjectPlan, read_injects

__all__ = [
    "CATALOGUE",
    "Expect",
    "Ground",
    "Inject",
    "InjectPlan",
    "Injector",
    "fault_kind",
    "read_injects",
    "seal",
]

_HOMES = {
    "CATALOGUE": "catalogue",
    "fault_kind": "catalogue",
    "Ground": "ground",
    "Injector": "injector",
    "seal": "sealing",
    "Expect": "values",
    "Inject": "values",
    "InjectPlan": "values",
    "read_injects": "values",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
