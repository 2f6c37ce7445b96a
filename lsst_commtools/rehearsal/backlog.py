"""The backlog of problems: it outlives the night, and tells what is new, what is still open, and what came again."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.rehearsal.failures import FailureGroup, cause_of
from lsst_commtools.rehearsal.journal import Entry, Journal, Kind

__all__ = ["Backlog", "BacklogChange", "BacklogItem", "State", "change_problem", "from_entries"]

_IMAGE = re.compile(
    r"\b(visit|exposure|day_obs|night)(\s+|=)\d+\b|\b[A-Z]{2}_[A-Z]_\d{8}_\d{6}(?!\d)|\b20\d{6}(\d{5})?\b"
)


class State(enum.StrEnum):
    """What became of a problem."""

    OPEN = "open"
    ASSIGNED = "assigned"
    KNOWN = "known"
    SOLVED = "solved"
    LOST = "lost"

    @property
    def closed(self) -> bool:
        """Whether nobody has to do anything about it any more: it is solved, or what it cost is lost for good."""
        return self in (State.SOLVED, State.LOST)


@dataclass(frozen=True)
class BacklogItem:
    """A problem with all its occurrences.

    Parameters
    ----------
    cause
        Its identifier, the same in each night.
    kind
        Short stable name.
    message
        What was said last.
    where
        Visits, files or services that it concerned, in the order in which they were told.
    exception, place
        Where they are known.
    state
        What became of it.
    assignee
        Who cares for it; empty if nobody does.
    diagnosis
        What it comes from, as a person said; empty if nobody did.
    comment
        What was said last about its state.
    problems
        Identifiers of its occurrences in the journal.
    nights
        Nights in which it occurred; 0 is the rehearsal as a whole.
    noticed_by
        Roles that noticed it.
    first_utc, last_utc
        When it was noticed first and last, real time.
    reopened
        Nights in which it came again after it had been closed.
    """

    cause: str
    kind: str
    message: str
    where: tuple[str, ...]
    exception: str
    place: str
    state: State
    assignee: str
    diagnosis: str
    comment: str
    problems: tuple[str, ...]
    nights: tuple[int, ...]
    noticed_by: tuple[str, ...]
    first_utc: str
    last_utc: str
    reopened: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """Number of occurrences."""
        return len(self.problems)

    @property
    def summary(self) -> str:
        """It in one line."""
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        return f"{self.kind}: {self.where[0]}{more}" if self.where and self.where[0] else self.kind

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "cause": self.cause,
            "kind": self.kind,
            "state": str(self.state),
            "assignee": self.assignee,
            "count": self.count,
            "nights": list(self.nights),
            "message": self.message,
            "where": list(self.where),
            "exception": self.exception,
            "place": self.place,
            "diagnosis": self.diagnosis,
            "comment": self.comment,
            "noticed_by": list(self.noticed_by),
            "first_utc": self.first_utc,
            "last_utc": self.last_utc,
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class BacklogChange:
    """What a night did to the backlog.

    Parameters
    ----------
    night
        Number of the night.
    before
        What was open before it.
    new
        What occurred for the first time, whatever became of it in the night.
    recurring
        What had been closed and occurred again.
    still_open
        What was open before and is open after it, without having been closed.
    solved
        What was open before or came up in it, and is closed after it.
    """

    night: int
    before: tuple[BacklogItem, ...]
    new: tuple[BacklogItem, ...]
    recurring: tuple[BacklogItem, ...]
    still_open: tuple[BacklogItem, ...]
    solved: tuple[BacklogItem, ...]


@dataclass(frozen=True)
class Backlog:
    """Problems of a rehearsal.

    Parameters
    ----------
    items
        All of them, what is open first.
    """

    items: tuple[BacklogItem, ...]
    _entries: tuple[Entry, ...] = field(default=(), repr=False, compare=False)

    @property
    def open(self) -> tuple[BacklogItem, ...]:
        """What is not closed; what is known and borne with is among it."""
        return tuple(item for item in self.items if not item.state.closed)

    def care(self, groups: Iterable[FailureGroup]) -> list[dict[str, Any]]:
        """Tell of groups of failures who cares for them, and how they stand.

        Parameters
        ----------
        groups
            Failures by cause.

        Returns
        -------
        list of dict
            Each group as plain values, with ``state`` and ``assignee``; the state is empty where nobody has noticed it
            as a problem yet.
        """
        known = {item.cause: item for item in self.items}
        rows = []
        for group in groups:
            item = known.get(group.cause)
            care = (
                {"state": str(item.state), "assignee": item.assignee}
                if item
                else {"state": "", "assignee": ""}
            )
            rows.append({**group.to_dict(), **care})
        return rows

    def find(self, text: str) -> BacklogItem:
        """Find an item.

        Parameters
        ----------
        text
            Begin of its identifier or of that of one of its occurrences, or its kind where no other has it.

        Returns
        -------
        BacklogItem
            The item.

        Raises
        ------
        NotFoundError
            If there is none such, or several.
        """
        found = [
            item
            for item in self.items
            if text and (any(i.startswith(text) for i in (item.cause, *item.problems)) or item.kind == text)
        ]
        if len(found) != 1:
            what = f"{len(found)} problems match" if found else "There is no problem"
            raise NotFoundError(f"{what} {text!r:.60}.", advice="See 'commtools rehearse backlog'.")
        return found[0]

    def at(self, night: int) -> Backlog:
        """Give the backlog as it was at the end of a night.

        Parameters
        ----------
        night
            Number of the night; 0 is before the first one.

        Returns
        -------
        Backlog
            Built of what was recorded by then.
        """
        return from_entries(e for e, told in _with_nights(self._entries) if told <= night)

    def compare(self, night: int) -> BacklogChange:
        """Compare the backlog after a night with the one before it.

        Parameters
        ----------
        night
            Number of the night.

        Returns
        -------
        BacklogChange
            What was open before, and all that came up in the night, is in ``still_open``, or in ``new`` or
            ``recurring``, or in ``solved``; what came up and was solved in one night is in two of them.
        """
        before = {item.cause: item for item in self.at(night - 1).open}
        known = {item.cause for item in self.at(night - 1).items}
        after = self.at(night).items
        new = tuple(item for item in after if item.cause not in known)
        recurring = tuple(item for item in after if item.cause in known and night in item.reopened)
        came = {item.cause for item in (*new, *recurring)}
        return BacklogChange(
            night,
            tuple(before.values()),
            new,
            recurring,
            tuple(i for i in after if i.cause in before and i.cause not in came and not i.state.closed),
            tuple(i for i in after if i.state.closed and (i.cause in before or i.cause in came)),
        )


def from_entries(entries: Iterable[Entry]) -> Backlog:
    """Build the backlog from the journal.

    Parameters
    ----------
    entries
        Of the journal, in its order; those of other kinds are passed over.

    Returns
    -------
    Backlog
        One item for each cause: the same exception in the same place, or else the same kind of problem at the same
        place of the camera or of the system. An item that is closed and occurs again is open again.
    """
    kept = tuple(entries)
    items: dict[str, BacklogItem] = {}
    homes: dict[str, str] = {}
    for entry, night in _with_nights(kept):
        if entry.kind is Kind.PROBLEM:
            item = _noticed(items, entry, night)
            homes[str(entry.data.get("problem", ""))] = item.cause
            items[item.cause] = item
        elif entry.kind is Kind.PROBLEM_CHANGED:
            told = str(entry.data.get("problem", ""))
            cause = homes.get(told, told)
            if cause in items:
                items[cause] = _changed(items[cause], entry, night)
    ordered = sorted(items.values(), key=lambda item: (item.state.closed, -item.count, item.kind, item.cause))
    return Backlog(tuple(ordered), kept)


def change_problem(
    journal: Journal,
    problem: str,
    *,
    state: State | str,
    assignee: str = "",
    comment: str = "",
    diagnosis: str = "",
    who: str = "",
    role: str = "",
    night: int = 0,
) -> Entry:
    """Record what becomes of a problem.

    Parameters
    ----------
    journal
        Of the rehearsal.
    problem
        As for `Backlog.find`.
    state
        What becomes of it.
    assignee
        Who cares for it; an assigned problem has one.
    comment, diagnosis
        What there is to say, and what it comes from.
    who, role
        Who says so.
    night
        Number of the night.

    Returns
    -------
    Entry
        As it was recorded.

    Raises
    ------
    NotFoundError
        If there is no such problem.
    InputError
        If the state is none, or an assigned problem has no assignee.
    """
    item = from_entries(journal.entries({Kind.PROBLEM, Kind.PROBLEM_CHANGED})).find(problem)
    try:
        wanted = State(state)
    except ValueError:
        known = ", ".join(State)
        raise InputError(f"A problem is never {str(state)!r:.40}.", advice=f"Say {known}.") from None
    assignee = " ".join(assignee.split())
    if wanted is State.ASSIGNED and not (assignee or item.assignee):
        raise InputError("An assigned problem needs an assignee.", changed="Nothing was recorded.")
    return journal.append(
        Kind.PROBLEM_CHANGED,
        night,
        who=who,
        role=role,
        problem=item.problems[-1],
        state=str(wanted),
        assignee=assignee,
        comment=comment.strip(),
        cause=diagnosis.strip(),
    )


def _noticed(items: dict[str, BacklogItem], entry: Entry, night: int) -> BacklogItem:
    told = {
        name: str(entry.data.get(name) or "")
        for name in ("problem", "kind", "where", "message", "exception", "place")
    }
    cause = _cause(told)
    old = items.get(cause)
    if old is None:
        return BacklogItem(
            cause=cause,
            kind=told["kind"],
            message=told["message"],
            where=(told["where"],),
            exception=told["exception"],
            place=told["place"],
            state=State.OPEN,
            assignee="",
            diagnosis="",
            comment="",
            problems=(told["problem"],),
            nights=(night,),
            noticed_by=_with((), entry.role),
            first_utc=entry.at_utc,
            last_utc=entry.at_utc,
        )
    # One occurrence that several roles notice is told once by each of them.
    again = old.state.closed and told["problem"] not in old.problems
    return replace(
        old,
        message=told["message"],
        where=_with(old.where, told["where"]),
        state=State.OPEN if again else old.state,
        problems=_with(old.problems, told["problem"]),
        nights=tuple(sorted({*old.nights, night})),
        noticed_by=_with(old.noticed_by, entry.role),
        last_utc=entry.at_utc,
        reopened=(*old.reopened, night) if again else old.reopened,
    )


def _cause(told: dict[str, str]) -> str:
    """Name the cause: the exception in its place, or else the kind at its place, whatever the visit was."""
    if told["exception"] and told["place"]:
        return cause_of(told["exception"], told["place"])
    return cause_of(told["kind"], f"{told['place']} at {_place_of(told['where'])}")


def _place_of(where: str) -> str:
    """Take the visit and the night out of a place, so that a detector or a service stays."""
    return " ".join(_IMAGE.sub("", where).split()).strip(" ,:")


def _changed(item: BacklogItem, entry: Entry, night: int) -> BacklogItem:
    try:
        state = State(str(entry.data.get("state", "")))
    except ValueError:
        return item
    return replace(
        item,
        state=state,
        assignee=str(entry.data.get("assignee") or item.assignee),
        diagnosis=str(entry.data.get("cause") or item.diagnosis),
        comment=str(entry.data.get("comment") or item.comment),
        reopened=(*item.reopened, night) if item.state.closed and not state.closed else item.reopened,
    )


def _with(values: tuple[str, ...], value: str) -> tuple[str, ...]:
    return values if not value or value in values else (*values, value)


def _with_nights(entries: Iterable[Entry]) -> list[tuple[Entry, int]]:
    """Give each entry its night: what was recorded for the rehearsal as a whole belongs to the latest night by then."""
    latest = 0
    told = []
    for entry in entries:
        latest = max(latest, entry.night)
        told.append((entry, entry.night or latest))
    return told
