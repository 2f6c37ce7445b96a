"""How a run is asked to stop."""

from __future__ import annotations

import threading
from typing import Literal

__all__ = ["StopReason", "StopSwitch"]

StopReason = Literal["interrupt", "run-timeout", "taken-over", "output"]


class StopSwitch:
    """Asks a run to stop: its cell is interrupted, its closing cells run, its record says why.

    May be used from any thread: an executor keeps one for each run that it may have to cancel.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: StopReason | None = None
        self._times = 0

    @property
    def reason(self) -> StopReason | None:
        """Why the run is to stop; None while it may go on."""
        return self._reason

    @property
    def times(self) -> int:
        """How often it was asked to stop."""
        return self._times

    def stop(self, reason: StopReason = "interrupt") -> int:
        """Ask the run to stop.

        Parameters
        ----------
        reason
            Why; the first one is kept.

        Returns
        -------
        int
            How often it was asked by now.
        """
        with self._lock:
            self._reason = self._reason or reason
            self._times += 1
            return self._times
