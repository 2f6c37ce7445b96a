"""The summit's stand-in: files of a dataset appear as the rehearsal's clock passes their shutter close."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lsst_commtools.rehearsal.clock import Clock
from lsst_commtools.rehearsal.datasets import Shot

__all__ = ["Published", "publish", "put", "read_published"]

GAP = dt.timedelta(minutes=10)
"""Pauses between exposures that are longer are skipped but for their end."""
LEAD = dt.timedelta(seconds=30)
LATE = dt.timedelta(minutes=2)
"""Delay from which on the rest of the night is moved."""


@dataclass(frozen=True)
class Published:
    """One exposure whose files have appeared.

    Parameters
    ----------
    obs_id
        Its name.
    late_s
        How much later than its header says, in seconds of rehearsal: the night was begun late, or interrupted.
    """

    obs_id: str
    late_s: float = 0.0


def publish(
    shots: Sequence[Shot],
    source: Path,
    summit: Path,
    clock: Clock,
    *,
    paced: bool = True,
    stop: threading.Event | None = None,
    published: Callable[[Shot], None] | None = None,
) -> int:
    """Let the files of exposures appear.

    Each file appears whole, under its own name, and once: what was taken away since is not brought back.

    Parameters
    ----------
    shots
        Exposures, in the order of time.
    source
        Folder that their files lie in.
    summit
        Folder in which they appear, under the same relative names.
    clock
        The rehearsal's.
    paced
        Whether the clock decides; otherwise all appear at once.
    stop
        Ends it early.
    published
        Called after the last file of each exposure.

    Returns
    -------
    int
        How many exposures are there.
    """
    stop = stop or threading.Event()
    summit.mkdir(parents=True, exist_ok=True)
    known = {shot.obs_id for shot in read_published(summit)}
    late = dt.timedelta()
    number = 0
    for shot in shots:
        if shot.obs_id not in known:
            due = shot.appears_utc + late
            if paced and due - clock.now_utc() > GAP:
                clock.reach(due - LEAD, f"nothing is observed before {shot.obs_id}")
            if paced and clock.now_utc() - due > LATE:
                # An interrupted night goes on at its pace: what was missed does not come all at once.
                late += clock.now_utc() - due
                due = shot.appears_utc + late
            if paced and not clock.wait_until(due, stop):
                break
            if stop.is_set():
                break
            if not paced:
                late = max(dt.timedelta(), clock.now_utc() - shot.appears_utc)
            for name in shot.files:
                put(source / name, summit / name)
            _record(summit, Published(shot.obs_id, round(late.total_seconds(), 3)))
        number += 1
        if published is not None:
            published(shot)
    return number


def read_published(summit: Path) -> list[Published]:
    """List the exposures whose files have appeared.

    Parameters
    ----------
    summit
        Folder in which they appear.

    Returns
    -------
    list of Published
        In the order of their appearance.
    """
    record = _record_file(summit)
    if not record.exists():
        return []
    found = []
    for line in record.read_text(encoding="utf-8").splitlines():
        try:
            found.append(Published(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # a line cut by a kill: its files are put there again
    return found


def _record_file(summit: Path) -> Path:
    return summit.parent / "published.jsonl"


def _record(summit: Path, shot: Published) -> None:
    with _record_file(summit).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{json.dumps(asdict(shot))}")


def put(file: Path, target: Path) -> bool:
    """Let one file appear, whole.

    Parameters
    ----------
    file
        Where it lies.
    target
        Where it appears.

    Returns
    -------
    bool
        Whether it is there; False if the camera has not written it.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, part)
        part.replace(target)
    except FileNotFoundError:
        if file.exists():
            raise
        return False
    return True
