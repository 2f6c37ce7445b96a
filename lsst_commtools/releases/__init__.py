"""Releases: milestones and features, what needs what, and the evidence that they are there."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.releases.board import Releases
    from lsst_commtools.releases.evidence import EvidenceRun, Readiness, Status, Verdict
    from lsst_commtools.releases.model import Anomaly, Entry, ReleaseModel, SourceModel
    from lsst_commtools.releases.shipped import read_model, shipped_model
    from lsst_commtools.releases.table_parser import parse_table
    from lsst_commtools.releases.text_parser import parse_text

_HOMES = {
    "Anomaly": "model",
    "Entry": "model",
    "EvidenceRun": "evidence",
    "Readiness": "evidence",
    "ReleaseModel": "model",
    "Releases": "board",
    "SourceModel": "model",
    "Status": "evidence",
    "Verdict": "evidence",
    "parse_table": "table_parser",
    "parse_text": "text_parser",
    "read_model": "shipped",
    "shipped_model": "shipped",
}

__all__ = [
    "Anomaly",
    "Entry",
    "EvidenceRun",
    "Readiness",
    "ReleaseModel",
    "Releases",
    "SourceModel",
    "Status",
    "Verdict",
    "parse_table",
    "parse_text",
    "read_model",
    "shipped_model",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
