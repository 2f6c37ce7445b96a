"""How long the images of a night took from the shutter's close to each station, by the clock of the rehearsal."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from lsst_commtools.ingest.arrival_journal import ArrivalJournal, ArrivedFile
from lsst_commtools.ingest.latency import ImageStamps, LatencyReport, latencies
from lsst_commtools.rehearsal.camera import read_published
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.processing import arrival_journal
from lsst_commtools.rehearsal.progress import log_path
from lsst_commtools.rehearsal.stations import LAST_TASK

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.night import RehearsalNight

__all__ = ["night_latencies", "night_speed"]


def night_latencies(night: RehearsalNight) -> LatencyReport:
    """Give the latencies of a night's images.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    LatencyReport
        All times by the clock of the rehearsal.
    """
    late_s = {shot.obs_id: shot.late_s for shot in read_published(night.summit)}
    closes = {
        shot.exposure_id: shot.closes_tai + dt.timedelta(seconds=late_s.get(shot.obs_id, 0.0))
        for shot in night.shots()
        if not shot.calibration
    }
    ended = _first_done(night)
    task = LAST_TASK[night.expectations.sky]
    stamps = []
    for file in _arrived(night):
        if file.exposure is None or file.detector is None or file.exposure not in closes:
            continue
        visit = str(file.exposure)
        stamps.append(
            ImageStamps(
                file.exposure,
                file.detector,
                closes[file.exposure],
                transferred_utc=file.arrived_utc,
                ingested_utc=file.ingested_utc,
                processed_utc=ended.get((task, visit, str(file.detector))),
                measured_utc=ended.get(("visit_summary", visit, "")),
            )
        )
    return latencies(stamps)


def night_speed(night: RehearsalNight) -> float:
    """Give the speed at which a night went.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    float
        Seconds of the rehearsal in one real second, of its last segment that was not a standstill.
    """
    told = [float(e.data["speed"]) for e in night.journal.entries({Kind.CLOCK_SET}) if e.data["speed"]]
    return told[-1] if told else 1.0


def _first_done(night: RehearsalNight) -> dict[tuple[str, str, str], dt.datetime]:
    """Tell when each quantum was first done, by the clock of the rehearsal; later sweeps find it done."""
    found: dict[tuple[str, str, str], dt.datetime] = {}
    path = log_path(night.rehearsal.settings.work, night.day_obs, "science")
    for text in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
            if line["event"] == "quantum" and line["status"] in ("succeeded", "existing"):
                data_id = line["data_id"]
                visit = str(data_id.get("visit", data_id.get("exposure", "")))
                key = (str(line["task"]), visit, str(data_id.get("detector", "")))
                found.setdefault(key, dt.datetime.fromisoformat(line["at_rehearsal_utc"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line cut by a kill
    return found


def _arrived(night: RehearsalNight) -> list[ArrivedFile]:
    journal = ArrivalJournal(arrival_journal(night))
    try:
        return [file for file in journal.files() if file.counts]
    finally:
        journal.close()
