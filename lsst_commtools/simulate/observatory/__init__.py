"""A simulated observatory: CSCs behind LOVE's real wire protocols, with faults on demand."""

from lsst_commtools.simulate.observatory.faults import Fault
from lsst_commtools.simulate.observatory.launch import (
    simulator_act,
    simulator_truth,
    start_simulator,
    stop_simulator,
)
from lsst_commtools.simulate.observatory.observatory import DEFAULT_CAST, Observatory, larger_cast
from lsst_commtools.simulate.observatory.pace import Pace
from lsst_commtools.simulate.observatory.server import RunningObservatory, running_observatory

__all__ = [
    "DEFAULT_CAST",
    "Fault",
    "Observatory",
    "Pace",
    "RunningObservatory",
    "larger_cast",
    "running_observatory",
    "simulator_act",
    "simulator_truth",
    "start_simulator",
    "stop_simulator",
]
