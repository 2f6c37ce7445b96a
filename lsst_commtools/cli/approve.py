"""``commtools approve``: say that a notebook may command a site."""

from __future__ import annotations

from pathlib import Path

import click

from lsst_commtools.cli.output import Context, safe_text

__all__ = ["command"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--as", "name", required=True, metavar="NAME", help="Who approves it.")
@click.pass_obj
def command(context: Context, notebook: Path, name: str) -> int:
    """Approve the code of NOTEBOOK as it is now; a changed cell needs a new approval."""
    from lsst_commtools.procedure.approval import approve
    from lsst_commtools.procedure.ledger import Ledger

    approval = approve(Ledger.at(context.site.procedure), notebook, name)
    context.emit(
        {
            "notebook": approval.notebook,
            "code_sha256": approval.code_sha256,
            "name": approval.name,
            "at_utc": approval.at_utc,
            "account": approval.account,
        },
        safe_text(f"{approval.notebook} approved by {approval.name} ({approval.code_sha256[:12]})."),
    )
    return 0
