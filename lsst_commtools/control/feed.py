"""LOVE's websocket, kept open by a thread: it connects again, and asks again for all that was subscribed to.

Contract: LOVE-manager v7.5 ``subscription/consumers.py``. The token stands in the URL, so neither the URL nor an
exception of the library is ever logged or passed on.
"""

from __future__ import annotations

import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import websocket
from pydantic import SecretStr
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from lsst_commtools.control.session import LoveSession
from lsst_commtools.errors import AuthenticationError, CommtoolsError

__all__ = ["Feed", "Subscription"]

_LOG = logging.getLogger(__name__)
_BACKOFF_S = (0.1, 10.0)
_PING_EVERY_S = 5.0
_SILENT_S = 20.0
_HANDSHAKE_REFUSED = (401, 403)


@dataclass(frozen=True)
class Subscription:
    """Name of a stream of LOVE."""

    category: str
    csc: str
    index: int
    stream: str

    def message(self, option: str = "subscribe") -> str:
        """Write the message that asks for it; LOVE drops the connection when a key is missing.

        Parameters
        ----------
        option
            ``subscribe`` or ``unsubscribe``.

        Returns
        -------
        str
            JSON.
        """
        return json.dumps(
            {
                "option": option,
                "category": self.category,
                "csc": self.csc,
                "salindex": str(self.index),
                "stream": self.stream,
            }
        )


class Feed:
    """Listen to LOVE in the background.

    Parameters
    ----------
    session
        Gives address and token.
    hear
        Called with each message, in the feed's thread.
    trouble
        Called with an error that only a person can end, and with None when all is well again.
    """

    def __init__(
        self,
        session: LoveSession,
        hear: Callable[[dict[str, Any]], None],
        trouble: Callable[[CommtoolsError | None], None],
    ) -> None:
        self._session = session
        self._hear = hear
        self._trouble = trouble
        self._wanted: dict[Subscription, None] = {}
        self._lock = threading.Lock()
        self._socket: websocket.WebSocket | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.connections = 0

    @property
    def connected(self) -> bool:
        """Whether the websocket is open now."""
        return self._socket is not None

    def subscribe(self, wanted: Iterable[Subscription]) -> None:
        """Ask for streams; asking again makes LOVE send the last event again.

        Parameters
        ----------
        wanted
            Streams; they stay wanted over lost connections.
        """
        wanted = list(wanted)
        with self._lock:
            self._wanted.update(dict.fromkeys(wanted))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="love-feed", daemon=True)
                self._thread.start()
        self._send([s.message() for s in wanted])

    def subscribe_once(self, wanted: Iterable[Subscription]) -> None:
        """Ask for streams that were not asked for yet, so that LOVE repeats nothing to everybody.

        Parameters
        ----------
        wanted
            Streams.
        """
        with self._lock:
            new = [s for s in wanted if s not in self._wanted]
        if new:
            self.subscribe(new)

    def unsubscribe(self, unwanted: Iterable[Subscription]) -> None:
        """Ask for streams no more.

        Parameters
        ----------
        unwanted
            Streams; those that were not asked for do no harm.
        """
        with self._lock:
            known = [s for s in unwanted if s in self._wanted]
            for subscription in known:
                del self._wanted[subscription]
        self._send([s.message("unsubscribe") for s in known])

    def close(self) -> None:
        """Hang up and end the thread."""
        self._stop.set()
        open_socket, thread = self._socket, self._thread
        if open_socket is not None:
            open_socket.abort()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5.0)

    def _send(self, messages: list[str]) -> None:
        open_socket = self._socket
        if open_socket is None:
            return  # all that is wanted is asked for when the connection is made
        try:
            for message in messages:
                open_socket.send(message)
        except (OSError, websocket.WebSocketException):
            open_socket.abort()  # the thread sees it and connects again

    def _run(self) -> None:
        pause_s = _BACKOFF_S[0]
        refused = False
        while not self._stop.is_set():
            try:
                token = self._session.token()
                open_socket = self._connect(token)
            except _HandshakeRefusedError as error:
                refused = self._renew(token, again=refused, status=error.status)
            except CommtoolsError as error:
                self._trouble(error)
            except (OSError, ValueError, websocket.WebSocketException) as error:
                _LOG.debug("LOVE's websocket cannot be opened: %s", type(error).__name__)
            else:
                refused, pause_s = False, _BACKOFF_S[0]
                self._trouble(None)
                self._listen(open_socket)
            self._stop.wait(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _BACKOFF_S[1])

    def _connect(self, token: SecretStr) -> websocket.WebSocket:
        base = self._session.url.replace("http", "ws", 1)
        try:
            open_socket = websocket.create_connection(
                f"{base}/manager/ws/subscription?token={token.get_secret_value()}",
                timeout=_PING_EVERY_S,
                enable_multithread=True,
                redirect_limit=0,
                sslopt={"ca_certs": os.environ.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH},
            )
        except websocket.WebSocketBadStatusException as error:
            if error.status_code in _HANDSHAKE_REFUSED:
                raise _HandshakeRefusedError(error.status_code) from None
            raise
        open_socket.settimeout(1.0)
        return open_socket

    def _renew(self, token: SecretStr, *, again: bool, status: int) -> bool:
        """Log in again after a refused handshake; a second refusal is somebody else's to solve."""
        try:
            if not again:
                self._session.renew(token)
                return True
            self._trouble(
                AuthenticationError(
                    f"LOVE at {self._session.url} refuses the websocket (HTTP {status}).",
                    advice="See love.user and its password or token.",
                )
            )
        except CommtoolsError as error:
            self._trouble(error)
        return True

    def _listen(self, open_socket: websocket.WebSocket) -> None:
        """Pass messages on until the connection ends, however it does."""
        with self._lock:
            self._socket = open_socket
            self.connections += 1
            wanted = list(self._wanted)
        self._send([s.message() for s in wanted])
        heard_s = pinged_s = time.monotonic()
        try:
            while not self._stop.is_set():
                now_s = time.monotonic()
                if now_s - heard_s > _SILENT_S:
                    break
                if now_s - pinged_s > _PING_EVERY_S:
                    open_socket.ping()
                    pinged_s = now_s
                try:
                    opcode, frame = open_socket.recv_data(control_frame=True)
                except websocket.WebSocketTimeoutException:
                    continue
                heard_s = time.monotonic()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    break
                if opcode == websocket.ABNF.OPCODE_TEXT:
                    self._pass_on(frame)
        except (OSError, websocket.WebSocketException) as error:
            _LOG.debug("LOVE's websocket was lost: %s", type(error).__name__)
        finally:
            self._socket = None
            open_socket.abort()
            open_socket.shutdown()

    def _pass_on(self, frame: bytes) -> None:
        try:
            message = json.loads(frame)  # also takes the bare NaN that LOVE sends
        except ValueError:
            _LOG.debug("a message of LOVE is not JSON")
            return
        if not isinstance(message, dict):
            return
        try:
            self._hear(message)
        except Exception:  # noqa: BLE001 - one odd message must not end the feed
            _LOG.exception("a message of LOVE was not understood")


class _HandshakeRefusedError(Exception):
    """The websocket's handshake was answered with a refusal."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
