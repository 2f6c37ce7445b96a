"""The simulated observatory: its CSCs, script queues, LOVE users, and all that is to go wrong."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lsst_commtools.errors import NotFoundError
from lsst_commtools.ids import CscName
from lsst_commtools.simulate.observatory.bench import SimulatedBench
from lsst_commtools.simulate.observatory.cluster import SimulatedCluster
from lsst_commtools.simulate.observatory.cscs import CommandFailedError, SimulatedCsc
from lsst_commtools.simulate.observatory.faults import Fault, FaultBook
from lsst_commtools.simulate.observatory.pace import Pace
from lsst_commtools.simulate.observatory.producer import Producer
from lsst_commtools.simulate.observatory.scripts import SCRIPT_COMMANDS, SimulatedScriptQueue

__all__ = ["DEFAULT_CAST", "Observatory", "User", "larger_cast"]

DEFAULT_CAST = {
    "DIMM:1": "STANDBY",
    "DIMM:2": "STANDBY",
    "ATDome": "STANDBY",
    "ATMCS": "STANDBY",
    "ATAOS": "STANDBY",
    "MTMount": "STANDBY",
    "MTAOS": "STANDBY",
    "MTHexapod:1": "STANDBY",
    "MTHexapod:2": "STANDBY",
    "MTCamera": "OFFLINE",
    "ScriptQueue:1": "ENABLED",
    "ScriptQueue:2": "ENABLED",
    "ScriptQueue:3": "ENABLED",
    "Watcher": "ENABLED",
}
"""CSCs to the state in which they are at the beginning."""

_STATE_COMMANDS: dict[str, tuple[str, ...]] = {
    "start": ("configurationOverride",),
    "enable": (),
    "disable": (),
    "standby": (),
    "exitControl": (),
    "setLogLevel": ("level", "subsystem"),
}


def larger_cast(count: int) -> dict[str, str]:
    """Give a cast with more CSCs.

    Parameters
    ----------
    count
        How many CSCs in all, at least those of `DEFAULT_CAST`.

    Returns
    -------
    dict
        The default cast, and as many ``Test`` CSCs as are needed.
    """
    extra = {f"Test:{n}": "STANDBY" for n in range(1, count - len(DEFAULT_CAST) + 1)}
    return {**DEFAULT_CAST, **extra}


@dataclass
class User:
    """A user of the simulated LOVE.

    Parameters
    ----------
    password
        Password.
    may_command
        Whether the user may command.
    tokens
        Tokens that are valid now.
    expired
        Tokens that are not valid any more.
    """

    password: str
    may_command: bool
    tokens: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)

    def expire(self) -> None:
        """Let all tokens expire."""
        self.expired |= self.tokens
        self.tokens.clear()


class Observatory:
    """Everything behind the simulated services.

    Parameters
    ----------
    pace
        How long things take.
    cast
        CSC to the state in which it is at the beginning.
    """

    def __init__(self, pace: Pace | None = None, cast: Mapping[str, str] = DEFAULT_CAST) -> None:
        self.pace = pace or Pace()
        self.faults = FaultBook()
        self.producer = Producer()
        self.users = {
            "operator": User(secrets.token_urlsafe(12), may_command=True),
            "visitor": User(secrets.token_urlsafe(12), may_command=False),
        }
        self.cscs = {
            name: SimulatedCsc(CscName.parse(name), self.producer, self.pace, self.faults, state)
            for name, state in cast.items()
        }
        self.queues: dict[int, SimulatedScriptQueue] = {}
        self.cluster = SimulatedCluster(self.cscs, self.pace)
        self.bench = SimulatedBench(self.cscs)
        self.announced: list[dict[str, str]] = []
        self.stop_wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Start all processes; needs a running event loop."""
        for csc in self.cscs.values():
            await csc.begin()
            if csc.name.name == "ScriptQueue":
                queue = SimulatedScriptQueue(csc, self.producer, self.pace, self.cscs.__getitem__)
                self.queues[csc.name.index] = queue
                queue.begin()
        self.cluster.begin()
        self._tasks.append(asyncio.get_running_loop().create_task(self._beat()))

    def close(self) -> None:
        """End all tasks."""
        for csc in self.cscs.values():
            csc.close()
        for queue in self.queues.values():
            queue.close()
        self.cluster.close()
        for task in self._tasks:
            task.cancel()

    def csc(self, name: str) -> SimulatedCsc:
        """Give a CSC.

        Parameters
        ----------
        name
            For instance ``DIMM:1``.

        Returns
        -------
        SimulatedCsc
            The CSC, whether its process runs or not.

        Raises
        ------
        NotFoundError
            If the cast has none of this name.
        """
        if name not in self.cscs:
            raise NotFoundError(
                f"The simulated observatory has no CSC {name!r}.", advice=f"It has {', '.join(self.cscs)}."
            )
        return self.cscs[name]

    def add_fault(self, fault: Fault) -> None:
        """Have something go wrong.

        Parameters
        ----------
        fault
            What, where and when.
        """
        self.faults.faults.append(fault)

    def topics(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """List the commands of each kind of CSC, and their parameters."""
        known: dict[str, dict[str, tuple[str, ...]]] = {}
        for csc in self.cscs.values():
            commands = dict(_STATE_COMMANDS)
            if csc.is_camera:
                commands["enterControl"] = ()
            if csc.name.name == "ScriptQueue":
                commands |= SCRIPT_COMMANDS
            known[csc.name.name] = commands
        return known

    async def command(self, csc: str, index: int, command: str, parameters: Mapping[str, Any]) -> str:
        """Carry out a command as LOVE's commander does.

        Parameters
        ----------
        csc, index, command, parameters
            The command, with ``cmd_`` before its name.

        Returns
        -------
        str
            Text of the acknowledgement.

        Raises
        ------
        CommandFailedError
            For a refusal, an unknown CSC, command or parameter: LOVE makes the same HTML page of all of them.
        NoAcknowledgementError
            If no acknowledgement came in time.
        """
        found = self.cscs.get(f"{csc}:{index}" if index else csc)
        name = command.removeprefix("cmd_")
        known = self.topics().get(csc, {})
        if found is None or name not in known or not set(parameters) <= set(known[name]):
            raise CommandFailedError(f"unknown: {csc}:{index} {command}")
        if csc == "ScriptQueue" and name in SCRIPT_COMMANDS:
            return await self.queues[index].command(name, parameters)
        return await found.command(name, parameters)

    async def _beat(self) -> None:
        while True:
            self.producer.manager_heartbeat()
            await asyncio.sleep(self.pace.manager_heartbeat_s)
