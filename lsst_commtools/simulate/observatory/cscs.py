"""Simulated CSCs: state machine, heartbeat, log, and what can go wrong.

Contract: ``ts_salobj`` ``base_csc.py``. These rules are written apart from those of the client, so that each checks the
other.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lsst_commtools.ids import CscName
from lsst_commtools.simulate.observatory.faults import FaultBook
from lsst_commtools.simulate.observatory.pace import Pace
from lsst_commtools.simulate.observatory.producer import Producer, sal_sample, tai_now_s

__all__ = ["CommandFailedError", "NoAcknowledgementError", "SimulatedCsc"]

STATES = {"DISABLED": 1, "ENABLED": 2, "FAULT": 3, "OFFLINE": 4, "STANDBY": 5}
_ALLOWED = {
    "enterControl": ({"OFFLINE"}, "STANDBY"),
    "start": ({"STANDBY"}, "DISABLED"),
    "enable": ({"DISABLED"}, "ENABLED"),
    "disable": ({"ENABLED"}, "DISABLED"),
    "standby": ({"DISABLED", "FAULT"}, "STANDBY"),
    "exitControl": ({"STANDBY"}, "OFFLINE"),
}
_OVERRIDES = {"", "_init.yaml", "summit.yaml", "base.yaml", "test.yaml"}
_PROCESS_IDS = itertools.count(1001)


class CommandFailedError(Exception):
    """CMD_FAILED: the CSC rejects a command or fails at it; LOVE makes an HTML page of it."""


class NoAcknowledgementError(Exception):
    """CMD_NOACK: no acknowledgement came."""


class SimulatedCsc:
    """One CSC.

    Parameters
    ----------
    name
        Name and index.
    producer
        Where its events go.
    pace
        How long things take.
    faults
        What shall go wrong.
    state
        State that it is brought to at the beginning.
    """

    def __init__(self, name: CscName, producer: Producer, pace: Pace, faults: FaultBook, state: str) -> None:
        self.name = name
        self.latency_s = pace.transition_s
        self._producer = producer
        self._pace = pace
        self._faults = faults
        self._initial = state
        self._seq_nums: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._origin = 0
        self.is_camera = name.name.endswith("Camera")
        self.state = "OFFLINE"
        self.running = False
        self.booting = False
        self.host = ""
        self.beat = asyncio.Event()
        self.history: list[dict[str, Any]] = []

    async def begin(self) -> None:
        """Start watching its heartbeat, and start its process unless it is meant to be OFFLINE."""
        self._spawn(self._watch_heartbeat())
        if self._initial != "OFFLINE" or self.is_camera:
            self._begin_process(self._initial)

    def close(self) -> None:
        """End all its tasks."""
        for task in self._tasks:
            task.cancel()

    def start_process(self, host: str | None = None) -> None:
        """Start its process: it comes up in STANDBY, a camera in OFFLINE.

        Parameters
        ----------
        host
            What it runs in, a Job or the bench; where it ran before by default.
        """
        self.host = self.host if host is None else host
        self.booting = True
        self._spawn(self._boot())

    def kill(self) -> None:
        """End its process as SIGKILL does: no event tells of it."""
        self.running = self.booting = False

    def go_to_fault(self, code: int = 7, report: str = "simulated fault") -> None:
        """Go to FAULT by itself; the error code comes before the state."""
        if self.running:
            self.log(logging.ERROR, f"Fault: {report}")
            self._event("errorCode", {"errorCode": code, "errorReport": report, "traceback": ""})
            self._set_state("FAULT")

    def mend(self, state: str) -> None:
        """Come out of FAULT without a command, as if somebody had brought it back.

        Parameters
        ----------
        state
            State that it goes to.
        """
        if state not in STATES:
            raise ValueError(f"{state!r} is not a summary state")
        if self.running and self.state == "FAULT":
            self._event("errorCode", {"errorCode": 0, "errorReport": "", "traceback": ""})
            self._set_state(state)

    def log(self, level: int, message: str) -> None:
        """Write a log message."""
        self._event(
            "logMessage", {"level": level, "message": message, "traceback": "", "name": self.name.name}
        )

    async def command(self, command: str, parameters: Mapping[str, Any]) -> str:
        """Carry out a command.

        Parameters
        ----------
        command
            Name without ``cmd_``.
        parameters
            Its parameters.

        Returns
        -------
        str
            Text of the acknowledgement.

        Raises
        ------
        CommandFailedError
            If it is rejected or fails.
        NoAcknowledgementError
            If no acknowledgement came in time.
        """
        kind = self._faults.take(str(self.name), command) if self.running else ""
        if kind == "die":
            self.kill()
        if not self.running or kind == "no_ack":
            await asyncio.sleep(self._pace.command_timeout_s)
            raise NoAcknowledgementError
        if kind == "late":
            self._spawn(self._late(command, parameters))
            await asyncio.sleep(self._pace.command_timeout_s)
            raise NoAcknowledgementError
        await asyncio.sleep(self.latency_s * random.uniform(0.8, 1.2))
        if kind == "reject":
            raise CommandFailedError(f"Failed: {command} was rejected")
        if kind == "fault":
            self.go_to_fault(report=f"{command} failed")
            raise CommandFailedError(f"Failed: {command} failed")
        return self._carry_out(command, parameters)

    def _carry_out(self, command: str, parameters: Mapping[str, Any]) -> str:
        if command == "setLogLevel":
            self._event("logLevel", {"level": int(parameters.get("level", 20)), "subsystem": ""})
            return "Done"
        allowed, target = _ALLOWED[command]
        if self.state not in allowed:
            raise CommandFailedError(
                f"Failed: {command} not allowed in state <State.{self.state}: {STATES[self.state]}>"
            )
        if command == "start":
            self._configure(str(parameters.get("configurationOverride", "")))
        if self.state == "FAULT":
            self._event("errorCode", {"errorCode": 0, "errorReport": "", "traceback": ""})
        self._set_state(target)
        if target == "OFFLINE" and not self.is_camera:
            self._spawn(self._exit())
        return "Done"

    def _configure(self, override: str) -> None:
        if override not in _OVERRIDES:
            reason = f"Config file '/simulated/{self.name.name}/v1/{override}' does not exist"
            self.log(logging.ERROR, f"begin_start failed; remaining in state <State.STANDBY: 5>: {reason}")
            raise CommandFailedError(f"Failed: {reason}")
        applied = ",".join(["_init.yaml", override] if override else ["_init.yaml"])
        self._event(
            "configurationApplied",
            {"configurations": applied, "version": "simulated", "url": "", "otherInfo": ""},
        )

    async def _late(self, command: str, parameters: Mapping[str, Any]) -> None:
        await asyncio.sleep(self._pace.command_timeout_s * 1.2)
        with contextlib.suppress(CommandFailedError):
            self._carry_out(command, parameters)

    async def _boot(self) -> None:
        await asyncio.sleep(self._pace.boot_s)
        booting, self.booting = self.booting, False
        if booting and not self.running:
            self._begin_process("OFFLINE" if self.is_camera else "STANDBY")

    def _begin_process(self, state: str) -> None:
        self.running = True
        self._origin = next(_PROCESS_IDS)
        self._seq_nums.clear()
        self._event(
            "softwareVersions",
            {"cscVersion": "simulated", "salVersion": "simulated", "subsystemVersions": ""},
        )
        self._event("simulationMode", {"mode": 1})
        self._event("logLevel", {"level": 20, "subsystem": ""})
        self._event(
            "configurationsAvailable",
            {"overrides": ",".join(sorted(_OVERRIDES - {""})), "version": "simulated"},
        )
        self.log(logging.INFO, f"{self.name} started")
        self._set_state(state)
        self._spawn(self._heart())
        self._spawn(self._telemetry())

    async def _exit(self) -> None:
        origin = self._origin
        await asyncio.sleep(self._pace.exit_s)
        if self._origin == origin:
            self.running = False

    def _set_state(self, state: str) -> None:
        self.state = state
        self._event("summaryState", {"summaryState": STATES[state]})

    def _event(self, stream: str, fields: Mapping[str, Any]) -> None:
        self._seq_nums[stream] += 1
        sample = sal_sample(self.name.name, self.name.index, self._origin, self._seq_nums[stream], fields)
        if stream == "logMessage":
            self.history.append({name: entry["value"] for name, entry in sample.items()})
        self._producer.event(self.name.name, self.name.index, stream, [sample])

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _heart(self) -> None:
        origin = self._origin
        while self.running and self._origin == origin:
            self.beat.set()
            await asyncio.sleep(self._pace.heartbeat_s)

    async def _telemetry(self) -> None:
        origin = self._origin
        while self.running and self._origin == origin:
            fields = {"timestamp": tai_now_s(), "value": random.gauss(0.7, 0.1), "missing": float("nan")}
            sample = sal_sample(self.name.name, self.name.index, origin, 0, fields)
            self._producer.telemetry(self.name.name, self.name.index, "status", sample)
            await asyncio.sleep(self._pace.telemetry_s)

    async def _watch_heartbeat(self) -> None:
        """Tell of heartbeats as the producer does: lost ones are counted one by one, the last time is kept."""
        lost, last_utc_s, told_s = 0, -1.0, 0.0
        period_s = self._pace.heartbeat_stream_s
        clock = asyncio.get_running_loop().time
        while True:
            self.beat.clear()
            try:
                await asyncio.wait_for(self.beat.wait(), period_s)
                lost, last_utc_s = 0, tai_now_s() - 37.0
            except TimeoutError:
                lost += 1
            if clock() - told_s < period_s:
                continue
            told_s = clock()
            stream = {
                "csc": self.name.name,
                "salindex": self.name.index,
                "lost": lost,
                "last_heartbeat_timestamp": last_utc_s,
                "max_lost_heartbeats": 5,
            }
            self._producer.event("Heartbeat", 0, "stream", stream, cached=False)
