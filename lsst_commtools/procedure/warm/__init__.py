"""Warm kernels: forked from a process that has imported what notebooks import, instead of started anew."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.procedure.warm.provisioner import WarmProvisioner

__all__ = ["WarmProvisioner"]

_HOMES = {"WarmProvisioner": "lsst_commtools.procedure.warm.provisioner"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
