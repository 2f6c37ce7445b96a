"""LOVE's websocket, as LOVE-manager v7.5 serves it.

Contract: ``subscription/consumers.py``: all names are confirmed, and a message that lacks a key ends the connection
without a close frame.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable
from typing import Any, ClassVar

import tornado.websocket
from typing_extensions import override

from lsst_commtools.simulate.observatory.observatory import Observatory
from lsst_commtools.simulate.observatory.producer import TAI_MINUS_UTC_S, tai_now_s

__all__ = ["LoveSocket", "close_websockets", "cut_websockets", "time_data"]


def time_data() -> dict[str, Any]:
    """Give LOVE's clocks, as a login and the websocket tell them."""
    tai_s = tai_now_s()
    utc_s = tai_s - TAI_MINUS_UTC_S
    observing_day = dt.datetime.fromtimestamp(utc_s - 12 * 3600, dt.UTC).strftime("%Y%m%d")
    return {
        "utc": utc_s,
        "tai": tai_s,
        "mjd": utc_s / 86400.0 + 40587.0,
        "observing_day": observing_day,
        "sidereal_summit": 0.41,
        "sidereal_greenwich": 5.13,
        "tai_to_utc": -TAI_MINUS_UTC_S,
    }


class LoveSocket(tornado.websocket.WebSocketHandler):
    """The websocket; all names are confirmed, and a message that lacks a key ends it without a close frame."""

    sockets: ClassVar[set[LoveSocket]] = set()

    @override
    def initialize(self, observatory: Observatory) -> None:
        self.observatory = observatory

    @override
    async def prepare(self) -> None:
        self.token = self.get_argument("token", "")
        kind = self.observatory.faults.take("love", "ws/subscription")
        # Whether a token has expired is not looked at here.
        valid = any(self.token in user.tokens | user.expired for user in self.observatory.users.values())
        if kind or not valid:
            self.set_status(500 if kind else 403)
            await self.finish()

    @override
    def check_origin(self, origin: str) -> bool:
        return True

    @override
    def open(self, *args: str, **kwargs: str) -> None:
        self.sockets.add(self)

    @override
    def on_message(self, message: str | bytes) -> None:
        try:
            self._handle(json.loads(message))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.abort()

    def _handle(self, message: dict[str, Any]) -> None:
        if message.get("action") == "get_time_data":
            self._tell(json.dumps({"time_data": time_data(), "request_time": message["request_time"]}))
        elif message["option"] in ("subscribe", "unsubscribe"):
            names = (message["category"], message["csc"], str(message["salindex"]), message["stream"])
            group = "-".join(names)
            producer = self.observatory.producer
            if message["option"] == "subscribe":
                self._tell(json.dumps({"data": f"Successfully subscribed to {group}"}))
                producer.join(self._tell, *names)
            else:
                producer.leave(self._tell, group)
                self._tell(json.dumps({"data": f"Successfully unsubscribed to {group}"}))

    def _tell(self, text: str) -> None:
        if self.ws_connection is not None and not self.ws_connection.is_closing():
            task = asyncio.ensure_future(self.write_message(text))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    @override
    def on_close(self) -> None:
        self.sockets.discard(self)
        self.observatory.producer.leave(self._tell)

    def abort(self) -> None:
        """End the connection without a close frame."""
        if self.ws_connection is not None:
            self.ws_connection._abort()  # noqa: SLF001 - tornado has no public way to be rude

    @override
    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None


def close_websockets(token: str) -> None:
    """Close the websockets of a token.

    Parameters
    ----------
    token
        The token.
    """
    for socket in [s for s in LoveSocket.sockets if s.token == token]:
        socket.close()


def cut_websockets(observatory: Observatory) -> None:
    """Cut all websockets of an observatory, as a network that fails does.

    Parameters
    ----------
    observatory
        The observatory.
    """
    for socket in [s for s in LoveSocket.sockets if s.observatory is observatory]:
        socket.abort()
