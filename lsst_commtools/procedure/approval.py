"""Approval: which notebooks may command a site."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import RefusedError
from lsst_commtools.procedure.identity import host_name, user_name
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.notebook import (
    code_cells,
    code_sha256,
    parse_notebook,
    read_notebook,
    stripped_text,
)
from lsst_commtools.procedure.values import Kind

if TYPE_CHECKING:
    from lsst_commtools.site.procedure import ProcedureSection

__all__ = ["Approval", "approvals", "approve", "check_approved", "code_diff"]

_RUN = "approvals"


@dataclass(frozen=True)
class Approval:
    """A notebook that may command.

    Parameters
    ----------
    notebook
        File name.
    code_sha256
        Hash of its code cells.
    name
        Who approved it.
    at_utc
        When.
    account
        Account and host at which it was given.
    """

    notebook: str
    code_sha256: str
    name: str
    at_utc: str
    account: str


def approve(ledger: Ledger, path: Path, name: str) -> Approval:
    """Approve a notebook as it is now.

    Parameters
    ----------
    ledger
        Where approvals are kept.
    path
        The notebook.
    name
        Who approves it.

    Returns
    -------
    Approval
        As it was kept.
    """
    notebook = read_notebook(path)
    digest = code_sha256(notebook.nb)
    ledger.keep_notebook(digest, stripped_text(notebook.nb))
    event = ledger.add(
        _RUN,
        Kind.APPROVED,
        {"notebook": notebook.path.name, "code_sha256": digest, "name": name},
        who=user_name(),
        host=host_name(),
        pid=os.getpid(),
    )
    return Approval(notebook.path.name, digest, name, event.at_utc, f"{event.who}@{event.host}")


def approvals(ledger: Ledger) -> list[Approval]:
    """List what was approved.

    Parameters
    ----------
    ledger
        Where approvals are kept.

    Returns
    -------
    list of Approval
        The oldest first.
    """
    return [
        Approval(e.data["notebook"], e.data["code_sha256"], e.data["name"], e.at_utc, f"{e.who}@{e.host}")
        for e in ledger.events(_RUN, [Kind.APPROVED])
    ]


def check_approved(ledger: Ledger, section: ProcedureSection, nb: Any, name: str | None) -> None:
    """Refuse a notebook that a site has not approved, where it demands that.

    Parameters
    ----------
    ledger
        Where approvals are kept.
    section
        The site's settings of procedures.
    nb
        The notebook.
    name
        Its file name, to find what was approved before.

    Raises
    ------
    RefusedError
        If its code is not approved; with the difference to what was.
    """
    if not section.approval_required:
        return
    known = approvals(ledger)
    digest = code_sha256(nb)
    if any(approval.code_sha256 == digest for approval in known):
        return
    earlier = [approval for approval in known if approval.notebook == name]
    shown = f"The notebook {name or ''} is not approved for this site."
    difference = ""
    if earlier:
        last = earlier[-1]
        text = ledger.notebook(last.code_sha256)
        shown = f"The notebook {name} differs from what {last.name} approved at {last.at_utc[:19]}Z UTC."
        difference = "\n" + "\n".join(code_diff(parse_notebook(text), nb, "approved", "now")) if text else ""
    raise RefusedError(
        shown,
        changed="No kernel was started.",
        advice=f"Have it reviewed, then: commtools approve NOTEBOOK --as NAME.{difference}",
    )


def code_diff(before: Any, after: Any, before_name: str, after_name: str) -> Sequence[str]:
    """Compare the code of two notebooks.

    Parameters
    ----------
    before, after
        The notebooks.
    before_name, after_name
        What they are called.

    Returns
    -------
    sequence of str
        Unified difference; empty if the code is the same.
    """
    texts = []
    for nb in (before, after):
        lines: list[str] = []
        for number, cell in enumerate(code_cells(nb)):
            tags = ", ".join(cell.metadata.get("tags") or [])
            lines += [f"# --- code cell {number}{f' [{tags}]' if tags else ''}", *cell.source.splitlines()]
        texts.append(lines)
    return list(difflib.unified_diff(texts[0], texts[1], before_name, after_name, lineterm=""))
