"""Telling others: announcements of work that may affect them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.notices.slack import Announcement, Notices

__all__ = ["Announcement", "Notices"]

_HOMES = {"Announcement": "slack", "Notices": "slack"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.notices.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
