"""LOVE's REST interface, as LOVE-manager v7.5 with its commander serves it.

Contract: ``api/urls.py``, ``api/authentication.py``; a refused command is an HTML page with status 500.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import secrets
from collections.abc import Awaitable
from typing import Any

import tornado.web
from typing_extensions import override

from lsst_commtools.simulate.observatory.cscs import CommandFailedError, NoAcknowledgementError
from lsst_commtools.simulate.observatory.love_socket import LoveSocket, close_websockets, time_data
from lsst_commtools.simulate.observatory.observatory import Observatory, User
from lsst_commtools.simulate.observatory.producer import TAI_MINUS_UTC_S

__all__ = ["love_application"]

_HTML_500 = '<!doctype html>\n<html lang="en">\n<head>\n  <title>Server Error (500)</title>\n</head>\n<body>\n  <h1>Server Error (500)</h1><p></p>\n</body>\n</html>\n'  # noqa: E501 - Django's page in one piece
_HANG_S = 3600.0
EFD = "simulated_efd"


class _Handler(tornado.web.RequestHandler):
    """What all requests share: faults, tokens, answers."""

    needs_token = True
    user: tuple[str, User]
    token: str

    @override
    def initialize(self, observatory: Observatory) -> None:
        self.observatory = observatory

    @override
    async def prepare(self) -> None:
        what = self.request.path.partition("/manager/api/")[2]
        match self.observatory.faults.take("love", what):
            case "http_500":
                await self.server_error()
            case "http_504":
                await self.answer(
                    504,
                    {
                        "ack": "Command time out. Last ack received ack_ackcmd(ack=<SalRetCode.CMD_NOACK: -301>)."
                    },
                )
            case "drop":
                self.detach().close()
                self._finished = True
            case "hang":
                await asyncio.sleep(_HANG_S)
            case _:
                if self.needs_token:
                    await self._authenticate()

    async def _authenticate(self) -> None:
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme != "Token" or not token:
            self.set_header("WWW-Authenticate", "Token")
            await self.answer(401, {"detail": "Authentication credentials were not provided."})
            return
        for name, user in self.observatory.users.items():
            if token in user.tokens:
                self.user, self.token = (name, user), token
                return
        expired = any(token in user.expired for user in self.observatory.users.values())
        await self.answer(401, {"detail": "The Token is expired" if expired else "Invalid Token"})

    def body(self) -> dict[str, Any]:
        """Read the request's JSON; anything else is an empty object."""
        try:
            body = json.loads(self.request.body or b"{}")
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    async def answer(self, status: int, document: Any) -> None:
        """Finish with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        await self.finish(json.dumps(document))

    async def server_error(self) -> None:
        """Finish as Django does when it did not expect something: the reason is lost."""
        self.set_status(500)
        self.set_header("Content-Type", "text/html")
        await self.finish(_HTML_500)

    def identity(self, name: str, user: User, token: str, *, config: bool) -> dict[str, Any]:
        """Give what a login and a validation answer."""
        content = {
            "id": 1,
            "filename": "default.json",
            "content": {},
            "update_timestamp": "2026-01-01T00:00:00Z",
        }
        return {
            "user": {"username": name, "email": f"{name}@localhost", "first_name": "", "last_name": ""},
            "token": token,
            "permissions": {"execute_commands": user.may_command},
            "time_data": time_data(),
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

    @override
    async def post(self) -> None:
        body = self.body()
        if "username" not in body:
            await self.server_error()
            return
        user = self.observatory.users.get(str(body["username"]))
        if user is None or user.password != body.get("password"):
            await self.answer(400, {"non_field_errors": ["Unable to log in with provided credentials."]})
            return
        token = secrets.token_hex(20)
        user.tokens.add(token)
        await self.answer(200, self.identity(str(body["username"]), user, token, config=True))


class _ValidateToken(_Handler):
    @override
    async def get(self) -> None:
        name, user = self.user
        await self.answer(
            200, self.identity(name, user, self.token, config=not self.request.path.endswith("no_config/"))
        )


class _Logout(_Handler):
    @override
    async def delete(self) -> None:
        self.user[1].tokens.discard(self.token)
        close_websockets(self.token)
        self.set_status(204)
        await self.finish()


class _Command(_Handler):
    @override
    async def post(self) -> None:
        if not self.user[1].may_command:
            await self.answer(403, {"ack": "Your user is not allowed to command the observatory."})
            return
        body = self.body()
        if not {"csc", "salindex", "cmd", "params"} <= set(body):
            needed = "csc, salindex, cmd_name, params, identity"
            text = f"Request must have JSON data with the following keys: {needed}. Received {list(body)}"
            await self.answer(400, {"ack": text})
            return
        try:
            ack = await self.observatory.command(body["csc"], body["salindex"], body["cmd"], body["params"])
        except NoAcknowledgementError:
            last = f"{body['csc']}_ackcmd(private_seqNum=0, ack=<SalRetCode.CMD_NOACK: -301>, error=0, result='')"
            await self.answer(504, {"ack": f"Command time out. Last ack received ack_{last}."})
        except CommandFailedError:
            await self.server_error()
        else:
            await self.answer(200, {"ack": ack})


class _Topics(_Handler):
    @override
    async def get(self) -> None:
        topics = self.observatory.topics()
        if self.request.path.endswith("topic-names"):
            names = {
                csc: {
                    "event_names": ["summaryState", "logMessage"],
                    "command_names": list(commands),
                    "telemetry_names": [],
                }
                for csc, commands in topics.items()
            }
            await self.answer(200, names)
            return
        field = {"name": "", "description": "", "units": "unitless", "type_name": "string", "count": 1}
        data = {
            csc: {
                "command_data": {
                    command: {p: {**field, "name": p} for p in ps} for command, ps in commands.items()
                }
            }
            for csc, commands in topics.items()
        }
        await self.answer(200, data)


class _EfdLogs(_Handler):
    """Log messages of the EFD, newest first."""

    @override
    async def post(self) -> None:
        body = self.body()
        if not {"efd_instance", "start_date", "end_date", "scale", "cscs"} <= set(body):
            await self.answer(400, {"ack": "Some of the required parameters is not present"})
            return
        if body["efd_instance"] != EFD:
            await self.answer(400, {"ack": "EFD Client could not stablish connection"})
            return
        begin_s, end_s = (
            dt.datetime.fromisoformat(body[key]).replace(tzinfo=dt.UTC).timestamp() + TAI_MINUS_UTC_S
            for key in ("start_date", "end_date")
        )
        found: dict[str, Any] = {}
        for csc, indices in body["cscs"].items():
            for index, topics in indices.items():
                known = self.observatory.cscs.get(f"{csc}:{index}" if index != "0" else csc)
                rows = known.history if known is not None else []
                found[f"{csc}-{index}-logevent_logMessage"] = [
                    {field: row[field] for field in topics["logevent_logMessage"]}
                    for row in reversed(rows)
                    if begin_s <= row["private_sndStamp"] <= end_s
                ]
        await self.answer(200, found)


class _Broken(_Handler):
    """``salinfo/metadata``: the commander has no such route, so LOVE always breaks on it."""

    @override
    async def get(self) -> None:
        await self.server_error()


class _NoSlash(_Handler):
    """Django sends a path without its slash elsewhere."""

    needs_token = False

    @override
    async def prepare(self) -> None:
        self.redirect(f"{self.request.path}/", status=301)


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
        (f"{api}efd/logmessages", _EfdLogs, given),
        (f"{api}(?:get-token|validate-token|logout|cmd)", _NoSlash, given),
        (r"/manager/ws/subscription/?", LoveSocket, given),
    ]
    return tornado.web.Application(routes, log_function=lambda _: None)
