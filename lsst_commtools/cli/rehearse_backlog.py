"""``commtools rehearse backlog``: problems over the nights, who cares for them, and what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsst_commtools.cli.output import Context
from lsst_commtools.errors import InputError

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.backlog import Backlog, BacklogItem

__all__ = ["command"]

_STATES = ("open", "assigned", "known", "solved", "lost")
_HEADER = ("problem", "state", "assignee", "times", "nights", "kind", "where", "what")


@click.command("backlog")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the rehearsal [default: the newest one].",
)
@click.option("--night", type=click.IntRange(1), help="What this night did to the backlog.")
@click.option("--all", "whole", is_flag=True, help="Show what is solved or lost too.")
@click.option("--change", "problem", metavar="PROBLEM", help="Change a problem: its identifier or its kind.")
@click.option("--state", type=click.Choice(_STATES), help="What becomes of it.")
@click.option("--assignee", metavar="NAME", default="", help="Who cares for it.")
@click.option("--comment", metavar="TEXT", default="", help="What there is to say.")
@click.option("--diagnosis", metavar="TEXT", default="", help="What it comes from.")
@click.option("--as", "who", metavar="NAME", default="", help="Who says so [default: this account].")
@click.option("--role", metavar="ROLE", default="", help="As whom.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all as CSV.")
@click.option(
    "--jira",
    "jira_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what is open for Jira's CSV importer.",
)
@click.pass_obj
def command(
    context: Context,
    work: Path | None,
    night: int | None,
    *,
    whole: bool,
    problem: str | None,
    state: str | None,
    assignee: str,
    comment: str,
    diagnosis: str,
    who: str,
    role: str,
    csv_file: Path | None,
    jira_file: Path | None,
) -> int:
    """Show the backlog of problems. Exit code 1 while something is open."""
    from lsst_commtools.rehearsal import Rehearsal, default_rehearsal
    from lsst_commtools.rehearsal.backlog import change_problem, from_entries
    from lsst_commtools.rehearsal.tickets import write_csv, write_jira_csv

    rehearsal = Rehearsal.open(context.site, work or default_rehearsal(context.site))
    if (problem is None) != (state is None):
        raise InputError("--change and --state belong together.", changed="Nothing was recorded.")
    if problem is not None and state is not None:
        change_problem(
            rehearsal.journal,
            problem,
            state=state,
            assignee=assignee,
            comment=comment,
            diagnosis=diagnosis,
            who=who,
            role=role,
        )
    backlog = from_entries(rehearsal.entries())
    if csv_file is not None:
        write_csv(backlog, csv_file)
    if jira_file is not None:
        write_jira_csv(backlog, jira_file, origin=f"Rehearsal {rehearsal.settings.work.name}")
    told = {"unattended": rehearsal.unattended, "work": str(rehearsal.settings.work)}
    if night is not None:
        rehearsal.night(night)
        _show_night(context, backlog, night, told)
    else:
        items = backlog.items if whole else backlog.open
        context.emit_table({**told, "backlog": [i.to_dict() for i in items]}, map(_row, items), _HEADER)
    return 1 if backlog.open else 0


def _show_night(context: Context, backlog: Backlog, night: int, told: dict[str, object]) -> None:
    change = backlog.compare(night)
    parts = {
        "new": change.new,
        "recurring": change.recurring,
        "still open": change.still_open,
        "solved": change.solved,
    }
    context.emit_table(
        {**told, "night": night, **{name: [i.to_dict() for i in items] for name, items in parts.items()}},
        [(name, *_row(item)) for name, items in parts.items() for item in items],
        ("night", *_HEADER),
    )


def _row(item: BacklogItem) -> tuple[object, ...]:
    more = f" and {len(item.where) - 1} more" if len(item.where) > 1 else ""
    return (
        item.cause,
        item.state,
        item.assignee or None,
        item.count,
        ",".join(map(str, item.nights)),
        item.kind,
        f"{item.where[0]}{more}",
        item.message[:100],
    )
