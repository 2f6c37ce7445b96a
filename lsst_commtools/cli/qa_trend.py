"""``commtools qa trend``: metrics over the nights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli.output import Context
from lsst_commtools.errors import NotFoundError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["command"]


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
    from lsst_commtools.qa.trend import TrendStore
    from lsst_commtools.site.home import commtools_home

    opened = TrendStore(store) if store else TrendStore.in_folder(commtools_home())
    table = opened.read(instrument=instrument, band=band)
    if metrics:
        table = table[table["metric"].isin(metrics)]
    if table.empty:
        raise NotFoundError(
            "The trend store has no such metrics.", advice="A night adds its own with `commtools night run`."
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
