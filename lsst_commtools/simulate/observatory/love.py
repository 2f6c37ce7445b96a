"""LOVE's REST interface and websocket, as LOVE-manager v7.5 with its commander serves them.

Contract: ``api/urls.py``, ``api/authentication.py``, ``subscription/consumers.py``; errors included: a refused command is
an HTML page with status 500.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import secrets
from collections.abc import Awaitable
from typing import Any

import tornado.web
import tornado.websocket
from typing_extensions import override

from lsst_commtools.simulate.observatory.cscs import CommandFailedError, NoAcknowledgementError
from lsst_commtools.simulate.observatory.observatory import Observatory, User
from lsst_commtools.simulate.observatory.producer import TAI_MINUS_UTC_S, tai_now_s

__all__ = ["cut_websockets", "love_application"]

_HTML_500 = "<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Server Error (500)</title>\n</head>\n<body>\n  <h1>Server Error (500)</h1><p></p>\n</body>\n</html>\n"  # noqa: E501 - Django's page in one piece
_HANG_S = 3600.0


def _time_data() -> dict[str, float]:
    tai_s = tai_now_s()
    utc_s = tai_s - TAI_MINUS_UTC_S
    observing_day = dt.datetime.fromtimestamp(utc_s - 12 * 3600, dt.UTC).strftime("%Y%m%d")
    return {
        "utc": utc_s,
        "tai": tai_s,
        "mjd": utc_s / 86400.0 + 40587.0,
        "observing_day": observing_day,  # type: ignore[dict-item]  # LOVE gives text among numbers
        "sidereal_summit": 0.41,
        "sidereal_greenwich": 5.13,
        "tai_to_utc": -TAI_MINUS_UTC_S,
    }


class _Handler(tornado.web.RequestHandler):
    """What all requests share: faults, tokens, answers."""

    needs_token = True
    user: tuple[str, User]
    token: str

    def initialize(self, observatory: Observatory) -> None:
        self.observatory = observatory

    async def prepare(self) -> None:
        what = self.request.path.partition("/manager/api/")[2]
        match self.observatory.faults.take("love", what):
            case "http_500":
                self.server_error()
            case "http_504":
                self.answer(504, {"ack": "Command time out. Last ack received ack_ackcmd(ack=<SalRetCode.CMD_NOACK: -301>)."})
            case "drop":
                self.detach().close()
                self._finished = True
            case "hang":
                await asyncio.sleep(_HANG_S)
            case _:
                if self.needs_token:
                    self._authenticate()

    def _authenticate(self) -> None:
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme != "Token" or not token:
            self.set_header("WWW-Authenticate", "Token")
            self.answer(401, {"detail": "Authentication credentials were not provided."})
            return
        for name, user in self.observatory.users.items():
            if token in user.tokens:
                self.user, self.token = (name, user), token
                return
        self.answer(401, {"detail": "Invalid Token"})

    def body(self) -> dict[str, Any]:
        """Read the request's JSON; anything else is an empty object."""
        try:
            body = json.loads(self.request.body or b"{}")
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def answer(self, status: int, document: Any) -> None:
        """Finish with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(document))

    def server_error(self) -> None:
        """Finish as Django does when it did not expect something: the reason is lost."""
        self.set_status(500)
        self.set_header("Content-Type", "text/html")
        self.finish(_HTML_500)

    def identity(self, name: str, user: User, token: str, *, config: bool) -> dict[str, Any]:
        """Give what a login and a validation answer."""
        content = {"id": 1, "filename": "default.json", "content": {}, "update_timestamp": "2026-01-01T00:00:00Z"}
        return {
            "user": {"username": name, "email": f"{name}@localhost", "first_name": "", "last_name": ""},
            "token": token,
            "permissions": {"execute_commands": user.may_command},
            "time_data": _time_data(),
            "config": content if config else None,
        }

    @override
    def log_exception(self, *args: Any) -> None:
        """Errors of requests are part of the play, and print nothing."""

    @override
    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None


class _GetToken(_Handler):
    needs_token = False

    def post(self) -> None:
        body = self.body()
        if "username" not in body:
            self.server_error()
            return
        user = self.observatory.users.get(str(body["username"]))
        if user is None or user.password != body.get("password"):
            self.answer(400, {"non_field_errors": ["Unable to log in with provided credentials."]})
            return
        token = secrets.token_hex(20)
        user.tokens.add(token)
        self.answer(200, self.identity(str(body["username"]), user, token, config=True))


class _ValidateToken(_Handler):
    def get(self) -> None:
        name, user = self.user
        self.answer(200, self.identity(name, user, self.token, config=not self.request.path.endswith("no_config/")))


class _Logout(_Handler):
    def delete(self) -> None:
        self.user[1].tokens.discard(self.token)
        _Socket.close_all(self.token)
        self.set_status(204)
        self.finish()


class _Command(_Handler):
    async def post(self) -> None:
        if not self.user[1].may_command:
            self.answer(403, {"ack": "Your user is not allowed to command the observatory."})
            return
        body = self.body()
        if not {"csc", "salindex", "cmd", "params"} <= set(body):
            needed = "csc, salindex, cmd_name, params, identity"
            text = f"Request must have JSON data with the following keys: {needed}. Received {list(body)}"
            self.answer(400, {"ack": text})
            return
        try:
            ack = await self.observatory.command(body["csc"], body["salindex"], body["cmd"], body["params"])
        except NoAcknowledgementError:
            last = f"{body['csc']}_ackcmd(private_seqNum=0, ack=<SalRetCode.CMD_NOACK: -301>, error=0, result='')"
            self.answer(504, {"ack": f"Command time out. Last ack received ack_{last}."})
        except CommandFailedError:
            self.server_error()
        else:
            self.answer(200, {"ack": ack})


class _Topics(_Handler):
    def get(self) -> None:
        topics = self.observatory.topics()
        if self.request.path.endswith("topic-names"):
            names = {
                csc: {"event_names": ["summaryState", "logMessage"], "command_names": list(commands), "telemetry_names": []}
                for csc, commands in topics.items()
            }
            self.answer(200, names)
            return
        field = {"name": "", "description": "", "units": "unitless", "type_name": "string", "count": 1}
        data = {
            csc: {"command_data": {command: {p: {**field, "name": p} for p in ps} for command, ps in commands.items()}}
            for csc, commands in topics.items()
        }
        self.answer(200, data)


class _Broken(_Handler):
    """``salinfo/metadata``: the commander has no such route, so LOVE always breaks on it."""

    def get(self) -> None:
        self.server_error()


class _NoSlash(_Handler):
    """Django sends a path without its slash elsewhere."""

    needs_token = False

    async def prepare(self) -> None:
        self.redirect(f"{self.request.path}/", status=301)


class _Socket(tornado.websocket.WebSocketHandler):
    """The websocket; all names are confirmed, and a message that lacks a key ends it without a close frame."""

    _open: set[_Socket] = set()  # noqa: RUF012 - all that are open, in whichever thread's loop

    def initialize(self, observatory: Observatory) -> None:
        self.observatory = observatory

    def prepare(self) -> None:
        self.token = self.get_argument("token", "")
        kind = self.observatory.faults.take("love", "ws/subscription")
        valid = any(self.token in user.tokens for user in self.observatory.users.values())
        if kind or not valid:
            self.set_status(500 if kind else 403)
            self.finish()

    @override
    def check_origin(self, origin: str) -> bool:
        return True

    @override
    def open(self, *args: str, **kwargs: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._open.add(self)

    @override
    def on_message(self, message: str | bytes) -> None:
        try:
            self._handle(json.loads(message))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.abort()

    def _handle(self, message: dict[str, Any]) -> None:
        if message.get("action") == "get_time_data":
            self._tell(json.dumps({"time_data": _time_data(), "request_time": message["request_time"]}))
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
        self._open.discard(self)
        self.observatory.producer.leave(self._tell)

    def abort(self) -> None:
        """End the connection without a close frame."""
        if self.ws_connection is not None:
            self.ws_connection._abort()  # noqa: SLF001 - tornado has no public way to be rude

    @classmethod
    def close_all(cls, token: str) -> None:
        """Close the sockets of a token."""
        for socket in [s for s in cls._open if s.token == token]:
            socket.close()

    @classmethod
    def cut_all(cls, observatory: Observatory) -> None:
        """Cut all sockets of an observatory."""
        for socket in [s for s in cls._open if s.observatory is observatory]:
            socket.abort()

    @override
    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None


def cut_websockets(observatory: Observatory) -> None:
    """Cut all websockets, as a network that fails does.

    Parameters
    ----------
    observatory
        The observatory.
    """
    _Socket.cut_all(observatory)


def love_application(observatory: Observatory) -> tornado.web.Application:
    """Make the web application that stands in for LOVE.

    Parameters
    ----------
    observatory
        What is behind it.

    Returns
    -------
    tornado.web.Application
        REST and websocket.
    """
    given = {"observatory": observatory}
    api = r"/manager/api/"
    routes: list[tuple[str, type[tornado.web.RequestHandler], dict[str, Any]]] = [
        (f"{api}get-token/", _GetToken, given),
        (f"{api}validate-token/(?:no_config/)?", _ValidateToken, given),
        (f"{api}logout/", _Logout, given),
        (f"{api}cmd/", _Command, given),
        (f"{api}salinfo/topic-(?:names|data)", _Topics, given),
        (f"{api}salinfo/metadata", _Broken, given),
        (f"{api}(?:get-token|validate-token|logout|cmd)", _NoSlash, given),
        (r"/manager/ws/subscription/?", _Socket, given),
    ]
    return tornado.web.Application(routes, websocket_ping_interval=0)  # type: ignore[arg-type]  # a list is a rule list
