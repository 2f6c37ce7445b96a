"""What a night's run was asked to do, and the folders that it works in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.ids import check_day_obs
from lsst_commtools.instrument.cameras import Camera, get_camera
from lsst_commtools.site import Site, commtools_home

__all__ = ["NightSettings", "default_work", "newest_night", "read_claim"]

_RECORD = "night.json"


@dataclass(frozen=True)
class NightSettings:
    """One night of one camera, and where it is processed.

    Parameters
    ----------
    day_obs
        The night.
    instrument
        Butler name of the camera.
    raw
        Folder in which the raw files appear.
    work
        Folder of this night: storage, repository, notebooks, report.
    reference
        Folder of reference-catalogue shards; None if there is none, and then the WCS cannot be judged.
    origin
        Where the raw files come from, for the report: ``raw files of FOLDER`` or the simulation's parameters.
    processes
        Worker processes.
    shared_repository, shared_storage
        Where several nights share one, the Butler repository and the folder that raw files are transferred to; by
        default the work folder has its own.
    """

    day_obs: int
    instrument: str
    raw: Path
    work: Path
    reference: Path | None
    origin: str
    processes: int = 2
    shared_repository: Path | None = None
    shared_storage: Path | None = None

    def __post_init__(self) -> None:
        check_day_obs(self.day_obs)
        get_camera(self.instrument)

    @property
    def camera(self) -> Camera:
        """The camera."""
        return get_camera(self.instrument)

    @property
    def storage(self) -> Path:
        """Folder that raw files are transferred to."""
        return self.shared_storage or self.work / "storage"

    @property
    def repository(self) -> Path:
        """The Butler repository."""
        return self.shared_repository or self.work / "repo"

    @property
    def notebooks(self) -> Path:
        """Folder of executed notebooks."""
        return self.work / "notebooks"

    @property
    def report(self) -> Path:
        """The report's file."""
        return self.work / f"night_{self.instrument}_{self.day_obs}.html"

    @property
    def output_collection(self) -> str:
        """Collection of the pipeline's outputs."""
        return f"{self.instrument}/runs/night/{self.day_obs}"

    def claim(self) -> None:
        """Note in the work folder whose it is, so that a second run goes on with the same night and no other.

        Raises
        ------
        InputError
            If the folder holds another night, or cannot be used as a folder.
        """
        mine = {"day_obs": self.day_obs, "instrument": self.instrument, "origin": self.origin}
        if self.shared_repository is not None:
            mine["repository"] = str(self.shared_repository)
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            record = self.work / _RECORD
            if record.exists():
                theirs = json.loads(record.read_text(encoding="utf-8"))
                if theirs != mine:
                    raise InputError(
                        f"The folder {self.work} holds another night: {theirs.get('instrument')} "
                        f"{theirs.get('day_obs')}, {theirs.get('origin')}.",
                        changed="Nothing was changed.",
                        advice="Give another --work folder, or the same parameters as before.",
                    )
                return
            part = record.with_suffix(".part")
            part.write_text(json.dumps(mine, indent=2), encoding="utf-8")
            part.replace(record)
        except (OSError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"The work folder {self.work} cannot be used: {error}.", advice="Give another --work folder."
            ) from None


def _nights_folder(site: Site) -> Path:
    return Path(site.data.work_folder).expanduser() if site.data.work_folder else commtools_home() / "nights"


def default_work(site: Site, instrument: str, day_obs: int) -> Path:
    """Name the work folder of a night where none is given.

    Parameters
    ----------
    site
        Its ``data.work_folder`` holds the nights; by default ``$COMMTOOLS_HOME/nights``.
    instrument, day_obs
        The night.

    Returns
    -------
    pathlib.Path
        The folder, which need not exist.
    """
    return _nights_folder(site) / f"{get_camera(instrument).name}_{day_obs}"


def read_claim(folder: Path) -> dict[str, Any]:
    """Read which night a work folder holds.

    Parameters
    ----------
    folder
        The work folder.

    Returns
    -------
    dict
        ``day_obs``, ``instrument`` and ``origin``; ``repository`` where it is not that of the folder.

    Raises
    ------
    NotFoundError
        If the folder holds no night.
    """
    try:
        claim = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        check_day_obs(claim["day_obs"])
        get_camera(str(claim["instrument"]))
    except (OSError, ValueError, KeyError, TypeError, LookupError):
        raise NotFoundError(f"{folder} holds no night.", advice="Run 'commtools night' first.") from None
    return dict(claim)


def newest_night(site: Site, day_obs: int = 0, instrument: str = "") -> Path:
    """Find the newest night that was processed here.

    Parameters
    ----------
    site
        Says where nights are kept.
    day_obs, instrument
        Only this night, or this camera; by default any.

    Returns
    -------
    pathlib.Path
        Its work folder.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    folder = _nights_folder(site)
    camera = get_camera(instrument).name if instrument else "*"
    found = [path.parent for path in folder.glob(f"{camera}_{day_obs or '*'}/{_RECORD}")]
    if not found:
        raise NotFoundError(
            f"There is no processed night in {folder}.", advice="Run 'commtools night' first."
        )
    return max(found, key=lambda path: (path / _RECORD).stat().st_mtime)
