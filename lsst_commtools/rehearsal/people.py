"""Who takes part in a rehearsal: teams, the coordinator who is none of them, shifts and their hand-over."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lsst_commtools.errors import InputError, RefusedError
from lsst_commtools.rehearsal.journal import Entry, Journal, Kind
from lsst_commtools.rehearsal.outline import Role

__all__ = [
    "MAX_TEAM",
    "MIN_TEAM",
    "Roster",
    "Shift",
    "begin_shift",
    "current_shift",
    "hand_over",
    "open_problem_ids",
]

MIN_TEAM, MAX_TEAM = 3, 4
"""People a team, as the founding document suggests."""

_ROLES_OF_TEAMS: Mapping[str, tuple[Role, ...]] = {
    "Commissioning": (Role.COMMISSIONING, Role.OBSOPS),
    "ObsOps": (Role.OBSOPS,),
    "SciOps": (Role.SCIOPS,),
    "LDF": (Role.LDF,),
}
_NEEDED = ("Commissioning", "SciOps", "LDF")
_OPEN = ("open", "assigned")


def _check_name(value: str) -> str:
    name = " ".join(unicodedata.normalize("NFC", value).split())
    if not name or not name.isprintable():
        raise ValueError("a person needs a name")
    return name


PersonName = Annotated[str, AfterValidator(_check_name)]
"""Name of a person, without spaces around it."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Shift(_Table):
    """People who are on duty together.

    Parameters
    ----------
    name
        For instance ``evening``.
    people
        Names; each stands in a team.
    """

    name: str = Field(min_length=1)
    people: tuple[PersonName, ...] = Field(min_length=1)


class Roster(_Table):
    """The people of a rehearsal.

    Parameters
    ----------
    coordinator
        Who prepares the faults and watches; an operator of no team.
    teams
        Commissioning, SciOps and LDF, each with 3 or 4 people; ObsOps where that is a team of its own, else
        Commissioning does its work.
    shifts
        Groups that relieve each other, in their order; none where all are there all the time.
    stand_ins
        Whether these are no people, but sign for the test of a rehearsal.
    """

    coordinator: PersonName
    teams: dict[str, tuple[PersonName, ...]]
    shifts: tuple[Shift, ...] = ()
    stand_ins: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        for team in _NEEDED:
            if team not in self.teams:
                raise ValueError(f"the team {team} is missing")
        for team, people in self.teams.items():
            if team not in _ROLES_OF_TEAMS:
                raise ValueError(f"{team!r} is not a team: known are {', '.join(_ROLES_OF_TEAMS)}")
            if not MIN_TEAM <= len(people) <= MAX_TEAM:
                raise ValueError(f"the team {team} has {len(people)} people, not {MIN_TEAM} or {MAX_TEAM}")
        names = [_same(name) for people in self.teams.values() for name in people]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"{', '.join(sorted(twice))} stands in the teams twice")
        if _same(self.coordinator) in names:
            raise ValueError(f"the coordinator {self.coordinator} is an operator too")
        self._check_shifts(set(names))
        return self

    def _check_shifts(self, names: set[str]) -> None:
        if len({shift.name for shift in self.shifts}) < len(self.shifts):
            raise ValueError("two shifts have the same name")
        for shift in self.shifts:
            strangers = [name for name in shift.people if _same(name) not in names]
            if strangers:
                raise ValueError(f"{', '.join(strangers)} of the shift {shift.name} stands in no team")
            here = {_same(name) for name in shift.people}
            for team, people in self.teams.items():
                if not here & {_same(name) for name in people}:
                    raise ValueError(f"the shift {shift.name} has nobody of the team {team}")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a roster.

        Parameters
        ----------
        path
            YAML with the keys ``coordinator``, ``teams`` and ``shifts``.

        Returns
        -------
        Roster
            The people.

        Raises
        ------
        InputError
            If it cannot be read, or breaks a rule of the roster.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            why = f"{where}: {first['msg'].removeprefix('Value error, ')}"
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            why = getattr(error, "strerror", None) or "it is not YAML"
        raise InputError(
            f"The roster {path} cannot be used: {why}.", advice="See docs/guides/prepare_injects.md."
        )

    @classmethod
    def of_stand_ins(cls) -> Self:
        """Give the stand-ins who sign where a rehearsal is tested without people.

        Returns
        -------
        Roster
            Three a team, named ``stand-in ROLE``, with a number from the second on.
        """
        teams = {
            team: (f"stand-in {team}", *(f"stand-in {team} {n}" for n in range(2, MIN_TEAM + 1)))
            for team in _ROLES_OF_TEAMS
        }
        return cls(coordinator=f"stand-in {Role.COORDINATOR}", teams=teams, stand_ins=True)

    def people_of(self, role: str) -> tuple[str, ...]:
        """Give the people who have a role.

        Parameters
        ----------
        role
            One of `Role`.

        Returns
        -------
        tuple of str
            Names; empty for a role that nobody has.
        """
        if role.casefold() == Role.COORDINATOR.casefold():
            return (self.coordinator,)
        return tuple(
            name
            for team, people in self.teams.items()
            for name in people
            if role.casefold() in [r.casefold() for r in self._roles_of(team)]
        )

    def roles_of(self, name: str) -> tuple[Role, ...]:
        """Give the roles of a person.

        Parameters
        ----------
        name
            The person; case and spaces do not count.

        Returns
        -------
        tuple of Role
            Empty for a stranger.
        """
        return tuple(r for r in Role if _same(name) in map(_same, self.people_of(r)))

    def check_signature(self, role: str, name: str) -> None:
        """Check that a person may sign for a role.

        Parameters
        ----------
        role, name
            As they stand in the signature.

        Raises
        ------
        RefusedError
            If the roster gives this person another role, or does not know the person.
        """
        has = self.roles_of(name)
        if role.casefold() in [r.casefold() for r in has]:
            return
        what = f"is {' and '.join(has)}" if has else "stands not in the roster"
        raise RefusedError(
            f"{name} may not sign for {role}: {name} {what}.",
            changed="The signature does not count.",
            advice=f"For {role} sign: {', '.join(self.people_of(role)) or 'nobody, the roster has no such role'}.",
        )

    def shift(self, name: str) -> Shift:
        """Find a shift.

        Parameters
        ----------
        name
            Its name.

        Returns
        -------
        Shift
            The shift.

        Raises
        ------
        InputError
            If there is none of this name.
        """
        for shift in self.shifts:
            if shift.name == name:
                return shift
        known = ", ".join(s.name for s in self.shifts) or "none, all are there all the time"
        raise InputError(f"The roster has no shift {name!r}.", advice=f"It has {known}.")

    def _roles_of(self, team: str) -> tuple[Role, ...]:
        if team == "Commissioning" and "ObsOps" in self.teams:
            return (Role.COMMISSIONING,)
        return _ROLES_OF_TEAMS[team]


def _same(name: str) -> str:
    """Write a name so that two spellings of it are equal."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def open_problem_ids(entries: Iterable[Entry]) -> tuple[str, ...]:
    """List the problems that nobody has solved, lost or taken as known.

    Parameters
    ----------
    entries
        Entries of the journal.

    Returns
    -------
    tuple of str
        Identifiers in the order in which the problems were noticed.
    """
    states: dict[str, str] = {}
    for entry in entries:
        if entry.kind is Kind.PROBLEM:
            states.setdefault(str(entry.data["problem"]), "open")
        elif entry.kind is Kind.PROBLEM_CHANGED:
            states[str(entry.data["problem"])] = str(entry.data.get("state", "open"))
    return tuple(problem for problem, state in states.items() if state in _OPEN)


def current_shift(entries: Iterable[Entry]) -> str:
    """Tell which shift is on duty.

    Parameters
    ----------
    entries
        Entries of the journal.

    Returns
    -------
    str
        Name of the shift; empty where none began.
    """
    on_duty = ""
    for entry in entries:
        if entry.kind is Kind.SHIFT_BEGUN:
            on_duty = str(entry.data["shift"])
    return on_duty


def begin_shift(journal: Journal, roster: Roster, shift: str, night: int, *, who: str = "") -> Entry:
    """Record that a shift begins; the first of a rehearsal takes over from nobody.

    Parameters
    ----------
    journal
        The rehearsal's journal.
    roster
        The people.
    shift
        Name of the shift.
    night
        Number of the night.
    who
        Who records it.

    Returns
    -------
    Entry
        What was recorded.

    Raises
    ------
    RefusedError
        If another shift is on duty: that one hands over.
    """
    people = roster.shift(shift).people
    on_duty = current_shift(journal.entries([Kind.SHIFT_BEGUN]))
    if on_duty:
        raise RefusedError(
            f"The shift {on_duty} is on duty.", changed="Nothing was recorded.", advice="It hands over."
        )
    return journal.append(Kind.SHIFT_BEGUN, night, who=who, shift=shift, people=people)


def hand_over(
    journal: Journal,
    roster: Roster,
    to_shift: str,
    night: int,
    *,
    given_by: str,
    accepted_by: str,
    problems: Sequence[str],
    comment: str = "",
) -> Entry:
    """Record that a shift hands over to the next one, with the open problems that it tells of.

    Parameters
    ----------
    journal
        The rehearsal's journal.
    roster
        The people.
    to_shift
        Shift that takes over.
    night
        Number of the night.
    given_by, accepted_by
        A person of each shift.
    problems
        Identifiers of the open problems as they were shown to who accepts.
    comment
        What else there is to say.

    Returns
    -------
    Entry
        What was recorded.

    Raises
    ------
    RefusedError
        If the two people are not of their shifts or are one person, or if other problems are open than were shown.
    """
    entries = journal.entries([Kind.SHIFT_BEGUN, Kind.PROBLEM, Kind.PROBLEM_CHANGED])
    from_shift = current_shift(entries)
    if not from_shift:
        raise RefusedError("No shift is on duty that could hand over.", changed="Nothing was recorded.")
    if from_shift == to_shift:
        raise RefusedError(f"The shift {to_shift} is on duty already.", changed="Nothing was recorded.")
    for name, shift in ((given_by, from_shift), (accepted_by, to_shift)):
        if _same(name) not in map(_same, roster.shift(shift).people):
            raise RefusedError(
                f"{name} is not of the shift {shift}.", changed="Nothing was recorded, nobody was relieved."
            )
    if _same(given_by) == _same(accepted_by):
        raise RefusedError(
            f"{given_by} cannot hand over to {accepted_by}.",
            changed="Nothing was recorded, nobody was relieved.",
        )
    open_now = open_problem_ids(entries)
    if set(problems) != set(open_now):
        new, gone = set(open_now) - set(problems), set(problems) - set(open_now)
        raise RefusedError(
            f"The open problems are not those that were shown: {len(new)} more, {len(gone)} fewer.",
            changed="Nothing was recorded, nobody was relieved.",
            advice="Look at the list again and accept that.",
        )
    handed: dict[str, Any] = {
        "from_shift": from_shift,
        "to_shift": to_shift,
        "given_by": given_by,
        "accepted_by": accepted_by,
        "problems": list(open_now),
        "comment": comment,
    }
    entry = journal.append(Kind.HANDED_OVER, night, who=accepted_by, **handed)
    journal.append(
        Kind.SHIFT_BEGUN, night, who=accepted_by, shift=to_shift, people=roster.shift(to_shift).people
    )
    return entry
