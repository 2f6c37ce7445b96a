"""What a zygote is kept for: one interpreter, one list of imports, one environment, one user."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lsst_commtools.errors import InputError, RefusedError

__all__ = ["DEFAULT_PRELOAD", "ZygoteKey", "import_environment", "private_folder"]

DEFAULT_PRELOAD = (
    "numpy",
    "pandas",
    "astropy.units",
    "astropy.table",
    "astropy.time",
    "astropy.coordinates",
    "bokeh.plotting",
    "bokeh.io",
    "lsst.daf.butler",
)
"""What most notebooks import; modules that are not installed are left out."""

_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
# Variables of one session or run. No module may read them when it is imported: all others part one zygote from another.
_OF_A_RUN = re.compile(
    r"COMMTOOLS_.*|JPY_.*|JUPYTERHUB_.*|DASK_.*|PYTEST_.*|PAPERMILL_.*|SSH_.*|XDG_SESSION_.*|DBUS_.*|GPG_.*|TMUX.*|STY"
    r"|WINDOW.*|TERM.*|COLORTERM|COLUMNS|LINES|PWD|OLDPWD|SHLVL|_|LS_COLORS|PS1|HISTFILE|KERNEL_.*|MAKE.*|MFLAGS"
)


def import_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the part of an environment that modules may read when they are imported.

    Parameters
    ----------
    environment
        That of a kernel.

    Returns
    -------
    dict
        Without what belongs to one session or run: its names, and secrets of this package.
    """
    return {name: value for name, value in sorted(environment.items()) if not _OF_A_RUN.fullmatch(name)}


@dataclass(frozen=True)
class ZygoteKey:
    """What a zygote is kept for; the times of the code it has loaded are watched by the zygote itself.

    Parameters
    ----------
    python
        The interpreter.
    preload
        Modules that are imported before any kernel is forked.
    environment
        Variables that modules may read when they are imported.
    uid
        The user.
    """

    python: str
    preload: tuple[str, ...]
    environment: Mapping[str, str] = field(hash=False)
    uid: int = field(default_factory=os.getuid)

    def __post_init__(self) -> None:
        wrong = [name for name in self.preload if not _MODULE.fullmatch(name)]
        if wrong:
            raise InputError(
                f"{wrong[0]!r} is not the name of a module.",
                advice="Only modules are preloaded, never objects: connections must not be shared by kernels.",
            )

    @classmethod
    def of(cls, python: str, preload: Sequence[str], environment: Mapping[str, str]) -> ZygoteKey:
        """Make the key for a kernel.

        Parameters
        ----------
        python
            Its interpreter.
        preload
            Modules that it finds imported.
        environment
            Its whole environment.

        Returns
        -------
        ZygoteKey
            Equal for kernels that may share a zygote.
        """
        return cls(python, tuple(preload), import_environment(environment))

    @property
    def name(self) -> str:
        """Short name, the same for equal keys; nothing can be read from it."""
        status = Path(self.python).stat()
        parts = [
            self.python,
            status.st_mtime_ns,
            status.st_ino,
            list(self.preload),
            dict(self.environment),
            self.uid,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]

    @property
    def socket(self) -> Path:
        """Where the zygote listens."""
        return private_folder() / f"{self.name}.socket"


def private_folder() -> Path:
    """Give the folder of the sockets, which only this user can enter: who can connect can run code.

    Returns
    -------
    pathlib.Path
        The folder; made if need be.

    Raises
    ------
    RefusedError
        If somebody else could enter or replace it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    # A fixed short place where the system has none: the path of a socket may have 107 bytes.
    base = Path(runtime) if runtime and Path(runtime).is_dir() else Path(tempfile.gettempdir())
    folder = base / f"commtools-warm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise RefusedError(
            f"The folder {folder} is open to others.",
            changed="No warm kernel was started.",
            advice="Remove it, if it is not theirs; whoever can enter it could run code as you.",
        )
    return folder
