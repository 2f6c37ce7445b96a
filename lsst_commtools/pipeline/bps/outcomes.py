"""What became of each quantum of a batch: one small file each, which its job writes and nobody changes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from lsst_commtools.pipeline.outcomes import QuantumOutcome, QuantumStatus

__all__ = ["read_outcomes", "unfinished", "write_outcome"]


def write_outcome(folder: Path, quantum: str, outcome: QuantumOutcome) -> None:
    """Write what became of a quantum; where two jobs did the same, the later one counts.

    Parameters
    ----------
    folder
        Where to; it is made.
    quantum
        Its id.
    outcome
        How it ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "task": outcome.task,
        "data_id": outcome.data_id,
        "status": outcome.status.value,
        "error": outcome.error,
        "message": outcome.message,
        "seconds": outcome.seconds,
    }
    part = folder / f"{quantum}.{os.getpid()}.part"
    part.write_text(json.dumps(document), encoding="utf-8")
    part.replace(folder / f"{quantum}.json")


def read_outcomes(folder: Path, quanta: Iterable[str]) -> dict[str, QuantumOutcome]:
    """Read what became of quanta.

    Parameters
    ----------
    folder
        Where jobs write.
    quanta
        Their ids.

    Returns
    -------
    dict
        Id to outcome; those that no job has finished are missing.
    """
    found = {}
    for quantum in quanta:
        try:
            values = json.loads((folder / f"{quantum}.json").read_text(encoding="utf-8"))
            found[quantum] = QuantumOutcome(**(values | {"status": QuantumStatus(values["status"])}))
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return found


def unfinished(folder: Path, quanta: Iterable[str]) -> list[str]:
    """Tell which quanta have no outcome yet.

    Parameters
    ----------
    folder
        Where jobs write.
    quanta
        Their ids, in order.

    Returns
    -------
    list of str
        In the same order.
    """
    return [quantum for quantum in quanta if not (folder / f"{quantum}.json").is_file()]
