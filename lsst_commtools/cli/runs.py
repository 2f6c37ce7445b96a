"""``commtools runs``: the record of all runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.cli.run import exit_code, parse_parameters, print_run

if TYPE_CHECKING:
    from lsst_commtools.procedure.ledger import Ledger
    from lsst_commtools.procedure.record import RunRecord

__all__ = ["command"]


def _ledger(context: Context) -> Ledger:
    from lsst_commtools.procedure.ledger import Ledger

    ledger = Ledger.at(context.site.procedure)
    ledger.merge_spools()
    return ledger


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, show, resume, recover, sign and compare runs."""


@command.command("list")
@click.pass_obj
def list_(context: Context) -> int:
    """List all runs, the newest first."""
    from lsst_commtools.procedure.runs import list_runs

    records = list_runs(_ledger(context), context.site.procedure)
    context.emit_table(
        [
            {"run": r.run, "notebook": r.notebook, "status": r.status.value, "started": r.started_utc}
            for r in records
        ],
        [
            (r.run, Path(r.notebook).name, r.status.value, f"{r.started_utc[:19]}Z", "; ".join(r.owed) or "-")
            for r in records
        ],
        ("run", "notebook", "status", "started (UTC)", "owed"),
    )
    return 0


@command.command()
@click.argument("run")
@click.pass_obj
def show(context: Context, run: str) -> int:
    """Show all that is known of RUN."""
    from lsst_commtools.procedure.runs import show_run

    print_run(context, show_run(_ledger(context), context.site.procedure, run))
    return 0


@command.command()
@click.argument("run")
@click.option(
    "-p", "--parameter", "words", metavar="NAME=VALUE", multiple=True, help="A changed parameter or a secret."
)
@click.option("--changed", is_flag=True, help="Accept a changed notebook or changed parameters.")
@click.option("--as", "name", metavar="NAME", help="Who says that the earlier runner is dead.")
@click.option("--output", type=click.Path(path_type=Path), help="Output notebook of this attempt.")
@click.pass_obj
def resume(
    context: Context,
    run: str,
    words: tuple[str, ...],
    *,
    changed: bool,
    name: str | None,
    output: Path | None,
) -> int:
    """Go on with RUN: what is done and still holds is skipped."""
    from lsst_commtools.procedure.notebook import parse_notebook
    from lsst_commtools.procedure.runner import notebook_parameters, resume_run
    from lsst_commtools.procedure.runs import show_run

    values = {}
    if words:
        ledger = _ledger(context)
        record = show_run(ledger, context.site.procedure, run)
        kept = ledger.notebook(record.code_sha256) if record.code_sha256 else None
        values = parse_parameters(notebook_parameters(parse_notebook(kept)) if kept else [], words)
    record = resume_run(
        run,
        values,
        site=context.site,
        accept_changes=changed,
        taken_over_by=name,
        output=output,
        progress=sys.stderr.isatty(),
    )
    print_run(context, record)
    return exit_code(record)


@command.command()
@click.argument("runs", nargs=-1)
@click.option(
    "--as", "name", metavar="NAME", help="Who says that the runner is dead, and that its leases are free."
)
@click.pass_obj
def recover(context: Context, runs: tuple[str, ...], *, name: str | None) -> int:
    """Close RUNS whose runner has died, by default all on this machine; files of spooled events are taken in."""
    from lsst_commtools.procedure.recover import recover_run, recoverable

    ledger = _ledger(context)
    files = [Path(word) for word in runs if word.endswith(".jsonl")]
    merged = ledger.merge_spools(*files) if files else 0
    names = [word for word in runs if not word.endswith(".jsonl")]
    silent: list[RunRecord] = []
    if not runs:
        dead, silent = recoverable(ledger, context.site)
        names = [record.run for record in dead]
    results = [recover_run(ledger, context.site, run, taken_over_by=name) for run in names]
    document = {
        "recovered": [
            {"run": r.run, "status": r.status.value, "closed": r.closed, "owed": r.owed, "reason": r.reason}
            for r in results
        ],
        "silent": [{"run": r.run, "host": r.runner.get("host")} for r in silent],
        "events_taken_in": merged,
    }
    lines = [f"{r.run}: {r.status.value}; {'closed' if r.closed else 'nothing to close'}" for r in results]
    lines += [f"  still owed: {owed}" for r in results for owed in r.owed]
    lines += [
        f"{r.run}: silent on {r.runner.get('host')}; recover it with --as YOUR-NAME if it is dead"
        for r in silent
    ]
    context.emit(document, "\n".join(map(safe_text, lines or ["No run needs to be recovered."])))
    return 1 if silent or any(r.owed for r in results) else 0


@command.command()
@click.argument("run")
@click.argument("step")
@click.option("--as", "role", required=True, metavar="ROLE", help="Role for which is signed.")
@click.option("--name", required=True, help="Who signs.")
@click.option("--no-go", is_flag=True, help="Refuse: the run fails at the hold and closes.")
@click.option("--comment", default="", help="What else there is to say.")
@click.pass_obj
def sign(context: Context, run: str, step: str, *, role: str, name: str, no_go: bool, comment: str) -> int:
    """Sign at the hold STEP of RUN, for what was observed there."""
    from lsst_commtools.procedure.runs import sign as give

    signature = give(
        _ledger(context),
        context.site.procedure,
        run,
        step,
        role=role,
        name=name,
        go=not no_go,
        comment=comment,
    )
    context.emit(
        {
            "step": signature.step,
            "role": signature.role,
            "name": signature.name,
            "go": signature.go,
            "observation": signature.observation,
            "sha256": signature.digest,
            "at_utc": signature.at_utc,
        },
        safe_text(
            f"{signature.name} ({signature.role}): {'go' if signature.go else 'NO-GO'} for {signature.observation}"
        ),
    )
    return 0


@command.command()
@click.argument("one")
@click.argument("other")
@click.pass_obj
def diff(context: Context, one: str, other: str) -> int:
    """Compare the runs ONE and OTHER."""
    from lsst_commtools.procedure.runs import compare

    document = compare(_ledger(context), context.site.procedure, one, other)
    lines = [
        f"{document['runs'][0]} ({document['status'][0]})  {document['runs'][1]} ({document['status'][1]})"
    ]
    for section in ("parameters", "steps", "measurements", "packages"):
        lines += [f"{section}: {name}: {pair[0]} -> {pair[1]}" for name, pair in document[section].items()]
    context.emit(document, "\n".join(map(safe_text, [*lines, *document["code"]])))
    same = not any(document[key] for key in ("parameters", "steps", "measurements", "packages", "code"))
    return 0 if same else 1
