"""Running notebooks of quality checks in forks of a preloaded process, without kernels.

There is no interrupt but killing the process group, no widgets, and output of C code is not kept; in return a notebook
costs some hundredths of a second. Nothing can be commanded: a notebook that is a procedure is refused, and for all
others ``COMMTOOLS_DRY_RUN`` is set, so that clients of this package send nothing.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsst_commtools.errors import RefusedError
from lsst_commtools.procedure.warm.key import DEFAULT_PRELOAD, ZygoteKey
from lsst_commtools.procedure.warm.start import ForkedProcess, fork

__all__ = ["BatchNotebook", "BatchResult", "run_batch", "run_in_fork"]

_IDLE_S = 600.0
_KILL_S = 10.0
_PROCEDURE = re.compile(r"\bProcedure\s*\.|\bimport\b[^\n]*\bProcedure\b")
_PROCEDURE_TAGS = {"closing", "precondition", "hold"}


@dataclass(frozen=True)
class BatchNotebook:
    """A notebook of a batch.

    Parameters
    ----------
    path
        The notebook.
    parameters
        Values by name, checked against its ``parameters`` cell.
    output
        Where the executed notebook is written; None for nowhere.
    """

    path: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    output: Path | None = None


@dataclass(frozen=True)
class BatchResult:
    """How a notebook of a batch ended.

    Parameters
    ----------
    status
        ``done``, ``failed`` (a cell raised), or ``aborted`` (its process was killed, or was over its time).
    reason
        Why it is not done.
    cell
        Index of the cell that failed.
    results
        Variables that cells tagged ``results`` set.
    run_s
        Time from the fork to the end, in seconds.
    """

    status: str
    reason: str = ""
    cell: int | None = None
    results: dict[str, Any] = field(default_factory=dict)
    run_s: float = 0.0


def run_batch(
    notebooks: Sequence[BatchNotebook],
    *,
    workers: int | None = None,
    timeout_s: float | None = None,
    preload: Sequence[str] = DEFAULT_PRELOAD,
) -> list[BatchResult]:
    """Run notebooks of quality checks, several at a time.

    Parameters
    ----------
    notebooks
        What to run.
    workers
        How many at a time, by default one for each core.
    timeout_s
        Longest time of each, in seconds.
    preload
        Modules that they find imported.

    Returns
    -------
    list of BatchResult
        In the order of the notebooks.

    Raises
    ------
    RefusedError
        If one is a procedure, or if forking is not safe.
    """
    with ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="batch") as pool:
        return list(pool.map(lambda n: run_in_fork(n, timeout_s=timeout_s, preload=preload), notebooks))


def run_in_fork(
    notebook: BatchNotebook,
    *,
    timeout_s: float | None = None,
    preload: Sequence[str] = DEFAULT_PRELOAD,
    started: Callable[[ForkedProcess], None] | None = None,
) -> BatchResult:
    """Run one notebook of quality checks.

    Parameters
    ----------
    notebook
        What to run.
    timeout_s
        Longest time, in seconds.
    preload
        Modules that it finds imported.
    started
        Called with the process, for those who may have to kill it.

    Returns
    -------
    BatchResult
        How it ended.

    Raises
    ------
    RefusedError
        If it is a procedure, or if forking is not safe.
    """
    nb = _prepared(notebook)
    environment = {**os.environ, "COMMTOOLS_DRY_RUN": "1"}
    request = {
        "do": "start",
        "kind": "notebook",
        "environment": environment,
        "folder": str(notebook.path.expanduser().absolute().parent),
        "details": {"notebook": nb, "output": str(notebook.output.absolute()) if notebook.output else None},
    }
    key = ZygoteKey.of(sys.executable, preload, environment)
    begun = time.monotonic()
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    try:
        try:
            process = fork(key, request, [null, null, null, writer], idle_s=_IDLE_S)
        finally:
            os.close(writer)
            os.close(null)
        if started is not None:
            started(process)
        text = _read(reader, timeout_s)
        if text is None:
            process.signal(signal.SIGKILL)
            process.wait(_KILL_S)
            return BatchResult("aborted", f"over its time of {timeout_s:g} s", run_s=time.monotonic() - begun)
        code = process.wait(_KILL_S)
    finally:
        os.close(reader)
    return _result(text, code, time.monotonic() - begun)


def _read(descriptor: int, timeout_s: float | None) -> str | None:
    """Read until the other side closes; None if that takes too long."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    parts: list[bytes] = []
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while True:
        left_ms = None if deadline is None else max(0.0, 1000 * (deadline - time.monotonic()))
        if not poll.poll(left_ms):
            return None
        part = os.read(descriptor, 1 << 16)
        if not part:
            return b"".join(parts).decode()
        parts.append(part)


def _result(text: str, code: int | None, run_s: float) -> BatchResult:
    try:
        told = json.loads(text)
    except ValueError:
        why = (
            f"killed by {signal.Signals(-code).name}"
            if code is not None and code < 0
            else f"it ended early with status {code}"
        )
        return BatchResult("aborted", why, run_s=run_s)
    return BatchResult(told["status"], told["error"] or "", told["cell"], told["results"], run_s)


def _prepared(notebook: BatchNotebook) -> dict[str, Any]:
    """Read a notebook, refuse procedures, and inject its parameters."""
    from lsst_commtools.procedure.notebook import INJECTED, PARAMETERS, has_tag, read_notebook
    from lsst_commtools.procedure.parameters import check_parameters, injected_source, read_parameters

    nb: Any = read_notebook(notebook.path).nb
    for index, cell in enumerate(nb.cells):
        tags = set(cell.get("metadata", {}).get("tags") or [])
        if cell.cell_type == "code" and (tags & _PROCEDURE_TAGS or _PROCEDURE.search(cell.source)):
            raise RefusedError(
                f"Cell {index} of {notebook.path.name} is of a procedure.",
                changed="Nothing was run.",
                advice="Run it with a kernel: commtools run.",
            )
    nb.cells = [cell for cell in nb.cells if not has_tag(cell, INJECTED)]
    place = next((i for i, cell in enumerate(nb.cells) if has_tag(cell, PARAMETERS)), None)
    declared = read_parameters(nb.cells[place].source) if place is not None else []
    values = check_parameters(declared, notebook.parameters)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    if values:
        import nbformat

        cell = nbformat.v4.new_code_cell(injected_source(values), metadata={"tags": [INJECTED]})
        nb.cells.insert(place + 1 if place is not None else 0, cell)
    return dict(json.loads(json.dumps(nb)))
