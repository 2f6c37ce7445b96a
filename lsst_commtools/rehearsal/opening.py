"""From what a person asks for to the settings of a rehearsal: a new one, or the one that was begun."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.instrument.cameras import Camera, get_camera
from lsst_commtools.rehearsal.datasets import SIMULATED_NIGHT, expected_of, find_nights
from lsst_commtools.rehearsal.journal import Journal, Kind
from lsst_commtools.rehearsal.settings import RehearsalSettings, rehearsals_folder
from lsst_commtools.rehearsal.states import StepStatus, outline_states

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["Wish", "settle"]

NIGHTS = 3
SPEED = 10.0
_CAMERAS = ("LATISS", "LSSTComCam", "LSSTCam")


@dataclass(frozen=True)
class Wish:
    """What a person asks for; None where nothing is said.

    Parameters
    ----------
    nights
        How many nights.
    dataset
        ``simulated`` or a folder of raw files.
    speed
        Seconds of rehearsal in one real second.
    unattended
        Whether stand-ins sign.
    work
        Folder of the rehearsal.
    """

    nights: int | None = None
    dataset: str | None = None
    speed: float | None = None
    unattended: bool = False
    work: Path | None = None


def settle(site: Site, wish: Wish) -> RehearsalSettings:
    """Find the rehearsal that is meant: in the folder that is named, or the newest like it that has not ended.

    Parameters
    ----------
    site
        Where it is held.
    wish
        What is asked for.

    Returns
    -------
    RehearsalSettings
        Those of the rehearsal that was begun, or of a new one.

    Raises
    ------
    InputError
        If the dataset cannot be used, has too few nights, or is simulated at a real site.
    """
    if wish.speed is not None and not wish.speed > 0.0:
        raise InputError(f"A speed of {wish.speed:g} is none.", advice="Give a number above 0, such as 10.")
    if wish.work is not None:
        work = wish.work.expanduser().absolute()
        try:
            return _again(RehearsalSettings.read(work), wish)
        except NotFoundError:
            return _new(site, wish, work)
    folder = rehearsals_folder(site).absolute()
    fresh = _new(site, wish, folder / "new")
    begun = sorted(folder.glob("*/rehearsal.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for claim in begun:
        found = RehearsalSettings.read(claim.parent)
        if _same(found, fresh) and not _ended(found):
            return _again(found, wish)
    number = 1
    kind = "simulated" if fresh.simulated else Path(fresh.dataset).name
    while (folder / f"{kind}_{number}").exists():
        number += 1
    return replace(fresh, work=folder / f"{kind}_{number}")


def _again(found: RehearsalSettings, wish: Wish) -> RehearsalSettings:
    """Go on with a rehearsal: what it is stays, its speed and who signs may change."""
    if wish.dataset is not None and _dataset(wish.dataset) != found.dataset:
        raise InputError(
            f"The folder {found.work} holds a rehearsal of {found.dataset}, not of {wish.dataset}.",
            advice="Give another --work folder.",
        )
    if wish.nights is not None and wish.nights != len(found.nights):
        raise InputError(
            f"The folder {found.work} holds a rehearsal of {len(found.nights)} nights, not of {wish.nights}.",
            advice="Give another --work folder.",
        )
    return replace(found, speed=wish.speed or found.speed, unattended=wish.unattended)


def _new(site: Site, wish: Wish, work: Path) -> RehearsalSettings:
    number = wish.nights or NIGHTS
    dataset = _dataset(wish.dataset or site.data.raw_folder or "simulated")
    simulated = dataset == "simulated"
    if simulated and site.real:
        raise InputError(
            f"The site {site.name} is real: its nights are not simulated.",
            advice="Give --dataset with a folder of raw files, or --site local.",
        )
    reference = site.data.reference_folder
    if simulated:
        camera, nights = get_camera(site.data.instrument), _simulated_nights(number)
    else:
        camera, nights = _recorded_nights(Path(dataset), number, site.data.instrument)
        beside = Path(dataset).parent / "refcat"
        reference = reference or (str(beside) if beside.is_dir() else "")
    return RehearsalSettings(
        work=work,
        dataset=dataset,
        instrument=camera.name,
        nights=tuple(nights),
        visits=site.rehearsal.visits if simulated else 0,
        seed=1 if simulated else 0,
        speed=wish.speed or SPEED,
        unattended=wish.unattended,
        reference=Path(reference).expanduser().absolute() if reference and not simulated else None,
        processes=site.data.processes,
        expects="" if simulated else expected_of(Path(dataset), camera, nights).name,
    )


def _dataset(text: str) -> str:
    return text if text == "simulated" else str(Path(text).expanduser().absolute())


def _simulated_nights(number: int) -> Sequence[int]:
    days = (SIMULATED_NIGHT + dt.timedelta(days=n) for n in range(number))
    return [int(day.strftime("%Y%m%d")) for day in days]


def _recorded_nights(folder: Path, number: int, usual: str) -> tuple[Camera, Sequence[int]]:
    """Find the camera whose nights a folder holds, the site's own first."""
    for name in dict.fromkeys((get_camera(usual).name, *_CAMERAS)):
        camera = get_camera(name)
        nights = find_nights(folder, camera)
        if nights and len(nights) < number:
            raise InputError(
                f"{folder} holds {len(nights)} nights of {camera.name}, {number} are asked for.",
                advice=f"Give --nights {len(nights)}.",
            )
        if nights:
            return camera, nights[:number]
    raise InputError(
        f"No file in {folder} has the name of a raw file of {', '.join(_CAMERAS)}.",
        advice="Raw files are named as AT_O_20230705_000379_R00_S00.fits.",
    )


def _same(one: RehearsalSettings, other: RehearsalSettings) -> bool:
    return replace(one, work=other.work, speed=other.speed, unattended=other.unattended) == other


def _ended(settings: RehearsalSettings) -> bool:
    if not settings.journal.is_file():
        return False
    entries = Journal(settings.journal).entries({Kind.STEP_STARTED, Kind.STEP_ENDED})
    states = outline_states(entries, len(settings.nights))
    return all(state.status is StepStatus.DONE for state in states.values())
