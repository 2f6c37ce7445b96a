"""Help for testing notebooks, for users too: a pytest plugin with golden numbers and the data of figures."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.testing.figures import figure_columns
    from lsst_commtools.testing.goldens import GoldenCase, compare_numbers

__all__ = ["GoldenCase", "compare_numbers", "figure_columns"]

_HOMES = {
    "GoldenCase": "lsst_commtools.testing.goldens",
    "compare_numbers": "lsst_commtools.testing.goldens",
    "figure_columns": "lsst_commtools.testing.figures",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
