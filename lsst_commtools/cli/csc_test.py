"""``commtools csc test`` and ``restore``: the notebooks of a test, run as procedures."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.cli.run import exit_code, print_run
from lsst_commtools.errors import NotFoundError

if TYPE_CHECKING:
    from lsst_commtools.procedure.record import RunRecord

__all__ = ["restore", "test"]


@click.command("test")
@click.argument("name")
@click.option("--branch", required=True, help="Branch of the CSC's repository, as it was pushed.")
@click.option("--config-branch", default="", help="Branch of its ts_config repository.")
@click.option("--override", default="", metavar="FILE", help="Configuration override, read at start.")
@click.option("--iterations", type=click.IntRange(1, 100), default=1, show_default=True,
              help="How often it is pulled, started and enabled.")  # fmt: skip
@click.option("--watch", "watch_s", type=click.FloatRange(0, 86400), default=5.0, show_default=True,
              help="How long its log is followed each time, in seconds.")  # fmt: skip
@click.option(
    "--announced-by", default="", metavar="PERSON", help="Who announces it by another way than Slack."
)
@click.option("--dry-run", is_flag=True, help="Plan and observe, send nothing.")
@click.option("--output", type=click.Path(path_type=Path), help="Output notebook.")
@click.pass_obj
def test(
    context: Context, /, name: str, *, dry_run: bool, output: Path | None, **parameters: str | float
) -> int:
    """Test the CSC NAME on the bench in place of the one in production, and put that one back."""
    if dry_run:
        print("DRY RUN: nothing will be sent.", file=sys.stderr)
    record = _run(context, "test_csc.ipynb", {"csc": name, **parameters}, dry_run=dry_run, output=output)
    print_run(context, record)
    return exit_code(record)


@click.command("restore")
@click.argument("name")
@click.option(
    "--announced-by", default="", metavar="PERSON", help="Who announces it by another way than Slack."
)
@click.option("--as", "taken_over_by", default="", metavar="PERSON",
              help="Who says that the run which holds this CSC is dead.")  # fmt: skip
@click.pass_obj
def restore(context: Context, name: str, *, announced_by: str, taken_over_by: str) -> int:
    """Finish what a test of the CSC NAME has left: end it on the bench, start production, see STANDBY.

    Runs that still owe it are closed first; a run that is alive is respected.
    """
    from lsst_commtools.ids import CscName

    name = str(CscName.parse(name))
    closed = _close_runs(context, name, taken_over_by)
    # A run that was closed just now and still owes something keeps its hold: that one is known to be dead, no other.
    who = taken_over_by or (getpass.getuser() if _holder(context, name) in closed else "")
    record = _run(
        context,
        "restore_production.ipynb",
        {"csc": name, "announced_by": announced_by, "taken_over_by": who},
    )
    if record.status == "done" and _left_by(context, name):
        _close_runs(context, name, who)
    print_run(context, record)
    return exit_code(record)


def _run(context: Context, notebook: str, parameters: dict[str, Any], **options: Any) -> RunRecord:
    from lsst_commtools.procedure.runner import run_notebook

    if context.site_name is not None:
        os.environ["COMMTOOLS_SITE"] = context.site_name  # the kernel loads the site by itself
    return run_notebook(_find(notebook), parameters, site=context.site, **options)


def _find(notebook: str) -> Path:
    """Find a notebook that came with the package, or lies beside it in its repository."""
    import lsst_commtools

    package = Path(lsst_commtools.__file__).parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (path := folder / "csc" / notebook).is_file():
            return path
    raise NotFoundError(
        f"The notebook {notebook} is not installed with this package.",
        changed="Nothing was done.",
        advice="Get it from the repository, and run it with `commtools run`.",
    )


def _left_by(context: Context, name: str) -> list[RunRecord]:
    """List the runs that have ended or whose runner is dead, and that owe something of a CSC or hold it still."""
    from lsst_commtools.procedure import Ledger
    from lsst_commtools.procedure.closing import outstanding
    from lsst_commtools.procedure.recover import recoverable

    ledger = Ledger.at(context.site.procedure)
    ledger.merge_spools()
    dead, _ = recoverable(ledger, context.site)
    holder = _holder(context, name)
    return [
        record
        for record in dead
        if record.run == holder
        or any(debt.data.get("csc") == name for debt in outstanding(ledger.events(record.run)))
    ]


def _holder(context: Context, name: str) -> str | None:
    """Give the run that holds a CSC."""
    from lsst_commtools.procedure import Ledger
    from lsst_commtools.procedure.ledger.leases import lease_of

    lease = lease_of(Ledger.at(context.site.procedure), f"csc:{name}")
    return lease.run if lease is not None else None


def _close_runs(context: Context, name: str, taken_over_by: str) -> set[str]:
    """Run the closing cells of runs that owe something of a CSC; what they cannot do is done by the notebook."""
    from lsst_commtools.procedure import Ledger
    from lsst_commtools.procedure.recover import recover_run

    found = _left_by(context, name)
    for record in found:
        result = recover_run(
            Ledger.at(context.site.procedure), context.site, record.run, taken_over_by=taken_over_by or None
        )
        left = f"still owed: {'; '.join(result.owed)}" if result.owed else "nothing is owed any more"
        print(safe_text(f"{record.run} was closed; {left}."), file=sys.stderr)
    return {record.run for record in found}
