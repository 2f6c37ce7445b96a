"""A dry run: clients that find it announced in the environment send nothing that changes anything."""

from __future__ import annotations

import os

from lsst_commtools.errors import RefusedError

__all__ = ["refuse_in_dry_run"]


def refuse_in_dry_run(what: str) -> None:
    """Keep a client from changing anything in a dry run.

    Parameters
    ----------
    what
        What it was about to do, as the subject of a sentence.

    Raises
    ------
    RefusedError
        If ``$COMMTOOLS_DRY_RUN`` is set.
    """
    if os.environ.get("COMMTOOLS_DRY_RUN"):
        raise RefusedError(f"{what} is not for a dry run.", changed="Nothing was sent.")
