"""A worker process that executes quanta one after another and reports each.

``pipetask run -j N`` starts a new Python for every quantum; here the imports are paid once for each worker, and by
preloading only once for all of them.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from lsst.daf.butler import Butler
from lsst.pipe.base import QuantumSuccessCaveats
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from lsst_commtools.pipeline import tasks
from lsst_commtools.pipeline.outcomes import QuantumOutcome, QuantumStatus

__all__ = ["Job", "WorkOrder", "execute_jobs", "open_executor", "serve"]

_PRELOADED = tasks  # unpickling a quantum imports its task; importing it here shares that among the workers


@dataclass(frozen=True)
class WorkOrder:
    """What a worker has to know before the first quantum.

    Parameters
    ----------
    repository
        Butler repository.
    inputs
        Collections to read.
    output_run
        RUN collection to write.
    is_new
        Whether the run was empty before: nothing has to be looked for then.
    """

    repository: str
    inputs: tuple[str, ...]
    output_run: str
    is_new: bool


@dataclass(frozen=True)
class Job:
    """One quantum to execute.

    Parameters
    ----------
    task
        Label in the pipeline.
    data_id
        Dimension to value.
    task_node, quantum, quantum_id
        As the quantum graph has them.
    """

    task: str
    data_id: dict[str, int | str]
    task_node: Any
    quantum: Any
    quantum_id: Any

    def outcome(
        self, status: QuantumStatus, error: str = "", message: str = "", seconds: float = 0.0
    ) -> QuantumOutcome:
        """Say how this job ended.

        Parameters
        ----------
        status, error, message, seconds
            As of `QuantumOutcome`.

        Returns
        -------
        QuantumOutcome
            With this job's task and data id.
        """
        return QuantumOutcome(self.task, self.data_id, status, error, message, seconds)


@contextlib.contextmanager
def open_executor(order: WorkOrder) -> Iterator[SingleQuantumExecutor]:
    """Open the repository for execution, and close it afterwards.

    Parameters
    ----------
    order
        Repository and collections.

    Yields
    ------
    lsst.pipe.base.single_quantum_executor.SingleQuantumExecutor
        Which removes what an interrupted quantum left.
    """
    with Butler.from_config(
        order.repository, collections=order.inputs, run=order.output_run, writeable=True
    ) as butler:
        yield SingleQuantumExecutor(
            butler=butler, clobber_outputs=True, assume_no_existing_outputs=order.is_new
        )


def execute_jobs(executor: SingleQuantumExecutor, jobs: Sequence[Job]) -> Iterator[QuantumOutcome]:
    """Execute jobs one after another; what follows one that raised is skipped.

    Parameters
    ----------
    executor
        From `open_executor`.
    jobs
        In order.

    Yields
    ------
    QuantumOutcome
        One for each job.
    """
    stopped_by = ""
    for job in jobs:
        if stopped_by:
            yield job.outcome(QuantumStatus.SKIPPED, message=f"{stopped_by} failed")
            continue
        outcome = _execute(executor, job)
        if outcome.status in (QuantumStatus.FAILED, QuantumStatus.NO_WORK):
            stopped_by = job.task
        yield outcome


def _execute(executor: SingleQuantumExecutor, job: Job) -> QuantumOutcome:
    start = time.perf_counter()
    try:
        result = executor.execute(job.task_node, job.quantum, job.quantum_id)
    except Exception as error:  # noqa: BLE001 - whatever a task raises belongs to its quantum alone
        logging.getLogger(__name__).debug("%s", traceback.format_exc())
        message = str(error).strip() or "without a message"
        return job.outcome(QuantumStatus.FAILED, type(error).__name__, message, time.perf_counter() - start)
    seconds = time.perf_counter() - start
    caveats = QuantumSuccessCaveats.NO_CAVEATS
    if result.task_metadata is not None:
        caveats = QuantumSuccessCaveats(int(result.task_metadata["quantum"]["caveats"]))
    if result.adjusted_no_work or QuantumSuccessCaveats.NO_WORK in caveats:
        return job.outcome(QuantumStatus.NO_WORK, message="it found no work", seconds=seconds)
    if QuantumSuccessCaveats.ANY_OUTPUTS_MISSING in caveats:
        return job.outcome(QuantumStatus.FAILED, "MissingOutput", "an output was not written", seconds)
    return job.outcome(QuantumStatus.SUCCEEDED, seconds=seconds)


def serve(connection: Connection, order: WorkOrder) -> None:
    """Execute what comes through a connection, until the other side has no more or is gone.

    Parameters
    ----------
    connection
        Gives pickled sequences of `Job`, and at the end no bytes; takes one `QuantumOutcome` for each job.
    order
        Repository and collections.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    quiet_logging()
    executor: SingleQuantumExecutor | None = None
    gone = (EOFError, BrokenPipeError, ConnectionResetError)
    with contextlib.suppress(*gone), contextlib.ExitStack() as stack:
        while (received := connection.recv_bytes()) != b"":
            executor = executor or stack.enter_context(open_executor(order))
            for outcome in execute_jobs(executor, pickle.loads(received)):  # noqa: S301 - from our own parent
                connection.send(outcome)


def quiet_logging() -> None:
    """Let INFO lines reach the log datasets, and nothing the terminal, on which progress is shown."""
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    logging.getLogger("lsst").setLevel(logging.INFO)
