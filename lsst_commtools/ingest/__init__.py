"""Raw files on their way in: into a Butler repository, every file accounted for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.ingest.arrival import ArrivalReport, ArrivalWatcher
    from lsst_commtools.ingest.arrival_journal import ArrivedFile, ArrivedVisit, VisitState
    from lsst_commtools.ingest.buffer import ArrivalBuffer, BadFile, BufferReport
    from lsst_commtools.ingest.endpoints import Destination, SshSettings
    from lsst_commtools.ingest.ingester import TRANSFERS, Ingester
    from lsst_commtools.ingest.latency import (
        ImageStamps,
        Latency,
        LatencyReport,
        latencies,
        tai_to_utc,
        utc_to_tai,
    )
    from lsst_commtools.ingest.ledger import IngestLedger
    from lsst_commtools.ingest.outcomes import FileOutcome, IngestReport, Outcome
    from lsst_commtools.ingest.rate import Rate
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
    from lsst_commtools.ingest.rsync import RsyncTransfer
    from lsst_commtools.ingest.stamps import read_stamps
    from lsst_commtools.ingest.transfer import TransferRecord, find_raw_files, transfer_files
    from lsst_commtools.ingest.transfer_values import (
        FileTransfer,
        TransferOutcome,
        TransferProgress,
        TransferReport,
        Verification,
    )

__all__ = [
    "TRANSFERS",
    "ArrivalBuffer",
    "ArrivalReport",
    "ArrivalWatcher",
    "ArrivedFile",
    "ArrivedVisit",
    "BadFile",
    "BufferReport",
    "Destination",
    "FileOutcome",
    "FileTransfer",
    "ImageStamps",
    "IngestLedger",
    "IngestReport",
    "Ingester",
    "Latency",
    "LatencyReport",
    "Outcome",
    "Rate",
    "RsyncTransfer",
    "SshSettings",
    "TransferOutcome",
    "TransferProgress",
    "TransferRecord",
    "TransferReport",
    "Verification",
    "VisitState",
    "calib_collection",
    "calib_run",
    "certify",
    "create_repository",
    "defaults_collection",
    "find_raw_files",
    "ingest_refcat",
    "latencies",
    "open_repository",
    "raw_run",
    "read_stamps",
    "register_instrument",
    "tai_to_utc",
    "transfer_files",
    "utc_to_tai",
]

_HOMES = {
    "ArrivalReport": "arrival",
    "ArrivalWatcher": "arrival",
    "ArrivedFile": "arrival_journal",
    "ArrivedVisit": "arrival_journal",
    "VisitState": "arrival_journal",
    "ArrivalBuffer": "buffer",
    "BadFile": "buffer",
    "BufferReport": "buffer",
    "Destination": "endpoints",
    "SshSettings": "endpoints",
    "TRANSFERS": "ingester",
    "Ingester": "ingester",
    "ImageStamps": "latency",
    "Latency": "latency",
    "LatencyReport": "latency",
    "latencies": "latency",
    "tai_to_utc": "latency",
    "utc_to_tai": "latency",
    "IngestLedger": "ledger",
    "FileOutcome": "outcomes",
    "IngestReport": "outcomes",
    "Outcome": "outcomes",
    "Rate": "rate",
    "ingest_refcat": "refcats",
    "calib_collection": "repository",
    "calib_run": "repository",
    "certify": "repository",
    "create_repository": "repository",
    "defaults_collection": "repository",
    "open_repository": "repository",
    "raw_run": "repository",
    "register_instrument": "repository",
    "RsyncTransfer": "rsync",
    "read_stamps": "stamps",
    "TransferRecord": "transfer",
    "find_raw_files": "transfer",
    "transfer_files": "transfer",
    "FileTransfer": "transfer_values",
    "TransferOutcome": "transfer_values",
    "TransferProgress": "transfer_values",
    "TransferReport": "transfer_values",
    "Verification": "transfer_values",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.ingest.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
