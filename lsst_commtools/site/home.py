"""The folder in which a user's own things are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["commtools_home"]


def commtools_home() -> Path:
    """Give the user's folder: ledger, simulator's state, tokens.

    Returns
    -------
    pathlib.Path
        ``$COMMTOOLS_HOME``, by default the platform's user data folder; not made here.
    """
    told = os.environ.get("COMMTOOLS_HOME")
    return Path(told).expanduser() if told else Path(platformdirs.user_data_dir("commtools", appauthor=False))
