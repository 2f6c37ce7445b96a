"""Finding the zygote of a key, or starting it, and asking it for a kernel."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lsst_commtools.errors import RefusedError, ServiceError
from lsst_commtools.procedure.warm.key import ZygoteKey, private_folder
from lsst_commtools.procedure.warm.wire import PeerGoneError, peer, readable, receive, receive_now, send

__all__ = ["ForkedProcess", "ensure_zygote", "fork", "stop_zygote"]

_BOOT_S = 120.0
_ANSWER_S = 30.0
_TRIES = 3
_PROGRAM = "from lsst_commtools.procedure.warm.zygote import main; main()"
_refused: dict[str, str] = {}
_booting = threading.Lock()


class ForkedProcess:
    """A process that a zygote has forked for this one; it is killed when this object or this process is gone.

    Parameters
    ----------
    pid
        Its number; also that of its process group.
    connection
        That on which the zygote tells how it ended.
    """

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._connection: socket.socket | None = connection
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Tell whether it has ended.

        Returns
        -------
        int or None
            None while it runs; its exit status, or minus the signal that killed it. If the zygote itself is gone, the
            process was killed with it.
        """
        with self._lock:
            if self._connection is not None and self.returncode is None:
                try:
                    message = receive_now(self._connection)
                except PeerGoneError:
                    message = {"ended": -9}
                if message is not None:
                    self.returncode = int(message["ended"])
                    self._close()
            return self.returncode

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for its end.

        Parameters
        ----------
        timeout_s
            Longest wait, in seconds.

        Returns
        -------
        int or None
            As of `poll`.
        """
        connection = self._connection
        if connection is not None and self.poll() is None:
            with contextlib.suppress(OSError, ValueError):  # closed by another thread that saw the end
                readable(connection, timeout_s)
        return self.poll()

    def signal(self, number: int) -> None:
        """Send a signal to its process group.

        Parameters
        ----------
        number
            The signal.
        """
        with self._lock:
            if self._connection is not None:
                with contextlib.suppress(PeerGoneError):
                    send(self._connection, {"signal": int(number)})

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def fork(key: ZygoteKey, request: dict[str, Any], files: Sequence[int], *, idle_s: float) -> ForkedProcess:
    """Have a zygote fork a process; the zygote is started if need be.

    Parameters
    ----------
    key
        Which zygote.
    request
        What the process is to be.
    files
        Standard input, output and error, and for the batch way that for its result.
    idle_s
        How long a zygote that is started here waits without work, in seconds.

    Returns
    -------
    ForkedProcess
        The process.

    Raises
    ------
    RefusedError
        If the zygote found that forking is not safe, or if the folder of its socket is open to others.
    ServiceError
        If it does not start or answer.
    """
    for _ in range(_TRIES):
        ensure_zygote(key, idle_s=idle_s)
        with contextlib.suppress(PeerGoneError):
            connection = _connect(key.socket)
            answer: dict[str, Any] = {}
            try:
                send(connection, request, files)
                answer, _ = receive(connection)
            finally:
                if "pid" not in answer:
                    connection.close()
            if "pid" in answer:
                connection.settimeout(_ANSWER_S)
                return ForkedProcess(int(answer["pid"]), connection)
            if "refused" in answer:
                raise RefusedError(f"No kernel can be forked: {answer['refused']}.")
    raise ServiceError("The preloaded parent of warm kernels does not answer.")


def ensure_zygote(key: ZygoteKey, *, idle_s: float) -> float | None:
    """Have the zygote of a key run.

    Parameters
    ----------
    key
        Which zygote.
    idle_s
        How long it waits without work before it ends, in seconds.

    Returns
    -------
    float or None
        How long its start took, in seconds; None if it ran already.

    Raises
    ------
    RefusedError
        If it found that forking is not safe.
    ServiceError
        If it did not start.
    """
    name = key.name
    if name in _refused:
        raise RefusedError(_refused[name])
    if _listens(key.socket):
        return None
    with _booting, _locked(key.socket.with_suffix(".lock")):
        if _listens(key.socket):
            return None
        begun = time.monotonic()
        answer = _start(key, idle_s)
        if "refused" in answer:
            _refused[name] = f"No kernel can be forked: {answer['refused']}."
            raise RefusedError(_refused[name])
        return time.monotonic() - begun


def stop_zygote(key: ZygoteKey) -> None:
    """Have a zygote end as soon as its kernels have ended.

    Parameters
    ----------
    key
        Which one.
    """
    with contextlib.suppress(PeerGoneError, OSError):
        connection = _connect(key.socket)
        with connection:
            send(connection, {"do": "stop"})
            receive(connection)


def _connect(address: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_ANSWER_S)
    try:
        connection.connect(str(address))
        if peer(connection)[1] != os.getuid():
            raise PeerGoneError("the socket belongs to another user")
    except OSError as error:
        connection.close()
        raise PeerGoneError(f"nobody listens: {error}") from error
    return connection


def _listens(address: Path) -> bool:
    try:
        with _connect(address) as connection:
            send(connection, {"do": "greet"})
            receive(connection)
    except PeerGoneError:
        return False
    return True


def _start(key: ZygoteKey, idle_s: float) -> dict[str, Any]:
    reader, writer = os.pipe()
    order = {"socket": str(key.socket), "preload": key.preload, "idle_s": idle_s, "ready": writer}
    # OpenBLAS starts its threads when it is loaded, unless it is to have one only.
    environment = {**key.environment, "OPENBLAS_NUM_THREADS": "1"}
    log = key.socket.with_suffix(".log")
    with os.fdopen(reader, "rb") as ready:
        try:
            with log.open("wb") as stream:
                process = subprocess.Popen(
                    [key.python, "-c", _PROGRAM, json.dumps(order)],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    env=environment,
                    cwd=private_folder(),
                    pass_fds=[writer],
                    start_new_session=True,
                )
        finally:
            os.close(writer)
        readable, _, _ = select.select([ready], [], [], _BOOT_S)
        text = ready.read() if readable else b""
    _look_after(process)
    try:
        answer = json.loads(text)
    except ValueError:
        process.kill()
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise ServiceError(
            f"The preloaded parent of warm kernels did not start: {' '.join(last) or 'it said nothing'}."
        ) from None
    return dict(answer)


def _look_after(process: subprocess.Popen[bytes]) -> None:
    """Take the exit status of a zygote when it ends, so that it leaves no dead process behind."""
    threading.Thread(target=process.wait, name="zygote-watch", daemon=True).start()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
