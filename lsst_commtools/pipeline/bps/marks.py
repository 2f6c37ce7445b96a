"""Marks of processes that outlive the one that started them: a locked file, which the kernel frees when they end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["hold", "is_held", "jobs_at_work", "working"]


def hold(path: Path) -> IO[str] | None:
    """Lock a file, for this process and those that inherit it.

    Parameters
    ----------
    path
        The file; it is made.

    Returns
    -------
    file or None
        Open as long as the lock is to be held; None where another process holds it.
    """
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def is_held(path: Path) -> bool:
    """Tell whether a process holds a file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    bool
        False also where there is none.
    """
    if not path.exists():
        return False
    file = hold(path)
    if file is None:
        return True
    file.close()
    return False


@contextlib.contextmanager
def working(folder: Path) -> Iterator[None]:
    """Mark that this process works at quanta, as long as it does.

    Parameters
    ----------
    folder
        Folder of outcomes; it is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f"job-{socket.gethostname()}-{os.getpid()}.running"
    with mark.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)


def jobs_at_work(folder: Path) -> int:
    """Count the jobs of this machine that are at work, also where what started them is gone.

    Parameters
    ----------
    folder
        Folder of outcomes.

    Returns
    -------
    int
        How many; marks of dead ones are removed.
    """
    number = 0
    for mark in folder.glob(f"job-{socket.gethostname()}-*.running"):
        if is_held(mark):
            number += 1
        else:
            mark.unlink(missing_ok=True)
    return number
