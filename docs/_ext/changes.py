"""What has changed since the last release, from the fragments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def unreleased(root: Path) -> str:
    """Give what towncrier would write at a release now."""
    command = [
        sys.executable,
        "-m",
        "towncrier",
        "build",
        "--draft",
        "--version",
        "Next release",
        "--date",
        "-",
    ]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"towncrier: {run.stderr.strip()}")
    return run.stdout.replace("## Next release (-)", "## Since the last release")
