"""What the records outside of a rehearsal tell of a night: states of CSCs, the narrative log, night reports.

Each source is asked by itself. One that fails is named with its reason, and the others go on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import CommtoolsError, SiteError
from lsst_commtools.ids import day_obs_date
from lsst_commtools.notices import Efd, LogEntry, NarrativeLog, NightReports, StateHistory, sum_time_lost
from lsst_commtools.notices.service import from_tai_text
from lsst_commtools.rehearsal.journal import Entry, Kind

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = [
    "Source",
    "Window",
    "ask",
    "journal_states",
    "narrative_from_journal",
    "read_narrative",
    "read_reports",
    "read_states",
    "windows_of",
]


@dataclass(frozen=True)
class Source:
    """Where a part of a page comes from, and whether it could be read.

    Parameters
    ----------
    name
        What people call it.
    status
        ``good``, ``unknown`` where the site has none, ``bad`` where it failed.
    told
        What came of it, in one sentence.
    """

    name: str
    status: str
    told: str

    def to_dict(self) -> dict[str, str]:
        """Give it as plain values."""
        return {"name": self.name, "status": self.status, "told": self.told}


@dataclass(frozen=True)
class Window:
    """A time that is asked about.

    Parameters
    ----------
    name
        What it is.
    begin_utc, end_utc
        From when, until when.
    """

    name: str
    begin_utc: dt.datetime
    end_utc: dt.datetime

    def to_dict(self) -> dict[str, str]:
        """Give it as plain values."""
        return {
            "name": self.name,
            "begin_utc": self.begin_utc.isoformat(),
            "end_utc": self.end_utc.isoformat(),
        }


def windows_of(
    day_obs: int, entries: Iterable[Entry], night: int, now_utc: dt.datetime
) -> tuple[Window, ...]:
    """Name the times that a night's records are looked for: they carry real time, and the rehearsal may not.

    Parameters
    ----------
    day_obs
        The night.
    entries
        Of the journal.
    night
        Its number.
    now_utc
        Real time.

    Returns
    -------
    tuple of Window
        The night itself, from noon to noon TAI; and the real time in which it was rehearsed, unless that lies within.
    """
    date = day_obs_date(day_obs)
    noons = (from_tai_text(f"{day}T12:00:00") for day in (date, date + dt.timedelta(days=1)))
    itself = Window("the night itself, noon to noon TAI", *noons)
    times = [dt.datetime.fromisoformat(entry.at_utc) for entry in entries if entry.night == night]
    begin = min(times, default=now_utc)
    if itself.begin_utc <= begin and now_utc <= itself.end_utc:
        return (itself,)
    return itself, Window("while it was rehearsed, real time", begin, now_utc)


def ask(name: str, look: Callable[[], tuple[Any, str]], otherwise: Any) -> tuple[Any, Source]:
    """Ask a source, and go on without it if it fails.

    Parameters
    ----------
    name
        What people call it.
    look
        Gives what it tells, and that in one sentence.
    otherwise
        What stands in where it fails.

    Returns
    -------
    found : object
        What it tells, or what stands in.
    source : Source
        Whether it could be read.
    """
    try:
        found, told = look()
    except SiteError as error:
        return otherwise, Source(name, "unknown", str(error))
    except CommtoolsError as error:
        return otherwise, Source(name, "bad", str(error))
    except Exception as error:  # noqa: BLE001 - a page that people wait for is written whatever a library raises
        return otherwise, Source(name, "bad", f"{type(error).__name__}: {error}")
    return found, Source(name, "good", told)


def read_states(site: Site, windows: Sequence[Window]) -> tuple[list[dict[str, Any]], Source]:
    """Read the states of the site's CSCs over some times from the EFD.

    Parameters
    ----------
    site
        Names its CSCs and its EFD.
    windows
        The times.

    Returns
    -------
    rows : list of dict
        One for each CSC and time: states at both ends and the changes between; empty where the EFD was not read.
    source : Source
        Whether it could be read.
    """

    def look() -> tuple[list[dict[str, Any]], str]:
        with Efd.of(site) as efd:
            found = [(w, efd.histories(site.love.cscs, w.begin_utc, w.end_utc)) for w in windows]
        rows = [_state_row(window, history) for window, histories in found for history in histories]
        silent = sum(not row["known"] for row in rows)
        told = (
            f"{len(rows)} histories of {len(site.love.cscs)} CSCs; {silent} without any event: state unknown."
        )
        return rows, told

    return ask("EFD", look, [])


def journal_states(entries: Iterable[Entry], night: int) -> list[dict[str, Any]]:
    """Tell the states of CSCs that the rehearsal itself saw.

    Parameters
    ----------
    entries
        Of the journal.
    night
        Number of the night.

    Returns
    -------
    list of dict
        ``csc``, ``state``, ``at_utc``, ``at_rehearsal_utc``, ``told``: in the order in which they were seen.
    """
    return [
        {
            "csc": str(entry.data.get("csc", "")),
            "state": str(entry.data.get("state", "")),
            "at_utc": entry.at_utc,
            "at_rehearsal_utc": entry.at_rehearsal_utc,
            "told": str(entry.data.get("reason") or entry.data.get("source") or ""),
        }
        for entry in entries
        if entry.kind is Kind.CSC_STATE and entry.night == night
    ]


def read_narrative(site: Site, windows: Sequence[Window]) -> tuple[dict[str, Any], Source]:
    """Read what the narrative log has of some times.

    Parameters
    ----------
    site
        Says where it is.
    windows
        The times; their ends are not within them.

    Returns
    -------
    narrative : dict
        ``entries``, ``lost_seconds`` by kind, and ``lost_unknown``: times whose unit nobody told, in no sum.
    source : Source
        Whether it could be read.
    """

    def look() -> tuple[dict[str, Any], str]:
        with NarrativeLog.of(site) as log:
            found = {e.id: e for window in windows for e in log.find(window.begin_utc, window.end_utc)}
        lost = sum_time_lost(found.values())
        told = f"{len(found)} entries; {len(lost.unknown)} of them tell a time lost without its unit."
        return {
            "entries": [_log_row(entry) for entry in found.values()],
            "lost_seconds": {kind or "cause not told": seconds for kind, seconds in lost.seconds.items()},
            "lost_unknown": [str(time) for time in lost.unknown],
        }, told

    return ask("narrative log", look, {"entries": [], "lost_seconds": {}, "lost_unknown": []})


def narrative_from_journal(entries: Iterable[Entry], night: int) -> list[dict[str, Any]]:
    """Tell what people wrote into the rehearsal's own journal.

    Parameters
    ----------
    entries
        Of the journal.
    night
        Number of the night.

    Returns
    -------
    list of dict
        As the entries of `read_narrative`.
    """
    rows = []
    for entry in entries:
        if entry.kind is not Kind.NARRATIVE or entry.night != night:
            continue
        lost_s = entry.data.get("time_lost_s")
        lost = f"{lost_s:g} s" if isinstance(lost_s, int | float) and lost_s else "none"
        kind = str(entry.data.get("time_lost_type") or "")
        rows.append(
            {
                "at_utc": entry.at_rehearsal_utc,
                "who": f"{entry.who} ({entry.role})" if entry.role else entry.who,
                "text": str(entry.data.get("text", "")),
                "time_lost": f"{lost} ({kind})" if kind and lost != "none" else lost,
                "tags": "",
            }
        )
    return rows


def read_reports(site: Site, day_obs: int) -> tuple[list[dict[str, Any]], Source]:
    """Read what the night-report service has of a night.

    Parameters
    ----------
    site
        Says where it is.
    day_obs
        The night.

    Returns
    -------
    reports : list of dict
        Summary, weather, author and time of each.
    source : Source
        Whether it could be read.
    """

    def look() -> tuple[list[dict[str, Any]], str]:
        with NightReports.of(site) as service:
            found = service.find(day_obs)
        rows = [
            {
                "summary": report.text.summary,
                "weather": report.text.weather,
                "user": report.user,
                "agent": report.agent,
                "added_utc": report.added_utc.isoformat(),
            }
            for report in found
        ]
        return rows, f"{len(rows)} reports of {day_obs}."

    return ask("night reports", look, [])


def _state_row(window: Window, history: StateHistory) -> dict[str, Any]:
    return {
        "window": window.name,
        "known": history.before is not None or bool(history.events),
        "csc": history.csc,
        "before": history.before.state if history.before else "UNKNOWN",
        "before_utc": history.before.at_utc.isoformat() if history.before else "",
        "end": history.spans[-1].state,
        "spans": [
            {
                "state": span.state,
                "begin_utc": span.begin_utc.isoformat(),
                "end_utc": span.end_utc.isoformat(),
                "hours": round(span.hours, 3),
            }
            for span in history.spans
        ],
    }


def _log_row(entry: LogEntry) -> dict[str, Any]:
    moment = entry.begin_utc or entry.added_utc
    return {
        "at_utc": moment.isoformat(),
        "who": f"{entry.user} ({entry.agent})",
        "text": entry.text,
        "time_lost": str(entry.time_lost),
        "tags": ", ".join(entry.tags),
    }
