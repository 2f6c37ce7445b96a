"""The simulator's process: services on free loopback ports, and a state file by which others find them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import logging
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import tornado.httpserver
import tornado.netutil
import tornado.web
from pydantic import SecretStr

from lsst_commtools.simulate.observatory.admin import admin_application
from lsst_commtools.simulate.observatory.argocd import argocd_application
from lsst_commtools.simulate.observatory.docker import docker_application
from lsst_commtools.simulate.observatory.love import love_application
from lsst_commtools.simulate.observatory.observatory import DEFAULT_CAST, Observatory, larger_cast
from lsst_commtools.simulate.observatory.pace import Pace
from lsst_commtools.simulate.observatory.slack import slack_application
from lsst_commtools.site.stand_ins import StandIn, StandIns, stand_ins_file

__all__ = ["RunningObservatory", "main", "running_observatory"]


def _services(observatory: Observatory) -> dict[str, tuple[tornado.web.Application, Mapping[str, str]]]:
    """List what is served, and the login that each service wants."""
    key, password, bot = (secrets.token_urlsafe(24) for _ in range(3))
    return {
        "love": (
            love_application(observatory),
            {"user": "operator", "password": observatory.users["operator"].password},
        ),
        "argocd": (argocd_application(observatory, password), {"user": "commtools", "password": password}),
        "docker": (docker_application(observatory), {}),
        "slack": (slack_application(observatory, bot), {"token": bot}),
        "admin": (admin_application(observatory, SecretStr(key)), {"token": key}),
    }


def _serve(observatory: Observatory) -> tuple[dict[str, StandIn], list[tornado.httpserver.HTTPServer]]:
    """Bind each service to a free port of the loopback interface."""
    stand_ins, servers = {}, []
    for name, (application, login) in _services(observatory).items():
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server = tornado.httpserver.HTTPServer(application)
        server.add_sockets(sockets)
        servers.append(server)
        stand_ins[name] = StandIn(url=f"http://127.0.0.1:{sockets[0].getsockname()[1]}", **login)
    return stand_ins, servers


@dataclass
class RunningObservatory:
    """A simulated observatory in a thread of this process, as tests and benchmarks use it.

    Parameters
    ----------
    observatory
        The observatory; touch it by `call` only.
    services
        Where it listens.
    loop
        Its event loop.
    """

    observatory: Observatory
    services: Mapping[str, StandIn]
    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call something in the observatory's thread.

        Parameters
        ----------
        function, arguments
            What to call, and with what.

        Returns
        -------
        object
            What it returns.
        """
        done: Future[Any] = Future()

        def run() -> None:
            try:
                done.set_result(function(*arguments))
            except Exception as error:  # noqa: BLE001 - handed to the thread that called
                done.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return done.result(timeout=10.0)


@contextlib.contextmanager
def running_observatory(
    pace: Pace | None = None, cast: Mapping[str, str] = DEFAULT_CAST
) -> Iterator[RunningObservatory]:
    """Run a simulated observatory in a thread.

    Parameters
    ----------
    pace
        How long things take.
    cast
        CSC to the state in which it is at the beginning.

    Yields
    ------
    RunningObservatory
        The observatory, until the context ends.
    """
    ready: Future[RunningObservatory] = Future()

    async def serve() -> None:
        observatory = Observatory(pace, cast)
        services, servers = _serve(observatory)
        await observatory.begin()
        ready.set_result(RunningObservatory(observatory, services, asyncio.get_running_loop()))
        await observatory.stop_wanted.wait()
        await _close(observatory, servers)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="simulated-observatory", daemon=True)
    thread.start()
    running = ready.result(timeout=10.0)
    try:
        yield running
    finally:
        running.loop.call_soon_threadsafe(running.observatory.stop_wanted.set)
        thread.join(timeout=10.0)


async def _close(observatory: Observatory, servers: list[tornado.httpserver.HTTPServer]) -> None:
    observatory.close()
    for server in servers:
        server.stop()
        await server.close_all_connections()


async def _run(speed: float, cscs: int) -> None:
    observatory = Observatory(Pace().faster(speed), larger_cast(cscs))
    services, servers = _serve(observatory)
    await observatory.begin()
    file = stand_ins_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    told = StandIns(pid=os.getpid(), started_at=dt.datetime.now(dt.UTC).isoformat(), services=services)
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(told.model_dump_json(indent=2))
    part.replace(file)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, observatory.stop_wanted.set)
    await observatory.stop_wanted.wait()
    file.unlink(missing_ok=True)
    await _close(observatory, servers)


def main() -> None:
    """Leave a process behind that serves until it is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--cscs", type=int, default=len(DEFAULT_CAST))
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    if os.fork():
        os._exit(0)  # whoever started this is not the parent of the simulator, and need not wait for its end
    asyncio.run(_run(options.speed, options.cscs))


if __name__ == "__main__":
    main()
