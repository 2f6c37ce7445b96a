"""`RehearsalNight`: one night of a rehearsal, and the verbs that its notebooks are written in."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from lsst_commtools.night.settings import NightSettings
from lsst_commtools.rehearsal.outline import find_step, planned_utc

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.journal import Journal
    from lsst_commtools.rehearsal.rehearsal import Rehearsal

__all__ = ["RehearsalNight"]


class RehearsalNight:
    """One night of a rehearsal.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    number
        Number of the night, from 1.
    """

    def __init__(self, rehearsal: Rehearsal, number: int) -> None:
        self.rehearsal = rehearsal
        self.number = number
        self.day_obs = rehearsal.settings.nights[number - 1]

    @property
    def journal(self) -> Journal:
        """The journal of the rehearsal."""
        return self.rehearsal.journal

    @property
    def summit(self) -> Path:
        """Folder in which the summit's raw files appear."""
        return self.rehearsal.settings.work / "summit" / str(self.day_obs) / "raw"

    @property
    def storage(self) -> Path:
        """The data facility's copy."""
        return self.rehearsal.settings.work / "storage" / str(self.day_obs)

    @property
    def simulated(self) -> Path:
        """Folder of the simulated night."""
        return self.rehearsal.settings.work / "simulated" / str(self.day_obs)

    @property
    def notebooks(self) -> Path:
        """Folder of the executed notebooks of the outline."""
        return self.rehearsal.settings.work / "notebooks" / str(self.day_obs)

    @property
    def settings(self) -> NightSettings:
        """The night, as the room of nights knows it."""
        whole = self.rehearsal.settings
        return NightSettings(
            day_obs=self.day_obs,
            instrument=whole.instrument,
            raw=self.summit,
            work=whole.work / "nights" / str(self.day_obs),
            reference=self.simulated / "refcat" if whole.simulated else whole.reference,
            origin=f"Night {self.number} of the rehearsal {whole.work.name}: {whole.dataset}",
            processes=whole.processes,
            shared_repository=whole.repository,
            shared_storage=self.storage,
        )

    def planned_utc(self, step: str) -> dt.datetime:
        """Tell when a step of this night is due.

        Parameters
        ----------
        step
            Its identifier.

        Returns
        -------
        datetime.datetime
            Time of the rehearsal, UTC.
        """
        return planned_utc(find_step(step), self.day_obs)
