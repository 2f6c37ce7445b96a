"""``commtools releases``: milestones, features and their readiness."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lsst_commtools.cli.output import Context
from lsst_commtools.errors import InputError

if TYPE_CHECKING:
    from lsst_commtools.releases.board import Releases

__all__ = ["command"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _source_options(function: _Command) -> _Command:
    function = click.option("--table", "--csv", "table", metavar="FILE", help="Table of milestones to use.")(
        function
    )
    return click.option("--text", metavar="FILE", help="Text of the release document to use.")(function)


@click.group()
def command() -> None:
    """Show milestones, features and their readiness."""


@command.command("list")
@click.option("--today", metavar="DATE", help="Day on which lateness is judged [default: today, UTC].")
@_source_options
@click.pass_obj
def list_command(context: Context, *, today: str | None, text: str | None, table: str | None) -> int:
    """List milestones and features, what is late, and what is odd in the sources."""
    overview = _releases(context, text, table).overview(_date(today))
    days = {(entry["id"], entry["source"]): entry["days"] for entry in overview["late"]}
    rows: list[tuple[Any, ...]] = []
    for m in overview["milestones"]:
        late = " ".join(f"{days[m['id'], name]} d ({name})" for name in m["title"] if (m["id"], name) in days)
        features = ", ".join(f"{len(ids)} ({name})" for name, ids in m["features"].items())
        title = next((t for t in m["title"].values() if t), None)
        rows.append(
            (m["id"], m["status"], " ".join(m["due"].values()) or None, late or None, features, title)
        )
    rows += [
        ("anomaly", a["kind"], f"{a['source']}:{a['line']}", None, None, a["message"])
        for a in overview["anomalies"]
    ]
    context.emit_table(overview, rows, ("id", "status", "due", "late", "features", "title"))
    return 0


@command.command("show")
@click.argument("entry_id", metavar="ID")
@_source_options
@click.pass_obj
def show_command(context: Context, entry_id: str, *, text: str | None, table: str | None) -> int:
    """Tell what each source says of a milestone or feature, and what it needs."""
    document = _releases(context, text, table).show(entry_id)
    rows: list[tuple[Any, ...]] = []
    for source, told in document["by_source"].items():
        for entry in told["entries"]:
            rows.append((source, "title", entry["title"]))
            rows.append((source, "due", entry["due"]))
            rows += [(source, "note", note) for note in entry["notes"]]
            rows += [(source, "needs, without id", free) for free in entry["free_requirements"]]
        rows.append((source, "needs", ", ".join(told["needs"]) or None))
        rows.append((source, "needs in all", len(told["needs_all"])))
        path = " -> ".join(f"{s['id']} ({s['due']})" for s in told["critical_path"])
        rows.append((source, "critical path", path))
    rows += [("both", "disagree", _disagreement(d)) for d in document["sources_disagree"]]
    context.emit_table(document, rows, ("source", "what", "value"))
    return 0


@command.command("ready")
@click.argument("entry_id", metavar="ID")
@_source_options
@click.pass_obj
def ready_command(context: Context, entry_id: str, *, text: str | None, table: str | None) -> int:
    """Say whether a milestone or feature is verified, by which runs, and what is lacking."""
    document = _releases(context, text, table, with_evidence=True).ready(entry_id)
    rows: list[tuple[Any, ...]] = [
        (document["id"], document["status"], None, " / ".join(document["title"].values()))
    ]
    for feature in document["features"]:
        last = feature["evidence"][-1] if feature["evidence"] else None
        run = None if last is None else f"{last['result']} {last['at_utc']} {last['image']} ({last['run']})"
        rows.append((feature["id"], feature["status"], feature["source"], run or feature["title"]))
    rows += [(r["id"], r["status"], r["source"], "needed") for r in document["requires"]]
    rows += [(f["text"], "unknown", f["source"], "needed, without id") for f in document["free_requirements"]]
    rows += [(d["id"], "disagree", "both", _disagreement(d)) for d in document["sources_disagree"]]
    rows += [(document["id"], "problem", None, problem) for problem in document["problems"]]
    context.emit_table(document, rows, ("id", "status", "source", "evidence"))
    return int(document["status"] != "verified" or bool(document["problems"]))


@command.command("blocked-by")
@click.argument("entry_id", metavar="ID")
@_source_options
@click.pass_obj
def blocked_by_command(context: Context, entry_id: str, *, text: str | None, table: str | None) -> int:
    """Say what cannot be had without a milestone or feature."""
    document = _releases(context, text, table).blocked_by(entry_id)
    rows = [
        (source, row["id"], "directly" if row["direct"] else "through others", row["title"])
        for source, blocked in document["by_source"].items()
        for row in blocked
    ]
    context.emit_table(document, rows, ("source", "id", "blocked", "title"))
    return 0


def _releases(
    context: Context, text: str | None, table: str | None, *, with_evidence: bool = False
) -> Releases:
    from lsst_commtools.releases.board import Releases
    from lsst_commtools.releases.shipped import read_model

    model = read_model(text, table) if text is not None or table is not None else None
    if not with_evidence:
        return Releases(context.site, model=model)
    from lsst_commtools.cli.evidence import image_changed_utc, ledger_runs

    site = context.site
    return Releases(site, model=model, runs=ledger_runs(site), image_changed_utc=image_changed_utc(site))


def _disagreement(document: dict[str, Any]) -> str:
    values = {key: value for key, value in document.items() if key not in ("id", "field")}
    return f"{document['field']}: " + "; ".join(f"{name}: {value}" for name, value in values.items())


def _date(text: str | None) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is not a date.", advice="Give for instance 2018-11-30.") from None
