"""Names of runs."""

from __future__ import annotations

import datetime as dt
import secrets

from lsst_commtools.procedure.values import slug

__all__ = ["new_run_name"]


def new_run_name(notebook: str, *, dry_run: bool = False) -> str:
    """Make the name of a new run.

    Parameters
    ----------
    notebook
        Name of the notebook, or what stands for it.
    dry_run
        Whether nothing will be sent; the name says so.

    Returns
    -------
    str
        ``20261120T231500Z-set-offline-3f2a91``, which sorts by time; a dry run's begins with ``dry-``.
    """
    stem = notebook.rsplit("/", 1)[-1].removesuffix(".ipynb")
    begun = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{'dry-' if dry_run else ''}{begun}-{slug(stem)[:40]}-{secrets.token_hex(3)}"
