"""The kernel provisioner ``commtools-warm``: Jupyter's own clients get forked kernels by naming a kernelspec."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Float, List, Unicode
from typing_extensions import override

from lsst_commtools.errors import CommtoolsError
from lsst_commtools.procedure.warm.key import DEFAULT_PRELOAD, ZygoteKey, private_folder
from lsst_commtools.procedure.warm.ready import ReadyClient
from lsst_commtools.procedure.warm.start import ForkedProcess, fork

__all__ = ["WarmProvisioner"]

_log = logging.getLogger(__name__)
_POLL_S = 0.005
_SHUTDOWN_S = 1.0
_BIND_S = 1.0
_JUPYTERS_CLIENT = "jupyter_client.asynchronous.AsyncKernelClient"
_said: set[str] = set()


class WarmProvisioner(LocalProvisioner):
    """Forks kernels from a preloaded process; starts ordinary ones, and says so once, where that cannot be.

    Parameters
    ----------
    preload
        Modules that kernels find imported; from the kernelspec's ``metadata.kernel_provisioner.config``.
    idle_s
        How long the preloaded process stays without a kernel, in seconds; from the same place.
    """

    preload: list[str] = List(Unicode(), default_value=list(DEFAULT_PRELOAD), config=True)
    idle_s: float = Float(600.0, config=True)
    forked: ForkedProcess | None = None
    _sockets: Path | None = None

    @property
    @override
    def has_process(self) -> bool:
        return self.forked is not None or self.process is not None

    @override
    async def poll(self) -> int | None:
        """Tell the exit status, or minus the signal that killed it; None while it runs."""
        return self.forked.poll() if self.forked is not None else await super().poll()

    @override
    async def wait(self) -> int | None:
        """Wait for the end of the kernel."""
        if self.forked is None:
            return await super().wait()
        while (code := self.forked.poll()) is None:  # noqa: ASYNC110 - callers change loops, so no event is kept
            await asyncio.sleep(_POLL_S)
        self.forked = None
        return code

    @override
    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel's process group."""
        if self.forked is None:
            await super().send_signal(signum)
        else:
            self.forked.signal(signum)

    @override
    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel's process group."""
        if self.forked is None:
            await super().kill(restart=restart)
        else:
            self.forked.signal(signal.SIGKILL)

    @override
    async def terminate(self, restart: bool = False) -> None:
        """Ask the kernel's process group to end."""
        if self.forked is None:
            await super().terminate(restart=restart)
        else:
            self.forked.signal(signal.SIGTERM)

    @override
    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Prepare the launch: sockets in a private folder instead of ports, for which others might race."""
        manager = self.parent
        if (
            manager is not None
            and manager.transport == "tcp"
            and sys.platform == "linux"
            and not manager.shell_port
        ):
            with contextlib.suppress(CommtoolsError, OSError):
                self._sockets = Path(tempfile.mkdtemp(prefix="k", dir=private_folder()))
                manager.transport, manager.ip = "ipc", str(self._sockets / "k")
        if manager is not None and manager.client_class == _JUPYTERS_CLIENT:
            manager.client_class = f"{ReadyClient.__module__}.{ReadyClient.__name__}"
        return await super().pre_launch(**kwargs)

    @override
    async def shutdown_requested(self, restart: bool = False) -> None:
        """Wait shortly for a kernel that was asked to end: its manager looks only each 0.1 s."""
        await self._until(lambda: False, _SHUTDOWN_S)

    @override
    async def cleanup(self, restart: bool = False) -> None:
        """Remove what the launch has made."""
        await super().cleanup(restart=restart)
        if self._sockets is not None and not restart:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    @override
    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel, or start an ordinary one."""
        self.forked = None
        arguments = _launcher_arguments(cmd)
        if arguments is None:
            reason = "its command is not that of ipykernel"
        elif sys.platform != "linux":
            reason = "kernels are forked on Linux only"
        else:
            try:
                self.forked = await asyncio.get_running_loop().run_in_executor(
                    None, self._fork, cmd[0], arguments, kwargs
                )
            except (CommtoolsError, OSError) as error:
                reason = str(error)
            else:
                self.pid = self.pgid = self.forked.pid
                self.cwd = kwargs.get("cwd")
                await self._until_bound()
                return self.connection_info
        if reason not in _said:
            _said.add(reason)
            _log.warning("Ordinary kernels are started instead of warm ones: %s", reason)
        return await super().launch_kernel(cmd, **kwargs)

    async def _until_bound(self) -> None:
        """Wait shortly for the kernel's sockets: ZMQ tries a missing one again only after 0.1 s."""
        manager = self.parent
        if manager is None or manager.transport != "ipc":
            return
        ports = (
            manager.shell_port,
            manager.iopub_port,
            manager.stdin_port,
            manager.control_port,
            manager.hb_port,
        )
        paths = [Path(f"{manager.ip}-{port}") for port in ports]
        await self._until(lambda: all(path.exists() for path in paths), _BIND_S)

    async def _until(self, condition: Callable[[], bool], longest_s: float) -> None:
        """Wait for a condition as long as the kernel lives."""
        deadline = time.monotonic() + longest_s
        while self.forked is not None and self.forked.poll() is None:
            if condition() or time.monotonic() > deadline:
                return
            await asyncio.sleep(_POLL_S)

    def _fork(self, python: str, arguments: list[str], options: dict[str, Any]) -> ForkedProcess:
        environment = dict(options.get("env") or os.environ)
        request = {
            "do": "start",
            "kind": "kernel",
            "arguments": arguments,
            "environment": environment,
            "folder": os.fspath(options.get("cwd") or os.getcwd()),  # noqa: PTH109 - as Popen would
        }
        key = ZygoteKey.of(python, self.preload, environment)
        with _streams(options) as files:
            return fork(key, request, files, idle_s=self.idle_s)


def _launcher_arguments(cmd: list[str]) -> list[str] | None:
    """Give the arguments of ipykernel's launcher; None for another command."""
    words = [word for word in cmd if word != "-Xfrozen_modules=off"]
    return words[3:] if words[1:3] == ["-m", "ipykernel_launcher"] else None


@contextlib.contextmanager
def _streams(options: dict[str, Any]) -> Iterator[list[int]]:
    """Open the standard streams that a kernel of these options would have."""
    with contextlib.ExitStack() as stack:
        null = os.open(os.devnull, os.O_RDWR)
        stack.callback(os.close, null)

        def descriptor(stream: Any, default: int) -> int:
            if stream == subprocess.PIPE:
                raise OSError("a forked kernel's output cannot be piped to its runner")
            if stream == subprocess.DEVNULL:
                return null
            if stream is not None:
                return int(stream if isinstance(stream, int) else stream.fileno())
            try:
                os.fstat(default)
            except OSError:
                return null
            return default

        yield [null, descriptor(options.get("stdout"), 1), descriptor(options.get("stderr"), 2)]
