"""Pages for the meetings: what the last night gave, by the agenda of the daily meeting, and the final one.

Agenda: DMTN-119, ``night report, processing summary, metrics, issues, plan``; the page is written before the meeting,
because in the first rehearsal what was said on the telephone was not properly recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import NotFoundError
from lsst_commtools.rehearsal.backlog import from_entries
from lsst_commtools.rehearsal.gather import gather_night
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.monitor import step_row
from lsst_commtools.rehearsal.outline import OUTLINE
from lsst_commtools.rehearsal.pages import render, write_whole
from lsst_commtools.rehearsal.poll import polls
from lsst_commtools.rehearsal.report import amendments_of, read_report
from lsst_commtools.rehearsal.states import outline_states

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.rehearsal import Rehearsal

__all__ = ["standup_content", "write_standup"]


def write_standup(rehearsal: Rehearsal, night: int, *, final: bool = False) -> Path:
    """Write the page of a standup.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night before which it meets.
    final
        Whether it is the one after the last night.

    Returns
    -------
    pathlib.Path
        ``report/standup_<day_obs>.html`` or ``report/standup_final.html``; beside it the same as Markdown.

    Raises
    ------
    NotFoundError
        If there is no such night.
    ServiceError
        If it cannot be written.
    """
    values = standup_content(rehearsal, night, final=final)
    folder = rehearsal.settings.report
    name = "standup_final" if final else f"standup_{values['day_obs']}"
    write_whole(folder / f"{name}.md", render("standup.md", values))
    return write_whole(folder / f"{name}.html", render("standup.html", values))


def standup_content(rehearsal: Rehearsal, night: int, *, final: bool = False) -> dict[str, Any]:
    """Gather what a standup talks about.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night before which it meets.
    final
        Whether it is the one after the last night: it talks about all nights.

    Returns
    -------
    dict
        Plain values: ``reports`` of the nights that it talks about as they were written, or gathered now where that
        was not done; ``problems``, ``polls``, ``steps`` of the night to come, ``calibrations`` that were made for it.
    """
    number = len(rehearsal.settings.nights) if final else night
    day_obs = rehearsal.night(number).day_obs
    entries = rehearsal.entries()
    backlog = from_entries(entries)
    talked = range(1, number + 1) if final else range(max(1, number - 1), number)
    now = rehearsal.clock.reading()
    states = outline_states(entries, len(rehearsal.settings.nights))
    changes = [(past, backlog.compare(past)) for past in talked]
    return {
        "final": final,
        "night": number,
        "day_obs": day_obs,
        "rehearsal": rehearsal.settings.work.name,
        "instrument": rehearsal.settings.instrument,
        "unattended": rehearsal.unattended,
        "now_utc": now.real_utc.isoformat(),
        "now_rehearsal_utc": now.rehearsal_utc.isoformat(),
        "reports": [_report(rehearsal, past) for past in talked],
        "changes": [
            {
                "night": past,
                "new": len(change.new),
                "recurring": len(change.recurring),
                "still open": len(change.still_open),
                "solved": len(change.solved),
            }
            for past, change in changes
        ],
        "problems": [item.to_dict() for item in backlog.open],
        "polls": [poll.to_dict() for poll in polls(entries) if final or poll.night == number],
        "calibrations": [
            e.data for e in entries if e.kind is Kind.CALIBRATION and (final or e.night == number)
        ],
        "steps": [] if final else [step_row(states[number, step.id]) for step in OUTLINE],
        "decisions": [
            {"who": e.who, "role": e.role, "at_rehearsal_utc": e.at_rehearsal_utc, "data": e.data}
            for e in entries
            if e.kind is Kind.DECISION and (final or e.night in talked or e.night == number)
        ],
    }


def _report(rehearsal: Rehearsal, night: int) -> dict[str, Any]:
    """Take the report of a night without its figures."""
    try:
        content = read_report(rehearsal, night)
        written = True
    except NotFoundError:
        content = gather_night(rehearsal, night)
        written = False
    amended = amendments_of(rehearsal, content["day_obs"])
    return {
        **{key: value for key, value in content.items() if key != "quality"},
        "visits": content["quality"]["visits"],
        "written": written,
        "amendments": [
            {
                "section": a.data.get("section", ""),
                "text": a.data.get("text", ""),
                "who": a.who,
                "role": a.role,
            }
            for a in amended
        ],
    }
