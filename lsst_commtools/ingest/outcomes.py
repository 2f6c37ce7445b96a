"""What became of each file."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FileOutcome", "IngestReport", "Outcome"]


class Outcome(enum.Enum):
    """The one way in which a file ends."""

    INGESTED = "ingested"
    IDENTICAL_DUPLICATE = "identical-duplicate"
    COLLISION = "collision"
    UNREADABLE = "unreadable"
    HEADER_REFUSED = "header-refused"


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file.

    Parameters
    ----------
    path
        The file.
    outcome
        How it ended.
    reason
        Why, in one sentence; empty for a file that was simply ingested.
    data_id
        ``instrument``, ``exposure``, ``detector``, ``day_obs``, ``seq_num``; None where the file does not say.
    sha256
        Checksum of its content; None for a file that could not be read.
    kept_aside
        Where a copy of the second file of a collision is kept.
    """

    path: Path
    outcome: Outcome
    reason: str = ""
    data_id: Mapping[str, Any] | None = None
    sha256: str | None = None
    kept_aside: Path | None = None


@dataclass(frozen=True)
class IngestReport:
    """What became of all files: each of them once.

    Parameters
    ----------
    files
        One outcome for each file, in the order of the paths.
    corrections
        Known header lies that were corrected, by exposure and detector.
    """

    files: tuple[FileOutcome, ...]
    corrections: Mapping[tuple[int, int], tuple[str, ...]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many files ended in each outcome, zeros included."""
        found = Counter(file.outcome for file in self.files)
        return {outcome: found[outcome] for outcome in Outcome}

    def of(self, outcome: Outcome) -> tuple[FileOutcome, ...]:
        """Give the files with one outcome.

        Parameters
        ----------
        outcome
            Which.

        Returns
        -------
        tuple of FileOutcome
            In the order of the paths.
        """
        return tuple(file for file in self.files if file.outcome is outcome)
