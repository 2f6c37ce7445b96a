"""Stand-ins: where nobody attends, they sign at the holds and answer the polls, under names that say what they are."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from lsst_commtools.errors import CommtoolsError
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.runs import sign, waiting_holds
from lsst_commtools.procedure.values import Event
from lsst_commtools.procedure.values import Kind as EventKind
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.outline import Role
from lsst_commtools.rehearsal.poll import answer_poll, polls

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.rehearsal import Rehearsal

__all__ = ["StandIns", "waiting"]

_LOG = logging.getLogger(__name__)
_LOOK_S = 0.25
_COMMENT = "Unattended: signed by a stand-in."


def waiting(rehearsal: Rehearsal) -> list[Event]:
    """List the holds of a rehearsal that wait for signatures now.

    Parameters
    ----------
    rehearsal
        The rehearsal.

    Returns
    -------
    list of Event
        Of kind hold-waiting; only those of runs whose step has begun and not ended.
    """
    ledger = Ledger.at(rehearsal.site.procedure)
    open_runs: dict[str, str] = {}
    for entry in rehearsal.entries({Kind.STEP_STARTED, Kind.STEP_ENDED}):
        key = f"{entry.night}/{entry.data.get('step')}"
        if entry.kind is Kind.STEP_STARTED:
            open_runs[key] = str(entry.data.get("run", ""))
        else:
            open_runs.pop(key, None)
    return [event for run in open_runs.values() if run for event in waiting_holds(ledger, run)]


class StandIns:
    """Signs and answers while the context lasts.

    Parameters
    ----------
    rehearsal
        The rehearsal; one that is not unattended has none.
    failed
        Called with the reason if a stand-in may not sign.
    """

    def __init__(self, rehearsal: Rehearsal, failed: Callable[[str], None]) -> None:
        self._rehearsal, self._failed = rehearsal, failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stand-ins", daemon=True)

    def __enter__(self) -> Self:
        if self._rehearsal.settings.unattended:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            try:
                self.act()
            except CommtoolsError as error:
                self._failed(error.message)
            except OSError as error:
                _LOG.debug("the stand-ins could not look: %s", error)

    def act(self) -> None:
        """Sign and answer what waits now, each role once."""
        rehearsal = self._rehearsal
        section = rehearsal.site.procedure
        ledger = Ledger.at(section)
        for event in waiting(rehearsal):
            there = {e.data["role"] for e in ledger.events(event.run, [EventKind.SIGNED])
                     if e.data["digest"] == event.data["digest"] and e.data["step"] == event.data["step"]}  # fmt: skip
            for role in event.data["roles"]:
                if role not in there:
                    sign(
                        ledger,
                        section,
                        event.run,
                        event.data["step"],
                        role=role,
                        name=_name(role),
                        comment=_COMMENT,
                    )
        kinds = {Kind.POLL_OPENED, Kind.POLL_ANSWERED, Kind.POLL_CLOSED}
        for poll in polls(rehearsal.entries(kinds)):
            for role in () if poll.closed else poll.silent:
                answer_poll(
                    rehearsal.journal, poll.id, role=role, name=_name(role), go=True, comment=_COMMENT
                )


def _name(role: Role | str) -> str:
    return f"stand-in {role}"
