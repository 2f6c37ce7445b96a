"""What a process must be before it may fork kernels, and what a fork must make its own."""

from __future__ import annotations

import importlib
import os
import random
import site
import stat
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["CodeTimes", "Generators", "find_faults", "preload"]

_HARMLESS_THREADS = {"jemalloc_bg_thd"}
# What a kernel needs besides: imported, but never called, before the fork.
_MACHINERY = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.core.pylabtools",
    "IPython.extensions.storemagic",
    "tornado.platform.asyncio",
    "tornado.queues",
    "encodings.idna",
    "encodings.latin_1",
    "nbformat",
    "lsst_commtools.procedure.procedure",
    "lsst_commtools.procedure.warm.notebook",
    "lsst_commtools.site",
)


def preload(names: Sequence[str]) -> list[str]:
    """Import modules, and what kernels need besides.

    Parameters
    ----------
    names
        Modules; those that are not installed are left out.

    Returns
    -------
    list of str
        Those that were left out, each with its reason.
    """
    missing = []
    for name in (*_MACHINERY, *names):
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a module that breaks here is imported by the notebook, which will tell
            if name in names:
                missing.append(f"{name}: {type(error).__name__}: {error}")
    return missing


def find_faults() -> list[str]:
    """Find what forbids forking: threads, and live connections.

    Returns
    -------
    list of str
        One sentence each; empty if kernels may be forked.
    """
    faults = [
        f"the Python thread {thread.name!r} runs"
        for thread in threading.enumerate()
        if thread is not threading.main_thread()
    ]
    main = str(os.getpid())
    for task in Path("/proc/self/task").iterdir():
        name = (task / "comm").read_text(encoding="utf-8", errors="replace").strip()
        if task.name != main and name not in _HARMLESS_THREADS:
            faults.append(f"the thread {name!r} runs")
    for link in Path("/proc/self/fd").iterdir():
        try:
            if stat.S_ISSOCK(os.fstat(int(link.name)).st_mode) and int(link.name) > 2:
                faults.append(f"a module has opened the connection {link.readlink()}")
        except OSError:  # the listing's own descriptor
            continue
    context = getattr(sys.modules.get("zmq"), "Context", None)
    if getattr(context, "_instance", None) is not None:
        faults.append("a module has made a ZMQ context")
    return faults


class CodeTimes:
    """Watches the files of all loaded modules, and the folders in which packages are installed.

    Parameters
    ----------
    begun_ns
        When the imports began: what changed since then may be half loaded.
    """

    def __init__(self, begun_ns: int) -> None:
        files = {getattr(m, "__file__", None) for m in list(sys.modules.values())}
        folders = {*site.getsitepackages(), site.getusersitepackages()}
        self._seen: dict[str, tuple[int, int] | None] = {
            path: _signature(path) for path in {*filter(None, files), *folders}
        }
        self._half = [
            path
            for path, found in self._seen.items()
            if found is not None and begun_ns <= found[0] and path not in folders
        ]

    def changed(self) -> str | None:
        """Find a change.

        Returns
        -------
        str or None
            A file or folder that is not as it was loaded.
        """
        if self._half:
            return self._half[0]
        return next((path for path, found in self._seen.items() if _signature(path) != found), None)


def _signature(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - some thousand files before each fork
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


class Generators:
    """Random generators at module level, which all forks would otherwise share."""

    def __init__(self) -> None:
        self._found: list[Any] = []
        numpy_random = sys.modules.get("numpy.random")
        kinds: tuple[Any, ...] = (random.Random,)
        if numpy_random is not None:
            kinds += (numpy_random.RandomState, numpy_random.Generator)
        seen: set[int] = set()
        for module in list(sys.modules.values()):
            for value in list(getattr(module, "__dict__", {}).values()):
                if isinstance(value, kinds) and id(value) not in seen:
                    seen.add(id(value))
                    self._found.append(value)

    def reseed(self) -> None:
        """Give each a state of its own."""
        random.seed()
        for generator in self._found:
            if isinstance(generator, random.Random):
                if not isinstance(generator, random.SystemRandom):
                    generator.seed()
            elif hasattr(generator, "bit_generator"):
                bits = generator.bit_generator
                bits.state = type(bits)().state
            else:
                generator.seed()
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None:
            numpy_random.seed()
