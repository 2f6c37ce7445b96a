"""A go / no-go poll: who was asked, what each answered, and who did not answer. Silence is not a go."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lsst_commtools.errors import InputError, NotFoundError, RefusedError, StepError
from lsst_commtools.procedure.values import slug
from lsst_commtools.rehearsal.journal import Entry, Journal, Kind
from lsst_commtools.rehearsal.outline import ALL
from lsst_commtools.rehearsal.people import Roster

__all__ = [
    "Answer",
    "Poll",
    "PollVerdict",
    "answer_poll",
    "check_go",
    "close_poll",
    "find_poll",
    "open_poll",
    "polls",
    "wait_for_poll",
]

_KINDS = (Kind.POLL_OPENED, Kind.POLL_ANSWERED, Kind.POLL_CLOSED)
_LOOK_S = 0.2


class PollVerdict(enum.StrEnum):
    """What a poll says."""

    GO = "go"
    NO_GO = "no-go"
    SILENT = "silent"


@dataclass(frozen=True)
class Answer:
    """What one role answered.

    Parameters
    ----------
    role, name
        As whom, and who.
    go
        Whether it is a go.
    comment
        Why.
    at_utc, at_rehearsal_utc
        When, by both clocks.
    """

    role: str
    name: str
    go: bool
    comment: str
    at_utc: str
    at_rehearsal_utc: str


@dataclass(frozen=True)
class Poll:
    """One poll, as the journal has it.

    Parameters
    ----------
    id
        Identifier: the night and the question.
    question
        What was asked.
    night
        Number of the night.
    asked
        Roles that were asked.
    opened_utc
        When, by the clock on the wall.
    answers
        The last answer of each role.
    closed
        Whether it takes no more answers.
    """

    id: str
    question: str
    night: int
    asked: tuple[str, ...]
    opened_utc: str
    answers: dict[str, Answer] = field(default_factory=dict)
    closed: bool = False

    @property
    def silent(self) -> tuple[str, ...]:
        """Roles that were asked and did not answer."""
        return tuple(role for role in self.asked if role not in self.answers)

    @property
    def refused(self) -> tuple[Answer, ...]:
        """Answers that are no go."""
        return tuple(answer for answer in self.answers.values() if not answer.go)

    @property
    def verdict(self) -> PollVerdict:
        """A no-go stops whatever the others say; silence is not a go."""
        if self.refused:
            return PollVerdict.NO_GO
        return PollVerdict.SILENT if self.silent else PollVerdict.GO

    def to_dict(self) -> dict[str, Any]:
        """Give the poll as plain values.

        Returns
        -------
        dict
            With the keys ``verdict`` and ``silent`` besides its parts.
        """
        return {
            "poll": self.id,
            "question": self.question,
            "night": self.night,
            "asked": list(self.asked),
            "opened_utc": self.opened_utc,
            "answers": [vars(answer) for answer in self.answers.values()],
            "silent": list(self.silent),
            "verdict": str(self.verdict),
            "closed": self.closed,
        }


def polls(entries: Iterable[Entry]) -> list[Poll]:
    """Collect the polls of a rehearsal.

    Parameters
    ----------
    entries
        Entries of the journal.

    Returns
    -------
    list of Poll
        In the order in which they were opened; answers after the close do not count.
    """
    found: dict[str, Poll] = {}
    for entry in entries:
        if entry.kind not in _KINDS:
            continue
        data = entry.data
        poll = found.get(str(data["poll"]))
        if entry.kind is Kind.POLL_OPENED and poll is None:
            asked = tuple(map(str, data["asked"]))
            found[data["poll"]] = Poll(data["poll"], data["question"], entry.night, asked, entry.at_utc)
        elif poll is not None and not poll.closed and entry.kind is Kind.POLL_ANSWERED:
            answer = Answer(
                entry.role, entry.who, bool(data["go"]), data["comment"], entry.at_utc, entry.at_rehearsal_utc
            )
            found[poll.id] = replace(poll, answers=poll.answers | {answer.role: answer})
        elif poll is not None and entry.kind is Kind.POLL_CLOSED:
            found[poll.id] = replace(poll, closed=True)
    return list(found.values())


def find_poll(journal: Journal, poll: str) -> Poll:
    """Find a poll.

    Parameters
    ----------
    journal
        The rehearsal's journal.
    poll
        Identifier.

    Returns
    -------
    Poll
        As it stands.

    Raises
    ------
    NotFoundError
        If it was never opened.
    """
    known = {p.id: p for p in polls(journal.entries(_KINDS))}
    if poll not in known:
        raise NotFoundError(
            f"There is no poll {poll!r}.", advice=f"There are: {', '.join(known) or 'none so far'}."
        )
    return known[poll]


def open_poll(
    journal: Journal,
    question: str,
    night: int,
    *,
    asked: Sequence[str] = tuple(map(str, ALL)),
    who: str = "",
) -> Poll:
    """Ask all teams for a go; asked again it is the same poll, and a new round of it after a close without a go.

    Parameters
    ----------
    journal
        The rehearsal's journal.
    question
        What is asked, such as ``Ready for the night?``.
    night
        Number of the night.
    asked
        Roles that are asked.
    who
        Who asks.

    Returns
    -------
    Poll
        With the answers that are there already.
    """
    if not asked or not question.strip():
        raise InputError("A poll needs a question and somebody who is asked.")
    poll = first = f"night-{night}-{slug(question)}"
    known = {p.id: p for p in polls(journal.entries(_KINDS))}
    rounds = 1
    while poll in known and known[poll].closed and known[poll].verdict is not PollVerdict.GO:
        rounds += 1
        poll = f"{first}-{rounds}"
    journal.append_once(
        Kind.POLL_OPENED, night, key="poll", who=who, poll=poll, question=question, asked=list(asked)
    )
    return find_poll(journal, poll)


def answer_poll(
    journal: Journal,
    poll: str,
    *,
    role: str,
    name: str,
    go: bool,
    comment: str = "",
    roster: Roster | None = None,
) -> Poll:
    """Answer for a role; until the poll is closed an answer may be changed, and both stay in the journal.

    Parameters
    ----------
    journal
        The rehearsal's journal.
    poll
        Identifier.
    role, name
        As whom, and who.
    go
        Whether it is a go.
    comment
        Why; a no-go should say it.
    roster
        The people; where it is given, the person must have the role.

    Returns
    -------
    Poll
        With the answer.

    Raises
    ------
    RefusedError
        If the role was not asked, the poll is closed, or the person has not this role.
    """
    name = " ".join(name.split())
    if not name:
        raise InputError("An answer needs a name.")
    current = find_poll(journal, poll)
    asked = next((r for r in current.asked if r.casefold() == role.casefold()), None)
    if asked is None:
        raise RefusedError(f"{role} was not asked.", advice=f"Asked were {', '.join(current.asked)}.")
    if current.closed:
        raise RefusedError(f"The poll {current.question!r} is closed.", changed="The answer does not count.")
    if roster is not None:
        roster.check_signature(asked, name)
    journal.append(
        Kind.POLL_ANSWERED, current.night, role=asked, who=name, poll=poll, go=go, comment=comment.strip()
    )
    return find_poll(journal, poll)


def close_poll(journal: Journal, poll: str, *, who: str = "") -> Poll:
    """End a poll, with who was silent; a closed one stays as it is.

    Parameters
    ----------
    journal
        The rehearsal's journal.
    poll
        Identifier.
    who
        Who closes it.

    Returns
    -------
    Poll
        With its verdict.
    """
    current = find_poll(journal, poll)
    if not current.closed:
        journal.append_once(
            Kind.POLL_CLOSED,
            current.night,
            key="poll",
            who=who,
            poll=poll,
            verdict=str(current.verdict),
            silent=list(current.silent),
        )
    return find_poll(journal, poll)


def wait_for_poll(
    journal: Journal,
    poll: str,
    timeout_s: float,
    *,
    who: str = "",
    stop: threading.Event | None = None,
) -> Poll:
    """Wait until all have answered or one said no-go, then close the poll.

    Parameters
    ----------
    journal
        The rehearsal's journal.
    poll
        Identifier.
    timeout_s
        How long, in seconds on the wall.
    who
        Who closes it.
    stop
        Ends the wait; the poll stays open then.

    Returns
    -------
    Poll
        The poll, which is a go.

    Raises
    ------
    StepError
        If one said no-go, or if one asked role did not answer in time.
    """
    deadline_s = time.monotonic() + timeout_s
    stop = stop or threading.Event()
    while True:
        current = find_poll(journal, poll)
        if current.closed or not current.silent or current.refused or time.monotonic() >= deadline_s:
            break
        if stop.wait(min(_LOOK_S, max(0.0, deadline_s - time.monotonic()))):
            raise StepError(f"The poll {current.question!r} was interrupted.", changed="It stays open.")
    return check_go(close_poll(journal, poll, who=who))


def check_go(poll: Poll) -> Poll:
    """Stop unless a poll is a go.

    Parameters
    ----------
    poll
        The poll.

    Returns
    -------
    Poll
        The same.

    Raises
    ------
    StepError
        With who said no-go, or who was silent.
    """
    match poll.verdict:
        case PollVerdict.NO_GO:
            said = "; ".join(
                f"{a.name} ({a.role}){f': {a.comment}' if a.comment else ''}" for a in poll.refused
            )
            raise StepError(f"{poll.question!r} is a no-go, said {said}.", advice="Solve it and ask again.")
        case PollVerdict.SILENT:
            raise StepError(
                f"{poll.question!r} is not a go: no answer from {', '.join(poll.silent)}.",
                advice="Ask again when they are there.",
            )
        case PollVerdict.GO:
            return poll
