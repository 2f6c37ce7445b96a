"""Everything that a night's report shows, gathered once as plain values: what was written before the meeting stays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import NotFoundError
from lsst_commtools.ingest.rate import Rate
from lsst_commtools.night.counts import STATIONS
from lsst_commtools.procedure.values import plain
from lsst_commtools.rehearsal.backlog import from_entries
from lsst_commtools.rehearsal.failures import group_failures
from lsst_commtools.rehearsal.journal import Entry, Kind
from lsst_commtools.rehearsal.ledger_states import read_ledger_states
from lsst_commtools.rehearsal.monitor import step_row
from lsst_commtools.rehearsal.outline import OUTLINE
from lsst_commtools.rehearsal.poll import polls
from lsst_commtools.rehearsal.progress import log_path, read_quanta
from lsst_commtools.rehearsal.states import outline_states
from lsst_commtools.rehearsal.telling import (
    Source,
    ask,
    journal_states,
    narrative_from_journal,
    read_narrative,
    read_reports,
    read_states,
    windows_of,
)

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.rehearsal import Rehearsal

__all__ = ["FORMAT", "count_tables", "gather_night", "read_quality"]

FORMAT = 1
"""Raised whenever a page of what was gathered before could not be drawn any more."""

_OF_ONE_EXPOSURE = "exposure-"
_PACE = ("size_bytes", "sending_s", "rate", "expected", "below_expected", "interrupted_times")
_TRANSFERRED = "transferred"
_LATENCY = "latency_rehearsal_s"


def gather_night(rehearsal: Rehearsal, night: int) -> dict[str, Any]:
    """Gather what a night's report shows.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night.

    Returns
    -------
    dict
        Plain values; ``sources`` tells of each source whether it could be read.
    """
    settings, day_obs = rehearsal.settings, rehearsal.night(night).day_obs
    entries = rehearsal.entries()
    own = [entry for entry in entries if entry.night == night]
    now = rehearsal.clock.reading()
    windows = windows_of(day_obs, entries, night, now.real_utc)
    steps, ledger = _steps(rehearsal, entries, night)
    quality, pipeline = ask(
        "Butler repository", lambda: read_quality(rehearsal, night), {"visits": [], "figures": []}
    )
    states, efd = read_states(rehearsal.site, windows)
    seen, procedures = read_ledger_states(rehearsal.site, windows)
    narrative, log = read_narrative(rehearsal.site, windows)
    reports, service = read_reports(rehearsal.site, day_obs)
    quanta = read_quanta(log_path(settings.work, day_obs, "science"))
    backlog = from_entries(entries)
    change = backlog.compare(night)
    journal = Source("journal of the rehearsal", "good", f"{len(own)} entries of this night.")
    return {
        "format": FORMAT,
        "night": night,
        "day_obs": day_obs,
        "rehearsal": settings.work.name,
        "instrument": settings.instrument,
        "dataset": settings.dataset,
        "unattended": rehearsal.unattended,
        "gathered_utc": now.real_utc.isoformat(),
        "gathered_rehearsal_utc": now.rehearsal_utc.isoformat(),
        "windows": [window.to_dict() for window in windows],
        "sources": [
            source.to_dict() for source in (journal, ledger, pipeline, efd, procedures, log, service)
        ],
        "steps": steps,
        "counts": count_tables(own),
        "calibrations": [_of(entry) for entry in own if entry.kind is Kind.CALIBRATION],
        "processing": {
            "counts": quanta.counts,
            "by_task": quanta.by_task,
            "rates": [rate.to_dict() for rate in quanta.rates],
            "failures": backlog.care(group_failures(quanta.failures(night))),
        },
        "quality": {**quality, "page": _data_page(rehearsal, night)},
        "states": {"efd": states, "journal": journal_states(entries, night), "ledger": seen},
        "narrative": {**narrative, "journal": narrative_from_journal(entries, night)},
        "night_reports": reports,
        "problems": {
            "new": [item.to_dict() for item in change.new],
            "recurring": [item.to_dict() for item in change.recurring],
            "still open": [item.to_dict() for item in change.still_open],
            "solved": [item.to_dict() for item in change.solved],
        },
        "decisions": [_of(entry) for entry in own if entry.kind is Kind.DECISION],
        "choices": [_choice_row(entry) for entry in own if entry.kind is Kind.CHOICE],
        "shifts": [_of(entry) for entry in own if entry.kind in (Kind.SHIFT_BEGUN, Kind.HANDED_OVER)],
        "polls": [poll.to_dict() for poll in polls(entries) if poll.night == night],
        "plan": _plan(rehearsal, night),
    }


def count_tables(entries: Sequence[Entry]) -> dict[str, Any]:
    """Collect what was counted: the ledger of detector images, and the figures of each stage.

    Parameters
    ----------
    entries
        Of one night.

    Returns
    -------
    dict
        ``stations``: one row for each station, empty if nothing was counted; ``stages``: the last figures of each
        other stage, those of single exposures left out; ``transfers``: one row for each of its kinds, with its pace
        and the expected one; ``latency``: one row for each station that images came to.
    """
    transfers: dict[str, dict[str, Any]] = {}
    stations: list[dict[str, Any]] = []
    latency: list[dict[str, Any]] = []
    stages: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.kind is not Kind.COUNTS:
            continue
        data = dict(entry.data)
        nested = data.get("counts")
        counted = nested if isinstance(nested, dict) else data
        if set(STATIONS) <= set(counted):
            stations = _station_rows(counted)
        if data.get("stage") == _TRANSFERRED:
            row = _transfer_row(data)
            transfers[row["what"]] = _with_pace(row, transfers.get(row["what"]))
            continue
        stage = " ".join(str(data.pop(name)) for name in ("stage", "what") if data.get(name))
        if isinstance(times := data.pop(_LATENCY, None), dict):
            latency = [dict(row) for row in times.get("stations", [])]
        figures = {k: v for k, v in data.items() if k not in ("counts", "quanta_by_task", *STATIONS)}
        if stage and figures and not stage.startswith(_OF_ONE_EXPOSURE):
            stages[stage] = figures
    return {
        "stations": stations,
        "stages": [{"stage": name, **figures} for name, figures in stages.items()],
        "transfers": list(transfers.values()),
        "latency": latency,
    }


def read_quality(rehearsal: Rehearsal, night: int) -> tuple[dict[str, Any], str]:
    """Judge the visits of a night, and draw it.

    Parameters
    ----------
    rehearsal
        The rehearsal.
    night
        Number of the night.

    Returns
    -------
    quality : dict
        ``visits`` with their verdicts, ``limits`` that they were judged by, and ``figures``: HTML of bokeh, the
        script first.
    told : str
        What was found, in one sentence.
    """
    from bokeh.embed import components

    from lsst_commtools.night import Night, judge_night, night_figures
    from lsst_commtools.qa.limits import DEFAULT_LIMITS

    settings = rehearsal.night(night).settings
    try:
        archive = Night(
            rehearsal.site,
            settings.repository,
            settings.day_obs,
            settings.instrument,
            settings.output_collection,
        )
    except NotFoundError as error:
        return {"visits": [], "limits": [], "figures": []}, f"Nothing was processed: {error.message}"
    summaries = archive.visit_summaries()
    visits = [] if summaries.empty else judge_night(summaries)
    figures = night_figures(summaries, visits, archive.camera)
    script, divisions = components(figures) if figures else ("", [])
    limits = [
        {"metric": name, "warning": limit.design, "bad": limit.minimum, "source": limit.source}
        for name, limit in DEFAULT_LIMITS.items()
    ]
    return {
        "visits": plain([visit.to_dict() for visit in visits]),
        "limits": limits,
        "figures": [script, *divisions] if figures else [],
    }, f"{len(visits)} visits were judged, of {settings.output_collection}."


def _steps(rehearsal: Rehearsal, entries: Sequence[Entry], night: int) -> tuple[list[dict[str, Any]], Source]:
    """List the steps with the signatures that the ledger has of them."""
    from lsst_commtools.procedure.ledger import Ledger
    from lsst_commtools.procedure.runs import show_run

    states = outline_states(entries, len(rehearsal.settings.nights))
    rows = [step_row(states[night, step.id]) for step in OUTLINE]

    missing: list[str] = []

    def look() -> tuple[dict[str, list[dict[str, Any]]], str]:
        section = rehearsal.site.procedure
        ledger = Ledger.at(section)
        given = {}
        for run in filter(None, (row["run"] for row in rows)):
            try:
                given[run] = _signatures(show_run(ledger, section, run))
            except NotFoundError:
                missing.append(run)
        return given, f"{len(given)} runs, {sum(map(len, given.values()))} signatures."

    given, source = ask("ledger of procedures", look, {})
    if missing:
        source = Source(source.name, "bad", f"It does not know the runs {', '.join(missing)}.")
    return [{**row, "signatures": given.get(row["run"], [])} for row in rows], source


def _signatures(record: Any) -> list[dict[str, Any]]:
    return [
        {
            "role": signature.role,
            "name": signature.name,
            "go": signature.go,
            "at_utc": signature.at_utc,
            "comment": signature.comment,
        }
        for signature in record.signatures
    ]


def _transfer_row(data: dict[str, Any]) -> dict[str, Any]:
    expected, rate = (_number(data.get(f"{name}_bytes_per_s")) for name in ("expected", "rate"))
    return {
        "what": str(data.get("what", "")),
        "exposures": data.get("exposures"),
        "files": data.get("files"),
        "arrived": data.get("arrived"),
        "failed": [str(name) for name in data.get("failed") or []],
        "size_bytes": data.get("size_bytes"),
        "sending_s": data.get("sending_s"),
        "rate": _rate(rate),
        "expected": _rate(expected),
        "below_expected": rate is not None and expected is not None and rate < expected,
        "interrupted_times": data.get("interrupted_times"),
    }


def _with_pace(row: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """Keep the pace of what was sent before, where nothing was left to send."""
    if before is None or row["size_bytes"] != 0:
        return row
    return {**row, **{name: before[name] for name in _PACE}}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _rate(bytes_per_s: float | None) -> str:
    return "unknown" if bytes_per_s is None else str(Rate(bytes_per_s))


def _choice_row(entry: Entry) -> dict[str, Any]:
    """Show of a choice what it is made of and what it changed; its hashes stay in the journal."""
    image = entry.data.get("image")
    calibrations = entry.data.get("calibrations")
    return {
        **{name: value for name, value in _of(entry).items() if name != "data"},
        "pipeline": str(entry.data.get("pipeline_name", "")),
        "image": str(image.get("tag") or image.get("unknown") or "") if isinstance(image, dict) else "",
        "calibrations": [str(c.get("collection", c)) for c in calibrations if isinstance(c, dict)]
        if isinstance(calibrations, list)
        else [],
        "reason": str(entry.data.get("reason", "")),
        "back_to": entry.data.get("back_to") or 0,
        "differences": [
            {name: str(difference.get(name, "")) for name in ("what", "old", "new")}
            for difference in entry.data.get("differences") or []
            if isinstance(difference, dict)
        ],
    }


def _station_rows(counts: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    before: int | None = None
    for station, meaning in STATIONS.items():
        count = int(counts[station])
        lost = 0 if before is None else before - count
        rows.append({"station": station, "count": count, "lost": lost, "meaning": meaning})
        before = count
    return rows


def _plan(rehearsal: Rehearsal, night: int) -> list[dict[str, str]]:
    """List what comes next, with the time at which it is due."""
    if night >= len(rehearsal.settings.nights):
        return [{"what": "Final standup", "owner": "All", "due_rehearsal_utc": ""}]
    following = rehearsal.night(night + 1)
    return [
        {
            "what": f"Night {night + 1}: {step.title}",
            "owner": step.owner,
            "due_rehearsal_utc": _moment(following.planned_utc(step.id)),
        }
        for step in OUTLINE
    ]


def _moment(moment: dt.datetime) -> str:
    return moment.isoformat()


def _data_page(rehearsal: Rehearsal, night: int) -> str:
    """Name the report of the night's data, relative to the reports; empty if there is none."""
    page, work = rehearsal.night(night).settings.report, rehearsal.settings.work
    return f"../{page.relative_to(work).as_posix()}" if page.is_file() and page.is_relative_to(work) else ""


def _of(entry: Entry) -> dict[str, Any]:
    return {
        "kind": str(entry.kind),
        "who": entry.who,
        "role": entry.role,
        "at_utc": entry.at_utc,
        "at_rehearsal_utc": entry.at_rehearsal_utc,
        "data": entry.data,
    }
