"""What is checked of a rehearsal's night, so that a fault is noticed by the software and not by whoever prepared it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lsst_commtools.errors import CommtoolsError
from lsst_commtools.ingest.transfer import find_raw_files
from lsst_commtools.ingest.transfer_journal import KnownCopy
from lsst_commtools.instrument.cameras import Camera
from lsst_commtools.night.counts import Problem, file_of_image
from lsst_commtools.night.expectations import (
    late_exposures,
    lost_files,
    replayed_exposures,
    room_problems,
    unacknowledged_files,
    wrong_filters,
)
from lsst_commtools.rehearsal.camera import read_published
from lsst_commtools.rehearsal.choices import all_choices
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.lab_site import image_problems, lab_site
from lsst_commtools.rehearsal.quota import Quota

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.choice_values import Choice
    from lsst_commtools.rehearsal.datasets import Shot
    from lsst_commtools.rehearsal.night import RehearsalNight

__all__ = ["check_arrivals", "check_cycle", "check_headers", "check_image", "check_lateness", "check_room"]


def check_arrivals(night: RehearsalNight) -> list[Problem]:
    """Compare the summit, the record of the transfer, and storage; find exposures that came in an earlier night.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    list of Problem
        Kinds ``lost-in-transfer``, ``unacknowledged-transfer`` and ``replayed-exposure``.
    """
    summit, arrived = _raws(night.summit), _raws(night.storage)
    record = night.rehearsal.settings.work / "transfers" / f"{night.day_obs}.jsonl"
    acknowledged = _acknowledged(record)
    camera = night.rehearsal.settings.camera
    seen: dict[int, int] = {}
    for number in range(1, night.number):
        before = night.rehearsal.night(number)
        for exposure in _exposures(_raws(before.storage), camera):
            seen.setdefault(exposure, before.day_obs)
    return [
        *lost_files(summit, acknowledged, arrived),
        *unacknowledged_files(acknowledged, arrived),
        *replayed_exposures(_exposures({*summit, *arrived}, camera), seen, night.day_obs),
    ]


def check_headers(night: RehearsalNight) -> list[Problem]:
    """Compare the filters that the headers of an exposure say, and see whether the night has a flat of them.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    list of Problem
        Kind ``wrong-filter``.
    """
    from lsst_commtools.instrument.headers import translate
    from lsst_commtools.instrument.raws import read_raw_header

    camera = night.rehearsal.settings.camera
    told: dict[tuple[int, str], str] = {}
    flats: set[str] = set()
    for name in sorted(_raws(night.storage)):
        file = file_of_image(name, camera)
        if file is None or file.obs_id.day_obs != night.day_obs:
            continue
        try:
            info = translate(read_raw_header(night.storage / name))
        except CommtoolsError:
            continue  # the ingest says what is wrong with it
        if info.observation_type == "flat":
            flats.add(info.physical_filter)
        elif info.observation_type == "science":
            told[file.obs_id.exposure_id, file.detector] = info.physical_filter
    return wrong_filters(told, flats or None)


def check_lateness(night: RehearsalNight, shots: Iterable[Shot]) -> list[Problem]:
    """Find exposures that came late to the data facility, or are late and still not there.

    Parameters
    ----------
    night
        The night.
    shots
        Exposures that were to be transmitted.

    Returns
    -------
    list of Problem
        Kind ``late-transfer``.
    """
    published = {shot.obs_id: shot.late_s for shot in read_published(night.summit)}
    closed = {
        shot.obs_id: shot.appears_utc + dt.timedelta(seconds=published[shot.obs_id])
        for shot in shots
        if shot.obs_id in published
    }
    arrived = {
        str(entry.data["exposure_transferred"]): dt.datetime.fromisoformat(entry.at_rehearsal_utc)
        for entry in night.journal.entries({Kind.COUNTS}, night.number)
        if "exposure_transferred" in entry.data
    }
    limit = dt.timedelta(seconds=night.rehearsal.site.rehearsal.late_transfer_s)
    return late_exposures(closed, arrived, night.rehearsal.clock.now_utc(), limit)


def check_room(night: RehearsalNight, shots: Iterable[Shot]) -> list[Problem]:
    """See whether storage has room for the exposures that are still to come.

    Parameters
    ----------
    night
        The night.
    shots
        Exposures that are to be transmitted.

    Returns
    -------
    list of Problem
        Kind ``disk-full`` or ``disk-nearly-full``.
    """
    needed = 0
    for shot in shots:
        for name in shot.files:
            file = night.source / name
            if file.is_file() and not (night.storage / name).is_file():
                needed += file.stat().st_size
    return room_problems(Quota(night.rehearsal.settings.work).free_bytes, needed, "storage")


def check_image(night: RehearsalNight, tag: str) -> list[Problem]:
    """Try whether the chosen lab image can read what came of the night.

    Parameters
    ----------
    night
        The night.
    tag
        The image.

    Returns
    -------
    list of Problem
        Kind ``image-cannot-read``; none where nothing came yet that it could be tried with.
    """
    site = lab_site(night.rehearsal.site, night.rehearsal.settings.work)
    arrived = sorted(_raws(night.storage))
    return image_problems(site, tag, night.storage / arrived[0]) if arrived else []


def check_cycle(night: RehearsalNight, choice: Choice) -> list[Problem]:
    """See whether the chosen lab image goes back to an older SAL cycle: a site without cycle protection allows it.

    Parameters
    ----------
    night
        The night.
    choice
        What was chosen.

    Returns
    -------
    list of Problem
        Kind ``wrong-cycle``.
    """
    before = [
        c.image
        for c in all_choices(night.journal.entries({Kind.CHOICE}))
        if c.number < choice.number and c.image.cycle
    ]
    cycle = choice.image.cycle
    if not before or cycle is None or before[-1].cycle is None or cycle >= before[-1].cycle:
        return []
    what = f"The image is of cycle {cycle}, the one before ({before[-1].tag}) of cycle {before[-1].cycle}."
    return [Problem("wrong-cycle", what, f"image {choice.image.tag}")]


def _raws(folder: Path) -> set[str]:
    try:
        return {
            path.relative_to(folder).as_posix()
            for path in find_raw_files(folder)
            if not _hidden(path, folder)
        }
    except CommtoolsError:
        return set()


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _acknowledged(record: Path) -> set[str]:
    if not record.is_file():
        return set()
    lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
    return {known[0] for line in lines if (known := KnownCopy.read(line)) is not None}


def _exposures(names: Iterable[str], camera: Camera) -> set[int]:
    return {file.obs_id.exposure_id for file in (file_of_image(name, camera) for name in names) if file}
