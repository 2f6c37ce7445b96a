"""The executor for Dask: a scheduler by its address, or a cluster of this machine."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from concurrent.futures import Future
from typing import Any

from lsst_commtools.errors import InputError, UnreachableError
from lsst_commtools.procedure.campaign.work import WorkOrder, WorkResult, allow_here, cancel_here, do_work

__all__ = ["DaskExecutor"]

_CONNECT_S = 20.0
_CANCEL_S = 10.0
_WITHOUT_WORKERS_S = 60.0


class DaskExecutor:
    """Workers of Dask, each driving one kernel at a time.

    A worker that dies loses its task: Dask does not run it again (``allowed-failures`` and ``retries`` are 0), and if
    it did, the task would be found claimed in the ledger.

    Parameters
    ----------
    scheduler
        Address of a scheduler; None for a cluster of this machine.
    workers
        How many processes the cluster of this machine has, by default one for each core.

    Raises
    ------
    InputError
        If Dask is not installed, or if the scheduler would run a lost task again.
    UnreachableError
        If there is no scheduler at that address.
    """

    def __init__(self, scheduler: str | None = None, workers: int | None = None) -> None:
        try:
            import dask
            from distributed import Client, LocalCluster
        except ImportError:
            raise InputError(
                "Dask is not installed.", advice="Install lsst_commtools[dask], or use --executor local."
            ) from None
        self._lock = threading.Lock()
        self._futures: dict[Any, Future[WorkResult]] = {}
        self._allowed: set[str] = set()
        self._cluster: Any = None
        self._wanted = 0
        self._workers_seen_s = time.monotonic()
        with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
            if scheduler is None:
                self._cluster = LocalCluster(
                    n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
                )
                self._wanted = len(self._cluster.worker_spec)
                scheduler = self._cluster.scheduler_address
            try:
                self._client: Any = Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
            except (OSError, ValueError) as error:
                raise UnreachableError(f"There is no Dask scheduler at {scheduler}: {error}.") from None
        if self._client.run_on_scheduler(_allowed_failures) != 0:
            self.close()
            raise InputError(
                "The Dask scheduler would silently run a notebook again whose worker died.",
                changed="Nothing was run.",
                advice="Start it with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=0.",
            )

    @property
    def slots(self) -> int:
        """One for each thread of the workers that are there now, and one at least."""
        threads: dict[str, int] = self._client.nthreads()
        if threads:
            self._workers_seen_s = time.monotonic()
        else:
            self._bear_no_workers()
        return max(1, sum(threads.values()))

    def submit(self, order: WorkOrder) -> Future[WorkResult]:
        """Begin a task on a worker."""
        future: Future[WorkResult] = Future()
        future.set_running_or_notify_cancel()
        if order.campaign not in self._allowed:
            self._allowed.add(order.campaign)
            self._client.run(allow_here, order.campaign, on_error="ignore")
        remote = self._client.submit(
            do_work, order, key=f"{order.task}-{uuid.uuid4().hex}", pure=False, retries=0
        )
        with self._lock:
            self._futures[remote] = future
        remote.add_done_callback(self._done)
        return future

    def cancel(self, campaign: str) -> None:
        """Stop all tasks of a campaign where they run: a cancelled future alone would leave its kernel at work."""
        # What runs ends by itself and tells how; what has not begun finds the campaign cancelled.
        with contextlib.suppress(Exception):  # workers that are gone have nothing to stop
            self._client.run(cancel_here, campaign, on_error="ignore")

    def close(self) -> None:
        """Part from the scheduler; end the cluster of this machine."""
        self._client.close(timeout=_CANCEL_S)
        if self._cluster is not None:
            self._cluster.close(timeout=_CANCEL_S)

    def _bear_no_workers(self) -> None:
        """Have lost workers of this machine come back; where none comes for long, tell those who wait."""
        if self._cluster is not None:
            self._cluster.scale(self._wanted)
        if time.monotonic() - self._workers_seen_s < _WITHOUT_WORKERS_S:
            return
        self._workers_seen_s = time.monotonic()
        with self._lock:
            waiting, self._futures = self._futures, {}
        self._client.cancel(list(waiting))
        for future in waiting.values():
            future.set_exception(
                UnreachableError(f"The Dask scheduler has had no worker for {_WITHOUT_WORKERS_S:g} s.")
            )

    def _done(self, remote: Any) -> None:
        with self._lock:
            future = self._futures.pop(remote, None)
        if future is None:
            return
        try:
            future.set_result(remote.result())
        except BaseException as error:  # noqa: BLE001 - handed to who waits for the task
            future.set_exception(error)


def _allowed_failures(dask_scheduler: Any) -> int:
    return int(dask_scheduler.allowed_failures)
