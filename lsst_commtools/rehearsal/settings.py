"""What a rehearsal was asked to be, and the folders that it works in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.ids import check_day_obs
from lsst_commtools.instrument.cameras import Camera, get_camera
from lsst_commtools.site import Site, commtools_home

__all__ = ["RehearsalSettings", "default_rehearsal", "rehearsals_folder"]

_CLAIM = "rehearsal.json"


@dataclass(frozen=True)
class RehearsalSettings:
    """A rehearsal: its data, its nights, how fast it goes, and who signs.

    Parameters
    ----------
    work
        Folder of the rehearsal.
    dataset
        ``simulated``, or the folder of raw files.
    instrument
        Butler name of the camera.
    nights
        The day_obs of each night.
    visits
        Visits of a simulated night; 0 for another dataset.
    seed
        Seed of a simulated night.
    speed
        Seconds of rehearsal in one real second while the science exposures are taken.
    unattended
        Whether stand-ins sign instead of people.
    reference
        Folder of reference-catalogue shards; None if there is none, or if each simulated night brings its own.
    processes
        Worker processes.
    expects
        Name of what recorded images are held against: ``on-sky`` or ``bench``; empty for simulated ones.
    """

    work: Path
    dataset: str
    instrument: str
    nights: tuple[int, ...]
    visits: int
    seed: int
    speed: float
    unattended: bool
    reference: Path | None = None
    processes: int = 2
    expects: str = ""

    def __post_init__(self) -> None:
        get_camera(self.instrument)
        for day_obs in self.nights:
            check_day_obs(day_obs)
        if not self.nights:
            raise InputError("A rehearsal needs at least one night.")

    @property
    def simulated(self) -> bool:
        """Whether the sky is simulated."""
        return self.dataset == "simulated"

    @property
    def camera(self) -> Camera:
        """The camera."""
        return get_camera(self.instrument)

    @property
    def journal(self) -> Path:
        """File of the journal."""
        return self.work / "journal.sqlite"

    @property
    def repository(self) -> Path:
        """The Butler repository of all nights."""
        return self.work / "repo"

    @property
    def report(self) -> Path:
        """Folder of reports."""
        return self.work / "report"

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as the claim has them, without the folder that it lies in."""
        return {
            "dataset": self.dataset,
            "instrument": self.instrument,
            "nights": list(self.nights),
            "visits": self.visits,
            "seed": self.seed,
            "speed": self.speed,
            "unattended": self.unattended,
            "reference": str(self.reference) if self.reference else None,
            "processes": self.processes,
            "expects": self.expects,
        }

    def claim(self) -> None:
        """Note in the work folder whose it is, so that the same command goes on with this rehearsal and no other.

        Raises
        ------
        InputError
            If the folder holds another rehearsal, or cannot be used as a folder.
        """
        record = self.work / _CLAIM
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            if record.exists():
                self._compare(json.loads(record.read_text(encoding="utf-8")))
                return
            part = record.with_suffix(".part")
            part.write_text(json.dumps(self.to_dict(), indent=2), encoding="utf-8")
            part.replace(record)
        except InputError:
            raise
        except (OSError, ValueError, AttributeError) as error:
            raise InputError(
                f"The work folder {self.work} cannot be used: {error}.", advice="Give another --work folder."
            ) from None

    def _compare(self, theirs: dict[str, Any]) -> None:
        # How fast it goes and who signs may change from day to day; what is rehearsed may not.
        fixed = ("dataset", "instrument", "nights", "visits", "seed", "expects")
        mine = self.to_dict()
        other = [f"{name} {theirs.get(name)}" for name in fixed if theirs.get(name) != mine[name]]
        if other:
            raise InputError(
                f"The folder {self.work} holds another rehearsal: {', '.join(other)}.",
                changed="Nothing was changed.",
                advice="Give another --work folder, or the same parameters as before.",
            )

    @classmethod
    def read(cls, work: Path) -> Self:
        """Read which rehearsal a folder holds.

        Parameters
        ----------
        work
            The folder.

        Returns
        -------
        RehearsalSettings
            Its settings.

        Raises
        ------
        NotFoundError
            If the folder holds none.
        """
        work = work.expanduser().absolute()
        try:
            values = json.loads((work / _CLAIM).read_text(encoding="utf-8"))
            reference = values["reference"]
            return cls(
                work=work,
                dataset=str(values["dataset"]),
                instrument=str(values["instrument"]),
                nights=tuple(int(night) for night in values["nights"]),
                visits=int(values["visits"]),
                seed=int(values["seed"]),
                speed=float(values["speed"]),
                unattended=bool(values["unattended"]),
                reference=Path(reference) if reference else None,
                processes=int(values["processes"]),
                expects=str(values.get("expects", "")),
            )
        except (OSError, ValueError, KeyError, TypeError, LookupError):
            raise NotFoundError(
                f"{work} holds no rehearsal.", advice="Begin one with 'commtools rehearse'."
            ) from None


def rehearsals_folder(site: Site) -> Path:
    """Name the folder below which each rehearsal gets its own.

    Parameters
    ----------
    site
        Its ``rehearsal.work_folder``; by default ``$COMMTOOLS_HOME/rehearsals``.

    Returns
    -------
    pathlib.Path
        The folder, which need not exist.
    """
    told = site.rehearsal.work_folder
    return Path(told).expanduser() if told else commtools_home() / "rehearsals"


def default_rehearsal(site: Site) -> Path:
    """Find the rehearsal that was worked at last.

    Parameters
    ----------
    site
        Says where rehearsals are kept.

    Returns
    -------
    pathlib.Path
        Its folder.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    folder = rehearsals_folder(site)
    found = list(folder.glob(f"*/{_CLAIM}"))
    if not found:
        raise NotFoundError(
            f"There is no rehearsal in {folder}.", advice="Begin one with 'commtools rehearse'."
        )
    return max((path.parent for path in found), key=_touched_s)


def _touched_s(work: Path) -> float:
    """Tell when a rehearsal was last worked at: its journal is written by everything that is done."""
    files = [work / _CLAIM, *work.glob("journal.sqlite*")]
    return max(file.stat().st_mtime for file in files if file.exists())
