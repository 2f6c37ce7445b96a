"""What a transfer tells of itself: each file with its size, checksum, pace and end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from lsst_commtools.errors import CommtoolsError
from lsst_commtools.ingest.rate import Rate

__all__ = ["FileTransfer", "TransferOutcome", "TransferProgress", "TransferReport", "Verification"]

START_ALLOWANCE_S = 1.0
"""Time that it may take to connect and compare lists, in seconds, before a rate is called too low."""


class TransferOutcome(StrEnum):
    """How the transfer of a file ended."""

    SENT = "sent"
    ALREADY_THERE = "already-there"
    FAILED = "failed"


class Verification(StrEnum):
    """How it is known that the copy is the same as its source."""

    SHA256 = "sha256"
    RSYNC_CHECKSUM = "rsync-checksum"
    NONE = "none"


@dataclass(frozen=True)
class FileTransfer:
    """What became of one file.

    Parameters
    ----------
    path
        Relative to the source.
    size_bytes
        Its size; 0 where it could not be read.
    sha256
        Checksum at the source; empty where it could not be read.
    outcome
        How it ended; sent and already there are told only of copies that were verified.
    ended_utc
        When its last byte was sent or, for a copy that was there before, when it was looked at.
    reason
        Why it failed, in one sentence.
    verified
        By what the copy was compared with its source: the same sha256 read from the copy, or rsync's own checksum
        of whole files at both ends.
    wire_bytes
        What went over the wire for it: more than its size by rsync's overhead, less after a resumed cut.
    duration_s
        Time that it took on the wire, in seconds.
    """

    path: str
    size_bytes: int
    sha256: str
    outcome: TransferOutcome
    ended_utc: dt.datetime
    reason: str = ""
    verified: Verification = Verification.NONE
    wire_bytes: int = 0
    duration_s: float = 0.0

    @property
    def rate(self) -> Rate | None:
        """Its pace; None if nothing was sent."""
        return Rate.of(self.wire_bytes, self.duration_s)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, units in the keys."""
        pace = self.rate
        return {
            **asdict(self),
            "outcome": self.outcome.value,
            "verified": self.verified.value,
            "ended_utc": self.ended_utc.isoformat(),
            "rate_bytes_per_s": None if pace is None else pace.bytes_per_s,
        }


@dataclass(frozen=True)
class TransferProgress:
    """How far a transfer is.

    Parameters
    ----------
    files_done, files
        Files that were sent or were there, and files in all.
    bytes_done, size_bytes
        Likewise in bytes.
    note
        What it waits for; empty while it sends.
    """

    files_done: int
    files: int
    bytes_done: int
    size_bytes: int
    note: str = ""


@dataclass(frozen=True)
class TransferReport:
    """What became of all files of one call.

    Parameters
    ----------
    files
        Each file once, in the order asked for.
    started_utc, ended_utc
        When the call began and ended.
    sending_s
        Time spent in sending, waits for a lost connection included, in seconds; reading for checksums is not counted.
    expected
        Rate that was expected; None if none was.
    interrupted_times
        How often the connection was lost, or rsync ended, before all was sent.
    waiting
        Files of the source that are still being written, and were left for the next call.
    stopped
        Whether it ended because it was asked to.
    error
        What ended it before all was there; None if nothing did.
    """

    files: tuple[FileTransfer, ...]
    started_utc: dt.datetime
    ended_utc: dt.datetime
    sending_s: float
    expected: Rate | None = None
    interrupted_times: int = 0
    waiting: tuple[str, ...] = ()
    stopped: bool = False
    error: CommtoolsError | None = None

    def of(self, outcome: TransferOutcome) -> tuple[FileTransfer, ...]:
        """Give the files with one outcome.

        Parameters
        ----------
        outcome
            Which.

        Returns
        -------
        tuple of FileTransfer
            In their order.
        """
        return tuple(file for file in self.files if file.outcome is outcome)

    @property
    def counts(self) -> Mapping[TransferOutcome, int]:
        """How many files ended in each outcome, zeros included."""
        return {outcome: len(self.of(outcome)) for outcome in TransferOutcome}

    @property
    def complete(self) -> bool:
        """Whether every file is at the destination, verified."""
        return not self.of(TransferOutcome.FAILED) and not self.waiting

    @property
    def size_bytes(self) -> int:
        """Bytes of the files that were sent."""
        return sum(file.size_bytes for file in self.of(TransferOutcome.SENT))

    @property
    def rate(self) -> Rate | None:
        """Rate of the whole: bytes of the files that were sent over the time of sending; None if none was."""
        return Rate.of(self.size_bytes, self.sending_s)

    @property
    def below_expected(self) -> bool | None:
        """Whether it was slower than expected; None if nothing is expected, or too little was sent to tell."""
        if self.expected is None or self.rate is None:
            return None
        expected_s = self.size_bytes / self.expected.bytes_per_s
        if self.sending_s <= expected_s:
            return False
        return True if self.sending_s > expected_s + START_ALLOWANCE_S else None

    def raise_if_incomplete(self) -> None:
        """Raise what ended it, for callers that can only go on with all files.

        Raises
        ------
        ServiceError
            If a file is not at the destination.
        """
        if self.error is not None:
            raise self.error

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, units in the keys."""
        pace = self.rate
        return {
            "files": [file.to_dict() for file in self.files],
            "counts": {outcome.value: number for outcome, number in self.counts.items()},
            "started_utc": self.started_utc.isoformat(),
            "ended_utc": self.ended_utc.isoformat(),
            "sending_s": self.sending_s,
            "size_bytes": self.size_bytes,
            "rate_bytes_per_s": None if pace is None else pace.bytes_per_s,
            "expected_bytes_per_s": None if self.expected is None else self.expected.bytes_per_s,
            "below_expected": self.below_expected,
            "interrupted_times": self.interrupted_times,
            "waiting": list(self.waiting),
            "stopped": self.stopped,
            "complete": self.complete,
            "error": None if self.error is None else self.error.to_dict(),
        }
