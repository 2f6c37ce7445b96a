"""Raw files on their way in: into a Butler repository, every file accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "arrival": ["ArrivalReport", "ArrivalWatcher"],
        "arrival_journal": ["ArrivedFile", "ArrivedVisit", "VisitState"],
        "buffer": ["ArrivalBuffer", "BadFile", "BufferReport"],
        "endpoints": ["Destination", "SshSettings"],
        "ingester": ["Ingester", "TRANSFERS"],
        "latency": ["ImageStamps", "Latency", "LatencyReport", "latencies", "tai_to_utc", "utc_to_tai"],
        "ledger": ["IngestLedger"],
        "outcomes": ["FileOutcome", "IngestReport", "Outcome"],
        "rate": ["Rate"],
        "refcats": ["ingest_refcat"],
        "repository": [
            "calib_collection",
            "calib_run",
            "certify",
            "create_repository",
            "defaults_collection",
            "open_repository",
            "raw_run",
            "register_instrument",
        ],
        "rsync": ["RsyncTransfer"],
        "stamps": ["read_stamps"],
        "transfer": ["TransferRecord", "find_raw_files", "transfer_files"],
        "transfer_values": [
            "FileTransfer",
            "TransferOutcome",
            "TransferProgress",
            "TransferReport",
            "Verification",
        ],
    },
)
