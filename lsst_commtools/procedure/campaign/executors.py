"""What a campaign asks of an executor, and the one of this machine: threads that drive kernels."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from lsst_commtools.procedure.campaign.work import WorkOrder, WorkResult, allow_here, cancel_here, do_work

__all__ = ["Executor", "LocalExecutor"]


class Executor(Protocol):
    """Executes tasks somewhere."""

    @property
    def slots(self) -> int:
        """How many tasks are worth handing over at a time."""

    def submit(self, order: WorkOrder) -> Future[WorkResult]:
        """Begin a task.

        Parameters
        ----------
        order
            The task.

        Returns
        -------
        concurrent.futures.Future
            Its result; an exception means that the place where it ran was lost.
        """

    def cancel(self, campaign: str) -> None:
        """Stop all tasks of a campaign: interrupt their cells, let their closing cells run, then kill.

        Parameters
        ----------
        campaign
            Its name.
        """

    def close(self) -> None:
        """Give back what the executor holds."""


class LocalExecutor:
    """Threads of this process, each driving one kernel.

    Parameters
    ----------
    workers
        How many kernels at a time, by default one for each core.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.slots = workers or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self.slots, thread_name_prefix="campaign")

    def submit(self, order: WorkOrder) -> Future[WorkResult]:
        """Begin a task in a thread."""
        allow_here(order.campaign)
        return self._pool.submit(do_work, order)

    def cancel(self, campaign: str) -> None:
        """Stop all tasks of a campaign."""
        cancel_here(campaign)

    def close(self) -> None:
        """Wait for the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
