"""Where the simulated observatory is told what shall go wrong, and says what is true."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import tornado.web
from pydantic import SecretStr
from typing_extensions import override

from lsst_commtools.errors import CommtoolsError, InputError
from lsst_commtools.simulate.observatory.faults import Fault
from lsst_commtools.simulate.observatory.love_socket import cut_websockets
from lsst_commtools.simulate.observatory.observatory import Observatory

__all__ = ["ACTIONS", "act", "admin_application", "truth"]


def truth(observatory: Observatory) -> dict[str, Any]:
    """Say what is true, whatever the services tell.

    Parameters
    ----------
    observatory
        The observatory.

    Returns
    -------
    dict
        CSCs with state and whether their process runs, queues, Jobs, bench, CSCs of which two processes were to run at
        once, announcements, faults to come.
    """
    return {
        "cscs": {
            name: {"state": csc.state, "running": csc.running} for name, csc in observatory.cscs.items()
        },
        "queues": {
            str(index): {"enabled": queue.enabled, "running": queue.running}
            for index, queue in observatory.queues.items()
        },
        "jobs": observatory.cluster.truth(),
        "bench": observatory.bench.truth(),
        "two_at_once": [*observatory.cluster.two_at_once, *observatory.bench.two_at_once],
        "announced": observatory.announced,
        "faults": [vars(fault) for fault in observatory.faults.faults],
    }


def _kill(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.csc(told["csc"]).kill()


def _start(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.csc(told["csc"]).start_process()


def _fault(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.csc(told["csc"]).go_to_fault()


def _mend(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.csc(told["csc"]).mend(str(told["state"]))


def _log(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.csc(told["csc"]).log(int(told.get("level", logging.INFO)), str(told.get("message", "")))


def _latency(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.csc(told["csc"]).latency_s = float(told["seconds"])


def _inject(observatory: Observatory, told: Mapping[str, Any]) -> None:
    known = {key: told[key] for key in ("service", "kind", "where", "skip", "times") if key in told}
    observatory.add_fault(Fault(**known))


def _withdraw(observatory: Observatory, told: Mapping[str, Any]) -> None:
    wanted = (told["service"], told["kind"], told.get("where", ""))
    book = observatory.faults
    book.faults = [fault for fault in book.faults if (fault.service, fault.kind, fault.where) != wanted]


def _heal(observatory: Observatory, _: Mapping[str, Any]) -> None:
    observatory.faults.faults.clear()
    observatory.producer.silent = False


def _cut(observatory: Observatory, _: Mapping[str, Any]) -> None:
    cut_websockets(observatory)


def _silence(observatory: Observatory, _: Mapping[str, Any]) -> None:
    observatory.producer.silent = True


def _expire(observatory: Observatory, _: Mapping[str, Any]) -> None:
    for user in observatory.users.values():
        user.expire()


def _permit(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.users["operator"].may_command = bool(told["may_command"])


def _pause(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.queues[int(told["queue"])].pause()


def _resume(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.queues[int(told["queue"])].resume()


def _stop(observatory: Observatory, _: Mapping[str, Any]) -> None:
    observatory.stop_wanted.set()


def _remove_container(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.bench.remove(str(told["name"]))


def _make_container(observatory: Observatory, told: Mapping[str, Any]) -> None:
    name = str(told["name"])
    if observatory.bench.find(name) is None:
        observatory.bench.make(name, "simulated/develop-env:c0044")


def _sync_window(observatory: Observatory, told: Mapping[str, Any]) -> None:
    observatory.cluster.may_sync = bool(told["open"])


ACTIONS: dict[str, Callable[[Observatory, Mapping[str, Any]], None]] = {
    "kill": _kill,
    "start": _start,
    "fault": _fault,
    "mend": _mend,
    "log": _log,
    "latency": _latency,
    "inject": _inject,
    "withdraw": _withdraw,
    "heal": _heal,
    "cut-websockets": _cut,
    "silence-producer": _silence,
    "expire-tokens": _expire,
    "permit": _permit,
    "pause-queue": _pause,
    "resume-queue": _resume,
    "remove-container": _remove_container,
    "make-container": _make_container,
    "sync-window": _sync_window,
    "stop": _stop,
}
"""What the observatory can be told to do."""


def act(observatory: Observatory, told: Mapping[str, Any]) -> None:
    """Do what was told.

    Parameters
    ----------
    observatory
        The observatory.
    told
        ``do``, one of `ACTIONS`, and what that action needs.

    Raises
    ------
    InputError
        If it cannot be understood.
    """
    action = ACTIONS.get(str(told.get("do")))
    if action is None:
        raise InputError(f"There is no action {told.get('do')!r}.", advice=f"Known are {', '.join(ACTIONS)}.")
    try:
        action(observatory, told)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CommtoolsError):
            raise
        raise InputError(f"The action {told['do']!r} needs something else: {error!r}.") from None


class _Admin(tornado.web.RequestHandler):
    @override
    def initialize(self, observatory: Observatory, key: SecretStr) -> None:
        self.observatory, self.key = observatory, key

    @override
    async def prepare(self) -> None:
        if self.request.headers.get("Authorization") != f"Bearer {self.key.get_secret_value()}":
            self.set_status(401)
            await self.finish()

    @override
    async def get(self) -> None:
        await self.finish(truth(self.observatory))

    @override
    async def post(self) -> None:
        try:
            act(self.observatory, json.loads(self.request.body))
        except (CommtoolsError, ValueError) as error:
            self.set_status(400)
            await self.finish({"error": str(error)})
        else:
            await self.finish(truth(self.observatory))


def admin_application(observatory: Observatory, key: SecretStr) -> tornado.web.Application:
    """Make the web application that takes actions.

    Parameters
    ----------
    observatory
        What is behind it.
    key
        Bearer token that it wants.

    Returns
    -------
    tornado.web.Application
        ``GET /`` and ``POST /``.
    """
    routes = [(r"/", _Admin, {"observatory": observatory, "key": key})]
    return tornado.web.Application(routes, log_function=lambda _: None)
