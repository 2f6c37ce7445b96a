"""A go / no-go poll to click through: who was asked, what each answered, and who is silent."""

from __future__ import annotations

from pathlib import Path

import ipywidgets

from lsst_commtools.errors import CommtoolsError
from lsst_commtools.rehearsal.journal import Journal
from lsst_commtools.rehearsal.people import Roster
from lsst_commtools.rehearsal.poll import Poll, PollVerdict, answer_poll, close_poll, polls
from lsst_commtools.widgets.style import FIELD, WRAP, Panel, Tone, badge, safe, table

__all__ = ["PollPanel"]

_TONES = {PollVerdict.GO: Tone.GOOD, PollVerdict.NO_GO: Tone.BAD, PollVerdict.SILENT: Tone.UNKNOWN}


class PollPanel(Panel):
    """The open poll of a rehearsal, and buttons to answer it; the Tab key goes from field to field.

    Parameters
    ----------
    journal
        Journal of the rehearsal, or its file.
    poll
        Identifier of the poll; by default the newest one.
    roster
        The people; where it is given, each answers for the own role only.

    Notes
    -----
    A kernel that waits for a poll does not serve widgets: show the panel in another notebook.
    """

    def __init__(self, journal: Journal | Path, poll: str = "", roster: Roster | None = None) -> None:
        self._journal = journal if isinstance(journal, Journal) else Journal(Path(journal))
        self._wanted = poll
        self._roster = roster
        self._poll: Poll | None = None
        self._shown = ipywidgets.HTML()
        self._role = ipywidgets.Dropdown(description="role", options=[], layout=FIELD)
        self._name = ipywidgets.Text(description="name", placeholder="who answers", layout=FIELD)
        self._comment = ipywidgets.Text(
            description="comment", placeholder="why not, for a no-go", layout=FIELD
        )
        self._go = ipywidgets.Button(description="Go", icon="check", tooltip="Answer go for this role")
        self._no_go = ipywidgets.Button(
            description="No-go", icon="times", tooltip="Answer no-go for this role"
        )
        self._again = ipywidgets.Button(description="Look again", icon="refresh", tooltip="Show new answers")
        self._close = ipywidgets.Button(description="Close", icon="lock", tooltip="Take no more answers")
        self._go.on_click(lambda _: self.answer(go=True))
        self._no_go.on_click(lambda _: self.answer(go=False))
        self._again.on_click(lambda _: self.refresh())
        self._close.on_click(lambda _: self.close_poll())
        super().__init__(
            [
                self._shown,
                ipywidgets.HBox([self._role, self._name, self._comment], layout=WRAP),
                ipywidgets.HBox([self._go, self._no_go, self._again, self._close], layout=WRAP),
            ]
        )
        self.refresh()

    def refresh(self) -> None:
        """Show the poll as it stands."""
        try:
            found = polls(self._journal.entries())
        except CommtoolsError as error:
            self.tell(error, Tone.BAD)
            return
        wanted = [poll for poll in found if self._wanted in ("", poll.id)]
        self._poll = wanted[-1] if wanted else None
        for button in (self._go, self._no_go, self._close):
            button.disabled = self._poll is None or self._poll.closed
        if self._poll is None:
            self._shown.value = "<p>There is no poll.</p>"
            return
        self._shown.value = _shown(self._poll)
        if tuple(self._role.options) != self._poll.asked:
            self._role.options = self._poll.asked
            self._role.index = 0

    def answer(self, *, go: bool) -> None:
        """Answer for the role that is chosen.

        Parameters
        ----------
        go
            Whether it is a go.
        """
        if self._poll is None:
            self.tell("There is no poll.", Tone.WARNING)
            return
        role = str(self._role.value)
        try:
            answer_poll(
                self._journal,
                self._poll.id,
                role=role,
                name=self._name.value,
                go=go,
                comment=self._comment.value,
                roster=self._roster,
            )
        except CommtoolsError as error:
            self.tell(error, Tone.BAD)
        else:
            self._comment.value = ""
            said = "go" if go else "no-go"
            self.tell(f"{self._name.value} answered {said} for {role}.", Tone.GOOD if go else Tone.BAD)
        self.refresh()

    def close_poll(self) -> None:
        """Take no more answers, and say what the poll means."""
        if self._poll is None:
            self.tell("There is no poll.", Tone.WARNING)
            return
        try:
            closed = close_poll(self._journal, self._poll.id)
        except CommtoolsError as error:
            self.tell(error, Tone.BAD)
            return
        silent = f"; no answer from {', '.join(closed.silent)}" if closed.silent else ""
        self.tell(f"{closed.question} {closed.verdict}{silent}.", _TONES[closed.verdict])
        self.refresh()


def _shown(poll: Poll) -> str:
    rows = []
    for role in poll.asked:
        answer = poll.answers.get(role)
        if answer is None:
            rows.append([safe(role), badge("no answer", Tone.UNKNOWN), "", "", ""])
            continue
        word = badge("go", Tone.GOOD) if answer.go else badge("no-go", Tone.BAD)
        rows.append(
            [safe(role), word, safe(answer.name), safe(answer.comment), safe(answer.at_utc[:19] + "Z")]
        )
    header = ("role", "answer", "who", "comment", "when (UTC)")
    verdict = badge(poll.verdict, _TONES[poll.verdict])
    state = "closed" if poll.closed else "open"
    return f"<h3>{safe(poll.question)}</h3><p>Night {poll.night}, {state}: {verdict}</p>" + table(
        f"Answers to {poll.question}", header, rows
    )
