"""What this room needs of whoever sees and commands CSCs, as `lsst_commtools.Control` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["CscEyes", "QueueEyes"]


class QueueEyes(Protocol):
    """A script queue."""

    def state(self) -> Any:
        """Give ``running`` and ``scripts``, index to a sight with ``path``, ``place``, ``process_state``."""

    def resume(self) -> None:
        """Let the queue go on."""


class CscEyes(Protocol):
    """CSCs of a site."""

    def state(self, name: str) -> Any:
        """Give what is evident: ``state``, ``alive``, ``to_dict()``."""

    def wait_for(self, name: str, state: str, timeout_s: float) -> Any:
        """Wait until a CSC is seen in a state."""

    def set_states(self, states: Mapping[str, str]) -> Mapping[str, Any]:
        """Bring CSCs to states; each outcome tells its ``error``."""

    def queue(self, name: str) -> QueueEyes:
        """Give a script queue."""
