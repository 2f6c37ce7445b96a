"""Who does the pieces of a large measurement: this process, or the workers of a Dask scheduler.

The pieces and the order in which their results are joined do not depend on who does them, so neither do the figures.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from lsst_commtools.errors import InputError, ServiceError, UnreachableError

__all__ = ["LOCAL_CLUSTER", "DaskWorkers", "Here", "Workers"]

LOCAL_CLUSTER = "local"
"""Stands for an address: a cluster of this machine is made for the time of the measurement."""

_CONNECT_S = 20.0
_CLOSE_S = 10.0
_AHEAD = 2
_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")


class Workers(Protocol):
    """Somebody who does pieces of work."""

    @property
    def slots(self) -> int:
        """How many pieces are done at a time."""

    def map(self, work: Callable[[_Piece], _Result], pieces: Iterable[_Piece]) -> Iterator[_Result]:
        """Do each piece; results come in the order of the pieces.

        Parameters
        ----------
        work
            A function of a module, so that it can be sent.
        pieces
            What it is given, one after the other.

        Returns
        -------
        iterator
            Results.
        """


class Here:
    """The process itself, one piece after the other."""

    slots = 1

    def map(self, work: Callable[[_Piece], _Result], pieces: Iterable[_Piece]) -> Iterator[_Result]:
        """Do each piece."""
        return map(work, pieces)


class DaskWorkers:
    """Workers of Dask; a context manager.

    Pieces are functions of their input alone, so a piece whose worker died may be done again.

    Parameters
    ----------
    scheduler
        Address of a scheduler, or ``local`` for a cluster of this machine.

    Raises
    ------
    InputError
        If Dask is not installed.
    UnreachableError
        If there is no scheduler at that address, or it has no workers.
    """

    def __init__(self, scheduler: str = LOCAL_CLUSTER) -> None:
        try:
            from distributed import Client, LocalCluster
        except ImportError:
            raise InputError("Dask is not installed.", advice="Install lsst_commtools[dask].") from None
        self._cluster: Any = None
        address = scheduler
        if scheduler == LOCAL_CLUSTER:
            self._cluster = LocalCluster(
                threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
            )
            address = self._cluster.scheduler_address
        try:
            self._client: Any = Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UnreachableError(f"There is no Dask scheduler at {scheduler}: {error}.") from None
        if not self._client.nthreads():
            self.close()
            raise UnreachableError(f"The Dask scheduler at {scheduler} has no workers.")

    @property
    def slots(self) -> int:
        """One for each thread of the workers that are there now, and one at least."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def map(self, work: Callable[[_Piece], _Result], pieces: Iterable[_Piece]) -> Iterator[_Result]:
        """Do the pieces on the workers; only a few are sent ahead, so that memory stays bounded.

        Raises
        ------
        ServiceError
            If the workers are lost.
        """
        from distributed import CancelledError, KilledWorker

        most = _AHEAD * self.slots
        waiting: collections.deque[Any] = collections.deque()
        try:
            for piece in pieces:
                sent = self._client.scatter([piece], hash=False)[0]  # a graph is no place for large pieces
                waiting.append(self._client.submit(work, sent, pure=False))
                if len(waiting) >= most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except (KilledWorker, CancelledError) as error:
            raise ServiceError(
                f"The Dask workers were lost: {str(error).splitlines()[0]}", changed="Nothing was written."
            ) from error
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """Part from the scheduler; end the cluster of this machine."""
        self._client.close(timeout=_CLOSE_S)
        if self._cluster is not None:
            self._cluster.close(timeout=_CLOSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
