"""Putting in order what a dead runner left: its cells are marked, its closing cells run, its record says so."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from lsst_commtools.errors import CommtoolsError, RefusedError
from lsst_commtools.procedure.binding import Binding
from lsst_commtools.procedure.closing import outstanding
from lsst_commtools.procedure.heartbeat import Heartbeat
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.procedure.ledger.spool import spool_name
from lsst_commtools.procedure.notebook import CLOSING, has_tag, parse_notebook, write_atomic
from lsst_commtools.procedure.record import RunRecord
from lsst_commtools.procedure.redact import Redactor
from lsst_commtools.procedure.runs import list_runs, show_run
from lsst_commtools.procedure.values import CellStatus, Kind, RunStatus
from lsst_commtools.site import Site, commtools_home

if TYPE_CHECKING:
    from lsst_commtools.procedure.execution import Outcome

__all__ = ["Recovered", "recover_run", "recoverable"]


@dataclass(frozen=True)
class Recovered:
    """What was done for a run whose runner had died.

    Parameters
    ----------
    run
        Its name.
    status
        How it stands now.
    closed
        Whether closing cells were run.
    owed
        What is still to be put back.
    reason
        Why the run ended, or why it could not be recovered.
    """

    run: str
    status: RunStatus
    closed: bool
    owed: list[str]
    reason: str


def recoverable(ledger: Ledger, site: Site) -> tuple[list[RunRecord], list[RunRecord]]:
    """Find the runs that need somebody.

    Parameters
    ----------
    ledger
        Where they are recorded.
    site
        Where they work.

    Returns
    -------
    dead : list of RunRecord
        Their runner is known to be dead, or they have ended and still owe something.
    silent : list of RunRecord
        Their runner gives no sign of life and cannot be seen from here: a person must say that it is dead.
    """
    dead, silent = [], []
    for record in list_runs(ledger, site.procedure):
        if record.ended_utc is None and record.status is RunStatus.ABORTED:
            dead.append(record)
        elif record.ended_utc is None and record.status is RunStatus.UNKNOWN:
            silent.append(record)
        elif record.ended_utc is not None and record.owed:
            dead.append(record)
    return dead, silent


def recover_run(ledger: Ledger, site: Site, run: str, *, taken_over_by: str | None = None) -> Recovered:
    """Close a run whose runner has died.

    Parameters
    ----------
    ledger
        Where it is recorded.
    site
        Where it works.
    run
        Its name.
    taken_over_by
        Name of the person who says that the runner is dead, where that cannot be seen from here; after it the run's
        leases are given back even if it still owes something.

    Returns
    -------
    Recovered
        How it stands now.

    Raises
    ------
    RefusedError
        If the runner lives, or if nobody said that it does not.
    """
    record = show_run(ledger, site.procedure, run)
    lease = leases.lease_of(ledger, leases.run_key(record.run))
    if record.status in (RunStatus.RUNNING, RunStatus.WAITING):
        raise RefusedError(f"The runner of {record.run} is alive.", changed="Nothing was changed.")
    if record.ended_utc is None and record.status is RunStatus.UNKNOWN and taken_over_by is None:
        raise RefusedError(
            f"Whether the runner of {record.run} lives cannot be seen from here.",
            changed="Nothing was changed.",
            advice="If you know that it is dead, say so with --as YOUR-NAME.",
        )
    journal = Journal(ledger, record.run, record.attempt)
    with Heartbeat(ledger, record.run, site.procedure.heartbeat_s, instead_of=lease) as heartbeat:
        journal.note(
            Kind.NOTE,
            text="recovered",
            runner=record.runner,
            taken_over_by=taken_over_by,
            owed=list(record.owed),
        )
        _end_kernels(ledger, record.run)
        closed, outcome = _close(journal, site, record, heartbeat)
        owed = [debt.name for debt in outstanding(journal.events())]
        reason = record.reason if record.ended_utc is not None else "its runner died"
        status = record.status if record.ended_utc is not None else RunStatus.ABORTED
        if outcome is not None and owed:
            reason = f"{reason}; still owed: {', '.join(owed)}"
        journal.note(Kind.RUN_ENDED, status=status, reason=reason, owed=owed, recovered=True)
    keep = owed and taken_over_by is None
    leases.release(ledger, record.run, [leases.run_key(record.run)] if keep else None)
    correct_output(record)
    return Recovered(record.run, status, closed, owed, reason)


def correct_output(record: RunRecord) -> bool:
    """Correct the statuses in the output notebook of a run whose runner died.

    Parameters
    ----------
    record
        The run, as it stood when it was recovered.

    Returns
    -------
    bool
        False if there is no file, or one that cannot be read.
    """
    path = record.output
    if path is None or not path.is_file():
        return False
    try:
        nb = parse_notebook(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, CommtoolsError):
        return False
    known = {cell.index: cell for cell in record.cells}
    for index, cell in enumerate(nb.cells):
        values = cell.metadata.setdefault("papermill", {})
        if index in known:
            values["status"] = known[index].status.value
            values["exception"] = known[index].status is not CellStatus.COMPLETED
            if known[index].reason:
                values["reason"] = known[index].reason
        elif values.get("status") in ("pending", "running"):
            values["status"] = CellStatus.NOT_RUN.value
    nb.metadata.setdefault("papermill", {})["exception"] = True
    nb.metadata["commtools"] = {
        **nb.metadata.get("commtools", {}),
        "run": record.run,
        "status": record.status.value,
    }
    write_atomic(nbformat.writes(nb), path)
    return True


def _close(
    journal: Journal, site: Site, record: RunRecord, heartbeat: Heartbeat
) -> tuple[bool, Outcome | None]:
    """Run the closing cells that the ledger kept."""
    nb = _closing_notebook(journal.ledger, record)
    ran = any(cell.status is not CellStatus.NOT_RUN for cell in record.cells)
    if nb is None or not nb.cells or not (ran or record.owed):
        return False, None
    from lsst_commtools.procedure.attempt import run_coroutine
    from lsst_commtools.procedure.execution import Execution
    from lsst_commtools.procedure.manager import OutputNotebook
    from lsst_commtools.procedure.switch import StopSwitch

    folder = commtools_home() / "runs" / record.run
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"closing-of-attempt-{record.attempt}.ipynb"
    redactor = Redactor.of_environment()
    output = OutputNotebook(nb, redactor=redactor, output_path=str(path), progress_bar=False)
    output.notebook_start()
    binding = Binding(
        record.run, record.attempt, journal.ledger.url, spool_name(path), folder, record.dry_run, closing=True
    )
    execution = Execution(
        output,
        journal,
        binding,
        site.procedure,
        switch=StopSwitch(),
        heartbeat=heartbeat,
        folder=None,
        client_options={
            "startup_timeout": site.procedure.start_timeout_s,
            "kernel_name": nb.metadata.get("kernelspec", {}).get("name") or "python3",
        },
        cell_timeout_s=0,
        run_timeout_s=0,
        secrets={},
        labels=_labels(journal.ledger, record),
    )
    journal.note(Kind.CLOSING_STARTED, recovered=True, output=str(path))
    outcome = run_coroutine(execution.close_only())
    output.notebook_complete()
    journal.note(Kind.CLOSING_ENDED, recovered=True, owed=outcome.owed)
    return True, outcome


def _closing_notebook(ledger: Ledger, record: RunRecord) -> Any:
    text = ledger.notebook(record.code_sha256) if record.code_sha256 else None
    if text is None:
        return None
    nb = parse_notebook(text)
    nb.cells = [cell for cell in nb.cells if cell.cell_type == "code" and has_tag(cell, CLOSING)]
    nb.metadata["papermill"] = {}
    for cell in nb.cells:
        cell.metadata["papermill"] = {}
    return nb


def _labels(ledger: Ledger, record: RunRecord) -> dict[int, int]:
    """Give the closing cells, which stand alone here, the indices that they have in the record."""
    start = ledger.events(record.run, [Kind.RUN_STARTED])[-1].data
    return dict(enumerate(cell["index"] for cell in start.get("cells", []) if cell.get("closing")))


def _end_kernels(ledger: Ledger, run: str) -> None:
    """End kernels that outlived their runner, so that nothing goes on while the closing cells run."""
    for event in ledger.events(run, [Kind.KERNEL_STARTED]):
        process = event.data.get("process")
        if not process:
            continue
        identity = ProcessId.from_dict(process)
        if identity.alive() and identity.started:
            try:
                os.killpg(os.getpgid(identity.pid), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue


def spools_beside(paths: Sequence[Path]) -> list[Path]:
    """Find the spool files that belong to output notebooks.

    Parameters
    ----------
    paths
        Output notebooks, or spool files themselves.

    Returns
    -------
    list of pathlib.Path
        Files that exist.
    """
    candidates = [path if path.name.endswith(".jsonl") else spool_name(path) for path in paths]
    return [path for path in candidates if path.is_file()]
