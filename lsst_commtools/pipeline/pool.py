"""Workers that execute quanta: some processes, or this one.

A worker that dies (out of memory, killed) costs the quantum that it was at: that one is reported as failed, those
that would have followed as skipped, and another worker takes its place.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, Self

from lsst_commtools.pipeline.outcomes import QuantumOutcome, QuantumStatus
from lsst_commtools.pipeline.worker import Job, WorkOrder, execute_jobs, open_executor, quiet_logging, serve

__all__ = ["LocalWorker", "WorkerPool", "Workers"]

_GOODBYE_SECONDS = 20.0
# What the tasks and the Butler import when they first need it; what is missing is skipped by the server process.
_PRELOADED = (
    "lsst_commtools.pipeline.worker",
    "lsst_commtools.instrument.formatters",
    "lsst.daf.butler.formatters.parquet",
    "lsst.daf.butler.formatters.logs",
    "astropy.table",
    "astropy.wcs",
    "galsim",
    "scipy.spatial",
)


class Workers(Protocol):
    """Something that executes portions of quanta."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None: ...

    @property
    def has_room(self) -> bool:
        """Whether another portion can be submitted."""

    def submit(self, number: int, jobs: Sequence[Job]) -> None:
        """Start a portion."""

    def wait(self) -> tuple[int, QuantumOutcome]:
        """Give the number of a portion and the outcome of its next quantum, in order."""


class LocalWorker:
    """Executes in this process, one quantum after another.

    Parameters
    ----------
    order
        Repository and collections.
    """

    def __init__(self, order: WorkOrder) -> None:
        self._order = order
        self._executor: Any = None
        self._stack = contextlib.ExitStack()
        self._current: tuple[int, Iterator[QuantumOutcome], int] | None = None

    def __enter__(self) -> Self:
        quiet_logging()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._current = None
        self._stack.close()

    @property
    def has_room(self) -> bool:
        """Whether another portion can be submitted."""
        return self._current is None

    def submit(self, number: int, jobs: Sequence[Job]) -> None:
        """Start a portion.

        Parameters
        ----------
        number
            What `wait` calls it.
        jobs
            In order.
        """
        self._executor = self._executor or self._stack.enter_context(open_executor(self._order))
        self._current = (number, execute_jobs(self._executor, jobs), len(jobs))

    def wait(self) -> tuple[int, QuantumOutcome]:
        """Execute the next quantum.

        Returns
        -------
        int, QuantumOutcome
            Number of the portion, and how the quantum ended.
        """
        if self._current is None:
            raise RuntimeError("nothing was submitted")
        number, outcomes, left = self._current
        outcome = next(outcomes)
        self._current = (number, outcomes, left - 1) if left > 1 else None
        return number, outcome


@dataclass(eq=False)
class _Seat:
    """One worker process and what it is at."""

    process: BaseProcess
    connection: Connection
    number: int = -1
    pending: deque[Job] = field(default_factory=deque)


class WorkerPool:
    """Executes in several processes.

    They are forked from a server process that has imported what they need, and that has no threads: neither the
    imports are paid twice nor does a fork meet a lock.

    Parameters
    ----------
    order
        Repository and collections.
    processes
        How many.
    """

    def __init__(self, order: WorkOrder, processes: int) -> None:
        self._order = order
        self._number = processes
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(_PRELOADED))
        self._seats: list[_Seat] = []
        self._ready: deque[tuple[int, QuantumOutcome]] = deque()

    def __enter__(self) -> Self:
        self._seats = [self._hire() for _ in range(self._number)]
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        for seat in self._seats:
            if kind is None and seat.process.is_alive():
                seat.connection.send_bytes(b"")
            else:
                seat.process.terminate()
        for seat in self._seats:
            seat.process.join(_GOODBYE_SECONDS)
            if seat.process.is_alive():
                seat.process.kill()
                seat.process.join()
            seat.connection.close()
        self._seats = []

    def _hire(self) -> _Seat:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, self._order), daemon=True)
        process.start()
        theirs.close()
        return _Seat(process, ours)

    @property
    def has_room(self) -> bool:
        """Whether another portion can be submitted."""
        return any(not seat.pending for seat in self._seats)

    def submit(self, number: int, jobs: Sequence[Job]) -> None:
        """Give a portion to a free worker.

        Parameters
        ----------
        number
            What `wait` calls it.
        jobs
            In order.
        """
        seat = next(seat for seat in self._seats if not seat.pending)
        parcel = pickle.dumps(list(jobs))
        try:
            seat.connection.send_bytes(parcel)
        except (BrokenPipeError, ConnectionResetError):  # it died while it had nothing to do
            seat = self._replace(seat)
            seat.connection.send_bytes(parcel)
        seat.number, seat.pending = number, deque(jobs)

    def wait(self) -> tuple[int, QuantumOutcome]:
        """Wait for the next quantum that ends.

        Returns
        -------
        int, QuantumOutcome
            Number of the portion, and how the quantum ended.
        """
        while not self._ready:
            busy = [seat for seat in self._seats if seat.pending]
            heard = set(wait([seat.connection for seat in busy]))
            for seat in busy:
                if seat.connection in heard:
                    self._hear(seat)
        return self._ready.popleft()

    def _hear(self, seat: _Seat) -> None:
        try:
            outcome = seat.connection.recv()
        except (EOFError, ConnectionResetError, pickle.UnpicklingError):
            self._bury(seat)
            return
        seat.pending.popleft()
        self._ready.append((seat.number, outcome))

    def _bury(self, seat: _Seat) -> None:
        """Report what a dead worker leaves undone, and hire another."""
        self._replace(seat)
        code = seat.process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        for place, job in enumerate(seat.pending):
            if place == 0:
                outcome = job.outcome(QuantumStatus.FAILED, "WorkerDied", f"the worker process {how}")
            else:
                outcome = job.outcome(QuantumStatus.SKIPPED, message=f"{seat.pending[0].task} failed")
            self._ready.append((seat.number, outcome))

    def _replace(self, seat: _Seat) -> _Seat:
        seat.process.join(_GOODBYE_SECONDS)
        seat.connection.close()
        successor = self._hire()
        self._seats[self._seats.index(seat)] = successor
        return successor
