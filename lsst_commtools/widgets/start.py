"""The start page: how the site stands, looked at anew when a person asks."""

from __future__ import annotations

from typing import Any

import ipywidgets

from lsst_commtools.qa.limits import Status
from lsst_commtools.site import Site
from lsst_commtools.site.stand_ins import read_stand_ins
from lsst_commtools.widgets.overview import LOOKS, Fact, look_around
from lsst_commtools.widgets.style import WRAP, Panel, Tone, badge, safe, table

__all__ = ["StartPage"]

_TONES = {
    Status.GOOD: Tone.GOOD,
    Status.WARNING: Tone.WARNING,
    Status.BAD: Tone.BAD,
    Status.UNKNOWN: Tone.UNKNOWN,
}


class StartPage(Panel):
    """State of a site for a notebook.

    Parameters
    ----------
    site
        The site, by default as `Site.load` says.
    """

    def __init__(self, site: Site | None = None) -> None:
        self._site = site or Site.load()
        self._facts: dict[str, Fact] = {}
        kind = "a real observatory" if self._site.real else "stand-ins, nothing here moves a telescope"
        title = f"<b>{safe(self._site.title or self._site.name)}</b> (site {safe(self._site.name)}: {kind})"
        self._table = ipywidgets.HTML()
        self._again = ipywidgets.Button(description="Look again", icon="refresh")
        self._again.on_click(lambda _: self.refresh())
        self._start = ipywidgets.Button(
            description="Start the simulated observatory", icon="play", layout=ipywidgets.Layout(width="auto")
        )
        self._start.on_click(lambda _: self.in_background(self.start_simulator, "Starting"))
        super().__init__(
            [ipywidgets.HTML(title), self._table, ipywidgets.HBox([self._again, self._start], layout=WRAP)]
        )
        self.refresh()

    @property
    def facts(self) -> list[Fact]:
        """What is known so far, in order."""
        return [self._facts[topic] for topic in LOOKS if topic in self._facts]

    def refresh(self) -> Any:
        """Look at everything again.

        Returns
        -------
        threading.Thread
            That in which it is looked; it ends when all is known.
        """
        self._facts.clear()
        self._show()
        facts = look_around(self._site)

        def collect() -> None:
            for fact in facts:
                self._facts[fact.topic] = fact
                self.progress("Looking", len(self._facts), len(LOOKS))
                self._show()

        return self.in_background(collect, "Looking")

    def start_simulator(self) -> None:
        """Start the simulated observatory in a process of its own, as ``commtools sim up`` does."""
        import subprocess
        import sys

        command = [sys.executable, "-m", "lsst_commtools.cli", "sim", "up"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.tell((done.stdout if done.returncode == 0 else done.stderr).strip(), _how(done.returncode))
        self.refresh()

    def _show(self) -> None:
        rows = []
        for topic in LOOKS:
            fact = self._facts.get(topic)
            if fact is None:
                rows.append([safe(topic), badge("looking", Tone.ACTIVE), ""])
                continue
            advice = f" <em>{safe(fact.advice)}</em>" if fact.advice else ""
            rows.append([safe(topic), badge(fact.status, _TONES[fact.status]), safe(fact.text) + advice])
        self._table.value = table("state of the site", (), rows)
        needed = not self._site.real and not self._site.love.url and read_stand_ins() is None
        self._start.layout.display = None if needed else "none"


def _how(code: int) -> Tone:
    return Tone.GOOD if code == 0 else Tone.BAD
