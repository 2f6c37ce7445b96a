"""``commtools qa trend``: metrics over the nights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli.output import Context
from lsst_commtools.errors import NotFoundError

if TYPE_CHECKING:
    import pandas as pd

    from lsst_commtools.qa.trend import TrendStore

__all__ = ["command", "open_trend", "trend_source"]

_LONGEST_SOURCE = 256


@click.command("trend")
@click.argument("metrics", nargs=-1)
@click.option("--store", metavar="URL", help="Database [default: trend.sqlite3 in the commtools home].")
@click.option("--instrument", help="Only of this camera.")
@click.option("--band", help="Only of this band or filter.")
@click.option("--nights", type=click.IntRange(1), default=30, show_default=True, help="Show the last nights.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures to this HTML file."
)
@click.pass_obj
def command(
    context: Context,
    metrics: tuple[str, ...],
    store: str | None,
    instrument: str | None,
    band: str | None,
    nights: int,
    report: Path | None,
) -> int:
    """Show METRICS over the nights, by default all, and judge the last night by its limits and its history.

    Exit code 1 if the last value of a metric is beyond its limit, a sudden change, or unknown.
    """
    table = open_trend(store).read(instrument=instrument, band=band)
    if metrics:
        table = table[table["metric"].isin(metrics)]
    if table.empty:
        raise NotFoundError(
            "The trend store has no such metrics.",
            advice="`commtools night run` adds them, and `qa repeatability` and `qa ellipticity` with --instrument.",
        )
    last = sorted(table["day_obs"].unique())[-nights:]
    shown = table[table["day_obs"].isin(last)]
    verdicts = _judge_last(shown)
    document: dict[str, Any] = {"verdicts": verdicts, "values": _values(shown)}
    if report is not None:
        from lsst_commtools.qa.figures.trend import write_trend_report

        document["report"] = str(write_trend_report(shown, report))
    rows = [
        (v["metric"], v["instrument"], v["band"], v["day_obs"], _number(v["value"]), v["limit_status"],
         v["history_status"], "; ".join(v["reasons"])) for v in verdicts
    ]  # fmt: skip
    header = ("metric", "instrument", "band", "night", "value", "by limit", "by history", "why")
    context.emit_table(document, rows, header)
    return 1 if any(v["status"] != "good" for v in verdicts) else 0


def open_trend(store: str | None) -> TrendStore:
    """Open the trend store.

    Parameters
    ----------
    store
        URL of a database; None for the one in the commtools home.

    Returns
    -------
    TrendStore
        The store.
    """
    from lsst_commtools.qa.trend import TrendStore
    from lsst_commtools.site.home import commtools_home

    return TrendStore(store) if store else TrendStore.in_folder(commtools_home())


def trend_source(names: Sequence[str], repository: str | None) -> str:
    """Name what figures come from, in the length that the store has.

    Parameters
    ----------
    names
        Files, folders or collections.
    repository
        Repository of the collections.

    Returns
    -------
    str
        At most 256 characters; of long lists the end is a checksum, so that two lists stay apart.
    """
    text = (f"{repository}: " if repository else "") + ", ".join(names)
    if len(text) <= _LONGEST_SOURCE:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[: _LONGEST_SOURCE - 20]}... {digest}"


def _judge_last(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Judge the last night of each metric by the nights before it."""
    from lsst_commtools.qa.trend import judge_history

    verdicts = []
    for (metric, instrument, band), rows in table.groupby(["metric", "instrument", "band"]):
        day = int(rows["day_obs"].max())
        now = rows[rows["day_obs"] == day]["value"].dropna()
        before = rows[rows["day_obs"] < day].dropna(subset=["value"]).groupby("day_obs")["value"].median()
        value = float(now.median()) if len(now) else None
        verdict = judge_history(str(metric), value, before.tolist())
        verdicts.append({"instrument": instrument, "band": band, "day_obs": day, **verdict.to_dict()})
    return verdicts


def _values(table: pd.DataFrame) -> list[dict[str, Any]]:
    names = ["day_obs", "instrument", "band", "metric", "value", "error", "status", "source"]
    return [dict(zip(names, row, strict=True)) for row in table[names].itertuples(index=False, name=None)]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
