"""Signs of life of a runner."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from lsst_commtools.errors import LedgerAwayError
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.ledger import Ledger, leases

__all__ = ["Heartbeat"]


class Heartbeat:
    """Holds the lease of a run while its runner lives, and renews all leases of the run.

    Parameters
    ----------
    ledger
        Where leases are kept.
    run
        Name of the run.
    period_s
        Time between two signs of life, in seconds.
    instead_of
        Lease of an earlier runner that is known to be dead.

    Notes
    -----
    `lost` is set when somebody took the run over: then this runner must command nothing more.
    """

    def __init__(
        self, ledger: Ledger, run: str, period_s: float, *, instead_of: leases.Lease | None = None
    ) -> None:
        self.lost = threading.Event()
        self.holder = ProcessId.of()
        self._ledger = ledger
        self._run = run
        self._period_s = period_s
        self._instead_of = instead_of
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of {run}", daemon=True)

    def start(self) -> None:
        """Take the run's own lease and begin to renew it.

        Raises
        ------
        LeaseError
            If another runner holds it.
        LedgerAwayError
            If the ledger cannot be reached.
        """
        leases.take(
            self._ledger, leases.run_key(self._run), self._run, self.holder, instead_of=self._instead_of
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing; the leases stay until they are released."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _beat(self) -> None:
        while not self._stop.wait(self._period_s):
            try:
                if not leases.renew(self._ledger, self._run, self.holder):
                    self.lost.set()
                    return
            except LedgerAwayError:
                continue  # a ledger that is away takes nobody's lease either
