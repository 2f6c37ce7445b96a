"""What all teams do together: ask for a go, look at the campaign, sign the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.outline import ALL, Role
from lsst_commtools.rehearsal.poll import Poll, open_poll, wait_for_poll

if TYPE_CHECKING:
    import pandas as pd

    from lsst_commtools.rehearsal.night import RehearsalNight
    from lsst_commtools.rehearsal.rehearsal import Rehearsal
    from lsst_commtools.rehearsal.watch import ObservatoryWatch

__all__ = ["CampaignView", "ask_go", "monitor_campaign", "note_sight", "sign_night_report"]

# An empty table shows its columns: a notebook draws one without any as a dash.
_FAILURES = ["night", "cause", "exception", "place", "count", "messages", "where"]
_BACKLOG = [
    "cause", "kind", "state", "assignee", "count", "nights", "message", "where", "exception", "place", "diagnosis",
    "comment", "noticed_by", "first_utc", "last_utc",
]  # fmt: skip


@dataclass(frozen=True)
class CampaignView:
    """The campaign as it stands.

    Parameters
    ----------
    page
        Its page.
    steps
        One row for each step of all nights.
    failures
        One row for each cause.
    backlog
        One row for each problem that is not closed.
    observatory
        Why the observatory was not observed; empty where it was.
    """

    page: Path
    steps: pd.DataFrame
    failures: pd.DataFrame
    backlog: pd.DataFrame
    observatory: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give what is signed."""
        return {
            "causes_of_failure": len(self.failures),
            "open_problems": len(self.backlog),
            "observatory": self.observatory or "observed",
        }


def ask_go(night: RehearsalNight) -> Poll:
    """Ask all teams for a go: see `RehearsalNight.ask_go`.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    Poll
        A go.

    Raises
    ------
    StepError
        If one team said no-go or was silent; both are recorded.
    """
    poll = open_poll(night.journal, "Ready for the night?", night.number, asked=[str(role) for role in ALL])
    return wait_for_poll(night.journal, poll.id, night.rehearsal.site.rehearsal.hold_timeout_s)


def monitor_campaign(night: RehearsalNight) -> CampaignView:
    """Look at the observatory and at the campaign: see `RehearsalNight.monitor_campaign`.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    CampaignView
        Tables, and the page.
    """
    import pandas as pd

    from lsst_commtools.rehearsal.monitor import campaign_state, step_row, write_page
    from lsst_commtools.rehearsal.watch import ObservatoryWatch

    with ObservatoryWatch(night.rehearsal.site) as watch:
        unseen = note_sight(night.rehearsal, watch, night.number)
    state = campaign_state(night.rehearsal)
    steps = [{"night": n.number, **step_row(step)} for n in state.nights for step in n.steps]
    failures = [{"night": n.number, **group.to_dict()} for n in state.nights for group in n.groups]
    return CampaignView(
        page=write_page(night.rehearsal),
        steps=pd.DataFrame(steps),
        failures=pd.DataFrame(failures, columns=_FAILURES),
        backlog=pd.DataFrame([item.to_dict() for item in state.backlog.open], columns=_BACKLOG),
        observatory=unseen,
    )


def note_sight(rehearsal: Rehearsal, watch: ObservatoryWatch, night: int) -> str:
    """Look at the observatory once; record what is wrong, and states that have changed.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    watch
        Looks at the observatory.
    night
        Number of the night.

    Returns
    -------
    str
        Why nothing was observed; empty where something was.
    """
    sight = watch.look()
    for problem in sight.problems:
        rehearsal.note_problem(
            problem.kind, problem.what, problem.where, role=Role.OBSOPS, night=night, place="observatory"
        )
    known = {
        str(entry.data["csc"]): str(entry.data["state"])
        for entry in rehearsal.entries({Kind.CSC_STATE})
        if "csc" in entry.data
    }
    for state in sight.states:
        name, told = str(state.csc), state.state.name
        if known.get(name) != told:
            rehearsal.journal.append(
                Kind.CSC_STATE, night, role=Role.OBSOPS, csc=name, state=told, source="watch of the rehearsal"
            )
    return sight.not_observed


def sign_night_report(night: RehearsalNight, signed: Iterable[Mapping[str, str]]) -> None:
    """Put signatures under the report of a night: see `RehearsalNight.sign_report`.

    Parameters
    ----------
    night
        The night.
    signed
        Keys ``role`` and ``name`` of each.
    """
    from lsst_commtools.rehearsal.report import amendments_of, read_report, report_digest, sign_report

    content = read_report(night.rehearsal, night.number)
    digest = report_digest(content, amendments_of(night.rehearsal, night.day_obs))
    there = {
        (entry.role, entry.who)
        for entry in night.journal.entries({Kind.REPORT_SIGNED}, night.number)
        if entry.data.get("digest") == digest
    }
    for signature in signed:
        if (signature["role"], signature["name"]) not in there:
            sign_report(night.rehearsal, night.number, who=signature["name"], role=signature["role"])
