"""Looking at runs: which there are, how they stand, signing their holds, comparing them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import InputError, NotFoundError, RefusedError
from lsst_commtools.procedure.approval import code_diff
from lsst_commtools.procedure.holds import Signature, signatures
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.procedure.notebook import parse_notebook
from lsst_commtools.procedure.record import RunRecord, record_of
from lsst_commtools.procedure.values import Event, Kind, slug

if TYPE_CHECKING:
    from lsst_commtools.site.procedure import ProcedureSection

__all__ = ["compare", "list_runs", "show_run", "sign", "waiting_holds"]


def list_runs(ledger: Ledger, section: ProcedureSection) -> list[RunRecord]:
    """List all runs.

    Parameters
    ----------
    ledger
        Where they are recorded.
    section
        The site's settings of procedures.

    Returns
    -------
    list of RunRecord
        The newest first, without their steps and cells.
    """
    kinds = [Kind.RUN_STARTED, Kind.RUN_ENDED, Kind.HOLD_WAITING, Kind.HOLD_ENDED, Kind.OWED, Kind.SETTLED]
    by_run: dict[str, list[Event]] = {}
    for event in ledger.events(kinds=kinds):
        by_run.setdefault(event.run, []).append(event)
    held = {lease.run: lease for lease in leases.all_leases(ledger) if lease.key == leases.run_key(lease.run)}
    records = [
        record_of(events, alive=_alive(events, held.get(run), section))
        for run, events in by_run.items()
        if any(e.kind is Kind.RUN_STARTED for e in events)
    ]
    return sorted(records, key=lambda record: (record.started_utc, record.run), reverse=True)


def show_run(ledger: Ledger, section: ProcedureSection, run: str) -> RunRecord:
    """Show one run.

    Parameters
    ----------
    ledger
        Where it is recorded.
    section
        The site's settings of procedures.
    run
        Its name, or a part of it that no other run has.

    Returns
    -------
    RunRecord
        All that is known.

    Raises
    ------
    NotFoundError
        If there is no such run.
    """
    events = ledger.events(run)
    if not any(e.kind is Kind.RUN_STARTED for e in events):
        names = sorted({e.run for e in ledger.events(kinds=[Kind.RUN_STARTED])})
        matching = [name for name in names if run and run in name]
        if len(matching) != 1:
            what = f"{len(matching)} runs match" if matching else "There is no run"
            raise NotFoundError(f"{what} {run!r}.", advice="See 'commtools runs list'.")
        events = ledger.events(matching[0])
    held = {lease.key: lease for lease in leases.all_leases(ledger, events[0].run)}
    return record_of(events, alive=_alive(events, held.get(leases.run_key(events[0].run)), section))


def sign(
    ledger: Ledger,
    section: ProcedureSection,
    run: str,
    step: str,
    *,
    role: str,
    name: str,
    go: bool = True,
    comment: str = "",
) -> Signature:
    """Sign at a hold.

    Parameters
    ----------
    ledger
        Where the run is recorded.
    section
        The site's settings of procedures.
    run
        Its name.
    step
        Identifier or name of the hold.
    role, name
        As whom, and who.
    go
        Whether it is a go.
    comment
        What else there is to say.

    Returns
    -------
    Signature
        With the observation that was signed.

    Raises
    ------
    NotFoundError
        If no such hold waits.
    RefusedError
        If this name may not sign for that role.
    """
    role, name = " ".join(role.split()), " ".join(name.split())
    if not role or not name:
        raise InputError("A signature needs a role and a name.")
    record = show_run(ledger, section, run)
    waiting = {event.data["step"]: event for event in waiting_holds(ledger, record.run)}
    hold = waiting.get(step) or waiting.get(slug(step))
    if hold is None or record.status not in ("waiting", "running", "unknown"):
        raise NotFoundError(
            f"No hold {step!r} of run {record.run} waits for signatures.",
            advice=f"Waiting: {', '.join(waiting)}." if waiting else "",
        )
    roles = {r.casefold(): r for r in hold.data["roles"]}
    if role.casefold() not in roles:
        raise RefusedError(
            f"The hold {hold.data['name']!r} does not ask for the role {role!r}.",
            changed="Nothing was signed.",
            advice=f"It asks for {', '.join(roles.values())}.",
        )
    allowed = next((names for r, names in section.signers.items() if r.casefold() == role.casefold()), None)
    if allowed is not None and name.casefold() not in [" ".join(n.split()).casefold() for n in allowed]:
        raise RefusedError(f"{name} may not sign as {role} at this site.", changed="Nothing was signed.")
    Journal(ledger, record.run, hold.data.get("attempt", 1)).note(
        Kind.SIGNED,
        step=hold.data["step"],
        role=roles[role.casefold()],
        name=name,
        go=go,
        comment=comment,
        observation=hold.data["observation"],
        digest=hold.data["digest"],
    )
    return signatures(ledger.events(record.run), hold.data["step"])[-1]


def waiting_holds(ledger: Ledger, run: str) -> list[Event]:
    """Find the holds of a run that wait for signatures.

    Parameters
    ----------
    ledger
        Where it is recorded.
    run
        Its name.

    Returns
    -------
    list of Event
        Of kind hold-waiting.
    """
    waiting: dict[str, Event] = {}
    for event in ledger.events(run, [Kind.HOLD_WAITING, Kind.HOLD_ENDED]):
        if event.kind is Kind.HOLD_WAITING:
            waiting[event.data["step"]] = event
        else:
            waiting.pop(event.data["step"], None)
    return list(waiting.values())


def compare(ledger: Ledger, section: ProcedureSection, one: str, other: str) -> dict[str, Any]:
    """Compare two runs.

    Parameters
    ----------
    ledger
        Where they are recorded.
    section
        The site's settings of procedures.
    one, other
        Names of the runs.

    Returns
    -------
    dict
        Keys ``runs``, ``status``, ``parameters``, ``steps``, ``measurements``, ``packages``, ``code``: what differs,
        each as a pair; the code as a unified difference.
    """
    records = [show_run(ledger, section, run) for run in (one, other)]
    starts = [ledger.events(r.run, [Kind.RUN_STARTED])[-1].data for r in records]
    steps = [{s.id: {"status": s.status.value, "observed": s.observed} for s in r.steps} for r in records]
    measured = [
        {
            e.data["name"]: {"value": e.data["value"], "unit": e.data["unit"]}
            for e in ledger.events(r.run, [Kind.MEASURED])
        }
        for r in records
    ]
    texts = [ledger.notebook(r.code_sha256) if r.code_sha256 else None for r in records]
    code: Sequence[str] = []
    if texts[0] and texts[1] and records[0].code_sha256 != records[1].code_sha256:
        code = code_diff(parse_notebook(texts[0]), parse_notebook(texts[1]), records[0].run, records[1].run)
    return {
        "runs": [r.run for r in records],
        "status": [r.status.value for r in records],
        "parameters": _differences(records[0].parameters, records[1].parameters),
        "steps": _differences(*steps),
        "measurements": _differences(*measured),
        "packages": _differences(*(_packages(ledger, start) for start in starts)),
        "code": list(code),
    }


def _packages(ledger: Ledger, start: dict[str, Any]) -> dict[str, Any]:
    kept = ledger.notebook(start["packages_sha256"]) if start.get("packages_sha256") else None
    return dict(json.loads(kept)) if kept else dict(start.get("packages") or {})


def _differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, list[Any]]:
    names = [*one, *(name for name in other if name not in one)]
    return {name: [one.get(name), other.get(name)] for name in names if one.get(name) != other.get(name)}


def _alive(events: Sequence[Event], lease: leases.Lease | None, section: ProcedureSection) -> bool | None:
    """Tell whether the runner of a run lives: by its lease, else by its process."""
    if lease is not None:
        return lease.alive(section.stale_after_s)
    runner = next((e.data.get("runner") for e in reversed(events) if e.kind is Kind.RUN_STARTED), None)
    return ProcessId.from_dict(runner).alive() if runner else None
