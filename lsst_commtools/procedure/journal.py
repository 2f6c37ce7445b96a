"""The pen of one run: writes its events as this user on this host."""

from __future__ import annotations

import os
from typing import Any

from lsst_commtools.errors import LedgerAwayError
from lsst_commtools.procedure.identity import host_name, user_name
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.redact import Redactor
from lsst_commtools.procedure.values import Event, Kind, plain

__all__ = ["Journal"]


class Journal:
    """Writes the events of one run.

    Parameters
    ----------
    ledger
        Where they go.
    run
        Name of the run.
    attempt
        Number of the attempt, written into each event.
    redactor
        Keeps secrets out, by default those of this process.
    complete
        Whether this pen has written all that matters of the run so far, so that its memory stands in for a ledger that
        is away: in the kernel of a first attempt.
    """

    def __init__(
        self,
        ledger: Ledger,
        run: str,
        attempt: int = 1,
        *,
        redactor: Redactor | None = None,
        complete: bool = False,
    ) -> None:
        self.ledger = ledger
        self.run = run
        self.attempt = attempt
        self._complete = complete
        self._written: list[Event] = []
        self._redactor = redactor or Redactor.of_environment()

    def note(self, kind: Kind, **data: Any) -> Event:
        """Write an event.

        Parameters
        ----------
        kind
            What happened.
        **data
            Anything; it is made plain.

        Returns
        -------
        Event
            As it was written.
        """
        values = {"attempt": self.attempt, **self._redactor.value(plain(data))}
        event = self.ledger.add(self.run, kind, values, who=user_name(), host=host_name(), pid=os.getpid())
        if self._complete:
            self._written.append(event)
        return event

    def events(self) -> list[Event]:
        """Read the events of this run.

        Returns
        -------
        list of Event
            In order.

        Raises
        ------
        LedgerAwayError
            If the ledger is away and memory cannot stand in for it.
        """
        try:
            return self.ledger.events(self.run)
        except LedgerAwayError:
            if not self._complete:
                raise
            return list(self._written)
