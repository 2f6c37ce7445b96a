"""Faults that a coordinator prepares: what they do, when, what should be noticed; sealed until the rehearsal ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "catalogue": ["CATALOGUE", "fault_kind"],
        "ground": ["Ground"],
        "injector": ["Injector"],
        "sealing": ["seal"],
        "values": ["Expect", "Inject", "InjectPlan", "read_injects"],
    },
)
