"""The record of a run, made of its events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsst_commtools.procedure.closing import outstanding
from lsst_commtools.procedure.holds import Signature, signatures
from lsst_commtools.procedure.values import CellStatus, Event, Kind, RunStatus, StepStatus

__all__ = ["CellRecord", "RunRecord", "StepRecord", "hold_wait_s", "record_of", "record_without_ledger"]


@dataclass(frozen=True)
class StepRecord:
    """One step of a run.

    Parameters
    ----------
    id, name
        Identifier, and name for people.
    status
        Its outcome.
    observed
        What was observed.
    reason
        Why it is not done.
    started_utc, ended_utc
        When; None if it did not end.
    """

    id: str
    name: str
    status: StepStatus
    observed: Any = None
    reason: str = ""
    started_utc: str | None = None
    ended_utc: str | None = None


@dataclass(frozen=True)
class CellRecord:
    """One code cell of a run.

    Parameters
    ----------
    index
        Its place in the output notebook.
    status
        What became of it.
    reason
        Why, where it did not complete: ``error``, ``timeout``, ``kernel-died``, ``runner-died``, ``interrupt`` ...
    """

    index: int
    status: CellStatus
    reason: str = ""


@dataclass(frozen=True)
class RunRecord:
    """One run, as the ledger knows it.

    Parameters
    ----------
    run
        Its name.
    notebook
        The file that was run.
    sha256, code_sha256
        Hash of the file, and of its code alone.
    status, reason
        State, and why it is not done.
    parameters
        Values, secrets redacted.
    started_utc, ended_utc
        When the first attempt began, and when the last one ended.
    attempt
        How often it was begun.
    dry_run
        Whether nothing was sent.
    output
        The output notebook.
    steps, cells, signatures
        What happened.
    owed
        What is still to be put back.
    runner
        Process of the runner, plain.
    """

    run: str
    notebook: str
    sha256: str | None
    code_sha256: str | None
    status: RunStatus
    reason: str
    parameters: dict[str, Any]
    started_utc: str
    ended_utc: str | None
    attempt: int
    dry_run: bool
    output: Path | None
    steps: list[StepRecord] = field(default_factory=list)
    cells: list[CellRecord] = field(default_factory=list)
    signatures: list[Signature] = field(default_factory=list)
    owed: list[str] = field(default_factory=list)
    runner: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give it as ``commtools runs show`` prints it.

        Returns
        -------
        dict
            Plain values.
        """
        return {
            "run": self.run,
            "notebook": self.notebook,
            "sha256": self.sha256,
            "status": self.status.value,
            "reason": self.reason,
            "started": self.started_utc,
            "ended": self.ended_utc,
            "attempt": self.attempt,
            "dry_run": self.dry_run,
            "output": str(self.output) if self.output is not None else None,
            "parameters": self.parameters,
            "steps": [
                {
                    "id": s.id,
                    "name": s.name,
                    "status": s.status.value,
                    "observed": s.observed,
                    "started": s.started_utc,
                    "ended": s.ended_utc,
                }
                for s in self.steps
            ],
            "cells": [{"index": c.index, "status": c.status.value} for c in self.cells],
            "signatures": [
                {
                    "step": s.step,
                    "role": s.role,
                    "name": s.name,
                    "go": s.go,
                    "observation": s.observation,
                    "sha256": s.digest,
                    "at_utc": s.at_utc,
                    "account": s.account,
                    "comment": s.comment,
                }
                for s in self.signatures
            ],
            "owed": self.owed,
        }


def record_of(events: Sequence[Event], *, alive: bool | None) -> RunRecord:
    """Make the record of a run.

    Parameters
    ----------
    events
        Its events, in order; the first tells that it started.
    alive
        Whether its runner lives; None if that cannot be seen from here.

    Returns
    -------
    RunRecord
        What is known. A run whose runner is gone without a word is ``aborted``; one whose runner cannot be seen is
        ``unknown``.
    """
    starts = [e for e in events if e.kind is Kind.RUN_STARTED]
    last = starts[-1]
    attempt = max((e.data.get("attempt", 1) for e in starts), default=1)
    now = [e for e in events if e.data.get("attempt", 1) == attempt]
    end = next((e for e in reversed(now) if e.kind is Kind.RUN_ENDED), None)
    status, reason = _status(now, end, alive=alive)
    going = status in (RunStatus.RUNNING, RunStatus.WAITING)
    owed = [debt.name for debt in outstanding(events)]
    return RunRecord(
        run=last.run,
        notebook=last.data["notebook"],
        sha256=last.data.get("sha256"),
        code_sha256=last.data.get("code_sha256"),
        status=status,
        reason=reason,
        parameters=last.data.get("parameters", {}),
        started_utc=starts[0].at_utc,
        ended_utc=end.at_utc if end is not None else None,
        attempt=attempt,
        dry_run=bool(last.data.get("dry_run")),
        output=Path(last.data["output"]) if last.data.get("output") else None,
        steps=_steps(events, attempt, going=going),
        cells=_cells(now, last.data.get("cells", []), going=going),
        signatures=signatures(events),
        owed=owed,
        runner=last.data.get("runner") or {},
    )


def record_without_ledger(
    run: str, notebook: str, sha256: str | None, status: RunStatus, *, reason: str, output: Path | None
) -> RunRecord:
    """Make what can be said of a run while the ledger is away.

    Parameters
    ----------
    run, notebook, sha256, status, reason, output
        As its runner knows them.

    Returns
    -------
    RunRecord
        Without steps and cells; its events lie in the spool file beside the output.
    """
    return RunRecord(
        run=run,
        notebook=notebook,
        sha256=sha256,
        code_sha256=None,
        status=status,
        reason=f"{reason}; its events wait in a spool file for the ledger".lstrip("; "),
        parameters={},
        started_utc="",
        ended_utc=None,
        attempt=1,
        dry_run=False,
        output=output,
    )


def hold_wait_s(events: Sequence[Event]) -> float:
    """Sum the time for which holds have waited, the present one included.

    Parameters
    ----------
    events
        Events of holds, in order.

    Returns
    -------
    float
        Seconds.
    """
    total, since = 0.0, None
    for event in events:
        at = dt.datetime.fromisoformat(event.at_utc)
        if event.kind is Kind.HOLD_WAITING:
            since = at
        elif event.kind is Kind.HOLD_ENDED and since is not None:
            total += (at - since).total_seconds()
            since = None
    if since is not None:
        total += (dt.datetime.now(dt.UTC) - since).total_seconds()
    return total


def _status(now: Sequence[Event], end: Event | None, *, alive: bool | None) -> tuple[RunStatus, str]:
    if end is not None:
        return RunStatus(end.data["status"]), str(end.data.get("reason", ""))
    if alive is False:
        return RunStatus.ABORTED, "its runner died"
    if alive is None:
        return RunStatus.UNKNOWN, "its runner gives no sign of life and cannot be seen from here"
    holds = [e for e in now if e.kind in (Kind.HOLD_WAITING, Kind.HOLD_ENDED)]
    if holds and holds[-1].kind is Kind.HOLD_WAITING:
        return RunStatus.WAITING, f"hold {holds[-1].data['name']!r}"
    return RunStatus.RUNNING, ""


def _steps(events: Sequence[Event], attempt: int, *, going: bool) -> list[StepRecord]:
    found: dict[str, StepRecord] = {}
    for event in events:
        if event.kind is Kind.STEP_STARTED:
            data = event.data
            live = going and data.get("attempt", 1) == attempt
            status = StepStatus.RUNNING if live else StepStatus.UNKNOWN
            reason = "" if live else "it began, and nobody saw its end"
            found.pop(data["step"], None)
            found[data["step"]] = StepRecord(
                data["step"], data["name"], status, reason=reason, started_utc=event.at_utc
            )
        elif event.kind is Kind.STEP_ENDED:
            data = event.data
            began = found.get(data["step"])
            found[data["step"]] = StepRecord(
                data["step"],
                data["name"],
                StepStatus(data["status"]),
                data.get("observed"),
                data.get("reason", ""),
                began.started_utc if began is not None else None,
                event.at_utc,
            )
    return list(found.values())


def _cells(now: Sequence[Event], cells: Sequence[dict[str, Any]], *, going: bool) -> list[CellRecord]:
    found = {cell["index"]: CellRecord(cell["index"], CellStatus.NOT_RUN) for cell in cells}
    for event in now:
        if event.kind is Kind.CELL_STARTED:
            index = event.data["cell"]
            lost = CellRecord(index, CellStatus.INTERRUPTED, "runner-died")
            found[index] = CellRecord(index, CellStatus.RUNNING) if going else lost
        elif event.kind is Kind.CELL_ENDED:
            data = event.data
            found[data["cell"]] = CellRecord(data["cell"], CellStatus(data["status"]), data.get("reason", ""))
    return [found[index] for index in sorted(found)]
