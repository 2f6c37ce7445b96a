"""Notebooks and a library for the commissioning of the Rubin Observatory.

Everything is imported when it is first used, so that ``import lsst_commtools`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.control import Control
    from lsst_commtools.night import Night
    from lsst_commtools.procedure import Procedure
    from lsst_commtools.site import Site

__all__ = ["Control", "Night", "Procedure", "Site"]

_HOMES = {
    "Control": "lsst_commtools.control",
    "Night": "lsst_commtools.night",
    "Procedure": "lsst_commtools.procedure",
    "Site": "lsst_commtools.site",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
