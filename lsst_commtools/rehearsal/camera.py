"""The summit's stand-in: files of a dataset appear as the rehearsal's clock passes their shutter close."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lsst_commtools.rehearsal.clock import Clock
from lsst_commtools.rehearsal.datasets import Shot

__all__ = ["publish"]

GAP = dt.timedelta(minutes=10)
"""Pauses between exposures that are longer are skipped but for their end."""
LEAD = dt.timedelta(seconds=30)


def publish(
    shots: Sequence[Shot],
    source: Path,
    summit: Path,
    clock: Clock,
    *,
    speed: float | None = None,
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
    speed
        Seconds of rehearsal in one real second; None lets all appear at once.
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
    record = summit.parent / "published.jsonl"
    known = set(_read(record))
    number = 0
    for shot in shots:
        if shot.obs_id not in known:
            if speed is not None and not _wait(shot, clock, speed, stop):
                break
            if stop.is_set():
                break
            for file in shot.files:
                _put(file, summit / file.relative_to(source))
            with record.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(shot.obs_id) + "\n")
        number += 1
        if published is not None:
            published(shot)
    return number


def _wait(shot: Shot, clock: Clock, speed: float, stop: threading.Event) -> bool:
    if shot.appears_utc - clock.now_utc() > GAP:
        clock.reach(shot.appears_utc - LEAD, speed, f"nothing is observed before {shot.obs_id}")
    return clock.wait_until(shot.appears_utc, stop)


def _put(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(file, part)
    part.replace(target)


def _read(record: Path) -> Iterable[str]:
    if not record.exists():
        return
    for line in record.read_text(encoding="utf-8").splitlines():
        try:
            yield str(json.loads(line))
        except ValueError:
            continue  # a line cut by a kill: its files are put there again
