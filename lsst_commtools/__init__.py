"""Notebooks and a library for the commissioning of the Rubin Observatory.

Everything is imported when it is first used, so that ``import lsst_commtools`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.control import Control
    from lsst_commtools.images import LabImages
    from lsst_commtools.night import Night
    from lsst_commtools.procedure import Procedure
    from lsst_commtools.releases import Releases
    from lsst_commtools.repos import Repositories
    from lsst_commtools.site import Site

__all__ = ["Control", "LabImages", "Night", "Procedure", "Releases", "Repositories", "Site"]

_HOMES = {
    "Control": "lsst_commtools.control",
    "LabImages": "lsst_commtools.images",
    "Night": "lsst_commtools.night",
    "Procedure": "lsst_commtools.procedure",
    "Releases": "lsst_commtools.releases",
    "Repositories": "lsst_commtools.repos",
    "Site": "lsst_commtools.site",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
