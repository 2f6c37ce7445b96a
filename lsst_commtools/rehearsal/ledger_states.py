"""States of CSCs that procedures observed, from the ledger: what we saw ourselves stands beside what the EFD says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lsst_commtools.rehearsal.telling import Source, Window, ask

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["observed_states", "read_ledger_states"]


def read_ledger_states(site: Site, windows: Sequence[Window]) -> tuple[list[dict[str, Any]], Source]:
    """Read the states that steps of procedures observed over some times.

    Parameters
    ----------
    site
        Says where the ledger is.
    windows
        The times.

    Returns
    -------
    rows : list of dict
        ``csc``, ``state``, ``at_utc``, ``told`` with the run and its step; the earliest first.
    source : Source
        Whether it could be read.
    """

    def look() -> tuple[list[dict[str, Any]], str]:
        from lsst_commtools.procedure.ledger import Ledger
        from lsst_commtools.procedure.values import Kind

        rows = []
        for event in Ledger.at(site.procedure).events(kinds=[Kind.STEP_ENDED]):
            moment = dt.datetime.fromisoformat(event.at_utc)
            if not any(window.begin_utc <= moment <= window.end_utc for window in windows):
                continue
            told = f"{event.run}, step {event.data.get('step', '')}"
            rows += [
                {"csc": csc, "state": state, "at_utc": event.at_utc, "told": told}
                for csc, state in observed_states(event.data.get("observed"))
            ]
        return sorted(rows, key=lambda row: row["at_utc"]), f"{len(rows)} states that procedures observed."

    return ask("states in the ledger", look, [])


def observed_states(observed: Any) -> Iterator[tuple[str, str]]:
    """Find the states of CSCs in what a step observed.

    Parameters
    ----------
    observed
        Plain values, in whatever they are nested.

    Yields
    ------
    csc : str
        The CSC.
    state : str
        Its state at the end of the step.
    """
    if isinstance(observed, Mapping):
        csc = _name(observed.get("csc"), observed.get("index"))
        state = observed.get("after") or observed.get("state")
        if csc and isinstance(state, str):
            yield csc, state
            return
        for value in observed.values():
            yield from observed_states(value)
    elif isinstance(observed, list | tuple):
        for value in observed:
            yield from observed_states(value)


def _name(csc: Any, index: Any) -> str:
    if isinstance(csc, Mapping):
        csc, index = csc.get("name"), csc.get("index")
    if not isinstance(csc, str) or not csc:
        return ""
    return f"{csc}:{index}" if isinstance(index, int) and index else csc
