"""Where code came from: git state and package versions."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import LedgerAwayError

if TYPE_CHECKING:
    from lsst_commtools.procedure.ledger import Ledger

__all__ = ["git_state", "lab_image", "package_versions", "where_it_runs"]

_GIT_S = 5.0


def git_state(folder: Path) -> dict[str, Any] | None:
    """Tell the git state of a folder.

    Parameters
    ----------
    folder
        Any folder.

    Returns
    -------
    dict or None
        Keys ``commit``, ``branch``, ``dirty`` (files that differ); None outside of a repository.
    """
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changed is None:
        return None
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD") or ""
    return {
        "commit": commit.strip(),
        "branch": branch.strip(),
        "dirty": [line[3:] for line in changed.splitlines()],
    }


def lab_image() -> str:
    """Tell in which lab image this process runs.

    Returns
    -------
    str
        ``REGISTRY/NAME:TAG@sha256:DIGEST``, as nublado and KubeSpawner put it into ``JUPYTER_IMAGE_SPEC``; empty
        outside of a lab.
    """
    return os.environ.get("JUPYTER_IMAGE_SPEC", "")


@functools.cache
def package_versions() -> dict[str, str]:
    """List what is installed beside this package.

    Returns
    -------
    dict
        Name to version, ``python`` among them.
    """
    found = {"python": platform.python_version()}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(name.lower(), distribution.version)
    return dict(sorted(found.items()))


def where_it_runs(folder: Path | None, ledger: Ledger) -> dict[str, Any]:
    """Tell what a run starts from, for its first event.

    Parameters
    ----------
    folder
        Folder of the notebook; None where it is not in a file.
    ledger
        Keeps the versions of packages once for all runs that share them.

    Returns
    -------
    dict
        Keys ``git``, ``image``, and ``packages_sha256``, or ``packages`` while the ledger is away.
    """
    told = {"git": None if folder is None else git_state(folder), "image": lab_image()}
    versions = package_versions()
    text = json.dumps(versions)
    digest = hashlib.sha256(text.encode()).hexdigest()
    try:
        ledger.keep_notebook(digest, text)
    except LedgerAwayError:
        return told | {"packages": versions}
    return told | {"packages_sha256": digest}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "--no-optional-locks", *arguments],
            capture_output=True, text=True, timeout=_GIT_S, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
