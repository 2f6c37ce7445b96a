"""The report of a night to the observatory's log services: marked as a rehearsal's, and stored once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from lsst_commtools.errors import InputError
from lsst_commtools.notices import LogEntry, NarrativeLog, NightReports, NightReportText, StoredNightReport
from lsst_commtools.notices.service import USER_AGENT
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.pages import UNATTENDED
from lsst_commtools.rehearsal.report import read_report
from lsst_commtools.rehearsal.telling import windows_of

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.rehearsal import Rehearsal

__all__ = ["send_narrative", "send_night_report"]

_MARK = "[REHEARSAL]"
_TAG = "rehearsal"


def send_night_report(rehearsal: Rehearsal, night: int, *, who: str, url: str = "") -> StoredNightReport:
    """Send what a night's report says in short to the night-report service.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night; its report was written.
    who
        Who sends it.
    url
        Where the whole report is.

    Returns
    -------
    StoredNightReport
        As it is stored; the one that was sent before is edited.

    Raises
    ------
    NotFoundError
        If the report was not written.
    InputError
        If nobody sends it.
    ServiceError
        If it was not stored, or that is not known, by cause.
    """
    if not who.strip():
        raise InputError("A report needs somebody who sends it.", changed="Nothing was sent.")
    content = read_report(rehearsal, night)
    problems = {name: len(items) for name, items in content["problems"].items()}
    lines = [
        f"{_MARK} Night {night} of the rehearsal {content['rehearsal']}, {content['instrument']}.",
        *([UNATTENDED + "."] if rehearsal.unattended else []),
        *(
            f"{row['station']}: {row['count']} detector images, {row['lost']} lost here"
            for row in content["counts"]["stations"]
        ),
        *(f"Failed: {rate['text']}: {rate['status']}" for rate in content["processing"]["rates"]),
        "Problems: " + ", ".join(f"{count} {name}" for name, count in problems.items()),
    ]
    text = NightReportText(
        day_obs=int(content["day_obs"]),
        summary="\n".join(lines),
        weather="not observed in a rehearsal",
        url=url,
    )
    with NightReports.of(rehearsal.site) as service:
        return service.send(text, user=who)


def send_narrative(rehearsal: Rehearsal, night: int, *, who: str) -> list[LogEntry]:
    """Send what people wrote into the rehearsal's journal to the narrative log; what it has already is left out.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night.
    who
        Who sends it, where the journal does not tell who wrote it.

    Returns
    -------
    list of LogEntry
        What was stored now.

    Raises
    ------
    ServiceError
        If an entry was not stored, or that is not known, by cause; those before it were.
    """
    entries = rehearsal.entries({Kind.NARRATIVE}, night)
    if not entries:
        return []
    now = rehearsal.clock.real_utc()
    windows = windows_of(rehearsal.night(night).day_obs, entries, night, now + dt.timedelta(seconds=1))
    stored = []
    with NarrativeLog.of(rehearsal.site) as log:
        mine = [
            entry.text
            for window in windows
            for entry in log.find(window.begin_utc, window.end_utc)
            if entry.agent == USER_AGENT
        ]
        for entry in entries:
            # The entry's number makes the text its own: sent again after an answer that was lost, it is found.
            text = f"{_MARK} {entry.data.get('text', '')} (journal {rehearsal.settings.work.name} {entry.number})"
            if any(known.startswith(text) for known in mine):
                continue
            lost_s = entry.data.get("time_lost_s")
            kind = entry.data.get("time_lost_type")
            stored.append(
                log.add(
                    text,
                    user=entry.who or who,
                    begin=dt.datetime.fromisoformat(entry.at_utc),
                    tags=[_TAG],
                    time_lost_s=float(lost_s) if isinstance(lost_s, int | float) else 0.0,
                    time_lost_type=kind if kind in ("fault", "weather") else "",
                )
            )
    return stored
