"""Who and what runs here: user, host, and a process that can be told from a later one with the same number."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["ProcessId", "host_name", "user_name"]


def user_name() -> str:
    """Give the name of the person or account that acts.

    Returns
    -------
    str
        ``$JUPYTERHUB_USER`` on a hub, else the login name, else the user number.
    """
    try:
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (KeyError, OSError):  # an account without an entry, as in some containers
        return f"uid-{os.getuid()}"


def host_name() -> str:
    """Give the name of this machine.

    Returns
    -------
    str
        Its host name.
    """
    return socket.gethostname()


@dataclass(frozen=True)
class ProcessId:
    """One process, safe against reuse of its number.

    Parameters
    ----------
    host
        Host name.
    boot
        Identifier of the machine's boot and of the process's namespace; empty where unknown.
    pid
        Process number.
    started
        Start time of the process in clock ticks since boot; 0 where unknown.
    """

    host: str
    boot: str
    pid: int
    started: int

    @classmethod
    def of(cls, pid: int | None = None) -> Self:
        """Identify a process of this machine.

        Parameters
        ----------
        pid
            Its number, by default that of this process.

        Returns
        -------
        ProcessId
            What tells it from all others.
        """
        number = os.getpid() if pid is None else pid
        return cls(host_name(), _boot(), number, _start_ticks(number) or 0)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` gave.

        Parameters
        ----------
        values
            Plain values.

        Returns
        -------
        ProcessId
            The process.
        """
        return cls(str(values["host"]), str(values["boot"]), int(values["pid"]), int(values["started"]))

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values.

        Returns
        -------
        dict
            Keys ``host``, ``boot``, ``pid``, ``started``.
        """
        return asdict(self)

    def alive(self) -> bool | None:
        """Tell whether it still runs.

        Returns
        -------
        bool or None
            None if it cannot be seen from here: another machine or another container.
        """
        if self.host != host_name():
            return None
        if self.boot != _boot():
            # The same name after a reboot, or another container of that name on a machine that still runs.
            return False if self.boot.split("/")[0] != _boot().split("/")[0] and _is_bare() else None
        ticks = _start_ticks(self.pid)
        return ticks is not None and ticks == self.started


def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _is_bare() -> bool:
    """Whether this is the machine itself and not a container, whose host name another machine may reuse."""
    try:
        return str(Path("/proc/1/ns/pid").readlink()) == str(
            Path("/proc/self/ns/pid").readlink()
        ) and not any(
            Path(mark).exists()
            for mark in ("/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io")
        )
    except OSError:
        return False


def _start_ticks(pid: int) -> int | None:
    """Read the start time of a process; None if there is none, or if it has ended and waits to be collected."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rsplit(")", 1)[-1].split()
    return int(fields[19]) if fields and fields[0] not in "ZX" else None
