"""Astrometric repeatability: AM, AF, AD, AB, ABF and AA of the survey's requirements, over all pairs of stars.

Everything is imported at first use: compiled code takes a second to load.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Measurement": "measurement",
    "ObjectSet": "objects",
    "Repeatability": "metrics",
    "SourceRows": "sources",
    "StarCuts": "sources",
    "make_objects": "objects",
    "make_sources": "sources",
    "measure_repeatability": "metrics",
    "pair_blocks": "pairs",
    "read_sources": "sources",
}

__all__ = [  # noqa: PLE0604  # the names are strings; ruff cannot see through sorted()
    *sorted(_HOMES),
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
