"""The score of a rehearsal: which faults were noticed, by whom, and how long it took. Pure functions of entries."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lsst_commtools.errors import RefusedError
from lsst_commtools.rehearsal.journal import Entry, Kind

__all__ = ["InjectScore", "Noticing", "Score", "UnexplainedProblem", "score"]


class Noticing(enum.StrEnum):
    """What became of a fault."""

    NOTICED = "noticed"
    LATE = "late"
    MISSED = "missed"
    UNKNOWN = "unknown"
    NOT_FIRED = "not-fired"


@dataclass(frozen=True)
class InjectScore:
    """What became of one fault.

    Parameters
    ----------
    inject, fault
        Its identifier and kind.
    night
        Number of the night.
    told
        What was done, in one sentence.
    noticing
        Whether it was noticed. Missed only if the time for it was over while the rehearsal went on, else unknown.
    named
        Whether the problem's kind names the fault; None where nothing was noticed.
    by_role, by_who
        Who noticed it first; empty where nobody did.
    by_expected_role
        Whether the role that should notice it did, as the first or later; None where anybody may, or nobody did.
    after_s, after_real_s
        How long it took, in seconds of the rehearsal (from the hour of the step before which it came) and on the wall;
        None where nobody noticed it.
    within_s
        How long it may take, in seconds of the rehearsal.
    problem
        Identifier of the problem that noticed it.
    fired_utc, fired_rehearsal_utc
        When it was fired, by both clocks; empty where it was not.
    reason
        Why it was not fired, or not undone.
    """

    inject: str
    fault: str
    night: int
    told: str
    noticing: Noticing
    named: bool | None = None
    by_role: str = ""
    by_who: str = ""
    by_expected_role: bool | None = None
    after_s: float | None = None
    after_real_s: float | None = None
    within_s: float | None = None
    problem: str = ""
    fired_utc: str = ""
    fired_rehearsal_utc: str = ""
    reason: str = ""


@dataclass(frozen=True)
class UnexplainedProblem:
    """A problem that no inject explains.

    Parameters
    ----------
    problem, kind, where, message, night
        As it was noticed.
    confirmed
        Whether people found a cause: then it was a fault that nobody had prepared, else it counts as a false alarm.
    """

    problem: str
    kind: str
    where: str
    message: str
    night: int
    confirmed: bool


@dataclass(frozen=True)
class Score:
    """The score of a rehearsal.

    Parameters
    ----------
    injects
        One for each fault that was sealed.
    unexplained
        Problems that no fault explains.
    intact
        Whether the injects were what had been sealed.
    """

    injects: tuple[InjectScore, ...]
    unexplained: tuple[UnexplainedProblem, ...]
    intact: bool

    @property
    def false_alarms(self) -> tuple[UnexplainedProblem, ...]:
        """Problems without a fault, of which nobody found a cause."""
        return tuple(problem for problem in self.unexplained if not problem.confirmed)

    def count(self, noticing: Noticing) -> int:
        """Count the faults with one outcome.

        Parameters
        ----------
        noticing
            The outcome.

        Returns
        -------
        int
            How many.
        """
        return sum(inject.noticing is noticing for inject in self.injects)

    @property
    def good(self) -> bool:
        """Whether every fault was fired, noticed in time and named, and the seal held."""
        return self.intact and all(i.noticing is Noticing.NOTICED and i.named for i in self.injects)

    def to_dict(self) -> dict[str, Any]:
        """Give the score as plain values.

        Returns
        -------
        dict
            Keys ``counts``, ``injects``, ``false_alarms``, ``other_faults``, ``intact``.
        """
        return {
            "intact": self.intact,
            "counts": {str(n): self.count(n) for n in Noticing},
            "injects": [{**asdict(i), "noticing": str(i.noticing)} for i in self.injects],
            "false_alarms": [asdict(p) for p in self.false_alarms],
            "other_faults": [asdict(p) for p in self.unexplained if p.confirmed],
        }


def score(entries: Sequence[Entry]) -> Score:
    """Compare what was noticed with what had been prepared.

    Parameters
    ----------
    entries
        The whole journal.

    Returns
    -------
    Score
        Without injects, all problems stand unexplained.

    Raises
    ------
    RefusedError
        If injects are still sealed.
    """
    if any(e.kind is Kind.INJECTS_SEALED for e in entries) and not any(
        e.kind is Kind.INJECTS_REVEALED for e in entries
    ):
        raise RefusedError(
            "The injects are sealed until the rehearsal ends.",
            advice="The coordinator may end that with 'commtools rehearse score --reveal'.",
        )
    problems = [e for e in entries if e.kind is Kind.PROBLEM]
    fired = [e.data for e in entries if e.kind is Kind.INJECT_FIRED]
    fired.sort(key=lambda told: told["after_entry"])
    naming: dict[str, list[Entry]] = {}
    explained: set[int] = set()
    for told in fired:
        found = [e for e in _later(told, problems, explained) if e.data["kind"] in told["problems"]]
        naming[told["inject"]] = found
        explained |= {e.number for e in found}
    # Only what names no other fault may follow from one.
    scores = [_judge(told, naming[told["inject"]], problems, entries, explained) for told in fired]
    revealed = next((e for e in entries if e.kind is Kind.INJECTS_REVEALED), None)
    if revealed is not None:
        scores += _not_fired(revealed.data)
    confirmed = {
        str(e.data["problem"]) for e in entries if e.kind is Kind.PROBLEM_CHANGED and e.data.get("cause")
    }
    known = {str(e.data["problem"]) for e in problems if e.number in explained}
    # Several roles may tell of one problem.
    left = {str(e.data["problem"]): e for e in reversed(problems) if str(e.data["problem"]) not in known}
    unexplained = tuple(
        UnexplainedProblem(
            name,
            str(e.data["kind"]),
            str(e.data.get("where", "")),
            str(e.data.get("message", "")),
            e.night,
            name in confirmed,
        )
        for name, e in sorted(left.items(), key=lambda item: item[1].number)
    )
    return Score(tuple(scores), unexplained, revealed is None or bool(revealed.data["intact"]))


def _later(told: dict[str, Any], problems: Sequence[Entry], explained: set[int]) -> list[Entry]:
    """List the problems that came after a fault, at its place, and that nothing else explains."""
    return [
        e for e in problems if e.number > told["after_entry"] and e.number not in explained and _fits(told, e)
    ]


def _judge(
    told: dict[str, Any],
    naming: Sequence[Entry],
    problems: Sequence[Entry],
    entries: Sequence[Entry],
    explained: set[int],
) -> InjectScore:
    following = [e for e in _later(told, problems, explained) if e.data["kind"] in told["follows"]]
    explained |= {e.number for e in following}
    # Without a place by which it is known, a problem of another kind may be anything.
    pointing = following if told["marks"] else []
    first = naming[0] if naming else min(pointing, key=lambda e: e.number, default=None)
    begins = _moment(told["begins_rehearsal_utc"])
    within_s, wanted = told["within_s"], told["expected_role"]
    common: dict[str, Any] = {
        "inject": told["inject"],
        "fault": told["fault"],
        "night": _night(told, entries),
        "told": told["told"],
        "within_s": within_s,
        "fired_utc": told["fired_utc"],
        "fired_rehearsal_utc": told["fired_rehearsal_utc"],
        "reason": told["not_undone"],
    }
    if first is None:
        lasted_s = (_last_moment(entries) - begins).total_seconds()
        over = within_s is not None and lasted_s >= within_s
        return InjectScore(noticing=Noticing.MISSED if over else Noticing.UNKNOWN, **common)
    after_s = max(0.0, (_moment(first.at_rehearsal_utc) - begins).total_seconds())
    return InjectScore(
        noticing=Noticing.LATE if within_s is not None and after_s > within_s else Noticing.NOTICED,
        named=bool(naming),
        by_role=first.role,
        by_who=first.who,
        by_expected_role=wanted in {e.role for e in naming or [first]} if wanted else None,
        after_s=after_s,
        after_real_s=(_moment(first.at_utc) - _moment(told["fired_utc"])).total_seconds(),
        problem=str(first.data["problem"]),
        **common,
    )


def _fits(told: dict[str, Any], entry: Entry) -> bool:
    """Tell whether a problem is at the place of a fault; a fault without a place fits everywhere."""
    text = f"{entry.data.get('where', '')} {entry.data.get('message', '')}"
    return not told["marks"] or any(all(word in text for word in mark) for mark in told["marks"])


def _night(told: dict[str, Any], entries: Sequence[Entry]) -> int:
    return next(
        (e.night for e in entries if e.kind is Kind.INJECT_FIRED and e.data["inject"] == told["inject"]), 0
    )


def _not_fired(revealed: dict[str, Any]) -> list[InjectScore]:
    sealed = {i["id"]: i for i in (revealed["plan"] or {}).get("injects", [])}
    return [
        InjectScore(
            name,
            sealed.get(name, {}).get("fault", ""),
            int(sealed.get(name, {}).get("night", 0)),
            "",
            Noticing.NOT_FIRED,
            reason=reason,
        )
        for name, reason in revealed["not_fired"].items()
    ]


def _last_moment(entries: Sequence[Entry]) -> dt.datetime:
    """Give the time until which somebody could notice something: the revealing is not part of the night."""
    during = [e for e in entries if e.kind not in (Kind.INJECT_FIRED, Kind.INJECTS_REVEALED)]
    return _moment(during[-1].at_rehearsal_utc)


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
