"""One kernel and the cells that it runs."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.util import ensure_async
from papermill.clientwrap import PapermillNotebookClient
from typing_extensions import override

from lsst_commtools.procedure.redact import Redactor
from lsst_commtools.procedure.values import CellStatus

__all__ = ["CellEnd", "CellLimits", "KernelClient"]

_TICK_S = 0.2
_KILL_S = 10.0
_OUTPUTS_S = 60  # a loaded machine may take long to hand on what a cell has shown


@dataclass(frozen=True)
class CellEnd:
    """What became of a cell.

    Parameters
    ----------
    status
        What became of it.
    reason
        ``error``, ``timeout``, ``kernel-died``, ``exited``, or the reason for which the run was stopped; empty where it
        completed.
    error
        The exception behind it.
    """

    status: CellStatus
    reason: str = ""
    error: BaseException | None = None


@dataclass(frozen=True)
class CellLimits:
    """What may end a cell early.

    Parameters
    ----------
    timeout_s
        Longest time, in seconds; 0 for no limit.
    waited_s
        Gives the time for which the cell has waited for people, in seconds; it does not count.
    stop
        Gives the reason for which the whole run must stop, or None.
    grace_s
        How long an interrupted cell may take to end before its kernel is killed, in seconds.
    """

    timeout_s: float
    waited_s: Callable[[], float]
    stop: Callable[[], str | None]
    grace_s: float

    def reason(self, elapsed_s: float) -> str | None:
        """Tell whether a cell must end.

        Parameters
        ----------
        elapsed_s
            How long it has run, in seconds.

        Returns
        -------
        str or None
            Why it must.
        """
        stop = self.stop()
        if stop is not None:
            return stop
        if self.timeout_s and elapsed_s > self.timeout_s and elapsed_s - self.waited_s() > self.timeout_s:
            return "timeout"
        return None


class KernelClient(PapermillNotebookClient):
    """Papermill's client with limits, redaction, and a way to go on after a cell that did not end well.

    Parameters
    ----------
    nb_man
        Manager of the output notebook.
    redactor
        Keeps secrets out of outputs.
    **options
        Those of papermill and nbclient.
    """

    def __init__(self, nb_man: Any, *, redactor: Redactor, **options: Any) -> None:
        super().__init__(nb_man, **{"iopub_timeout": _OUTPUTS_S, **options})
        self._redactor = redactor
        self._folder: Path | None = None
        self.alive = False

    async def start(self, environment: Mapping[str, str], folder: Path | None) -> int | None:
        """Start the kernel.

        Parameters
        ----------
        environment
            Its environment.
        folder
            Its working directory; None for that of this process.

        Returns
        -------
        int or None
            Its process number, where it is known.
        """
        self.reset_execution_trackers()
        manager = self.create_kernel_manager()
        if (
            isinstance(manager, AsyncKernelManager)
            and getattr(manager.kernel_spec, "language", "") == "python"
        ):
            # Sockets in a private folder: no race for ports, and nobody else on the machine can connect.
            self._folder = Path(tempfile.mkdtemp(prefix="ct-"))
            manager.transport = "ipc"
            manager.connection_file = str(self._folder / "k.json")
            manager.ip = str(self._folder / "k")
        options: dict[str, Any] = {"env": dict(environment)}
        if folder is not None:
            options["cwd"] = str(folder)
        try:
            await self.async_start_new_kernel(**options)
            await self.async_start_new_kernel_client()
        except BaseException:
            await self.close()
            raise
        self.alive = True
        provisioner = getattr(manager, "provisioner", None)
        return getattr(provisioner, "pid", None)

    async def finish(self) -> None:
        """Ask the kernel for what belongs into the notebook's metadata: its language, and states of widgets."""
        if self.alive:
            info = await self.async_wait_for_reply(await ensure_async(self.kc.kernel_info()))
            if info is not None:
                self.nb.metadata["language_info"] = info["content"]["language_info"]
        self.set_widgets_metadata()

    async def close(self) -> None:
        """End the kernel and remove its folder."""
        self.alive = False
        try:
            if self.km is not None:
                await self._async_cleanup_kernel()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    async def run_cell(self, cell: Any, index: int, limits: CellLimits) -> CellEnd:
        """Run a cell within its limits.

        Parameters
        ----------
        cell, index
            The cell.
        limits
            What may end it early.

        Returns
        -------
        CellEnd
            What became of it; `alive` tells whether the kernel can run another.
        """
        begun = time.monotonic()
        reason: str | None = None
        stopped = killed = 0.0
        task = asyncio.ensure_future(self.async_execute_cell(cell, index))
        while True:
            done, _ = await asyncio.wait({task}, timeout=_TICK_S)
            if done:
                break
            now = time.monotonic()
            if reason is None:
                reason = limits.reason(now - begun)
                if reason is not None:
                    stopped = now
                    await ensure_async(self.km.interrupt_kernel())
            elif not killed and now - stopped > limits.grace_s:
                killed = now
                await ensure_async(self.km.signal_kernel(signal.SIGKILL))
            elif killed and now - killed > _KILL_S:
                task.cancel()
        self._redact_whole(cell)
        return self._end_of(task, cell, reason)

    @override
    def output(self, outs: list[Any], msg: dict[str, Any], display_id: str | None, cell_index: int) -> Any:
        """Take an output, without secrets."""
        msg["content"] = self._redactor.value(msg["content"])
        return super().output(outs, msg, display_id, cell_index)

    def _redact_whole(self, cell: Any) -> None:
        """Redact once more what arrived in pieces and was put together."""
        for number, output in enumerate(cell.get("outputs", [])):
            clean = self._redactor.value(output)
            if clean != output:
                cell.outputs[number] = nbformat.from_dict(clean)

    def _end_of(self, task: asyncio.Future[Any], cell: Any, reason: str | None) -> CellEnd:
        try:
            task.result()
        except CellExecutionError as error:
            if reason is not None and error.ename == "KeyboardInterrupt":
                return CellEnd(CellStatus.INTERRUPTED, reason, error)
            if error.ename == "SystemExit" and error.evalue in ("", "0", "None"):
                return CellEnd(CellStatus.COMPLETED, "exited", error)
            return CellEnd(CellStatus.FAILED, "error", error)
        except (DeadKernelError, asyncio.CancelledError) as error:
            self.alive = False
            return CellEnd(CellStatus.INTERRUPTED, reason or "kernel-died", error)
        except CellTimeoutError as error:
            self.alive = False
            return CellEnd(CellStatus.INTERRUPTED, reason or "outputs-lost", error)
        if reason is not None and any(o.get("ename") == "KeyboardInterrupt" for o in cell.get("outputs", [])):
            return CellEnd(CellStatus.INTERRUPTED, reason)
        return CellEnd(CellStatus.COMPLETED)
