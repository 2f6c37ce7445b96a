"""One attempt of one run: its cells, and after them, whatever happened, its closing cells."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from papermill.log import logger

from lsst_commtools.errors import LedgerAwayError
from lsst_commtools.procedure.binding import Binding
from lsst_commtools.procedure.by_hand import status_by_steps
from lsst_commtools.procedure.client import CellEnd, CellLimits, KernelClient
from lsst_commtools.procedure.closing import outstanding
from lsst_commtools.procedure.heartbeat import Heartbeat
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.manager import OutputNotebook
from lsst_commtools.procedure.notebook import CLOSING, has_tag
from lsst_commtools.procedure.record import hold_wait_s
from lsst_commtools.procedure.switch import StopSwitch
from lsst_commtools.procedure.values import CellStatus, Kind, RunStatus, now_utc
from lsst_commtools.site.procedure import ProcedureSection

__all__ = ["Execution", "Outcome"]

_CLOSING_STOPS = 3


@dataclass
class Outcome:
    """How an attempt ended.

    Parameters
    ----------
    status, reason
        Of the run.
    error
        The exception that ended it, where there was one.
    owed
        What is still to be put back.
    """

    status: RunStatus
    reason: str = ""
    error: BaseException | None = None
    owed: list[str] = field(default_factory=list)


class Execution:
    """Runs the cells of a notebook and keeps the record true.

    Parameters
    ----------
    output
        The output notebook.
    journal
        Pen of the run.
    binding
        What the kernel is told of its run.
    section
        The site's settings of procedures.
    switch
        How the run is asked to stop.
    heartbeat
        Life of the runner.
    folder
        Working directory of kernels; None for that of this process.
    client_options
        Those of papermill and nbclient: kernel's name, log, start time.
    cell_timeout_s, run_timeout_s
        Limits, in seconds; 0 for none.
    secrets
        Values of secret parameters, which the kernel is told so that it can keep them out of the record.
    labels
        Index of a cell here to its index in the record, where they differ.
    closing_apart
        Whether closing cells run in a kernel of their own, as after the death of the first one.
    """

    def __init__(
        self,
        output: OutputNotebook,
        journal: Journal,
        binding: Binding,
        section: ProcedureSection,
        *,
        switch: StopSwitch,
        heartbeat: Heartbeat,
        folder: Path | None,
        client_options: dict[str, Any],
        cell_timeout_s: float,
        run_timeout_s: float,
        secrets: dict[str, str],
        labels: dict[int, int] | None = None,
        closing_apart: bool = False,
    ) -> None:
        self._output = output
        self._nb = output.nb
        self._journal = journal
        self._binding = binding
        self._section = section
        self._switch = switch
        self._heartbeat = heartbeat
        self._folder = folder
        self._client_options = client_options
        self._cell_timeout_s = cell_timeout_s
        self._run_timeout_s = run_timeout_s
        self._secrets = secrets
        self._labels = labels or {}
        self._closing_apart = closing_apart
        self._ended: dict[int, CellEnd] = {}
        self._begun = time.monotonic()
        self._begun_any = False

    async def run(self) -> Outcome:
        """Run the cells, then the closing cells that did not come to their turn.

        Returns
        -------
        Outcome
            How it ended; exceptions of cells are in it, not raised.
        """
        with _signals(self._on_signal):
            client = self._client()
            failure: tuple[RunStatus, str, BaseException | None] | None = None
            try:
                try:
                    await self._start(client, self._binding)
                except Exception as error:  # noqa: BLE001 - whatever keeps a kernel from starting
                    failure = (RunStatus.ABORTED, f"the kernel did not start: {error}", error)
                else:
                    failure = await self._run_cells(client)
                    if failure is None:
                        await client.finish()
                    if self._closing_apart:
                        await client.close()
                if self._switch.reason != "taken-over" and (failure is not None or self._closing_left()):
                    await self._close(client, fresh_is_due=failure is not None)
            finally:
                with contextlib.suppress(Exception):
                    await client.close()
            return self._judge(failure)

    async def close_only(self) -> Outcome:
        """Run the closing cells alone, in a fresh kernel, for a run whose runner has died.

        Returns
        -------
        Outcome
            How it ended.
        """
        with _signals(self._on_signal):
            await self._close_fresh(set())
        return self._judge((RunStatus.ABORTED, "its runner died", None))

    def _client(self) -> KernelClient:
        return KernelClient(self._output, redactor=self._output.redactor, **self._client_options)

    async def _start(self, client: KernelClient, binding: Binding) -> None:
        environment = {**os.environ, **binding.environment()}
        environment |= {
            f"COMMTOOLS_RUN_SECRET_{name.upper()}": value for name, value in self._secrets.items()
        }
        pid = await client.start(environment, self._folder)
        identity = ProcessId.of(pid).to_dict() if pid else None
        self._journal.note(
            Kind.KERNEL_STARTED, kernel=client.kernel_name, process=identity, closing=binding.closing
        )

    async def _run_cells(self, client: KernelClient) -> tuple[RunStatus, str, BaseException | None] | None:
        for index, cell in enumerate(self._nb.cells):
            if self._closing_apart and has_tag(cell, CLOSING):
                continue
            if self._stop_reason() is None:
                self._output.cell_start(cell, index)
                if self._output.unwritten is not None:
                    self._switch.stop("output")
            reason = self._stop_reason()
            if reason is not None:
                self._output.nb.metadata.papermill["exception"] = True
                return RunStatus.ABORTED, self._reason_text(reason, "before", index), self._output.unwritten
            end = await self._run_cell(client, cell, index, closing=has_tag(cell, CLOSING))
            if end.status is CellStatus.FAILED:
                return RunStatus.FAILED, f"cell {index} failed", end.error
            if end.status is CellStatus.INTERRUPTED:
                return RunStatus.ABORTED, self._reason_text(end.reason, "in", index), end.error
            if end.reason == "exited":
                return RunStatus.ABORTED, f"cell {index} ended the notebook early", end.error
        return None

    async def _run_cell(self, client: KernelClient, cell: Any, index: int, *, closing: bool) -> CellEnd:
        if cell.cell_type != "code":
            self._output.cell_end(cell, index, CellStatus.COMPLETED, "")
            return CellEnd(CellStatus.COMPLETED)
        self._begun_any = True
        self._journal.note(Kind.CELL_STARTED, cell=self._label(index), closing=closing)
        end = await client.run_cell(cell, index, self._limits(closing=closing))
        if not client.alive and end.reason == "kernel-died":
            self._journal.note(
                Kind.KERNEL_DIED, cell=self._label(index), exit_status=await _exit_status(client)
            )
        self._ended[index] = end
        self._output.cell_end(self._nb.cells[index], index, end.status, end.reason)
        why = f"{type(end.error).__name__}: {_evalue(end.error)}" if end.error is not None else ""
        self._journal.note(
            Kind.CELL_ENDED, cell=self._label(index), status=end.status, reason=end.reason, error=why
        )
        return end

    def _limits(self, *, closing: bool) -> CellLimits:
        if closing:
            return CellLimits(
                self._section.closing_timeout_s,
                lambda: 0.0,
                self._closing_stop,
                self._section.interrupt_grace_s,
            )
        begun_utc = now_utc()
        return CellLimits(
            self._cell_timeout_s,
            lambda: self._waited_s(begun_utc),
            self._stop_reason,
            self._section.interrupt_grace_s,
        )

    def _waited_s(self, begun_utc: str) -> float:
        """Tell how long a cell has waited for people, in seconds; 0 while the ledger, which knows it, is away."""
        try:
            events = self._journal.ledger.events(self._journal.run, [Kind.HOLD_WAITING, Kind.HOLD_ENDED])
        except LedgerAwayError:
            return 0.0
        return hold_wait_s([event for event in events if event.at_utc >= begun_utc])

    def _stop_reason(self) -> str | None:
        if self._heartbeat.lost.is_set():
            self._switch.stop("taken-over")
        if self._run_timeout_s and time.monotonic() - self._begun > self._run_timeout_s:
            self._switch.stop("run-timeout")
        return self._switch.reason

    def _closing_stop(self) -> str | None:
        return "interrupt" if self._switch.times >= _CLOSING_STOPS else None

    def _closing_left(self) -> list[int]:
        return [
            index
            for index, cell in enumerate(self._nb.cells)
            if cell.cell_type == "code"
            and has_tag(cell, CLOSING)
            and (index not in self._ended or self._ended[index].status is not CellStatus.COMPLETED)
        ]

    async def _close(self, client: KernelClient, *, fresh_is_due: bool) -> None:
        """Run the closing cells that have not completed: in the kernel if it lives, then in a fresh one."""
        if not self._begun_any or not self._closing_left():
            return
        self._journal.note(Kind.CLOSING_STARTED, cells=[self._label(i) for i in self._closing_left()])
        if client.alive and fresh_is_due:
            for index in [i for i in self._closing_left() if i not in self._ended]:
                if client.alive and self._closing_stop() is None:
                    self._output.cell_start(self._nb.cells[index], index)
                    await self._run_cell(client, self._nb.cells[index], index, closing=True)
        left = set(self._closing_left())
        if left and (not client.alive or self._owed()) and self._closing_stop() is None:
            await self._close_fresh(left)
        self._journal.note(Kind.CLOSING_ENDED, left=[self._label(i) for i in self._closing_left()])

    async def _close_fresh(self, left: set[int]) -> None:
        """Run closing cells in a fresh kernel, which knows what the ledger knows."""
        logger.warning("Running the closing cells in a fresh kernel.")
        client = self._client()
        try:
            try:
                await self._start(client, replace(self._binding, closing=True))
            except Exception as error:  # noqa: BLE001 - whatever keeps a kernel from starting
                logger.error("No kernel for the closing cells: %s", error)
                return
            for index in sorted(left or self._closing_left()):
                if not client.alive or self._closing_stop() is not None:
                    return
                self._output.cell_start(self._nb.cells[index], index)
                await self._run_cell(client, self._nb.cells[index], index, closing=True)
        finally:
            with contextlib.suppress(Exception):
                await client.close()

    def _label(self, index: int) -> int:
        return self._labels.get(index, index)

    def _owed(self) -> list[str]:
        try:
            return [debt.name for debt in outstanding(self._journal.events())]
        except LedgerAwayError:
            return ["unknown: the ledger is away"]

    def _judge(self, failure: tuple[RunStatus, str, BaseException | None] | None) -> Outcome:
        try:
            events = self._journal.events()
        except LedgerAwayError as error:
            status, reason = RunStatus.UNKNOWN, f"the ledger is away: {error.message}"
        else:
            status, reason = status_by_steps(events, self._journal.attempt)
        broken = [i for i in self._closing_left() if i in self._ended]
        outcome = Outcome(status, reason, owed=self._owed())
        if failure is not None:
            outcome.status, outcome.error = failure[0], failure[2]
            outcome.reason = "; ".join(part for part in (failure[1], reason) if part)
        elif broken:
            outcome.status = RunStatus.FAILED
            outcome.reason = "; ".join(
                [f"closing cell {i} failed" for i in broken] + ([reason] if reason else [])
            )
        if self._output.unwritten is not None:
            if outcome.status in (RunStatus.DONE, RunStatus.PLANNED):
                outcome.status = RunStatus.FAILED
            outcome.reason = (
                f"{outcome.reason}; the output notebook could not be written: {self._output.unwritten}"
            )
            outcome.error = outcome.error or self._output.unwritten
        return outcome

    def _reason_text(self, reason: str, where: str, index: int) -> str:
        texts = {
            "kernel-died": "the kernel died",
            "timeout": f"over the time of {self._cell_timeout_s:g} s",
            "run-timeout": f"the run was over its time of {self._run_timeout_s:g} s",
            "outputs-lost": "the kernel ended a cell and did not hand on all of its outputs",
            "interrupt": "interrupted",
            "taken-over": "another runner took the run over",
            "output": f"the output notebook could not be written ({self._output.unwritten})",
        }
        return f"{texts.get(reason, reason)} {where} cell {index}"

    def _on_signal(self) -> None:
        times = self._switch.stop("interrupt")
        left = _CLOSING_STOPS - times
        if left > 0:
            logger.warning("Interrupted: the closing cells run now. %d more to leave them owed.", left)


@contextlib.contextmanager
def _signals(handler: Any) -> Iterator[None]:
    """Let Ctrl-C, a terminal that goes away and a polite kill stop the run instead of the runner."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    caught = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    for number in caught:
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


async def _exit_status(client: KernelClient) -> int | None:
    provisioner = getattr(client.km, "provisioner", None)
    try:
        return await provisioner.poll() if provisioner is not None else None
    except Exception:  # noqa: BLE001 - a provisioner that cannot tell
        return None


def _evalue(error: BaseException) -> str:
    return str(getattr(error, "evalue", None) or error).splitlines()[0] if str(error) else ""
