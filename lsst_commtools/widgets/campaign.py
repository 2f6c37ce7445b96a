"""Panel of a rehearsal's campaign: how the steps and visits stand, failures by cause, who cares for a problem."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import ipywidgets

from lsst_commtools.errors import CommtoolsError
from lsst_commtools.qa.limits import Status
from lsst_commtools.rehearsal.backlog import State, change_problem
from lsst_commtools.rehearsal.monitor import CampaignState, NightState, campaign_state, step_group
from lsst_commtools.rehearsal.pages import UNATTENDED
from lsst_commtools.widgets.style import FIELD, WRAP, Panel, Tone, badge, message, safe, table

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.rehearsal import Rehearsal

__all__ = ["CampaignPanel"]

_GROUPS = {"waiting": Tone.OFF, "running": Tone.ACTIVE, "done": Tone.GOOD, "failed": Tone.BAD}
_VERDICTS = {
    Status.GOOD: Tone.GOOD,
    Status.WARNING: Tone.WARNING,
    Status.BAD: Tone.BAD,
    Status.UNKNOWN: Tone.UNKNOWN,
}
_STATES = {
    State.OPEN: Tone.BAD,
    State.ASSIGNED: Tone.ACTIVE,
    State.KNOWN: Tone.WARNING,
    State.SOLVED: Tone.GOOD,
    State.LOST: Tone.OFF,
}


class CampaignPanel(Panel):
    """The campaign of a rehearsal, kept fresh, and fields to record what becomes of a problem.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    refresh_s
        Time between two looks, in seconds; 0 looks only when `refresh` is called.
    """

    def __init__(self, rehearsal: Rehearsal, refresh_s: float = 3.0) -> None:
        self._rehearsal = rehearsal
        self._refresh_s = refresh_s
        self._trouble = ipywidgets.HTML()
        self._shown = ipywidgets.HTML()
        self._problem = ipywidgets.Dropdown(description="problem", options=[], layout=FIELD)
        states = [str(state) for state in State]
        self._state = ipywidgets.Dropdown(description="state", options=states, layout=FIELD)
        self._assignee = ipywidgets.Text(description="assignee", placeholder="who cares", layout=FIELD)
        self._diagnosis = ipywidgets.Text(description="diagnosis", placeholder="comes from", layout=FIELD)
        self._comment = ipywidgets.Text(description="comment", layout=FIELD)
        self._name = ipywidgets.Text(description="name", placeholder="who says so", layout=FIELD)
        self._record = ipywidgets.Button(description="Record", icon="pencil", tooltip="Record it for all")
        self._record.on_click(lambda _: self.record())
        fields = [
            self._problem,
            self._state,
            self._assignee,
            self._diagnosis,
            self._comment,
            self._name,
            self._record,
        ]
        super().__init__([self._trouble, self._shown, ipywidgets.HBox(fields, layout=WRAP)])
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.refresh()
        if refresh_s > 0:
            self._thread = threading.Thread(target=self._keep_fresh, name="campaign-panel", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop looking, and take the panel away."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)
        super().close()

    def refresh(self) -> None:
        """Show how the campaign stands now."""
        try:
            state = campaign_state(self._rehearsal)
        except CommtoolsError as error:
            self._trouble.value = message(error, Tone.BAD)
            return
        self._trouble.value = message(f"{UNATTENDED}.", Tone.WARNING) if state.unattended else ""
        shown = _page(state)
        if shown != self._shown.value:
            self._shown.value = shown
        options = [(f"{item.summary} ({item.state})"[:120], item.cause) for item in state.backlog.items]
        if list(self._problem.options) != options:
            chosen = self._problem.value
            self._problem.options = options
            causes = [cause for _, cause in options]
            self._problem.index = causes.index(chosen) if chosen in causes else 0 if causes else None

    def record(self) -> None:
        """Record what becomes of the chosen problem."""
        if not self._problem.value:
            self.tell("There is no problem to change.", Tone.WARNING)
            return
        try:
            entry = change_problem(
                self._rehearsal.journal,
                str(self._problem.value),
                state=str(self._state.value),
                assignee=self._assignee.value,
                comment=self._comment.value,
                diagnosis=self._diagnosis.value,
                who=self._name.value.strip(),
            )
        except CommtoolsError as error:
            self.tell(error, Tone.BAD)
            return
        self._comment.value = self._diagnosis.value = ""
        self.tell(f"{entry.who} recorded: {entry.data['state']}, {entry.at_utc[:19]}Z UTC.", Tone.GOOD)
        self.refresh()

    def _keep_fresh(self) -> None:
        while not self._stop.wait(self._refresh_s):
            self.refresh()


def _page(state: CampaignState) -> str:
    counts = " ".join(badge(f"{count} {group}", _GROUPS[group]) for group, count in state.counts.items())
    nights = "".join(_night(night) for night in state.nights)
    final = step_group(state.final)
    return (
        f"<h3>{safe(state.name)}</h3><p>Steps: {counts}</p>{nights}"
        f"<p>Final standup: {badge(final, _GROUPS[final])}</p>{_backlog(state)}"
    )


def _night(night: NightState) -> str:
    groups = [step_group(step) for step in night.steps]
    steps = table(
        f"Steps of night {night.number}",
        ("step", "owner", "status", "why"),
        [
            [safe(s.step.title), safe(s.step.owner), badge(group, _GROUPS[group]), safe(s.reason)]
            for s, group in zip(night.steps, groups, strict=True)
        ],
    )
    opened = " open" if set(groups) != {"waiting"} else ""
    title = f"Night {night.number}: {night.day_obs}"
    return f"<details{opened}><summary>{title}</summary>{steps}{_quanta(night)}</details>"


def _quanta(night: NightState) -> str:
    if not night.quanta.news_utc:
        return ""
    counts = ", ".join(f"{count} {name}" for name, count in night.quanta.counts.items())
    rates = " ".join(
        f"{safe(rate.text)} {badge(rate.status, _VERDICTS[rate.status])}" for rate in night.quanta.rates
    )
    visits = " ".join(badge(visit, _GROUPS[str(v["status"])]) for visit, v in night.visits.items())
    groups = table(
        f"Failures of night {night.number} by cause",
        ("failures", "exception", "place", "message", "state", "assignee"),
        [
            [
                str(row["count"]),
                safe(row["exception"] or "no work"),
                safe(row["place"]),
                safe(row["messages"][0]["message"]),
                safe(row["state"] or "not noted"),
                safe(row["assignee"] or "nobody"),
            ]
            for row in night.failures
        ],
    )
    return (
        f"<p>Quanta: {safe(counts)}. Failed: {rates}</p>"
        f"<details><summary>Visits ({len(night.visits)})</summary>{visits}</details>{groups if night.groups else ''}"
    )


def _backlog(state: CampaignState) -> str:
    rows = [
        [
            safe(item.kind),
            badge(item.state, _STATES[item.state]),
            safe(item.assignee or "nobody"),
            str(item.count),
            safe(", ".join(map(str, item.nights))),
            safe(item.message),
            safe(item.where[0]),
        ]
        for item in state.backlog.items
    ]
    header = ("problem", "state", "assignee", "times", "nights", "what", "where")
    return f"<h4>Backlog: {len(state.backlog.open)} open</h4>{table('Backlog', header, rows)}"
