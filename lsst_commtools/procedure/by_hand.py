"""Runs that a person runs cell by cell, without an engine."""

from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from lsst_commtools.errors import CommtoolsError, LedgerAwayError, RefusedError
from lsst_commtools.procedure.binding import Binding
from lsst_commtools.procedure.cell_guard import CellGuard
from lsst_commtools.procedure.closing import outstanding
from lsst_commtools.procedure.heartbeat import Heartbeat
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.procedure.ledger.spool import SPOOL_SUFFIX
from lsst_commtools.procedure.ledger.store import ledger_url
from lsst_commtools.procedure.notebook import (
    PARAMETERS,
    NotebookFile,
    code_cells,
    code_sha256,
    find_cell,
    read_notebook,
    stripped_text,
)
from lsst_commtools.procedure.parameters import read_parameters
from lsst_commtools.procedure.procedure import Procedure
from lsst_commtools.procedure.provenance import where_it_runs
from lsst_commtools.procedure.redact import recorded_values
from lsst_commtools.procedure.run_names import new_run_name
from lsst_commtools.procedure.values import Event, Kind, RunStatus, StepStatus, plain
from lsst_commtools.site.home import commtools_home

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["begin", "end", "notebook_by_hand", "status_by_steps"]


def notebook_by_hand() -> str:
    """Tell which notebook a person has open.

    Returns
    -------
    str
        Path as Jupyter tells it to its kernels, else ``by hand``.
    """
    return os.environ.get("JPY_SESSION_NAME") or "by hand"


def begin(site: Site) -> Procedure:
    """Start a run that a person runs by hand.

    Parameters
    ----------
    site
        Where the procedure works.

    Returns
    -------
    Procedure
        Its run; it ends with ``procedure.finish()``.
    """
    notebook = notebook_by_hand()
    guard = CellGuard(_approved_cells(site, notebook))
    dry_run = bool(os.environ.get("COMMTOOLS_DRY_RUN"))
    run = new_run_name(notebook, dry_run=dry_run)
    folder = commtools_home() / "runs" / run
    spool = folder.with_name(run + SPOOL_SUFFIX)
    binding = Binding(run, 1, ledger_url(site.procedure), spool, folder, dry_run=dry_run)
    ledger = Ledger.at(site.procedure, spool=spool)
    heartbeat = Heartbeat(ledger, run, site.procedure.heartbeat_s)
    heartbeat.start()
    journal = Journal(ledger, run, complete=True)
    found = _open_notebook(notebook)
    code = code_sha256(found.nb) if found is not None else None
    if found is not None and code is not None:
        ledger.keep_notebook(code, stripped_text(found.nb))
    journal.note(
        Kind.RUN_STARTED,
        notebook=str(found.path) if found is not None else notebook,
        sha256=found.sha256 if found is not None else None,
        code_sha256=code,
        site=site.name,
        by_hand=True,
        dry_run=dry_run,
        cells=[],
        runner=heartbeat.holder.to_dict(),
        **_parameters(found),
        **where_it_runs(None if found is None else found.path.parent, ledger),
    )
    ended = [False]

    def finish(reason: str) -> str:
        if ended[0]:
            return ""
        ended[0] = True
        heartbeat.stop()
        return end(journal, reason=reason)

    atexit.register(finish, "the kernel ended without procedure.finish()")
    return Procedure(journal, binding, site.procedure, by_hand=True, finish=finish, guard=guard)


def _parameters(notebook: NotebookFile | None) -> dict[str, Any]:
    """Read the parameters as they are now in this kernel, where the person may have changed them by hand."""
    cell = None if notebook is None else find_cell(notebook.nb, PARAMETERS)
    shell = get_ipython()
    if cell is None or shell is None:
        return {"parameters": {}}
    try:
        declared = [p for p in read_parameters(cell.source) if p.name in shell.user_ns]
    except CommtoolsError:
        return {"parameters": {}}
    secret = [p.name for p in declared if p.secret]
    values = {p.name: plain(shell.user_ns[p.name]) for p in declared}
    return {"parameters": recorded_values(values, secret), "secret_parameters": secret}


def _open_notebook(notebook: str) -> NotebookFile | None:
    """Read the notebook as it was last saved: its closing cells may have to run in another kernel."""
    path = Path.cwd() / Path(notebook).name  # Jupyter starts a kernel in the folder of its notebook
    if path.suffix != ".ipynb" or not path.is_file():
        return None
    try:
        return read_notebook(path)
    except CommtoolsError:
        return None


def _approved_cells(site: Site, notebook: str) -> list[str] | None:
    """Give the cells that may command, where the site asks for approval."""
    if not site.procedure.approval_required:
        return None
    from lsst_commtools.procedure.approval import check_approved

    found = _open_notebook(notebook)
    if found is None:
        raise RefusedError(
            "This site demands approved notebooks, and which one this is cannot be told.",
            changed="Nothing was begun.",
            advice="Run it with commtools run.",
        )
    check_approved(Ledger.at(site.procedure), site.procedure, found.nb, found.path.name)
    return [cell.source.strip() for cell in code_cells(found.nb)]


def status_by_steps(events: list[Event], attempt: int) -> tuple[RunStatus, str]:
    """Judge a run whose cells all ran by its steps and debts.

    Parameters
    ----------
    events
        Events of the run, in order.
    attempt
        The attempt that is judged.

    Returns
    -------
    status : RunStatus
        ``done`` only if each step of the attempt is done or skipped and nothing is owed.
    reason : str
        Why it is not.
    """
    steps: dict[str, tuple[str, StepStatus]] = {}
    dry_run = False
    for event in events:
        if event.kind is Kind.RUN_STARTED:
            dry_run = bool(event.data.get("dry_run"))
        if event.data.get("attempt", 1) != attempt:
            continue
        if event.kind is Kind.STEP_STARTED:
            steps[event.data["step"]] = (event.data["name"], StepStatus.UNKNOWN)
        elif event.kind is Kind.STEP_ENDED:
            steps[event.data["step"]] = (event.data["name"], StepStatus(event.data["status"]))
    owed = [debt.name for debt in outstanding(events)]
    for status, outcome in ((StepStatus.FAILED, RunStatus.FAILED), (StepStatus.UNKNOWN, RunStatus.UNKNOWN)):
        names = [name for name, found in steps.values() if found is status]
        if names or (status is StepStatus.FAILED and owed):
            texts = [
                f"step {name!r} {'failed' if status is StepStatus.FAILED else 'is unknown'}" for name in names
            ]
            return outcome, "; ".join([*texts, *(f"owed: {name}" for name in owed)])
    return (RunStatus.PLANNED if dry_run else RunStatus.DONE), ""


def end(journal: Journal, *, reason: str) -> str:
    """End a run by hand.

    Parameters
    ----------
    journal
        Pen of the run.
    reason
        Why it ended early; empty where the person finished it.

    Returns
    -------
    str
        Its status.
    """
    try:
        events = journal.events()
        status, why = status_by_steps(events, journal.attempt)
        owed = outstanding(events)
    except LedgerAwayError as error:
        status, why, owed = RunStatus.UNKNOWN, str(error), []
        events = []
    if reason and status in (RunStatus.DONE, RunStatus.PLANNED):
        status, why = RunStatus.ABORTED, reason
    journal.note(Kind.RUN_ENDED, status=status, reason=why or reason, owed=[debt.name for debt in owed])
    if events:
        kept = [lease.key for lease in leases.all_leases(journal.ledger, journal.run)] if owed else []
        given = [leases.run_key(journal.run)] if kept else None
        leases.release(journal.ledger, journal.run, given)
    return status.value
