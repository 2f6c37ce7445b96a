"""Script queue by way of LOVE: add a script, follow it to its end, leave the queue as it was."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from lsst_commtools.control.love import LoveBackend
from lsst_commtools.control.scripts import (
    SET_SUMMARY_STATE,
    SET_SUMMARY_STATE_SCHEMA,
    Place,
    QueueState,
    ScriptResult,
    ScriptSight,
    Verdict,
    check_config,
    judge,
)
from lsst_commtools.control.steps import complaints
from lsst_commtools.errors import (
    CommtoolsError,
    NotFoundError,
    ProtocolError,
    RefusedError,
    RejectedError,
    ServiceTimeoutError,
    StepError,
    UnknownOutcomeError,
)
from lsst_commtools.ids import CscName

__all__ = ["ScriptQueue"]

_LOG = logging.getLogger(__name__)
_LAST = 2
_SETTLE_S = 10.0
_SCHEMA_S = 20.0
_GONE_S = 3.0
_APPEAR_S = 20.0
_ASK_AGAIN_S = 5.0


class ScriptQueue:
    """One script queue.

    Parameters
    ----------
    love
        Way to it.
    index
        Its SAL index.
    observe_s
        How long to wait for its state, in seconds.
    script_s
        How long a script may take, in seconds.
    """

    def __init__(self, love: LoveBackend, index: int, observe_s: float, script_s: float) -> None:
        self._love = love
        self.index = index
        self._csc = CscName("ScriptQueue", index)
        self._observe_s = observe_s
        self._script_s = script_s

    def state(self) -> QueueState:
        """See the queue.

        Returns
        -------
        QueueState
            As LOVE tells it.

        Raises
        ------
        UnknownOutcomeError
            If LOVE tells nothing of it.
        """
        self._love.follow_queue(self.index)
        self._love.board.wait(lambda: self._seen() is not None, self._observe_s)
        seen = self._seen()
        if seen is None:
            self._love.check_hearing()
            raise UnknownOutcomeError(
                f"LOVE tells nothing of {self._csc}.",
                advice="See whether it runs, and LOVE's producer watches it.",
            )
        return seen

    def run(
        self,
        path: str,
        config: Mapping[str, Any] | None = None,
        *,
        standard: bool = True,
        paused: bool = False,
        timeout_s: float | None = None,
        saw: Callable[[ScriptSight], None] | None = None,
    ) -> ScriptResult:
        """Add a script, follow it to its end, and let the queue run on where a failure of it has stopped it.

        Parameters
        ----------
        path, config, standard, paused
            As for `add`.
        timeout_s, saw
            As for `follow`.

        Returns
        -------
        ScriptResult
            How it ended.
        """
        ran = self.state().running
        index = self.add(path, config, standard=standard, paused=paused)
        result = self.follow(index, timeout_s=timeout_s, saw=saw)
        if ran and result.verdict is Verdict.FAILED and self._stopped_by(index):
            return ScriptResult(index, result.verdict, result.error, resumed=self._resume_quietly())
        return result

    def add(
        self,
        path: str,
        config: Mapping[str, Any] | None = None,
        *,
        standard: bool = True,
        paused: bool = False,
        description: str = "lsst_commtools",
    ) -> int:
        """Add a script to the end of the queue.

        Parameters
        ----------
        path
            Its file, below the folder of standard or external scripts.
        config
            Its configuration; checked against the script's schema.
        standard
            Whether it is a standard script.
        paused
            Whether a queue that is paused will do: the script then waits until somebody resumes the queue.
        description
            Why it is run, for people.

        Returns
        -------
        int
            SAL index of the script.

        Raises
        ------
        RefusedError
            If the queue is not enabled, or is paused and that was not agreed to.
        InputError
            If the configuration does not fit.
        NotFoundError
            If the queue has no such script.
        UnknownOutcomeError
            If LOVE did not say whether it was added.
        """
        state = self.state()
        if not state.enabled:
            raise RefusedError(
                f"{self._csc} is not enabled and takes no scripts.",
                changed="Nothing was sent.",
                advice=f"Set {self._csc} to ENABLED first.",
            )
        if not state.running and not paused:
            raise RefusedError(
                f"{self._csc} is paused: the script would wait without end{self._blocked(state)}.",
                changed="Nothing was sent.",
                advice="Ask whoever paused it, then resume it; or agree to a paused queue (paused=True).",
            )
        written = check_config(path, config or {}, self.schema(path, standard=standard))
        parameters = {
            "isStandard": standard,
            "path": path,
            "config": written,
            "descr": description,
            "location": _LAST,
            "pauseCheckpoint": "",
            "stopCheckpoint": "",
            "logLevel": 0,
        }
        self._love.check_command(self._csc, "add", parameters)
        try:
            ack = self._love.command(self._csc, "add", parameters)
        except ServiceTimeoutError as error:
            raise UnknownOutcomeError(
                f"It is not known whether {path} was added to {self._csc}: {error.message}",
                advice="Look at the queue before you try again.",
            ) from None
        except RejectedError as error:
            raise RejectedError(
                f"{self._csc} did not take {path}.", changed="No script was added.", advice=error.message
            ) from None
        if not ack.isdigit():
            raise ProtocolError(
                f"{self._csc} answered the script's addition with {ack!r}, not with its index."
            )
        return int(ack)

    def schema(self, path: str, *, standard: bool = True) -> Mapping[str, Any] | None:
        """Give the schema of a script's configuration.

        Parameters
        ----------
        path, standard
            The script.

        Returns
        -------
        mapping or None
            JSON schema; None where the script has none, or the queue does not tell it in time.

        Raises
        ------
        NotFoundError
            If the queue has no such script.
        """
        kind = "standard" if standard else "external"
        self._love.follow_queue(self.index)
        self._love.board.wait(lambda: bool(self._available(kind)), self._observe_s)
        available = self._available(kind)
        if available and path not in available:
            raise NotFoundError(
                f"{self._csc} has no {kind} script {path!r}.",
                changed="Nothing was sent.",
                advice=_close_to(path, available),
            )
        if standard and path == SET_SUMMARY_STATE:
            return SET_SUMMARY_STATE_SCHEMA
        if not available.get(path):
            self._ask_schema(path, standard=standard)
        return _read_schema(self._available(kind).get(path, ""))

    def follow(
        self, index: int, *, timeout_s: float | None = None, saw: Callable[[ScriptSight], None] | None = None
    ) -> ScriptResult:
        """Follow a script to its end.

        Parameters
        ----------
        index
            SAL index of the script.
        timeout_s
            How long, in seconds; by default as long as the site lets a script take.
        saw
            Called with each sight of it that differs from the one before.

        Returns
        -------
        ScriptResult
            How it ended; success is process DONE and script DONE.

        Raises
        ------
        UnknownOutcomeError
            If its end was not seen in time.
        """
        script = CscName("Script", index)
        self._love.follow_queue(self.index)
        self._love.listen(script)
        try:
            return self._follow(script, self._script_s if timeout_s is None else timeout_s, saw)
        finally:
            self._love.unlisten(script)

    def pause(self) -> None:
        """Let the queue take no more scripts; the current one goes on."""
        self._command("pause", {})
        self._see(running=False)

    def resume(self) -> None:
        """Let the queue take scripts again; a failed current script goes to the finished ones."""
        self._command("resume", {})
        self._see(running=True)

    def stop(self, index: int) -> None:
        """Stop a script; one that still waits is taken off the queue without a trace.

        Parameters
        ----------
        index
            SAL index of the script.
        """
        indices = [index] + [0] * 399
        self._command("stopScripts", {"length": 1, "salIndices": indices, "terminate": False})

    def _follow(
        self, script: CscName, timeout_s: float, saw: Callable[[ScriptSight], None] | None
    ) -> ScriptResult:
        index, deadline_s = script.index, time.monotonic() + timeout_s
        last: ScriptSight | None = None
        since_s = asked_s = time.monotonic()
        patience_s = _APPEAR_S
        while True:
            sight = self._sight(index)
            if sight != last:
                last, since_s = sight, time.monotonic()
                patience_s = patience_s if sight.place is Place.NOWHERE else _GONE_S
                if saw is not None:
                    saw(sight)
            quiet_s = time.monotonic() - since_s
            verdict = judge(sight)
            if sight.place is Place.NOWHERE and quiet_s >= patience_s:
                return self._gone(index)
            if verdict not in (Verdict.GOING_ON, Verdict.UNSETTLED):
                return self._ended(script, verdict)
            if verdict is Verdict.UNSETTLED and quiet_s >= _SETTLE_S:
                raise UnknownOutcomeError(
                    f"The process of script {index} has ended, but its own state still reads {sight.script_state}.",
                    advice=complaints(self._love, script) or "See the script's log.",
                )
            if time.monotonic() - asked_s >= _ASK_AGAIN_S:
                asked_s = time.monotonic()
                self._love.follow_queue(self.index)
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise UnknownOutcomeError(
                    f"Script {index} on {self._csc} has not ended in time: it is {sight.script_state} "
                    f"in {sight.place.value}{self._why_waiting()}.",
                    advice="It goes on: follow it in LOVE, or stop it there.",
                )
            self._love.board.wait(lambda: self._sight(index) != last, min(left_s, 1.0))  # noqa: B023 - waits here

    def _command(self, command: str, parameters: Mapping[str, Any]) -> None:
        self._love.check_command(self._csc, command, parameters)
        self._love.command(self._csc, command, parameters)

    def _see(self, *, running: bool) -> None:
        self._love.follow_queue(self.index)
        if not self._love.board.wait(lambda: self._runs() is running, self._observe_s):
            raise UnknownOutcomeError(
                f"{self._csc} was not seen to {'run' if running else 'pause'} within {self._observe_s:g} s.",
                advice="Look at the queue in LOVE; a script that failed may have paused it again.",
            )

    def _seen(self) -> QueueState | None:
        board = self._love.board
        return QueueState.read(
            _unwrapped(board.stream("ScriptQueueState", self.index, "stateStream")),
            _unwrapped(board.stream("ScriptQueueState", self.index, "scriptsStream")),
        )

    def _sight(self, index: int) -> ScriptSight:
        seen = self._seen()
        nowhere = ScriptSight(index, "", Place.NOWHERE, "UNKNOWN", "UNKNOWN")
        return nowhere if seen is None else seen.scripts.get(index, nowhere)

    def _available(self, kind: str) -> dict[str, str]:
        stream = _unwrapped(self._love.board.stream("ScriptQueueState", self.index, "availableScriptsStream"))
        entries = stream.get("available_scripts") if isinstance(stream, dict) else stream
        return {
            str(entry.get("path")): str(entry.get("configSchema") or "")
            for entry in entries or ()
            if isinstance(entry, dict) and str(entry.get("type")).lower() == kind
        }

    def _ask_schema(self, path: str, *, standard: bool) -> None:
        """Have the schema told; it comes by event, often after LOVE's patience with the command has ended."""
        kind = "standard" if standard else "external"
        try:
            self._command("showSchema", {"path": path, "isStandard": standard})
        except (ServiceTimeoutError, RejectedError) as error:
            _LOG.debug("no acknowledgement for the schema of %s: %s", path, error)
        if not self._love.board.wait(lambda: bool(self._available(kind).get(path)), _SCHEMA_S):
            _LOG.warning(
                "the configuration of %s is not checked: %s does not tell its schema", path, self._csc
            )

    def _ended(self, script: CscName, verdict: Verdict) -> ScriptResult:
        if verdict is Verdict.SUCCEEDED:
            return ScriptResult(script.index, verdict)
        # The script's own words may come a moment after its state.
        self._love.board.wait(lambda: bool(complaints(self._love, script)), 1.0)
        error = StepError(
            f"Script {script.index} on {self._csc} {verdict.value}.",
            advice=complaints(self._love, script) or "See the script's log in LOVE.",
        )
        return ScriptResult(script.index, verdict, error)

    def _gone(self, index: int) -> ScriptResult:
        raise UnknownOutcomeError(
            f"Script {index} is no longer on {self._csc}: it was stopped while it waited, or ended unseen.",
            advice="See the script's log in LOVE's history.",
        )

    def _stopped_by(self, index: int) -> bool:
        """Tell whether the queue is paused and the failed script stands in its way."""
        self._love.board.wait(lambda: not self._runs(), 2.0)
        return not self._runs() and self._sight(index).place is Place.CURRENT

    def _runs(self) -> bool:
        seen = self._seen()
        return seen is not None and seen.running

    def _resume_quietly(self) -> bool:
        try:
            self.resume()
        except CommtoolsError as error:
            _LOG.warning("%s could not be resumed: %s", self._csc, error)
            return False
        return True

    def _blocked(self, state: QueueState) -> str:
        failed = [
            s for s in state.scripts.values() if s.place is Place.CURRENT and judge(s) is Verdict.FAILED
        ]
        return f" (script {failed[0].index}, {failed[0].path}, has failed)" if failed else ""

    def _why_waiting(self) -> str:
        seen = self._seen()
        if seen is None:
            return ""
        return (
            ""
            if seen.running and seen.enabled
            else ", and the queue is paused"
            if seen.enabled
            else ", and the queue is not enabled"
        )


def _unwrapped(payload: Any) -> Any:
    """Take a stream's dict out of the list that some producers put it into."""
    return payload[0] if isinstance(payload, list) and len(payload) == 1 else payload


def _read_schema(text: str) -> Mapping[str, Any] | None:
    try:
        schema = yaml.safe_load(text) if text else None
    except yaml.YAMLError:
        return None
    return schema if isinstance(schema, dict) else None


def _close_to(path: str, available: Mapping[str, str]) -> str:
    import difflib

    near = difflib.get_close_matches(path, available, n=3)
    return (
        f"Did you mean {' or '.join(near)}?" if near else f"It has {len(available)} scripts; see LOVE's list."
    )
