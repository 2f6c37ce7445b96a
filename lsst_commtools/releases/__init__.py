"""Releases: milestones and features, what needs what, and the evidence that they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from lsst_commtools.releases.board import Releases
    from lsst_commtools.releases.evidence import EvidenceRun, Readiness, Status, Verdict
    from lsst_commtools.releases.model import Anomaly, Entry, ReleaseModel, SourceModel
    from lsst_commtools.releases.shipped import read_model, shipped_model
    from lsst_commtools.releases.table_parser import parse_table
    from lsst_commtools.releases.text_parser import parse_text

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "board": ["Releases"],
        "evidence": ["EvidenceRun", "Readiness", "Status", "Verdict"],
        "model": ["Anomaly", "Entry", "ReleaseModel", "SourceModel"],
        "shipped": ["read_model", "shipped_model"],
        "table_parser": ["parse_table"],
        "text_parser": ["parse_text"],
    },
)
