"""Faults: what shall go wrong, where, when, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Fault", "FaultBook"]


@dataclass
class Fault:
    """One thing that shall go wrong.

    Parameters
    ----------
    service
        Who fails: ``love``, or a CSC such as ``DIMM:1``, or another service of the simulator.
    kind
        How, as the service understands it.
    where
        At which request or command; empty for any.
    skip
        How many times it goes well before.
    times
        How many times it fails then; less than 0 for ever.
    """

    service: str
    kind: str
    where: str = ""
    skip: int = 0
    times: int = 1


@dataclass
class FaultBook:
    """All faults that are still to come."""

    faults: list[Fault] = field(default_factory=list)

    def take(self, service: str, where: str) -> str:
        """Ask at a point that may fail whether it shall.

        Parameters
        ----------
        service, where
            The point.

        Returns
        -------
        str
            Kind of the fault; empty for none.
        """
        for fault in self.faults:
            if fault.service != service or fault.where not in ("", where):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times == 0:
                self.faults.remove(fault)
            return fault.kind
        return ""
