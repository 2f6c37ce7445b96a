"""What a transfer remembers between its calls: which copies were verified, and that only one call works at a time."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from lsst_commtools.errors import LeaseError, ServiceError
from lsst_commtools.ingest.transfer_values import FileTransfer, TransferOutcome, Verification

__all__ = ["KnownCopy", "TransferJournal"]


@dataclass(frozen=True)
class KnownCopy:
    """A verified copy of an earlier call.

    Parameters
    ----------
    size_bytes, mtime_ns
        The source as it was.
    sha256
        Its checksum.
    verified
        How its copy was compared.
    ended_utc
        When it was sent.
    """

    size_bytes: int
    mtime_ns: int
    sha256: str
    verified: Verification
    ended_utc: dt.datetime

    @classmethod
    def read(cls, line: str) -> tuple[str, Self] | None:
        """Read a line of the journal.

        Parameters
        ----------
        line
            JSON.

        Returns
        -------
        tuple or None
            Relative path and copy; None for a line that a kill cut, or of a file that failed.
        """
        try:
            entry: dict[str, Any] = json.loads(line)
            if entry["outcome"] == TransferOutcome.FAILED:
                return None
            ended_utc = dt.datetime.fromisoformat(entry["ended_utc"])
            return str(entry["path"]), cls(
                int(entry["size_bytes"]),
                int(entry["source_mtime_ns"]),
                str(entry["sha256"]),
                Verification(entry["verified"]),
                ended_utc,
            )
        except (ValueError, TypeError, KeyError):
            return None


class TransferJournal:
    """The journal of one source and destination, and the lock on it while a transfer works.

    Parameters
    ----------
    path
        JSON lines, one for each file that ended.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream: IO[str] = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise ServiceError(f"The journal {path} cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._stream.close()
            raise LeaseError(
                "Another transfer from this source to this destination is under way.",
                changed="Nothing was sent.",
                advice="Wait for it, or stop it: it can be continued.",
            ) from None

    def close(self) -> None:
        """Give the lock back."""
        self._stream.close()

    def read(self) -> dict[str, KnownCopy]:
        """Read what is known.

        Returns
        -------
        dict
            Relative path to the newest verified copy.
        """
        self._stream.seek(0)
        lines = self._stream.read().splitlines()
        return dict(known for known in map(KnownCopy.read, lines) if known is not None)

    def note(self, ended: Iterable[tuple[FileTransfer, int]]) -> None:
        """Write down what became of files.

        Parameters
        ----------
        ended
            Files, and the time of last change of each source in Unix nanoseconds.

        Raises
        ------
        ServiceError
            If it cannot be written.
        """
        lines = [json.dumps({**file.to_dict(), "source_mtime_ns": mtime_ns}) for file, mtime_ns in ended]
        try:
            # A line that a kill cut stays alone on its line.
            self._stream.write("".join(f"\n{line}" for line in lines))
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise ServiceError(
                f"The journal {self._path} cannot be written: {error.strerror}.",
                changed="What was sent is at the destination, and is found there by the next call.",
            ) from error
