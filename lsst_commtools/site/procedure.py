"""How procedures are run at a site, and where their record lies."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, PositiveFloat

from lsst_commtools.site.sections import Section

__all__ = ["ProcedureSection"]


class ProcedureSection(Section):
    """Settings of procedures.

    Parameters
    ----------
    ledger_url
        SQLAlchemy URL of the ledger; empty for ``ledger.sqlite`` in the user's folder. One sqlite file serves one
        machine (write-ahead logging does not work over network file systems): many machines need PostgreSQL.
    ledger_wait_s
        How long a ledger that is locked or away is waited for before events go to a spool file, in seconds.
    approval_required
        Whether only approved notebooks may command this site.
    signers
        Role to the names that may sign for it; a role that is not named here is open to everyone.
    cell_timeout_s, run_timeout_s
        Longest time of one cell and of a whole run, in seconds; 0 for no limit. The time for which a hold waits for
        people does not count for its cell.
    interrupt_grace_s
        How long an interrupted cell may take to end before its kernel is killed, in seconds; more than the wait for the
        ledger, in which it records its end.
    closing_timeout_s
        Longest time of one closing cell, in seconds.
    start_timeout_s
        How long a kernel may take to start, in seconds.
    hold_timeout_s
        How long a hold waits for its signatures where it does not say itself, in seconds.
    heartbeat_s
        Time between two signs of life of a runner, in seconds.
    stale_after_s
        Age of the last sign of life after which a runner on another host is thought dead, in seconds.
    html
        Whether an HTML page is written beside each output notebook.
    """

    ledger_url: str = ""
    ledger_wait_s: NonNegativeFloat = 20.0
    approval_required: bool = False
    signers: dict[str, list[str]] = Field(default_factory=dict)
    cell_timeout_s: NonNegativeFloat = 0.0
    run_timeout_s: NonNegativeFloat = 0.0
    interrupt_grace_s: PositiveFloat = 30.0
    closing_timeout_s: PositiveFloat = 600.0
    start_timeout_s: PositiveFloat = 120.0
    hold_timeout_s: PositiveFloat = 3600.0
    heartbeat_s: PositiveFloat = 5.0
    stale_after_s: PositiveFloat = 60.0
    html: bool = True
