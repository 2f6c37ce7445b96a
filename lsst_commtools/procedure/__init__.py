"""A notebook as a procedure: typed parameters, steps, holds, closing steps, and the record of all runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.procedure.ledger import Ledger
    from lsst_commtools.procedure.procedure import Procedure

__all__ = ["Ledger", "Procedure"]

_HOMES = {
    "Ledger": "lsst_commtools.procedure.ledger",
    "Procedure": "lsst_commtools.procedure.procedure",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
