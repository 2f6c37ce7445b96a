"""``commtools rehearse report``: the report of the rehearsal, of a night, and the pages of the standups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsst_commtools.cli.output import Context
from lsst_commtools.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from lsst_commtools.rehearsal import Rehearsal

__all__ = ["command"]


@click.command("report")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the rehearsal [default: the newest one].",
)
@click.option("--night", type=click.IntRange(1), help="The report of this night [default: of the rehearsal].")
@click.option(
    "--again", is_flag=True, help="Gather the night's report anew; its signatures stay with the old one."
)
@click.option("--amend", nargs=2, metavar="SECTION TEXT", help="Add to a section of the night's report.")
@click.option("--sign", "sign", is_flag=True, help="Sign the night's report as it stands.")
@click.option(
    "--standup",
    is_flag=True,
    help="Write the page of the standup before this night [default: the final one].",
)
@click.option("--send", is_flag=True, help="Send the night's report to the site's log services.")
@click.option("--as", "who", metavar="NAME", default="", help="Who amends, signs or sends.")
@click.option("--role", metavar="ROLE", default="", help="As whom.")
@click.pass_obj
def command(
    context: Context,
    work: Path | None,
    night: int | None,
    *,
    again: bool,
    amend: tuple[str, str] | None,
    sign: bool,
    standup: bool,
    send: bool,
    who: str,
    role: str,
) -> int:
    """Write a report, whose path is printed. Exit code 1 if a source could not be read."""
    from lsst_commtools.rehearsal import Rehearsal, default_rehearsal
    from lsst_commtools.rehearsal.report import write_rehearsal_report
    from lsst_commtools.rehearsal.standup import write_standup

    rehearsal = Rehearsal.open(context.site, work or default_rehearsal(context.site))
    if night is None and (again or amend or sign or send):
        raise InputError("--again, --amend, --sign and --send need --night.", changed="Nothing was written.")
    failed: list[str] = []
    if standup:
        page = write_standup(rehearsal, night or len(rehearsal.settings.nights), final=night is None)
    elif night is None:
        page = write_rehearsal_report(rehearsal)
    else:
        page, failed = _night(rehearsal, night, again=again, amend=amend, sign=sign, who=who, role=role)
        if send:
            _send(rehearsal, night, who)
    document = {
        "unattended": rehearsal.unattended,
        "work": str(rehearsal.settings.work),
        "report": str(page),
        "sources_failed": failed,
    }
    context.emit(document, "\n".join([*(f"not read: {name}" for name in failed), str(page)]))
    return 1 if failed else 0


def _night(
    rehearsal: Rehearsal,
    night: int,
    *,
    again: bool,
    amend: tuple[str, str] | None,
    sign: bool,
    who: str,
    role: str,
) -> tuple[Path, list[str]]:
    from lsst_commtools.rehearsal.report import (
        amend_report,
        draw_report,
        read_report,
        sign_report,
        write_night_report,
    )

    try:
        read_report(rehearsal, night)
        written = True
    except NotFoundError:
        written = False
    page = draw_report(rehearsal, night) if written and not again else write_night_report(rehearsal, night)
    if amend is not None:
        page = amend_report(rehearsal, night, *amend, who=who, role=role)
    if sign:
        page = sign_report(rehearsal, night, who=who, role=role)
    sources = read_report(rehearsal, night)["sources"]
    return page, [source["name"] for source in sources if source["status"] == "bad"]


def _send(rehearsal: Rehearsal, night: int, who: str) -> None:
    from lsst_commtools.rehearsal.sending import send_narrative, send_night_report

    send_night_report(rehearsal, night, who=who)
    send_narrative(rehearsal, night, who=who)
