"""What a way to CSCs must be able to do; LOVE and salobj each answer it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from lsst_commtools.control.board import Board
from lsst_commtools.ids import CscName

__all__ = ["Backend"]


class Backend(Protocol):
    """A way to see and command CSCs."""

    board: Board

    def follow(self, cscs: Iterable[CscName]) -> None:
        """Have states and heartbeats written on the board; asked again, have the last state written again."""

    def listen(self, csc: CscName) -> None:
        """Have log messages and error codes written on the board."""

    def check_name(self, csc: CscName) -> None:
        """Raise if there is known to be no CSC of this name, whatever its index."""

    def check_command(self, csc: CscName, command: str, parameters: Mapping[str, Any]) -> None:
        """Raise if the CSC has no such command or parameter, or if the user may not command."""

    def command(self, csc: CscName, command: str, parameters: Mapping[str, Any]) -> str:
        """Send a command and give its acknowledgement; raise if it was refused or not acknowledged."""

    def check_hearing(self) -> None:
        """Raise if nothing can be heard now."""

    def tai_now_s(self) -> float:
        """Give the TAI clock of the CSCs, unix seconds."""

    def close(self) -> None:
        """Let go of connections and threads."""
