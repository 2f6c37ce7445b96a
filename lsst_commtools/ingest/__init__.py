"""Raw files on their way in: into a Butler repository, every file accounted for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.ingest.ingester import TRANSFERS, Ingester
    from lsst_commtools.ingest.ledger import IngestLedger
    from lsst_commtools.ingest.outcomes import FileOutcome, IngestReport, Outcome
    from lsst_commtools.ingest.refcats import ingest_refcat
    from lsst_commtools.ingest.repository import (
        calib_collection,
        calib_run,
        certify,
        create_repository,
        defaults_collection,
        open_repository,
        raw_run,
        register_instrument,
    )
    from lsst_commtools.ingest.transfer import TransferRecord, find_raw_files, transfer_files

__all__ = [
    "TRANSFERS",
    "FileOutcome",
    "IngestLedger",
    "IngestReport",
    "Ingester",
    "Outcome",
    "TransferRecord",
    "calib_collection",
    "calib_run",
    "certify",
    "create_repository",
    "defaults_collection",
    "find_raw_files",
    "ingest_refcat",
    "open_repository",
    "raw_run",
    "register_instrument",
    "transfer_files",
]

_HOMES = {
    "TRANSFERS": "ingester",
    "Ingester": "ingester",
    "IngestLedger": "ledger",
    "FileOutcome": "outcomes",
    "IngestReport": "outcomes",
    "Outcome": "outcomes",
    "ingest_refcat": "refcats",
    "calib_collection": "repository",
    "calib_run": "repository",
    "certify": "repository",
    "create_repository": "repository",
    "defaults_collection": "repository",
    "open_repository": "repository",
    "raw_run": "repository",
    "register_instrument": "repository",
    "TransferRecord": "transfer",
    "find_raw_files": "transfer",
    "transfer_files": "transfer",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.ingest.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
