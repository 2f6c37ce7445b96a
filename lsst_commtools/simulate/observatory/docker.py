"""The part of Docker's Engine API that the bench needs, over the simulated bench; output comes in raw frames."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import tornado.web
from typing_extensions import override

from lsst_commtools.simulate.observatory.bench import SimulatedContainer
from lsst_commtools.simulate.observatory.observatory import Observatory

__all__ = ["docker_application"]

_API_VERSION = "1.43"
_HANG_S = 3600.0
_HEAD = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)
_AFTER_HEAD_S = 0.02


@dataclass
class _Execution:
    """A command that is to be carried out, and then how it ended."""

    container: SimulatedContainer
    command: list[str]
    environment: dict[str, str]
    code: int | None = None


class _Handler(tornado.web.RequestHandler):
    """What all requests share: faults, and errors as Docker writes them."""

    @override
    def initialize(self, observatory: Observatory, executions: dict[str, _Execution]) -> None:
        self.observatory, self.executions = observatory, executions

    @override
    async def prepare(self) -> None:
        kind = self.observatory.faults.take(
            "docker", f"{self.request.method} {self.request.path.rpartition('/')[2]}"
        )
        if kind == "drop":
            self.detach().close()
            self._finished = True
        elif kind == "hang":
            await asyncio.sleep(_HANG_S)
        elif kind == "gone":
            self.observatory.bench.remove("develop-env")
        elif kind.startswith("http_"):
            await self.fail(int(kind.removeprefix("http_")), "simulated failure")

    async def fail(self, status: int, reason: str) -> None:
        """Finish with an error."""
        self.set_status(status)
        await self.finish({"message": reason})

    async def container(self, name: str) -> SimulatedContainer | None:
        """Find a container, or finish with 404."""
        found = self.observatory.bench.find(name)
        if found is None:
            await self.fail(404, f"No such container: {name}")
        return found

    def body(self) -> dict[str, Any]:
        """Read the request's JSON."""
        body = json.loads(self.request.body or b"{}")
        return body if isinstance(body, dict) else {}

    async def answer(self, status: int, document: Any) -> None:
        """Finish with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        await self.finish(json.dumps(document))

    @override
    def log_exception(self, *args: Any) -> None:
        """Errors of requests are part of the play, and print nothing."""

    @override
    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None


class _Version(_Handler):
    @override
    async def get(self) -> None:
        await self.answer(200, {"Version": "simulated", "ApiVersion": _API_VERSION, "MinAPIVersion": "1.24"})


class _Containers(_Handler):
    @override
    async def get(self) -> None:
        rows = [
            {
                "Id": c.id,
                "Names": [f"/{c.name}"],
                "Image": c.image,
                "State": "running" if c.running else "exited",
                "Status": "Up" if c.running else "Exited (0)",
            }
            for c in self.observatory.bench.containers.values()
        ]
        await self.answer(200, rows)


class _Create(_Handler):
    @override
    async def post(self) -> None:
        made = self.observatory.bench.make(self.get_query_argument("name"), self.body().get("Image", ""))
        await self.answer(201, {"Id": made.id, "Warnings": []})


class _Start(_Handler):
    @override
    async def post(self, name: str) -> None:
        container = await self.container(name)
        if container is not None:
            container.running = True
            self.set_status(204)
            await self.finish()


class _ExecCreate(_Handler):
    @override
    async def post(self, name: str) -> None:
        container = await self.container(name)
        if container is None:
            return
        if not container.running:
            await self.fail(409, f"container {name} is not running")
            return
        body = self.body()
        environment = dict(entry.split("=", 1) for entry in body.get("Env") or [])
        number = f"{len(self.executions) + 1:064x}"
        self.executions[number] = _Execution(container, list(body["Cmd"]), environment)
        await self.answer(201, {"Id": number})


class _ExecStart(_Handler):
    @override
    async def post(self, number: str) -> None:
        execution = self.executions.get(number)
        if execution is None or self.observatory.bench.find(execution.container.id) is None:
            await self.fail(404, "No such exec instance")
            return
        execution.code, out, error = self.observatory.bench.execute(execution.command, execution.environment)
        if self.body().get("Detach"):
            await self.answer(200, None)
            return
        frames = [(1, out.encode()), (2, error.encode())]
        stream = self.detach()
        await stream.write(_HEAD)
        await asyncio.sleep(_AFTER_HEAD_S)  # a client reads the head with a buffer, and what follows without
        data = itertools.chain.from_iterable(
            (struct.pack(">BxxxL", kind, len(text)), text) for kind, text in frames if text
        )
        await stream.write(b"".join(data))
        stream.close()
        self._finished = True


class _ExecInspect(_Handler):
    @override
    async def get(self, number: str) -> None:
        execution = self.executions.get(number)
        if execution is None:
            await self.fail(404, "No such exec instance")
            return
        code = execution.code
        await self.answer(200, {"ID": number, "Running": code is None, "ExitCode": code})


def docker_application(observatory: Observatory) -> tornado.web.Application:
    """Make the web application that stands in for Docker on the host of the bench.

    Parameters
    ----------
    observatory
        What is behind it.

    Returns
    -------
    tornado.web.Application
        Containers and executions.
    """
    given: dict[str, Any] = {"observatory": observatory, "executions": {}}
    api = r"(?:/v[0-9.]+)?"
    routes: list[tuple[str, type[tornado.web.RequestHandler], dict[str, Any]]] = [
        (rf"{api}/version", _Version, given),
        (rf"{api}/containers/json", _Containers, given),
        (rf"{api}/containers/create", _Create, given),
        (rf"{api}/containers/([^/]+)/start", _Start, given),
        (rf"{api}/containers/([^/]+)/exec", _ExecCreate, given),
        (rf"{api}/exec/([^/]+)/start", _ExecStart, given),
        (rf"{api}/exec/([^/]+)/json", _ExecInspect, given),
    ]
    return tornado.web.Application(routes, log_function=lambda _: None)
