"""The zygote: a process that imports what notebooks import, then forks kernels for runners of the same user.

It has one thread, no event loop, no ZMQ context and no connections but those of its runners. One connection is one
kernel: the request comes on it, signals come on it, the exit status goes back on it, and when it closes, because the
runner is gone, the kernel's process group is killed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsst_commtools.procedure.warm.child import Job, become_own, leave, run_job
from lsst_commtools.procedure.warm.state import CodeTimes, Generators, find_faults, preload
from lsst_commtools.procedure.warm.wire import PeerGoneError, peer, receive, send

__all__ = ["Zygote", "main"]

_REQUEST_S = 5.0


@dataclass
class _Child:
    """A kernel and its runner."""

    pid: int
    pidfd: int
    connection: socket.socket | None
    runner: int | None = field(default=None)  # pidfd


class Zygote:
    """Serves runners until it has been idle for some time, or its code has changed.

    Parameters
    ----------
    listener
        Listening socket.
    address
        Its path.
    code
        Times of what is loaded.
    idle_s
        How long it waits without a kernel before it ends, in seconds.
    """

    def __init__(self, listener: socket.socket, address: Path, code: CodeTimes, idle_s: float) -> None:
        self._listener: socket.socket | None = listener
        self._address = address
        self._code = code
        self._idle_s = idle_s
        self._generators = Generators()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._children: dict[int, _Child] = {}
        self._forked: tuple[Job, int | None] | None = None

    def serve(self) -> tuple[Job, int | None] | None:
        """Serve runners.

        Returns
        -------
        tuple or None
            None in the zygote, at its end; in a fork, what it is to be and the file for its result.
        """
        idle_since = time.monotonic()
        while self._forked is None:
            if self._children:
                idle_since = time.monotonic()
            elif self._listener is None or time.monotonic() - idle_since > self._idle_s:
                self._retire()
                return None
            for key, _ in self._selector.select(timeout=min(self._idle_s, 30.0)):
                if self._forked is None and key.fd in self._selector.get_map():
                    key.data()
        return self._forked

    def _accept(self) -> None:
        if self._listener is None:
            return
        connection, _ = self._listener.accept()
        connection.settimeout(_REQUEST_S)
        files: list[int] = []
        try:
            runner_pid, uid = peer(connection)
            if uid != os.getuid():
                return
            message, files = receive(connection)
            kept = self._answer(connection, runner_pid, message, files)
            if kept:
                connection = None  # type: ignore[assignment]  # it belongs to the child now
        except (PeerGoneError, KeyError, ValueError, AttributeError, TypeError) as error:
            _say(f"a request was refused: {error}")
        finally:
            if self._forked is None:
                for descriptor in files:
                    os.close(descriptor)
                if connection is not None:
                    connection.close()

    def _answer(
        self, connection: socket.socket, runner_pid: int, message: dict[str, Any], files: list[int]
    ) -> bool:
        """Answer a request; tells whether the connection stays open."""
        if message.get("do") == "greet":
            send(connection, {"pid": os.getpid()})
            return False
        if message.get("do") == "stop":
            self._retire()
            send(connection, {"stopping": os.getpid()})
            return False
        job = Job.of(message)
        if len(files) not in (3, 4):
            raise ValueError("three or four open files must come with a request")
        changed = self._code.changed()
        if changed is not None:
            _say(f"{changed} has changed: this zygote serves no longer")
            self._retire()
            send(connection, {"stale": changed})
            return False
        if threading.active_count() > 1:
            send(connection, {"refused": "a thread was started after the imports"})
            return False
        self._fork(connection, runner_pid, job, files)
        return True

    def _fork(self, connection: socket.socket, runner_pid: int, job: Job, files: list[int]) -> None:
        zygote_pid = os.getpid()
        with warnings.catch_warnings():
            # Python warns of any thread; those that are there were looked at.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            self._become_child(connection, job, zygote_pid, files)
            return
        child = _Child(pid, os.pidfd_open(pid), connection, _watch(runner_pid))
        self._children[pid] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._reap(child))
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._hear(child))
        if child.runner is not None:
            self._selector.register(child.runner, selectors.EVENT_READ, lambda: self._abandon(child))
        try:
            send(connection, {"pid": pid})
        except PeerGoneError:
            self._abandon(child)

    def _become_child(self, connection: socket.socket, job: Job, zygote_pid: int, files: list[int]) -> None:
        try:
            self._close_all()
            connection.close()
            result = files[3] if len(files) > 3 else None
            become_own(job, zygote_pid, files)
            self._generators.reseed()
        except BaseException:  # noqa: BLE001 - nothing of the zygote may go on in a fork
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        self._forked = (job, result)

    def _close_all(self) -> None:
        """Close what belongs to the zygote, in a fork."""
        self._selector.close()
        if self._listener is not None:
            self._listener.close()
        for child in self._children.values():
            os.close(child.pidfd)
            if child.connection is not None:
                child.connection.close()
            if child.runner is not None:
                os.close(child.runner)

    def _hear(self, child: _Child) -> None:
        """Take a signal for a kernel from its runner."""
        if child.connection is None:
            return
        try:
            message, files = receive(child.connection)
            for descriptor in files:
                os.close(descriptor)
            number = int(message["signal"])
        except (PeerGoneError, KeyError, ValueError, TypeError):
            self._abandon(child)
            return
        _signal_group(child.pid, number)

    def _abandon(self, child: _Child) -> None:
        """Kill the kernel of a runner that is gone."""
        _say(f"the runner of kernel {child.pid} is gone: its process group is killed")
        _signal_group(child.pid, signal.SIGKILL)
        self._forget_runner(child)

    def _forget_runner(self, child: _Child) -> None:
        if child.connection is not None:
            self._selector.unregister(child.connection)
            child.connection.close()
            child.connection = None
        if child.runner is not None:
            self._selector.unregister(child.runner)
            os.close(child.runner)
            child.runner = None

    def _reap(self, child: _Child) -> None:
        """Take the exit status of a kernel, and tell its runner."""
        _, status = os.waitpid(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if child.connection is not None:
            with contextlib.suppress(PeerGoneError):
                send(child.connection, {"ended": code})
        self._selector.unregister(child.pidfd)
        os.close(child.pidfd)
        self._forget_runner(child)
        del self._children[child.pid]

    def _retire(self) -> None:
        """Take no more requests; the kernels that run are looked after until they end."""
        if self._listener is not None:
            self._address.unlink(missing_ok=True)
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None


def _watch(pid: int) -> int | None:
    """Watch a runner by its process too: a fork of it may hold its end of the connection open."""
    try:
        return os.pidfd_open(pid) if pid > 0 else None
    except OSError:  # in another name space of processes, or gone: then the connection tells
        return None


def _signal_group(pid: int, number: int) -> None:
    # The kernel is not yet reaped, so its number cannot belong to another process.
    try:
        os.killpg(pid, number)
    except ProcessLookupError:  # before its setsid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stderr.flush()


def main() -> None:
    """Be a zygote: import, look whether forking is safe, tell the starter, and serve.

    The one argument is JSON: ``socket``, ``preload``, ``idle_s`` and ``ready``, the descriptor on which the starter
    waits.
    """
    order = json.loads(sys.argv[1])
    begun_ns = time.time_ns()
    gc.disable()
    missing = preload(order["preload"])
    for text in missing:
        _say(f"not preloaded: {text}")
    faults = find_faults()
    with os.fdopen(order["ready"], "w", encoding="utf-8") as ready:
        if faults:
            json.dump({"refused": faults[0]}, ready)
            return
        address = Path(order["socket"])
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        part = address.with_suffix(f".{os.getpid()}")
        listener.bind(str(part))
        part.chmod(0o600)
        listener.listen(128)
        part.rename(address)
        json.dump({"ready": os.getpid(), "boot_s": (time.time_ns() - begun_ns) / 1e9}, ready)
    # What is loaded stays out of the garbage collector, so that forks share its memory.
    gc.collect()
    gc.freeze()
    forked = Zygote(listener, address, CodeTimes(begun_ns), float(order["idle_s"])).serve()
    if forked is not None:
        status = 1
        try:
            status = run_job(*forked)
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:  # noqa: BLE001 - told on standard error, as Python would
            traceback.print_exc()
        leave(status)
