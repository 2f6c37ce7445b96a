"""Panel of CSCs: states as colour and text, changes that show their plan first, the tail of a log.

It needs nothing but ipywidgets, so it works in JupyterLab and in Voila alike.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import ipywidgets

from lsst_commtools.control import Control, CscState, Plan, SummaryState
from lsst_commtools.control.values import iso_utc
from lsst_commtools.errors import CommtoolsError
from lsst_commtools.widgets.style import FIELD, WRAP, Panel, Tone, badge, message, safe, table

__all__ = ["CscPanel"]

_TONES = {
    SummaryState.ENABLED: Tone.GOOD,
    SummaryState.DISABLED: Tone.WARNING,
    SummaryState.STANDBY: Tone.ACTIVE,
    SummaryState.FAULT: Tone.BAD,
    SummaryState.OFFLINE: Tone.OFF,
    SummaryState.UNKNOWN: Tone.UNKNOWN,
}
_TARGETS = ("ENABLED", "DISABLED", "STANDBY", "OFFLINE")
_HEADER = ("CSC", "state", "alive", "last heartbeat")
_LOG_LINES = 12


class CscPanel(Panel):
    """Panel of CSCs for a notebook.

    Parameters
    ----------
    control
        Way to the CSCs; whoever made it closes it, after the panel.
    names
        CSCs; by default all of the site.
    refresh_s
        Time between two looks, in seconds.
    """

    def __init__(self, control: Control, names: Sequence[str] | None = None, refresh_s: float = 1.0) -> None:
        self._control = control
        self._wanted = names
        self._names: list[str] = []
        self._refresh_s = refresh_s
        self._shown: tuple[tuple[str, str, str | None, str], Plan] | None = None
        self._table = ipywidgets.HTML()
        self._csc = ipywidgets.Dropdown(options=[], description="CSC", layout=FIELD)
        self._target = ipywidgets.Dropdown(options=_TARGETS, description="to", layout=FIELD)
        self._override = ipywidgets.Text(
            description="override", placeholder="file; empty for none", layout=FIELD
        )
        self._via = ipywidgets.Dropdown(options=["direct", "queue"], description="via", layout=FIELD)
        self._ask = ipywidgets.Button(description="Show plan", icon="list-ol", disabled=True)
        self._act = ipywidgets.Button(
            description="Carry out", icon="play", disabled=True, button_style="warning"
        )
        self._log = ipywidgets.HTML()
        wishes = (self._csc, self._target, self._override, self._via)
        for widget in wishes:
            widget.observe(self._forget_plan, names="value")
        self._ask.on_click(lambda _: self.in_background(self.show_plan, "Planning"))
        self._act.on_click(lambda _: self.in_background(self.carry_out, "Under way"))
        super().__init__(
            [
                self._table,
                ipywidgets.HBox(wishes, layout=WRAP),
                ipywidgets.HBox([self._ask, self._act], layout=WRAP),
            ],
            below=[self._log],
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_fresh, name="csc-panel", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking, and take the panel away."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)
        super().close()

    def refresh(self) -> None:
        """Show what is known now; nothing is asked for."""
        self._table.value = _table(self._control.known(self._names))
        try:
            messages = (
                self._control.log_messages(self._csc.value, wait_s=0.0)[-_LOG_LINES:]
                if self._csc.value
                else []
            )
        except CommtoolsError as error:
            self._log.value = message(error, Tone.WARNING)
            return
        lines = [f"{iso_utc(m.time_utc)}  {m.level:3d}  {m.message}" for m in messages]
        self._log.value = (
            f'<pre class="ct" aria-label="log of {safe(self._csc.value)}">{safe(chr(10).join(lines))}</pre>'
        )

    def show_plan(self) -> None:
        """Show what the wished change would do; only then can it be carried out."""
        wish = self._wish()
        try:
            plan = self._plan(wish, reload=False)
        except CommtoolsError as error:
            self._forget_plan()
            self.tell(error, Tone.BAD)
            return
        self._shown = (wish, plan)
        self.tell(plan)
        self._act.description = "Agree, and carry out" if plan.question else "Carry out"
        self._act.disabled = not plan.transitions

    def carry_out(self) -> None:
        """Carry out the plan that was shown, if it is still what would be done."""
        wish = self._wish()
        if self._shown is None or self._shown[0] != wish:
            self.show_plan()
            return
        shown = self._shown[1]
        try:
            if self._plan(wish, reload=False).path != shown.path:
                self.show_plan()
                self.told.value = (
                    message("The state has changed; this is the plan now.", Tone.WARNING) + self.told.value
                )
                return
            name, target, override, via = wish
            self._act.disabled = True
            self.tell(f"{shown} Under way.")
            outcome = self._control.set_state(
                name,
                target,
                override,
                via="queue" if via == "queue" else "direct",
                reload=bool(shown.question),
            )
            self.tell(outcome, Tone.GOOD if outcome.ok else Tone.BAD)
        except CommtoolsError as error:
            self.tell(error, Tone.BAD)
        self._shown = None
        self.refresh()

    def _wish(self) -> tuple[str, str, str | None, str]:
        return self._csc.value, self._target.value, self._override.value or None, self._via.value

    def _plan(self, wish: tuple[str, str, str | None, str], *, reload: bool) -> Plan:
        name, target, override, via = wish
        return self._control.plan(
            name, target, override=override, via="queue" if via == "queue" else "direct", reload=reload
        )

    def _forget_plan(self, _: Any = None) -> None:
        self._shown = None
        self._act.disabled = True
        self.tell("")

    def _look(self) -> None:
        """Follow the CSCs that are wanted: that waits for their first news."""
        self._names = [str(state.csc) for state in self._control.states(self._wanted)]
        self._csc.options = self._names
        self._csc.index = 0 if self._names else None
        self._ask.disabled = not self._names

    def _keep_fresh(self) -> None:
        self.in_background(self._look, "Looking").join()
        self.refresh()
        while not self._stop.wait(self._refresh_s):
            self.refresh()


def _table(states: Sequence[CscState]) -> str:
    return table("states of CSCs", _HEADER, [_row(state) for state in states])


def _row(state: CscState) -> list[str]:
    alive = {True: "yes", False: "no", None: "unknown"}[state.alive]
    age = "never seen" if state.heartbeat_age_s is None else f"{state.heartbeat_age_s:.0f} s ago"
    return [safe(state.csc), badge(state.state.name, _TONES[state.state]), alive, age]
