"""LOVE as a way to CSCs: commands by REST, states by websocket."""

from __future__ import annotations

import difflib
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from lsst_commtools.control.board import Board
from lsst_commtools.control.feed import Feed, Subscription
from lsst_commtools.control.messages import read_message
from lsst_commtools.control.session import LoveSession
from lsst_commtools.errors import (
    ForbiddenError,
    InputError,
    NotFoundError,
    ProtocolError,
    RejectedError,
    ServiceTimeoutError,
    UnreachableError,
)
from lsst_commtools.ids import CscName

__all__ = ["LoveBackend"]

_LOG = logging.getLogger(__name__)
_HEARTBEATS = Subscription("event", "Heartbeat", 0, "stream")
_WORDS = ("logMessage", "errorCode", "configurationApplied")
_QUEUE_STREAMS = ("stateStream", "scriptsStream", "availableScriptsStream")


class LoveBackend:
    """CSCs by way of LOVE.

    Parameters
    ----------
    session
        Login at LOVE.
    """

    def __init__(self, session: LoveSession) -> None:
        self.board = Board()
        self._session = session
        self._feed = Feed(session, self._hear, self.board.put_trouble)
        self._commands: dict[str, dict[str, set[str]]] | None = None
        self._commands_lock = threading.Lock()

    def follow(self, cscs: Iterable[CscName]) -> None:
        """Subscribe to states and heartbeats; LOVE sends the last state at once.

        Parameters
        ----------
        cscs
            The CSCs.
        """
        self._session.token()
        self._feed.subscribe(
            [_HEARTBEATS, *(Subscription("event", csc.name, csc.index, "summaryState") for csc in cscs)]
        )

    def listen(self, csc: CscName) -> None:
        """Subscribe to log messages, error codes and applied configurations.

        Parameters
        ----------
        csc
            The CSC, or a script by its index.
        """
        self._feed.subscribe_once(_words_of(csc))

    def unlisten(self, csc: CscName) -> None:
        """End what `listen` began: the log of a script that has ended brings nothing more.

        Parameters
        ----------
        csc
            The CSC, or a script by its index.
        """
        self._feed.unsubscribe(_words_of(csc))

    def follow_queue(self, index: int) -> None:
        """Subscribe to what LOVE tells of a script queue.

        Parameters
        ----------
        index
            SAL index of the queue.
        """
        self._session.token()
        self._feed.subscribe(
            [Subscription("event", "ScriptQueueState", index, stream) for stream in _QUEUE_STREAMS]
        )

    def check_name(self, csc: CscName) -> None:
        """Check that LOVE knows CSCs of this name.

        Parameters
        ----------
        csc
            The CSC.

        Raises
        ------
        NotFoundError
            If LOVE lists CSCs, and none has this name.
        """
        known = self._known_commands()
        if known and csc.name not in known:
            near = difflib.get_close_matches(csc.name, known, n=3)
            raise NotFoundError(
                f"LOVE knows no CSC {csc.name!r}.",
                changed="Nothing was sent.",
                advice=f"Did you mean {' or '.join(near)}?" if near else "See the name's spelling and case.",
            )

    def check_command(self, csc: CscName, command: str, parameters: Mapping[str, Any]) -> None:
        """Check what LOVE would answer with a bare HTTP 500.

        Parameters
        ----------
        csc, command, parameters
            What is going to be sent.

        Raises
        ------
        ForbiddenError
            If the user may not command.
        InputError
            If the CSC has no such command or parameter.
        """
        if not self._session.may_command:
            raise ForbiddenError(
                f"LOVE's user {self._session.user!r} has no right to command.",
                changed="Nothing was sent.",
                advice="Ask LOVE's administrators for the right to execute commands, or log in as another user.",
            )
        known = self._known_commands()
        if csc.name not in known:
            return  # LOVE's commander may be told to list only some
        if command not in known[csc.name]:
            raise InputError(f"{csc.name} has no command {command!r}.", changed="Nothing was sent.")
        unknown = set(parameters) - known[csc.name][command]
        if unknown:
            raise InputError(
                f"The command {command!r} of {csc.name} has no parameter {', '.join(sorted(unknown))}.",
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
            LOVE's acknowledgement, ``Done`` for most commands.

        Raises
        ------
        RejectedError
            If the command was refused, or LOVE broke on it: LOVE does not tell which.
        ServiceTimeoutError
            If there was no acknowledgement; the command may still take effect.
        """
        body = {"cmd": f"cmd_{command}", "params": dict(parameters), "csc": csc.name, "salindex": csc.index}
        try:
            answer = self._session.post("cmd/", body)
        except RejectedError as error:
            raise RejectedError(f"{command} of {csc} was not done: {error.message}") from None
        if not isinstance(answer, dict) or "ack" not in answer:
            raise ProtocolError("LOVE answered a command without an acknowledgement.", advice="See love.url.")
        return str(answer["ack"])

    def check_hearing(self) -> None:
        """Check that the websocket is open.

        Raises
        ------
        UnreachableError
            If it is not.
        """
        if not self._feed.connected:
            raise UnreachableError(
                f"LOVE's websocket at {self._session.url} cannot be opened.",
                advice="See love.url with its subpath, and whether a proxy lets websockets through.",
            )

    def check_answering(self) -> None:
        """See whether LOVE answers requests: what its websocket tells goes on where they fail.

        Raises
        ------
        ServiceError
            If it does not, by cause.
        """
        self._session.get("validate-token/no_config/")

    def tai_now_s(self) -> float:
        """Give LOVE's TAI clock.

        Returns
        -------
        float
            TAI, unix seconds.
        """
        return time.time() + self._session.clock_offset_s

    def efd_logs(self, instance: str, csc: CscName, start_utc: str, end_utc: str) -> list[dict[str, Any]]:
        """Ask LOVE's EFD for log messages.

        Parameters
        ----------
        instance
            Name of the EFD.
        csc
            Who wrote them.
        start_utc, end_utc
            ISO 8601 without zone, UTC.

        Returns
        -------
        list of dict
            Rows of ``logevent_logMessage``.
        """
        fields = ["private_sndStamp", "private_seqNum", "private_origin", "level", "message"]
        answer = self._session.post(
            "efd/logmessages",
            {
                "efd_instance": instance,
                "start_date": start_utc,
                "end_date": end_utc,
                "scale": "utc",
                "cscs": {csc.name: {str(csc.index): {"logevent_logMessage": fields}}},
            },
        )
        rows = (
            answer.get(f"{csc.name}-{csc.index}-logevent_logMessage", []) if isinstance(answer, dict) else []
        )
        return [row for row in rows if isinstance(row, dict)]

    def close(self) -> None:
        """Hang up, and delete the token if it was made here."""
        self._feed.close()
        self._session.close()

    def _hear(self, message: dict[str, Any]) -> None:
        read_message(message, self.board)

    def _known_commands(self) -> dict[str, dict[str, set[str]]]:
        """Ask once which commands there are; empty where LOVE cannot say, because this is only a courtesy."""
        with self._commands_lock:
            if self._commands is None:
                try:
                    topics = self._session.get("salinfo/topic-data?categories=command")
                except (RejectedError, ServiceTimeoutError, ProtocolError) as error:
                    _LOG.warning("commands are not checked before they are sent: %s", error)
                    topics = {}
                self._commands = _read_commands(topics)
            return self._commands


def _words_of(csc: CscName) -> list[Subscription]:
    return [Subscription("event", csc.name, csc.index, stream) for stream in _WORDS]


def _read_commands(topics: Any) -> dict[str, dict[str, set[str]]]:
    known: dict[str, dict[str, set[str]]] = {}
    for csc, entry in topics.items() if isinstance(topics, dict) else ():
        commands = entry.get("command_data") if isinstance(entry, dict) else None
        if isinstance(commands, dict):
            known[str(csc)] = {str(c): set(p) if isinstance(p, dict) else set() for c, p in commands.items()}
    return known
