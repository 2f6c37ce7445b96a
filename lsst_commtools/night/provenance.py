"""What a night was made with: versions, git state, host, times."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import lsst_commtools
from lsst_commtools.ingest.transfer import TransferRecord
from lsst_commtools.night.settings import NightSettings

__all__ = ["collect_provenance", "now_utc"]

_PACKAGES = (
    "lsst_commtools", "lsst-daf-butler", "lsst-pipe-base", "lsst-ctrl-mpexec", "astropy", "bokeh", "galsim", "numpy",
    "pandas", "papermill", "pyarrow", "scipy", "sep",
)  # fmt: skip


def now_utc() -> str:
    """Give the present time, ISO 8601 on the UTC scale, to the second."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def collect_provenance(
    settings: NightSettings, records: Sequence[TransferRecord], started_utc: str
) -> dict[str, str]:
    """Collect what the night was made with.

    Parameters
    ----------
    settings
        The night.
    records
        Transferred files.
    started_utc
        When the run began.

    Returns
    -------
    dict
        Name to text, in the order in which the report shows it.
    """
    digest = hashlib.sha256("".join(f"{r.sha256} {r.path}\n" for r in records).encode()).hexdigest()
    return {
        "raw files": f"{len(records)} files, {sum(r.size_bytes for r in records)} bytes, from {settings.raw}",
        "checksum of the list of checksums": f"sha256 {digest}",
        "origin": settings.origin,
        "reference catalogue": str(settings.reference or "none"),
        "repository": str(settings.repository),
        "output collection": settings.output_collection,
        "run": f"began {started_utc} UTC, report written {now_utc()} UTC",
        "host": f"{platform.node()}, {platform.platform()}, {settings.processes} processes",
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        "git": _git_state(),
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _git_state() -> str:
    """Commit of the checkout that this package runs from, if it is one."""
    folder = Path(lsst_commtools.__file__).parent
    try:
        run = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "not run from a git checkout"
    return run.stdout.strip()
