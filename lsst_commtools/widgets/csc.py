"""Panel of CSCs: states as colour and text, changes that show their plan first, the tail of a log.

It needs nothing but ipywidgets, so it works in JupyterLab and in Voila alike.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from lsst_commtools.control import Control, CscState, Plan, SummaryState
from lsst_commtools.control.values import iso_utc
from lsst_commtools.errors import CommtoolsError

__all__ = ["CscPanel"]

# Background and text of each state: the colours of LOVE, dark enough for a contrast of 4.5 or more.
_COLOURS = {
    SummaryState.ENABLED: ("#1b6e34", "#ffffff"),
    SummaryState.DISABLED: ("#f2c14e", "#1a1a1a"),
    SummaryState.STANDBY: ("#1f5fa8", "#ffffff"),
    SummaryState.FAULT: ("#b3261e", "#ffffff"),
    SummaryState.OFFLINE: ("#5f6368", "#ffffff"),
    SummaryState.UNKNOWN: ("#ffffff", "#1a1a1a"),
}
_TARGETS = ("ENABLED", "DISABLED", "STANDBY", "OFFLINE")
_LOG_LINES = 12


class CscPanel(ipywidgets.VBox):
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
        seen = control.states(names)
        self._names = [str(state.csc) for state in seen]
        self._refresh_s = refresh_s
        self._shown: tuple[tuple[str, str, str | None, str], Plan] | None = None
        self._table = ipywidgets.HTML()
        self._csc = ipywidgets.Dropdown(options=self._names, description="CSC")
        self._target = ipywidgets.Dropdown(options=_TARGETS, description="to")
        self._override = ipywidgets.Text(
            description="override", placeholder="configuration file; empty for none"
        )
        self._via = ipywidgets.Dropdown(options=["direct", "queue"], description="via")
        self._ask = ipywidgets.Button(description="Show plan", icon="list-ol")
        self._act = ipywidgets.Button(
            description="Carry out", icon="play", disabled=True, button_style="warning"
        )
        self._told = ipywidgets.HTML()
        self._log = ipywidgets.HTML()
        wishes = (self._csc, self._target, self._override, self._via)
        for widget in wishes:
            widget.observe(self._forget_plan, names="value")
        self._ask.on_click(lambda _: self._in_background(self.show_plan))
        self._act.on_click(lambda _: self._in_background(self.carry_out))
        super().__init__(
            [
                self._table,
                ipywidgets.HBox(wishes, layout=ipywidgets.Layout(flex_flow="row wrap")),
                ipywidgets.HBox([self._ask, self._act]),
                self._told,
                self._log,
            ]
        )
        self._busy = threading.Lock()
        self._stop = threading.Event()
        self.refresh()
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
            self._log.value = _paragraph(str(error))
            return
        lines = [f"{iso_utc(m.time_utc)}  {m.level:3d}  {m.message}" for m in messages]
        self._log.value = (
            f"<pre aria-label='log of {_safe(self._csc.value)}'>{_safe(chr(10).join(lines))}</pre>"
        )

    def show_plan(self) -> None:
        """Show what the wished change would do; only then can it be carried out."""
        wish = self._wish()
        try:
            plan = self._plan(wish, reload=False)
        except CommtoolsError as error:
            self._forget_plan()
            self._told.value = _paragraph(str(error))
            return
        self._shown = (wish, plan)
        self._told.value = _paragraph(str(plan))
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
                self._told.value = (
                    _paragraph("The state has changed; this is the plan now.") + self._told.value
                )
                return
            name, target, override, via = wish
            self._act.disabled = True
            self._told.value = _paragraph(f"{shown} Under way.")
            outcome = self._control.set_state(
                name,
                target,
                override,
                via="queue" if via == "queue" else "direct",
                reload=bool(shown.question),
            )
            self._told.value = _paragraph(str(outcome))
        except CommtoolsError as error:
            self._told.value = _paragraph(str(error))
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
        self._told.value = ""

    def _in_background(self, work: Callable[[], None]) -> None:
        """Keep the kernel free while a change is under way, and do one thing at a time."""

        def run() -> None:
            with self._busy:
                work()

        threading.Thread(target=run, name="csc-panel-work", daemon=True).start()

    def _keep_fresh(self) -> None:
        while not self._stop.wait(self._refresh_s):
            self.refresh()


def _table(states: Sequence[CscState]) -> str:
    rows = "".join(_row(state) for state in states)
    head = "".join(f"<th scope='col' style='text-align:left;padding:2px 12px'>{h}</th>" for h in _HEADER)
    return f"<table aria-label='states of CSCs'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


_HEADER = ("CSC", "state", "alive", "last heartbeat")


def _row(state: CscState) -> str:
    background, colour = _COLOURS[state.state]
    border = "1px dashed #5f6368" if state.state is SummaryState.UNKNOWN else f"1px solid {background}"
    badge = (
        f"<span style='background:{background};color:{colour};border:{border};border-radius:3px;padding:1px 8px'>"
        f"{state.state.name}</span>"
    )
    alive = {True: "yes", False: "no", None: "unknown"}[state.alive]
    age = "never seen" if state.heartbeat_age_s is None else f"{state.heartbeat_age_s:.0f} s ago"
    cells = "".join(
        f"<td style='padding:2px 12px'>{c}</td>" for c in (_safe(str(state.csc)), badge, alive, age)
    )
    return f"<tr>{cells}</tr>"


def _paragraph(text: str) -> str:
    return f"<p role='status'>{_safe(text)}</p>"


def _safe(text: str) -> str:
    return html.escape(text, quote=True)
