"""Stand-ins: an observatory behind the real protocols, and a sky with cameras.

Nothing that runs at the summit imports this room; on the site ``local`` the command starts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lsst_commtools.simulate.faults import Fault
    from lsst_commtools.simulate.night import SimulatedNight, simulate_night

__all__ = ["Fault", "SimulatedNight", "simulate_night"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "faults": ["Fault"],
        "night": ["SimulatedNight", "simulate_night"],
    },
)
