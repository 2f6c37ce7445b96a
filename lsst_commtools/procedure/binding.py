"""How a kernel knows which run it belongs to: a handful of environment variables that the engine sets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Binding"]

_PREFIX = "COMMTOOLS_RUN"


@dataclass(frozen=True)
class Binding:
    """The run that executes the notebook of this kernel.

    Parameters
    ----------
    run
        Its name.
    attempt
        1 for the first, one more for each resume.
    ledger_url
        Where its record lies.
    spool
        File for events that the ledger cannot take.
    files
        Folder for what steps attach.
    dry_run
        Whether nothing may be sent.
    closing
        Whether this kernel runs closing cells only, after the first one was lost.
    """

    run: str
    attempt: int
    ledger_url: str
    spool: Path
    files: Path
    dry_run: bool = False
    closing: bool = False

    def environment(self) -> dict[str, str]:
        """Give the variables that a kernel needs.

        Returns
        -------
        dict
            Names and values. ``COMMTOOLS_DRY_RUN`` is for the rooms below: a client that finds it set sends nothing.
        """
        return {
            _PREFIX: self.run,
            f"{_PREFIX}_ATTEMPT": str(self.attempt),
            f"{_PREFIX}_LEDGER": self.ledger_url,
            f"{_PREFIX}_SPOOL": str(self.spool),
            f"{_PREFIX}_FILES": str(self.files),
            f"{_PREFIX}_CLOSING": "1" if self.closing else "",
            "COMMTOOLS_DRY_RUN": "1" if self.dry_run else "",
        }

    @classmethod
    def from_environment(cls) -> Self | None:
        """Find the run of this process.

        Returns
        -------
        Binding or None
            None where a person works by hand.
        """
        run = os.environ.get(_PREFIX)
        if not run:
            return None
        return cls(
            run=run,
            attempt=int(os.environ[f"{_PREFIX}_ATTEMPT"]),
            ledger_url=os.environ[f"{_PREFIX}_LEDGER"],
            spool=Path(os.environ[f"{_PREFIX}_SPOOL"]),
            files=Path(os.environ[f"{_PREFIX}_FILES"]),
            dry_run=bool(os.environ.get("COMMTOOLS_DRY_RUN")),
            closing=bool(os.environ.get(f"{_PREFIX}_CLOSING")),
        )
