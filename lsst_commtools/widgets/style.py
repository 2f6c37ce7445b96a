"""The look that all panels share: badges, tables, messages, progress, and work beside the kernel's main thread.

Colours are Okabe and Ito's, made dark enough for their text; a word and a sign always stand with them. All else takes
the colours of JupyterLab's theme, light or dark, and Voila's.
"""

from __future__ import annotations

import contextlib
import enum
import html
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ipywidgets

from lsst_commtools.errors import CommtoolsError

__all__ = ["COLOURS", "Panel", "ProgressBar", "Tone", "badge", "message", "safe", "table"]


class Tone(enum.Enum):
    """What a badge says besides its word: its sign."""

    GOOD = "✓"
    ACTIVE = "▶"
    WARNING = "!"
    BAD = "✕"
    UNKNOWN = "?"
    OFF = "○"


COLOURS = {
    Tone.GOOD: ("#00735a", "#ffffff"),
    Tone.ACTIVE: ("#005f99", "#ffffff"),
    Tone.WARNING: ("#f0e442", "#1a1a1a"),
    Tone.BAD: ("#b04600", "#ffffff"),
    Tone.UNKNOWN: ("#ffffff", "#1a1a1a"),
    Tone.OFF: ("#3c4043", "#ffffff"),
}
"""Background and text of each tone, with a contrast of 4.5 or more."""

# JupyterLab's shortcuts take arrow keys from choices, and D, D deletes the cell: within a panel its keys are its own.
# It looks for the mark at the element that has the focus, before it looks further up.
_KEYS = (
    "this.closest('.commtools').addEventListener('focusin', e => e.target.dataset.lmSuppressShortcuts = true)"
)
_SHEET = f"""<style onload="{_KEYS}">"""
_SHEET += """
.commtools { color: var(--jp-content-font-color1, #1a1a1a); max-width: 100%; }
.commtools .widget-html-content, .commtools .jupyter-widgets-html-content { line-height: 1.5; overflow-wrap: anywhere; }
.commtools table.ct { border-collapse: collapse; font-size: var(--jp-content-font-size1, 14px); }
.commtools table.ct th, .commtools table.ct td { text-align: left; vertical-align: top; padding: 3px 14px 3px 0;
  border-bottom: 1px solid var(--jp-border-color2, #c0c0c0); overflow-wrap: anywhere; }
.commtools table.ct th { font-weight: 600; }
.commtools .ct-scroll { max-width: 100%; max-height: 26em; overflow: auto; }
.commtools .ct-badge { display: inline-block; border-radius: 3px; padding: 0 8px; border: 1px solid;
  font-weight: 600; white-space: nowrap; }
.commtools .ct-said { margin: 4px 0; padding: 4px 10px; border-left: 4px solid; }
.commtools pre.ct { white-space: pre-wrap; overflow-wrap: anywhere; color: inherit; margin: 4px 0;
  font-size: var(--jp-code-font-size, 13px); }
.commtools button:focus-visible, .commtools select:focus-visible, .commtools input:focus-visible {
  outline: 2px solid var(--jp-brand-color1, #005f99); outline-offset: 2px; }
</style>"""

FIELD = ipywidgets.Layout(width="24em", max_width="100%")
"""Layout of a text field or a choice."""

WRAP = ipywidgets.Layout(flex_flow="row wrap", align_items="center", grid_gap="4px 8px")
"""Layout of a row that goes on below where the page is narrow."""


def safe(text: object) -> str:
    """Make text from outside harmless in HTML.

    Parameters
    ----------
    text
        Anything.

    Returns
    -------
    str
        Its text, escaped.
    """
    return html.escape(str(text), quote=True)


def badge(word: object, tone: Tone) -> str:
    """Write a word on a coloured ground, with the sign of its tone.

    Parameters
    ----------
    word
        The word.
    tone
        What it means.

    Returns
    -------
    str
        HTML.
    """
    ground, ink = COLOURS[tone]
    edge = f"{ink} dashed" if tone is Tone.UNKNOWN else f"{ground} solid"
    colour, line = edge.split()
    style = f"background:{ground};color:{ink};border-color:{colour};border-style:{line}"
    return f'<span class="ct-badge" style="{style}"><span aria-hidden="true">{tone.value}</span> {safe(word)}</span>'


def message(text: object, tone: Tone = Tone.ACTIVE) -> str:
    """Write a sentence that a screen reader tells at once.

    Parameters
    ----------
    text
        The sentence.
    tone
        What it means; errors are alerts.

    Returns
    -------
    str
        HTML; nothing for an empty text.
    """
    if not str(text):
        return ""
    role = "alert" if tone is Tone.BAD else "status"
    ground = COLOURS[Tone.OFF if tone is Tone.UNKNOWN else tone][0]
    return f'<div class="ct-said" role="{role}" style="border-color:{ground}">{safe(text)}</div>'


def table(label: str, header: Sequence[object], rows: Sequence[Sequence[str]]) -> str:
    """Write a table.

    Parameters
    ----------
    label
        What it shows, for screen readers.
    header
        Texts, escaped here.
    rows
        Cells as HTML: escape what comes from outside.

    Returns
    -------
    str
        HTML.
    """
    head = "".join(f'<th scope="col">{safe(cell)}</th>' for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if header else ""
    shown = f'<table class="ct" aria-label="{safe(label)}">{top}<tbody>{body}</tbody></table>'
    return f'<div class="ct-scroll">{shown}</div>'


class ProgressBar(ipywidgets.HBox):
    """A bar with words beside it; it is seen only while something is under way.

    It is called as the bars of the command line are: with the stage, the parts done, and the parts in all.
    """

    def __init__(self) -> None:
        self._bar = ipywidgets.IntProgress(
            min=0, max=1, layout=ipywidgets.Layout(width="16em"), style={"bar_color": COLOURS[Tone.ACTIVE][0]}
        )
        self._words = ipywidgets.HTML()
        super().__init__([self._bar, self._words], layout=ipywidgets.Layout(visibility="hidden"))

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is.

        Parameters
        ----------
        stage
            Its name.
        done, total
            Parts done, and parts in all; 0 in all where nobody knows.
        """
        self._bar.max, self._bar.value = max(total, 1), done
        self._words.value = (
            f'<span role="status">{safe(stage)}{f": {done} of {total}" if total else " ..."}</span>'
        )
        self.layout.visibility = "visible"

    def end(self) -> None:
        """Hide it."""
        self.layout.visibility = "hidden"


class Panel(ipywidgets.VBox):
    """What all panels are made of: the look, a message, a progress bar, and a thread for what takes time.

    Parameters
    ----------
    above, below
        Widgets above and below the progress bar and the message.
    """

    def __init__(self, above: Sequence[Any], below: Sequence[Any] = ()) -> None:
        self.progress = ProgressBar()
        self.told = ipywidgets.HTML()
        self._busy = threading.Lock()
        super().__init__([ipywidgets.HTML(_SHEET), *above, self.progress, self.told, *below])
        self.add_class("commtools")

    def tell(self, text: object, tone: Tone = Tone.ACTIVE) -> None:
        """Show a sentence in place of the last one.

        Parameters
        ----------
        text
            The sentence; empty for none.
        tone
            What it means.
        """
        self.told.value = message(text, tone)

    def in_background(self, work: Callable[[], None], stage: str = "") -> threading.Thread:
        """Work in a thread, one work after the other, so that the kernel is free meanwhile.

        Parameters
        ----------
        work
            What is done; an error of ours is told.
        stage
            What is shown beside the bar as long as it takes.

        Returns
        -------
        threading.Thread
            The thread, which has begun.
        """

        def run() -> None:
            with self._busy, self._under_way(stage):
                try:
                    work()
                except CommtoolsError as error:
                    self.tell(error, Tone.BAD)

        thread = threading.Thread(target=run, name=type(self).__name__, daemon=True)
        thread.start()
        return thread

    @contextlib.contextmanager
    def _under_way(self, stage: str) -> Iterator[None]:
        if stage:
            self.progress(stage, 0, 0)
        try:
            yield
        finally:
            self.progress.end()
