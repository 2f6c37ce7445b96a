"""Simulated script queues, with the quirks of the real ones.

Contract: ``ts_scriptqueue`` and LOVE-producer ``love_producer_script_queue.py``: states in the stream go backwards, a
failed script stays current and pauses the queue, success becomes DONE late, ten finished scripts are told.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from lsst_commtools.errors import IdentifierError
from lsst_commtools.ids import CscName
from lsst_commtools.simulate.observatory.cscs import CommandFailedError, NoAcknowledgementError, SimulatedCsc
from lsst_commtools.simulate.observatory.pace import Pace
from lsst_commtools.simulate.observatory.producer import Producer, sal_sample, tai_now_s

__all__ = ["SCRIPT_COMMANDS", "SimulatedScriptQueue"]

SCRIPT_COMMANDS: dict[str, tuple[str, ...]] = {
    "add": (
        "isStandard", "path", "config", "descr", "location", "locationSalIndex", "pauseCheckpoint", "stopCheckpoint",
        "logLevel", "block", "blockSize", "startBlock", "executionId",
    ),
    "move": ("scriptSalIndex", "location", "locationSalIndex"),
    "requeue": ("scriptSalIndex", "location", "locationSalIndex"),
    "stopScripts": ("length", "salIndices", "terminate"),
    "showSchema": ("path", "isStandard"),
    "pause": (),
    "resume": (),
}  # fmt: skip

_HISTORY = 10
_LATE_SCHEMA_S = 1.0
_SCHEMA = """\
$schema: http://json-schema.org/draft-07/schema#
$id: https://github.com/lsst-ts/ts_standardscripts/SetSummaryState.yaml
title: SetSummaryState v2
type: object
properties:
  data:
    type: array
    minItems: 1
    items:
      type: array
      minItems: 2
      maxItems: 3
      items: {type: string}
  mute_alarms: {type: boolean, default: true}
  mute_duration: {type: number, minimum: 0, default: 30.0}
required: [data]
additionalProperties: false
"""
_STANDARD = {"set_summary_state.py": _SCHEMA, "sleep.py": "", "fail.py": ""}


class _Script:
    """One script on a queue."""

    def __init__(self, index: int, parameters: Mapping[str, Any]) -> None:
        self.index = index
        self.path = str(parameters["path"])
        self.config = str(parameters.get("config", ""))
        self.is_standard = bool(parameters.get("isStandard", True))
        self.process_state = "LOADING"
        self.script_state = "UNCONFIGURED"
        self.checkpoint = ""
        self.stop_wanted = False
        self.logged = 0

    def told(self) -> dict[str, Any]:
        """Give it as the stream does."""
        return {
            "index": self.index,
            "path": self.path,
            "type": "standard" if self.is_standard else "external",
            "process_state": self.process_state,
            "script_state": self.script_state,
            "timestampProcessStart": tai_now_s(),
            "timestampConfigureStart": 0,
            "timestampConfigureEnd": 0,
            "timestampRunStart": 0,
            "timestampProcessEnd": 0,
            "expected_duration": 2.0,
            "last_checkpoint": self.checkpoint,
            "description": "simulated",
            "classname": "Simulated",
            "remotes": "",
            "last_heartbeat_timestamp": 0,
            "lost_heartbeats": 0,
            "pause_checkpoints": "",
            "stop_checkpoints": "",
            "log_level": 20,
            "remote": None,
            "setup": True,
        }


class SimulatedScriptQueue:
    """A script queue that runs ``set_summary_state.py``, ``sleep.py`` and ``fail.py``.

    Parameters
    ----------
    csc
        The queue's own CSC.
    producer
        Where its streams go.
    pace
        How long things take.
    find
        Gives a CSC by its name; raises KeyError.
    """

    def __init__(
        self, csc: SimulatedCsc, producer: Producer, pace: Pace, find: Callable[[str], SimulatedCsc]
    ) -> None:
        self.csc = csc
        self.running = True
        self._producer = producer
        self._pace = pace
        self._find = find
        self._numbers = itertools.count()
        self._waiting: list[_Script] = []
        self._current: _Script | None = None
        self._finished: list[_Script] = []
        self._schemas = dict.fromkeys(_STANDARD, "")
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Start working."""
        self._spawn(self._work())
        self._spawn(self._watch_state())
        self._tell_available()
        self._tell()

    def close(self) -> None:
        """End all its tasks."""
        for task in self._tasks:
            task.cancel()

    @property
    def enabled(self) -> bool:
        """Whether it takes commands."""
        return self.csc.running and self.csc.state == "ENABLED"

    def pause(self) -> None:
        """Stop taking scripts from the list."""
        self.running = False
        self._tell()

    def resume(self) -> None:
        """Take scripts from the list again; a failed one goes to the finished ones."""
        self.running = True
        if self._current is not None and self._current.process_state == "DONE":
            self._finish(self._current)
        self._tell()

    async def command(self, command: str, parameters: Mapping[str, Any]) -> str:
        """Carry out a command of the queue.

        Parameters
        ----------
        command, parameters
            The command.

        Returns
        -------
        str
            Text of the acknowledgement; for ``add`` the script's index.

        Raises
        ------
        CommandFailedError
            If it is refused.
        """
        if not self.csc.running:
            await asyncio.sleep(self._pace.command_timeout_s)
            raise NoAcknowledgementError
        if command != "pause" and not self.enabled:
            raise CommandFailedError("Failed: not enabled")
        await asyncio.sleep(self.csc.latency_s)
        match command:
            case "add":
                return self._add(parameters)
            case "pause":
                self.pause()
            case "resume":
                self.resume()
            case "stopScripts":
                self._stop(
                    {int(i) for i in parameters.get("salIndices", [])[: int(parameters.get("length", 0))]}
                )
            case "showSchema":
                self._spawn(self._show_schema(str(parameters.get("path", ""))))
            case _:
                raise CommandFailedError(f"Failed: {command} is not simulated")
        return "Done"

    def _add(self, parameters: Mapping[str, Any]) -> str:
        if parameters.get("path") not in _STANDARD:
            raise CommandFailedError(f"Failed: no such script {parameters.get('path')!r}")
        script = _Script(self.csc.name.index * 100_000 + next(self._numbers) % 100_000, parameters)
        if parameters.get("location") == 1:
            self._waiting.insert(0, script)
        else:
            self._waiting.append(script)
        self._spawn(self._configure(script))
        self._tell()
        return str(script.index)

    def _stop(self, indices: set[int]) -> None:
        if self._current is not None and self._current.index in indices:
            self._current.stop_wanted = True
        # A queued script that is stopped never enters the history.
        self._waiting = [script for script in self._waiting if script.index not in indices]
        self._tell()

    async def _configure(self, script: _Script) -> None:
        await asyncio.sleep(self._pace.script_s)
        reason = self._config_error(script)
        script.process_state = script.script_state = "CONFIGURE_FAILED" if reason else "CONFIGURED"
        if reason:
            self._log(script, logging.ERROR, f"Configuration failed: {reason}")
        self._tell()

    def _config_error(self, script: _Script) -> str:
        if script.path != "set_summary_state.py":
            return ""
        try:
            config = yaml.safe_load(script.config)
            rows = config["data"]
            extra = set(config) - {"data", "mute_alarms", "mute_duration"}
            if extra or not rows:
                return f"unknown or missing properties {sorted(extra)}"
            for row in rows:
                if not (2 <= len(row) <= 3 and all(isinstance(value, str) for value in row)):
                    return f"{row!r} is not two or three texts"
                CscName.parse(row[0])
                if row[1].upper() not in ("OFFLINE", "STANDBY", "DISABLED", "ENABLED"):
                    return f"{row[1]!r} is no state"
        except (yaml.YAMLError, IdentifierError, KeyError, TypeError) as error:
            return repr(error)
        return ""

    async def _work(self) -> None:
        """Take configured scripts from the top of the list while the queue runs."""
        while True:
            self._news.clear()
            if self.enabled and self.running and self._current is None and self._waiting:
                top = self._waiting[0]
                if top.process_state == "CONFIGURE_FAILED":
                    self._waiting.remove(top)
                    self._remember(top)
                    self._tell()
                    continue
                if top.process_state == "CONFIGURED":
                    self._waiting.remove(top)
                    self._current = top
                    await self._run(top)
                    continue
            await self._news.wait()

    async def _run(self, script: _Script) -> None:
        script.process_state = script.script_state = "RUNNING"
        self._tell()
        failure = ""
        try:
            await self._body(script)
        except CommandFailedError as error:
            failure = str(error)
        # The producer merges two topics, so that the last states are seen twice.
        last = (
            ["STOPPING", "STOPPED"]
            if script.stop_wanted
            else ["FAILING", "FAILED"]
            if failure
            else ["ENDING", "DONE"]
        )
        for state in last:
            script.script_state = state
            self._tell()
        await asyncio.sleep(self._pace.script_s / 3)
        for state in ["RUNNING", *last]:
            script.script_state = state
            self._tell()
        await asyncio.sleep(self._pace.script_s / 3)
        if failure:
            self._log(script, logging.ERROR, f"Error in run: {failure}")
            script.process_state = "DONE"
            self.running = False
            self._tell()
            return  # it stays the current script until somebody resumes the queue
        self._finish(script)
        self._tell()
        await asyncio.sleep(self._pace.late_done_s)
        script.process_state = "DONE"
        self._tell()

    async def _body(self, script: _Script) -> None:
        if script.path == "fail.py":
            raise CommandFailedError("RuntimeError: this script always fails")
        if script.path == "sleep.py":
            await asyncio.sleep(float((yaml.safe_load(script.config) or {}).get("sleep_for", 0)))
            return
        for name, state, *override in yaml.safe_load(script.config)["data"]:
            script.checkpoint = f"set {name}"
            self._tell()
            if script.stop_wanted:
                return
            await self._set_summary_state(CscName.parse(name), state.upper(), override[0] if override else "")

    async def _set_summary_state(self, name: CscName, target: str, override: str) -> None:
        """Do what ``salobj.set_summary_state`` does: an override is ignored when no start is sent."""
        try:
            csc = self._find(str(name))
        except KeyError:
            raise CommandFailedError(f"RuntimeError: Cannot get summaryState from {name}") from None
        line = ["OFFLINE", "STANDBY", "DISABLED", "ENABLED"]
        up = {"STANDBY": "start", "DISABLED": "enable", "OFFLINE": "enterControl"}
        down = {"ENABLED": "disable", "DISABLED": "standby", "STANDBY": "exitControl"}
        while csc.state != target:
            if csc.state == "FAULT":
                command = "standby"
            else:
                command = (up if line.index(csc.state) < line.index(target) else down)[csc.state]
            before = csc.state
            try:
                await csc.command(command, {"configurationOverride": override} if command == "start" else {})
            except CommandFailedError as error:
                raise CommandFailedError(
                    f"RuntimeError: Error on cmd=cmd_{command}, initial_state={before}: {error}"
                ) from None
            except NoAcknowledgementError:
                raise CommandFailedError(f"RuntimeError: Error on cmd=cmd_{command}: timed out") from None

    def _finish(self, script: _Script) -> None:
        if self._current is script:
            self._current = None
        self._remember(script)

    def _remember(self, script: _Script) -> None:
        self._finished = [script, *self._finished][:_HISTORY]

    def _log(self, script: _Script, level: int, message: str) -> None:
        fields = {"level": level, "message": message, "traceback": "", "name": script.path}
        script.logged += 1
        sample = sal_sample("Script", script.index, script.index, script.logged, fields)
        # Later subscribers get it for the current script only.
        current = self._current is script
        self._producer.event("Script", script.index, "logMessage", [sample], cached=current)

    async def _show_schema(self, path: str) -> None:
        await asyncio.sleep(min(_LATE_SCHEMA_S, 4 * self._pace.script_s))
        self._schemas[path] = _STANDARD.get(path, "") or "# empty schema"
        self._tell_available()

    def _tell(self) -> None:
        index = self.csc.name.index
        scripts = {
            "current_scripts": [self._current.told()] if self._current is not None else [],
            "waiting_scripts": [script.told() for script in self._waiting],
            "finished_scripts": [script.told() for script in self._finished],
        }
        state = {"enabled": self.enabled, "running": self.running}
        self._producer.event("ScriptQueueState", index, "stateStream", state)
        self._producer.event("ScriptQueueState", index, "scriptsStream", json.loads(json.dumps(scripts)))
        self._news.set()

    def _tell_available(self) -> None:
        available = [{"type": "standard", "path": p, "configSchema": s} for p, s in self._schemas.items()]
        stream = {"available_scripts": available}
        self._producer.event("ScriptQueueState", self.csc.name.index, "availableScriptsStream", stream)

    async def _watch_state(self) -> None:
        enabled = self.enabled
        while True:
            await asyncio.sleep(self._pace.script_s)
            if enabled != self.enabled:
                enabled = self.enabled
                self._tell()

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
