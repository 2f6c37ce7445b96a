"""Interrupts that cannot get lost.

Python raises KeyboardInterrupt wherever it happens to be; inside the callback of a garbage collection it is printed and
forgotten. What was asked for is therefore remembered, and raised again at the next sign of progress.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

__all__ = ["raise_if_interrupted", "remember_interrupts", "was_interrupted"]

_asked = threading.Event()


def remember_interrupts() -> None:
    """Remember each SIGINT besides raising it, unless somebody else handles it or this is not the main thread."""
    _asked.clear()
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _handle)


def raise_if_interrupted() -> None:
    """Raise the interrupt that was asked for and may have been lost.

    Raises
    ------
    KeyboardInterrupt
        If SIGINT came since `remember_interrupts`.
    """
    if _asked.is_set() and threading.current_thread() is threading.main_thread():
        _asked.clear()
        raise KeyboardInterrupt


def was_interrupted() -> bool:
    """Tell whether SIGINT came since `remember_interrupts` and was not raised again yet."""
    return _asked.is_set()


def _handle(_number: int, _frame: FrameType | None) -> None:
    _asked.set()
    raise KeyboardInterrupt
