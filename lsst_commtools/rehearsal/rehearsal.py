"""`Rehearsal`: many nights in one folder, with their journal, their clock and their problems."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lsst_commtools.errors import NotFoundError
from lsst_commtools.rehearsal.journal import Entry, Journal, Kind
from lsst_commtools.rehearsal.outline import OUTLINE, Role, planned_utc
from lsst_commtools.rehearsal.settings import RehearsalSettings, default_rehearsal

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.clock import Clock, Times
    from lsst_commtools.rehearsal.night import RehearsalNight
    from lsst_commtools.rehearsal.people import Roster
    from lsst_commtools.site import Site

__all__ = ["Rehearsal", "problem_id"]


def problem_id(kind: str, where: str, night: int) -> str:
    """Name a problem, so that all who notice it mean the same one.

    Parameters
    ----------
    kind
        Its kind.
    where
        Visit, file, detector or service that it concerns.
    night
        Number of the night; 0 for the rehearsal as a whole.

    Returns
    -------
    str
        Twelve hexadecimal digits.
    """
    return hashlib.sha256(f"{kind}\0{where}\0{night}".encode()).hexdigest()[:12]


class Rehearsal:
    """A rehearsal.

    Parameters
    ----------
    site
        Where it is held.
    settings
        What it is.
    times
        Where real time comes from, by default this machine.
    """

    def __init__(self, site: Site, settings: RehearsalSettings, times: Times | None = None) -> None:
        self.site = site
        self.settings = settings
        self.journal = Journal(settings.journal, times)

    @classmethod
    def create(cls, site: Site, settings: RehearsalSettings, times: Times | None = None) -> Self:
        """Begin a rehearsal, or go on with it where its folder holds it already.

        Parameters
        ----------
        site
            Where it is held.
        settings
            What it is.
        times
            Where real time comes from, by default this machine.

        Returns
        -------
        Rehearsal
            The rehearsal, its clock set to the first step of the first night.

        Raises
        ------
        InputError
            If the folder holds another rehearsal.
        """
        settings.claim()
        rehearsal = cls(site, settings, times)
        first = planned_utc(OUTLINE[0], settings.nights[0])
        if not rehearsal.entries({Kind.CLOCK_SET}):
            rehearsal.clock.set(first, settings.speed, "the rehearsal begins")
        elif rehearsal.clock.speed != settings.speed:
            rehearsal.clock.set(None, settings.speed, "another speed was asked for")
        rehearsal.journal.append(Kind.STARTED, **settings.to_dict(), site=site.name)
        return rehearsal

    @classmethod
    def open(cls, site: Site, work: Path | str) -> Self:
        """Open a rehearsal that was begun.

        Parameters
        ----------
        site
            Where it is held.
        work
            Its folder.

        Returns
        -------
        Rehearsal
            The rehearsal.

        Raises
        ------
        NotFoundError
            If the folder holds none.
        """
        return cls(site, RehearsalSettings.read(Path(work)))

    @classmethod
    def find(cls, site: Site, work: Path | str = "") -> Self:
        """Open a rehearsal, by default the one that was worked at last.

        Parameters
        ----------
        site
            Where it is held.
        work
            Its folder; empty for the newest below the site's folder of rehearsals.

        Returns
        -------
        Rehearsal
            The rehearsal.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        return cls.open(site, work or default_rehearsal(site))

    @property
    def clock(self) -> Clock:
        """The clock that all parts take the time from."""
        return self.journal.clock

    @property
    def repository(self) -> Path:
        """The Butler repository of all nights."""
        return self.settings.repository

    @property
    def unattended(self) -> bool:
        """Whether stand-ins sign, or signed in an earlier part of this rehearsal: then each page says so."""
        return self.settings.unattended or any(
            entry.data.get("unattended") for entry in self.entries({Kind.STARTED})
        )

    @property
    def roster(self) -> Roster | None:
        """The people, by whom it is judged who may sign for a role; None where the site names no roster."""
        from lsst_commtools.rehearsal.people import Roster

        if self.settings.unattended:
            return Roster.of_stand_ins()
        told = self.site.rehearsal.roster
        return Roster.load(Path(told).expanduser()) if told else None

    def entries(self, kinds: Collection[Kind] | None = None, night: int | None = None) -> list[Entry]:
        """Read the journal: see `Journal.entries`."""
        return self.journal.entries(kinds, night)

    def night(self, number: int) -> RehearsalNight:
        """Give one night.

        Parameters
        ----------
        number
            From 1.

        Returns
        -------
        RehearsalNight
            Its verbs.

        Raises
        ------
        NotFoundError
            If the rehearsal has no such night.
        """
        from lsst_commtools.rehearsal.night import RehearsalNight

        if not 1 <= number <= len(self.settings.nights):
            raise NotFoundError(
                f"The rehearsal has no night {number}.", advice=f"It has 1 to {len(self.settings.nights)}."
            )
        return RehearsalNight(self, number)

    def check_clock(self) -> float:
        """Look whether the clock on the wall has jumped; if so, name it as a problem and go on from here.

        Returns
        -------
        float
            How far it has jumped, in seconds, forward positive; 0 if it has not.
        """
        reading = self.clock.reading()
        if abs(reading.jumped_s) <= self.site.rehearsal.clock_jump_s:
            return 0.0
        way = "forward" if reading.jumped_s > 0 else "back"
        self.note_problem(
            "clock-jumped",
            f"The system's clock jumped {way} by {abs(reading.jumped_s):.1f} s; the rehearsal's own went on evenly.",
            f"clock on the wall at {reading.real_utc:%Y-%m-%dT%H:%M:%S} UTC",
            role=Role.COORDINATOR,
        )
        self.clock.set(None, self.clock.speed, f"the clock on the wall jumped {way}")
        return reading.jumped_s

    def note_problem(
        self,
        kind: str,
        message: str,
        where: str,
        *,
        role: Role | str = "",
        night: int = 0,
        step: str = "",
        exception: str = "",
        place: str = "",
    ) -> str:
        """Record a problem that was noticed, once for each night and role.

        Parameters
        ----------
        kind
            Short stable name, such as ``missing-detector``.
        message
            One sentence.
        where
            Visit, file, detector or service that it concerns.
        role
            Who noticed it.
        night
            Number of the night; 0 for the rehearsal as a whole.
        step
            Step of the outline in which it was noticed.
        exception
            Class of the exception, where there was one.
        place
            Task or module in which it was raised.

        Returns
        -------
        str
            Its identifier.
        """
        problem = problem_id(kind, where, night)
        self.journal.append_once(
            Kind.PROBLEM,
            night,
            key="problem",
            role=str(role),
            problem=problem,
            kind=kind,
            message=message,
            where=where,
            step=step,
            exception=exception,
            place=place,
        )
        return problem
