"""The nightly report: written before the meeting, amended in it, signed; and the report of the whole rehearsal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import InputError, NotFoundError, RefusedError
from lsst_commtools.rehearsal.failures import FAILURE_LIMIT
from lsst_commtools.rehearsal.gather import FORMAT, gather_night
from lsst_commtools.rehearsal.journal import Entry, Kind
from lsst_commtools.rehearsal.monitor import campaign_state, write_page
from lsst_commtools.rehearsal.outline import Role
from lsst_commtools.rehearsal.pages import render, write_whole
from lsst_commtools.rehearsal.precursors import shipped_precursors
from lsst_commtools.rehearsal.score import score
from lsst_commtools.rehearsal.states_figure import states_figure
from lsst_commtools.rehearsal.tickets import write_csv, write_jira_csv

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.rehearsal import Rehearsal

__all__ = [
    "SECTIONS",
    "amend_report",
    "amendments_of",
    "draw_report",
    "read_report",
    "report_digest",
    "sign_report",
    "write_night_report",
    "write_rehearsal_report",
]

SECTIONS: Mapping[str, str] = {
    "steps": "Steps of the outline",
    "counts": "Counts and transfer",
    "calibrations": "Calibrations",
    "processing": "Processing",
    "quality": "Quality",
    "states": "States of the CSCs",
    "narrative": "Narrative log and time lost",
    "problems": "Problems",
    "decisions": "Decisions",
    "plan": "Plan",
}
"""Sections of a report, which amendments are made to."""

_OPERATORS = (Role.OBSOPS, Role.SCIOPS, Role.LDF, Role.COMMISSIONING)
_LONGEST_AMENDMENT = 5000


def write_night_report(rehearsal: Rehearsal, night: int) -> Path:
    """Write the report of a night, before the meeting that it is for.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night.

    Returns
    -------
    pathlib.Path
        ``report/night_<day_obs>.html``; beside it the same as Markdown and as JSON. What was amended before stands in
        it again; a signature of an earlier version is shown as such.

    Raises
    ------
    NotFoundError
        If there is no such night.
    ServiceError
        If it cannot be written; sources that fail are named in it instead.
    """
    text = json.dumps(gather_night(rehearsal, night), allow_nan=False)
    content = json.loads(text)
    name = _name(content["day_obs"])
    write_whole(rehearsal.settings.report / f"{name}.json", text)
    digest = report_digest(content, amendments_of(rehearsal, content["day_obs"]))
    rehearsal.journal.append(Kind.REPORT_WRITTEN, night, report=name, digest=digest)
    return _draw(rehearsal, content)


def read_report(rehearsal: Rehearsal, night: int) -> dict[str, Any]:
    """Read what a report says, as it was written.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night.

    Returns
    -------
    dict
        As `gather_night` gave it.

    Raises
    ------
    NotFoundError
        If it was not written, or by another version of this package.
    """
    path = rehearsal.settings.report / f"{_name(rehearsal.night(night).day_obs)}.json"
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        content = {}
    if content.get("format") != FORMAT:
        why = "written by another version of this package" if content else "not written"
        raise NotFoundError(
            f"The report of night {night} was {why}.",
            advice=f"Write it with 'commtools rehearse report --night {night}'.",
        )
    return content


def draw_report(rehearsal: Rehearsal, night: int) -> Path:
    """Draw a report that was written again, with what was added and signed since.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    NotFoundError
        If the report was not written.
    """
    return _draw(rehearsal, read_report(rehearsal, night))


def amend_report(
    rehearsal: Rehearsal, night: int, section: str, text: str, *, who: str = "", role: str = ""
) -> Path:
    """Add something to a report that was written; nothing of it is changed.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night.
    section
        One of `SECTIONS`.
    text
        What to add.
    who, role
        Who adds it.

    Returns
    -------
    pathlib.Path
        The page, drawn again.

    Raises
    ------
    InputError
        If there is no such section, or nothing to add.
    NotFoundError
        If the report was not written.
    """
    if section not in SECTIONS:
        raise InputError(f"A report has no section {section!r:.40}.", advice=f"It has {', '.join(SECTIONS)}.")
    text = text.strip()
    if not text or len(text) > _LONGEST_AMENDMENT:
        raise InputError(
            f"An amendment has 1 to {_LONGEST_AMENDMENT} characters.", changed="Nothing was added."
        )
    content = read_report(rehearsal, night)
    rehearsal.journal.append(
        Kind.REPORT_AMENDED,
        night,
        who=who,
        role=role,
        report=_name(content["day_obs"]),
        section=section,
        text=text,
    )
    return _draw(rehearsal, content)


def sign_report(rehearsal: Rehearsal, night: int, *, who: str, role: str, comment: str = "") -> Path:
    """Sign a report as it stands, amendments included.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night.
    who, role
        Who signs, as whom.
    comment
        What else there is to say.

    Returns
    -------
    pathlib.Path
        The page, drawn again.

    Raises
    ------
    InputError
        If the signature has no name.
    RefusedError
        If the role signs no reports.
    NotFoundError
        If the report was not written.
    """
    who = " ".join(who.split())
    if not who:
        raise InputError("A signature needs a name.", changed="Nothing was signed.")
    if role not in _OPERATORS:
        raise RefusedError(
            f"The role {role!r:.40} signs no reports.",
            changed="Nothing was signed.",
            advice=f"These do: {', '.join(_OPERATORS)}.",
        )
    content = read_report(rehearsal, night)
    name = _name(content["day_obs"])
    digest = report_digest(content, amendments_of(rehearsal, content["day_obs"]))
    rehearsal.journal.append(
        Kind.REPORT_SIGNED, night, who=who, role=role, report=name, digest=digest, comment=comment.strip()
    )
    return _draw(rehearsal, content)


def report_digest(content: Mapping[str, Any], amendments: Iterable[Entry]) -> str:
    """Name a version of a report: what was gathered, and the amendments to it.

    Parameters
    ----------
    content
        What was gathered.
    amendments
        Entries of the journal.

    Returns
    -------
    str
        Sixty-four hexadecimal digits.
    """
    told = [json.dumps(content, sort_keys=True)]
    told += [json.dumps([a.data.get("section"), a.data.get("text"), a.who, a.role]) for a in amendments]
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def write_rehearsal_report(rehearsal: Rehearsal) -> Path:
    """Write the report of the whole rehearsal, the campaign's page, and the backlog for spreadsheets and for Jira.

    Parameters
    ----------
    rehearsal
        The rehearsal.

    Returns
    -------
    pathlib.Path
        ``report/index.html``; beside it the same as Markdown, ``campaign.html``, ``backlog.csv`` and
        ``backlog_jira.csv``.
    """
    folder = rehearsal.settings.report
    state = campaign_state(rehearsal)
    write_page(rehearsal)
    write_csv(state.backlog, folder / "backlog.csv")
    write_jira_csv(state.backlog, folder / "backlog_jira.csv", origin=f"Rehearsal {state.name}")
    entries = rehearsal.entries()
    signed = [entry for entry in entries if entry.kind is Kind.REPORT_SIGNED]
    nights = []
    for night in state.nights:
        name = _name(night.day_obs)
        try:
            content: dict[str, Any] | None = read_report(rehearsal, night.number)
        except NotFoundError:
            content = None
        change = state.backlog.compare(night.number)
        nights.append(
            {
                **night.to_dict(),
                "content": content,
                "report": f"{name}.html" if content else "",
                "signed": [f"{e.who} ({e.role})" for e in signed if e.data.get("report") == name],
                "changes": {
                    "new": len(change.new),
                    "recurring": len(change.recurring),
                    "still open": len(change.still_open),
                    "solved": len(change.solved),
                },
            }
        )
    values = {
        "state": state,
        "final": state.to_dict()["final"],
        "settings": rehearsal.settings.to_dict(),
        "nights": nights,
        "problems": [item.to_dict() for item in state.backlog.items],
        "limit": FAILURE_LIMIT,
        "pages": sorted(p.name for p in folder.glob("standup_*.html")),
        "unattended": state.unattended,
        "score": _score_of(entries),
        "precursors": shipped_precursors().to_dict(),
    }
    write_whole(folder / "index.md", render("index.md", values))
    return write_whole(folder / "index.html", render("index.html", values))


def _score_of(entries: Sequence[Entry]) -> dict[str, Any] | None:
    """Give the score of the prepared faults; None while they are sealed."""
    try:
        return score(entries).to_dict()
    except RefusedError:
        return None


def _draw(rehearsal: Rehearsal, content: dict[str, Any]) -> Path:
    """Draw the pages of what was gathered, with what was added and signed since."""
    name = _name(content["day_obs"])
    amendments = amendments_of(rehearsal, content["day_obs"])
    digest = report_digest(content, amendments)
    figures = content["quality"]["figures"]
    values = {
        "content": content,
        "sections": SECTIONS,
        "amendments": {
            section: [a for a in amendments if a.data.get("section") == section] for section in SECTIONS
        },
        "signatures": [
            {"entry": entry, "current": entry.data.get("digest") == digest}
            for entry in _of_report(rehearsal, Kind.REPORT_SIGNED, name)
        ],
        "digest": digest,
        "unattended": content["unattended"] or rehearsal.unattended,
        "states_figure": states_figure(content["states"]["efd"]),
        "figures": figures[1:],
        "figure_script": figures[0] if figures else "",
        "bokeh": _bokeh() if figures else "",
    }
    folder = rehearsal.settings.report
    write_whole(folder / f"{name}.md", render("night.md", values))
    return write_whole(folder / f"{name}.html", render("night.html", values, scripts=bool(figures)))


def _bokeh() -> str:
    from bokeh.resources import INLINE

    text: str = INLINE.render()
    return text


def amendments_of(rehearsal: Rehearsal, day_obs: int) -> list[Entry]:
    """List what was added to the report of a night.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    day_obs
        The night.

    Returns
    -------
    list of Entry
        In the order in which it was added.
    """
    return _of_report(rehearsal, Kind.REPORT_AMENDED, _name(day_obs))


def _of_report(rehearsal: Rehearsal, kind: Kind, name: str) -> list[Entry]:
    return [entry for entry in rehearsal.entries({kind}) if entry.data.get("report") == name]


def _name(day_obs: int) -> str:
    return f"night_{day_obs}"
