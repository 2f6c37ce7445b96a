"""A Docker socket of another host, brought here by ``ssh``."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from lsst_commtools.errors import SiteError, UnreachableError

__all__ = ["SshTunnel"]

_DEFAULT_SOCKET = "/var/run/docker.sock"


class SshTunnel:
    """One ``ssh`` process that forwards a socket; the person's own keys and settings apply.

    Parameters
    ----------
    url
        ``ssh://[USER@]HOST[:PORT][/PATH]``, the path of the socket there.
    options
        Further options of ``ssh``.
    timeout_s
        How long it may take to connect, in seconds.
    """

    def __init__(self, url: str, options: Sequence[str] = (), timeout_s: float = 15.0) -> None:
        parts = urlsplit(url)
        if not parts.hostname or parts.hostname.startswith("-"):
            raise SiteError(f"{url!r} names no host.", advice="See deploy.bench.docker.")
        self._host = parts.hostname
        self._folder = tempfile.TemporaryDirectory(prefix="commtools-", ignore_cleanup_errors=True)
        self.socket = Path(self._folder.name) / "docker.sock"
        there = parts.path if parts.path not in ("", "/") else _DEFAULT_SOCKET
        command = [
            "ssh",
            "-nNT",
            "-o", "BatchMode=yes",
            "-o", "ExitOnForwardFailure=yes",
            "-o", "ServerAliveInterval=15",
            "-o", f"ConnectTimeout={max(1, round(timeout_s))}",
            *(("-p", str(parts.port)) if parts.port else ()),
            *(("-l", parts.username) if parts.username else ()),
            *options,
            "-L", f"{self.socket}:{there}",
            "--",
            self._host,
        ]  # fmt: skip
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        except FileNotFoundError:
            self._folder.cleanup()
            raise UnreachableError("There is no ssh on this computer.", advice="Install it.") from None
        self._wait(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._folder.cleanup()

    def _wait(self, timeout_s: float) -> None:
        ends_s = time.monotonic() + timeout_s
        while time.monotonic() < ends_s and self.alive:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as trial:
                trial.connect(str(self.socket))
                return
            time.sleep(0.05)
        dead = not self.alive
        reason = f"no connection in {timeout_s:g} s"
        if dead and self._process.stderr is not None:
            lines = self._process.stderr.read(2000).decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"ssh ended with {self._process.returncode}"
        self.close()
        raise UnreachableError(
            f"The host {self._host} of the bench cannot be reached: {reason}.",
            changed="Nothing was done there.",
            advice=f"Try `ssh {self._host}`: it must work without a password.",
        )
