"""Notebooks and a library for the commissioning of the Rubin Observatory.

Everything is imported when it is first used, so that ``import lsst_commtools`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lsst_commtools.control import Control
    from lsst_commtools.images import LabImages
    from lsst_commtools.night import Night
    from lsst_commtools.procedure import Procedure
    from lsst_commtools.releases import Releases
    from lsst_commtools.repos import Repositories
    from lsst_commtools.site import Site

__all__ = ["Control", "LabImages", "Night", "Procedure", "Releases", "Repositories", "Site"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "control": ["Control"],
        "images": ["LabImages"],
        "night": ["Night"],
        "procedure": ["Procedure"],
        "releases": ["Releases"],
        "repos": ["Repositories"],
        "site": ["Site"],
    },
)
