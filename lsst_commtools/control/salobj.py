"""CSCs by way of ``lsst.ts.salobj``, where that is installed: no LOVE between, and reasons for refusals.

Contract: ``ts_salobj`` v8.2 ``Remote``, ``RemoteCommand``, ``RemoteEvent``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from lsst_commtools.control.board import Board
from lsst_commtools.control.messages import TAI_MINUS_UTC_S, read_message
from lsst_commtools.control.values import Heartbeat
from lsst_commtools.errors import (
    InputError,
    NotFoundError,
    RejectedError,
    ServiceTimeoutError,
    SiteError,
    UnreachableError,
)
from lsst_commtools.ids import CscName

__all__ = ["SalobjBackend"]

_T = TypeVar("_T")
_EVENTS = ("summaryState", "logMessage", "errorCode")
_FIELDS = ("private_sndStamp", "private_seqNum", "private_origin")
_SLACK_S = 5.0


class SalobjBackend:
    """CSCs by way of SAL; its event loop runs in a thread of its own.

    Parameters
    ----------
    command_timeout_s
        How long a command may take to be acknowledged, in seconds.
    start_timeout_s
        How long a remote may take to get ready, in seconds.

    Raises
    ------
    SiteError
        If salobj is not installed.
    """

    def __init__(self, *, command_timeout_s: float = 30.0, start_timeout_s: float = 60.0) -> None:
        try:
            from lsst.ts import salobj
        except ImportError:
            raise SiteError(
                "lsst.ts.salobj is not installed here.",
                advice="Use LOVE, or a place where ts_salobj is set up.",
            ) from None
        self.board = Board()
        self._salobj = salobj
        self._command_timeout_s = command_timeout_s
        self._start_timeout_s = start_timeout_s
        self._remotes: dict[CscName, Any] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="salobj", daemon=True)
        self._thread.start()
        self._domain: Any = self._run(self._open(), start_timeout_s)

    def follow(self, cscs: Iterable[CscName]) -> None:
        """Listen to states and heartbeats, and write the last state down again.

        Parameters
        ----------
        cscs
            The CSCs.
        """
        self._run(self._follow(list(cscs)), self._start_timeout_s)

    def listen(self, csc: CscName) -> None:
        """Listen to log messages and error codes, which each remote does anyway.

        Parameters
        ----------
        csc
            The CSC.
        """
        self.follow([csc])

    def check_name(self, csc: CscName) -> None:
        """Do nothing: a remote of a name that SAL does not know could not be made.

        Parameters
        ----------
        csc
            The CSC.
        """

    def check_command(self, csc: CscName, command: str, parameters: Mapping[str, Any]) -> None:
        """Check a command by the interface that SAL knows of.

        Parameters
        ----------
        csc, command, parameters
            What is going to be sent.

        Raises
        ------
        InputError
            If the CSC has no such command or parameter.
        """
        topic = getattr(self._remotes[csc], f"cmd_{command}", None)
        if topic is None:
            raise InputError(f"{csc.name} has no command {command!r}.", changed="Nothing was sent.")
        unknown = [name for name in parameters if not hasattr(topic.data, name)]
        if unknown:
            raise InputError(
                f"The command {command!r} of {csc.name} has no parameter {', '.join(unknown)}.",
                changed="Nothing was sent.",
            )

    def command(self, csc: CscName, command: str, parameters: Mapping[str, Any]) -> str:
        """Send a command.

        Parameters
        ----------
        csc, command, parameters
            What to send.

        Returns
        -------
        str
            Result of the acknowledgement.

        Raises
        ------
        RejectedError
            If it was refused or failed; the reason is in the message.
        ServiceTimeoutError
            If it was not acknowledged; it may still take effect.
        """
        ack = self._run(self._command(csc, command, parameters), self._command_timeout_s + _SLACK_S)
        return str(ack.result)

    def check_hearing(self) -> None:
        """Do nothing: SAL has no connection that could be looked at."""

    def tai_now_s(self) -> float:
        """Give the TAI clock.

        Returns
        -------
        float
            TAI, unix seconds.
        """
        return time.time() + TAI_MINUS_UTC_S

    def close(self) -> None:
        """Close all remotes and end the thread."""
        if self._loop.is_closed():
            return
        self._run(self._close(), self._start_timeout_s)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=_SLACK_S)
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, _T], timeout_s: float) -> _T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            future.cancel()
            raise UnreachableError(
                f"SAL gave no answer in {timeout_s:g} s.",
                advice="See the middleware: its brokers, and its settings.",
            ) from None

    async def _open(self) -> Any:
        return self._salobj.Domain()

    async def _follow(self, cscs: list[CscName]) -> None:
        await asyncio.gather(*(self._add(csc) for csc in cscs if csc not in self._remotes))
        for csc in cscs:
            last = self._remotes[csc].evt_summaryState.get()
            if last is not None:
                self._hear(csc, "summaryState", last)

    async def _add(self, csc: CscName) -> None:
        try:
            remote = self._salobj.Remote(self._domain, csc.name, csc.index, include=[*_EVENTS, "heartbeat"])
        except (RuntimeError, ValueError) as error:
            raise NotFoundError(
                f"SAL knows no CSC {str(csc)!r}: {error}", advice="See the name's spelling and its index."
            ) from None
        self._remotes[csc] = remote
        await remote.start_task
        self.board.put_heartbeat(csc, Heartbeat(None, None, time.monotonic()))
        remote.evt_heartbeat.callback = lambda _: self.board.put_heartbeat(
            csc, Heartbeat(None, 0.0, time.monotonic())
        )
        for event in _EVENTS:
            getattr(remote, f"evt_{event}").callback = self._hearer(csc, event)

    def _hearer(self, csc: CscName, event: str) -> Callable[[Any], None]:
        return lambda sample: self._hear(csc, event, sample)

    def _hear(self, csc: CscName, event: str, sample: Any) -> None:
        """Write a sample down by the same reader as LOVE's."""
        values = {name: getattr(sample, name, None) for name in (*_FIELDS, *_FIELDS_OF[event])}
        item = {"csc": csc.name, "salindex": csc.index, "data": {event: [values]}}
        read_message({"data": [item]}, self.board)

    async def _command(self, csc: CscName, command: str, parameters: Mapping[str, Any]) -> Any:
        topic = getattr(self._remotes[csc], f"cmd_{command}")
        try:
            return await topic.set_start(**parameters, timeout=self._command_timeout_s)
        except self._salobj.AckTimeoutError:
            raise ServiceTimeoutError(
                f"{csc} did not acknowledge {command} in {self._command_timeout_s:g} s.",
                changed="It may still be carried out.",
            ) from None
        except self._salobj.AckError as error:
            raise RejectedError(f"{csc} refused {command}: {error.ackcmd.result}") from None

    async def _close(self) -> None:
        for remote in self._remotes.values():
            await remote.close()
        await self._domain.close()


_FIELDS_OF = {
    "summaryState": ("summaryState",),
    "logMessage": ("level", "message"),
    "errorCode": ("errorCode", "errorReport"),
}
