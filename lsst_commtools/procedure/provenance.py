"""Where code came from: git state and package versions."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["git_state", "package_versions"]

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


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "--no-optional-locks", *arguments],
            capture_output=True, text=True, timeout=_GIT_S, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
