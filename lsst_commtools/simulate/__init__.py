"""Stand-ins: an observatory behind the real protocols, and a sky with cameras.

Nothing that runs at the summit imports this room; on the site ``local`` the command starts it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.simulate.faults import Fault
    from lsst_commtools.simulate.night import SimulatedNight, simulate_night

__all__ = ["Fault", "SimulatedNight", "simulate_night"]

_HOMES = {"Fault": "faults", "SimulatedNight": "night", "simulate_night": "night"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.simulate.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
