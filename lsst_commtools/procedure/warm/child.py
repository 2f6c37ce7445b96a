"""What a fork does before user code runs, and what it then becomes."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

__all__ = ["Job", "become_own", "leave", "run_job"]

_PR_SET_PDEATHSIG = 1
_KERNEL_MODULE = "ipykernel_launcher"


@dataclass(frozen=True)
class Job:
    """What a fork is asked to be.

    Parameters
    ----------
    kind
        ``kernel``, or ``notebook`` for the batch way without ZMQ.
    arguments
        Of the kernel's launcher, after its name.
    environment
        The whole environment.
    folder
        Working directory.
    details
        What the batch way must know.
    """

    kind: str
    arguments: Sequence[str]
    environment: dict[str, str]
    folder: str | None
    details: dict[str, Any]

    @classmethod
    def of(cls, message: dict[str, Any]) -> Job:
        """Read a request; raises if it is none."""
        kind = message["kind"]
        if kind not in ("kernel", "notebook"):
            raise ValueError(f"{kind!r} is no kind of job")
        environment = {str(k): str(v) for k, v in message["environment"].items()}
        return cls(
            kind,
            list(message.get("arguments", [])),
            environment,
            message["folder"],
            message.get("details", {}),
        )


def become_own(job: Job, zygote_pid: int, files: Sequence[int]) -> None:
    """Part from the zygote: session, signals, standard streams, environment and folder of its own.

    Parameters
    ----------
    job
        What this fork is to be.
    zygote_pid
        The zygote; when it dies, so does this process: nobody would look after it.
    files
        Standard input, output and error.

    Raises
    ------
    OSError
        If the folder cannot be entered.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != zygote_pid:
        os._exit(1)
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for target, source in enumerate(files[:3]):
        os.dup2(source, target)
    for descriptor in files[:3]:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(job.environment)
    os.environ["JPY_PARENT_PID"] = str(zygote_pid)
    time.tzset()
    if job.folder is not None:
        os.chdir(job.folder)
    importlib.invalidate_caches()
    gc.enable()


def run_job(job: Job, result: int | None) -> int:
    """Be what was asked for.

    Parameters
    ----------
    job
        What this process is to be.
    result
        Open file to which the batch way writes its result.

    Returns
    -------
    int
        Exit status.
    """
    if job.kind == "notebook":
        from lsst_commtools.procedure.warm.notebook import run_in_process

        return run_in_process(job.details, result)
    from ipykernel import kernelapp

    sys.argv = [_KERNEL_MODULE, *job.arguments]
    sys.path[:] = [entry for entry in sys.path if entry]
    with contextlib.suppress(KeyboardInterrupt):
        # ipykernel reads its parent from the environment when it is imported.
        kernelapp.launch_new_instance(list(job.arguments), parent_handle=os.getppid())
    return 0


def leave(status: int) -> NoReturn:
    """End this process: wait for its threads, do what was registered for its end, flush, and go.

    The interpreter is not taken apart object by object: that would copy most of the memory shared with the zygote, and
    takes longer than a small notebook.

    Parameters
    ----------
    status
        Exit status.
    """
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - the only way to end thread pools too
        atexit._run_exitfuncs()  # noqa: SLF001 - as the interpreter does at its end
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        ctypes.CDLL(None).fflush(None)
    finally:
        os._exit(status)
