"""The ingest ledger: which content each raw dataset has, and what became of each file.

The Butler records no checksum of a file that it takes as it is (transfer ``direct``), and reading each dataset
again for each suspected duplicate would cost as much as the ingest. So the ledger is a small sqlite file in the
repository's folder, ``ingest.sqlite3``. The Butler stays the truth about what exists: the ledger only claims a
data id for a content *before* the Butler is told, and notes *afterwards* that it went well. Whatever moment a
process is killed at, the claim says which file was to be first, and the next ingester completes it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lsst_commtools.errors import ServiceError
from lsst_commtools.ingest.transactions import transaction

__all__ = ["LEDGER_NAME", "Claim", "IngestLedger", "Key", "Verdict"]

LEDGER_NAME = "ingest.sqlite3"
BUSY_TIMEOUT_S = 120.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS claim (
    instrument TEXT NOT NULL, exposure INTEGER NOT NULL, detector INTEGER NOT NULL,
    path TEXT NOT NULL, sha256 TEXT NOT NULL, ingested INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instrument, exposure, detector)
);
CREATE TABLE IF NOT EXISTS verdict (
    path TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, kept_aside TEXT NOT NULL,
    instrument TEXT NOT NULL, exposure INTEGER NOT NULL, detector INTEGER NOT NULL,
    day_obs INTEGER NOT NULL, seq_num INTEGER NOT NULL, noted_at_utc TEXT NOT NULL
);
"""

Key = tuple[str, int, int]
"""Instrument, exposure, detector."""


@dataclass(frozen=True)
class Claim:
    """The first file of a data id.

    Parameters
    ----------
    path
        Where it was found.
    sha256
        Its content.
    ingested
        Whether the Butler is known to have it.
    """

    path: str
    sha256: str
    ingested: bool


@dataclass(frozen=True)
class Verdict:
    """What became of a file, kept so that an unchanged file need not be read again.

    Parameters
    ----------
    path, size_bytes, mtime_ns, sha256
        The file, as it was.
    outcome, reason, kept_aside
        As in `FileOutcome`, as text.
    key
        Data id.
    day_obs, seq_num
        Which exposure.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    outcome: str
    reason: str
    kept_aside: str
    key: Key
    day_obs: int
    seq_num: int


class IngestLedger:
    """The ledger of one repository; several processes may use it at once.

    Parameters
    ----------
    repository
        Folder of the repository.
    """

    def __init__(self, repository: Path) -> None:
        self._path = repository / LEDGER_NAME
        try:
            self._database = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            # Begun as a writer: two processes that both make the tables would else deadlock on the upgrade.
            self._database.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        except sqlite3.Error as error:
            raise ServiceError(f"The ingest ledger {self._path} cannot be used: {error}.") from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._database, f"The ingest ledger {self._path}")

    def claim(self, wanted: Mapping[Key, tuple[str, str]]) -> dict[Key, Claim]:
        """Claim data ids for files, where nobody did before.

        Parameters
        ----------
        wanted
            Data id to path and sha256.

        Returns
        -------
        dict
            Data id to the claim that holds, this one or an earlier one.
        """
        with self._writing() as database:
            database.executemany(
                "INSERT OR IGNORE INTO claim (instrument, exposure, detector, path, sha256) VALUES (?, ?, ?, ?, ?)",
                [(*key, path, sha256) for key, (path, sha256) in wanted.items()],
            )
            return {key: self._held(key) for key in wanted}

    def _held(self, key: Key) -> Claim:
        path, sha256, ingested = self._database.execute(
            "SELECT path, sha256, ingested FROM claim WHERE instrument = ? AND exposure = ? AND detector = ?",
            key,
        ).fetchone()
        return Claim(path, sha256, bool(ingested))

    def replace_claim(self, key: Key, old: Claim, path: str, sha256: str) -> Claim:
        """Take over a claim whose file is gone or changed before the Butler had it.

        Parameters
        ----------
        key
            Data id.
        old
            The claim that was seen; somebody else's newer one is left alone.
        path, sha256
            The file that takes its place.

        Returns
        -------
        Claim
            The claim that holds.
        """
        with self._writing() as database:
            database.execute(
                "UPDATE claim SET path = ?, sha256 = ?, ingested = 0"
                " WHERE instrument = ? AND exposure = ? AND detector = ? AND path = ? AND sha256 = ?",
                (path, sha256, *key, old.path, old.sha256),
            )
            return self._held(key)

    def note(self, ingested: Iterable[Key], verdicts: Sequence[Verdict]) -> None:
        """Note what the Butler has now, and what became of files.

        Parameters
        ----------
        ingested
            Data ids.
        verdicts
            One for each file.
        """
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with self._writing() as database:
            database.executemany(
                "UPDATE claim SET ingested = 1 WHERE instrument = ? AND exposure = ? AND detector = ?",
                ingested,
            )
            database.executemany(
                "INSERT OR REPLACE INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (v.path, v.size_bytes, v.mtime_ns, v.sha256, v.outcome, v.reason, v.kept_aside,
                     *v.key, v.day_obs, v.seq_num, now)
                    for v in verdicts
                ],
            )  # fmt: skip

    def verdict(self, path: str, size_bytes: int, mtime_ns: int) -> Verdict | None:
        """Find what became of a file, if it has not changed since.

        Parameters
        ----------
        path, size_bytes, mtime_ns
            The file as it is.

        Returns
        -------
        Verdict or None
            None if it is new or changed.
        """
        row = self._database.execute(
            "SELECT sha256, outcome, reason, kept_aside, instrument, exposure, detector, day_obs, seq_num"
            " FROM verdict WHERE path = ? AND size_bytes = ? AND mtime_ns = ?",
            (path, size_bytes, mtime_ns),
        ).fetchone()
        if row is None:
            return None
        sha256, outcome, reason, kept_aside, instrument, exposure, detector, day_obs, seq_num = row
        key = (instrument, exposure, detector)
        return Verdict(
            path, size_bytes, mtime_ns, sha256, outcome, reason, kept_aside, key, day_obs, seq_num
        )  # fmt: skip

    def checksums(self, instrument: str) -> dict[tuple[int, int], str]:
        """Give the checksum of each raw dataset that the Butler is known to have.

        Parameters
        ----------
        instrument
            Butler name.

        Returns
        -------
        dict
            Exposure and detector to sha256.
        """
        rows = self._database.execute(
            "SELECT exposure, detector, sha256 FROM claim WHERE instrument = ? AND ingested", (instrument,)
        )
        return {(exposure, detector): sha256 for exposure, detector, sha256 in rows}
