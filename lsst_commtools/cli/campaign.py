"""``commtools campaign``: many notebooks with their dependencies."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsst_commtools.cli.output import Context, safe_text

if TYPE_CHECKING:
    from lsst_commtools.procedure.campaign.executors import Executor

__all__ = ["command"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--executor", "kind", type=click.Choice(["local", "dask", "noteburst"]), default="local")
@click.option("--scheduler", metavar="ADDRESS", help="Address of a Dask scheduler.")
@click.option("--workers", type=click.IntRange(1), help="Notebooks at a time [default: one for each core].")
@click.pass_obj
def command(context: Context, file: Path, kind: str, scheduler: str | None, workers: int | None) -> int:
    """Run the notebooks of FILE; those that are done and unchanged are skipped.

    Only notebooks that FILE calls idempotent are ever run again by themselves.
    """
    from lsst_commtools.procedure.campaign.conductor import new_campaign_run, run_campaign
    from lsst_commtools.procedure.campaign.model import load_campaign
    from lsst_commtools.procedure.campaign.progress import CampaignBar, LivePage
    from lsst_commtools.procedure.ledger import Ledger

    if scheduler is not None and kind != "dask":
        raise click.UsageError("--scheduler is for --executor dask.")
    campaign = load_campaign(file)
    site = context.site
    run = new_campaign_run(campaign)
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        executor = _executor(kind, scheduler, workers, site)
        stack.callback(executor.close)
        page = stack.enter_context(LivePage(Ledger.at(site.procedure), run))
        print(f"Progress: {page.url}", file=sys.stderr)
        stack.enter_context(_stoppable(stop))
        bar = stack.enter_context(CampaignBar(campaign.campaign))
        report = run_campaign(campaign, executor, site=site, progress=bar, stop=stop, run=run)
    lines = []
    for task in report.tasks:
        fate = task.status if task.executed or task.status != "done" else "done before"
        why = f" ({task.reason})" if task.reason else ""
        lines.append(safe_text(f"{fate:11} {task.task}{why}"))
    context.emit(report.to_dict(), "\n".join(lines))
    if stop.is_set():
        return 130
    return 0 if report.good else 3


def _executor(kind: str, scheduler: str | None, workers: int | None, site: Any) -> Executor:
    if kind == "dask":
        from lsst_commtools.procedure.campaign.dask import DaskExecutor

        return DaskExecutor(scheduler, workers)
    if kind == "noteburst":
        from lsst_commtools.procedure.campaign.noteburst import NoteburstExecutor

        return NoteburstExecutor(site.campaign, site.secret("noteburst_token"))
    from lsst_commtools.procedure.campaign.executors import LocalExecutor

    return LocalExecutor(workers)


@contextlib.contextmanager
def _stoppable(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and a polite kill stop the campaign instead of this process: closing cells must run."""

    def handle(number: int, _: Any) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        print("Stopping: running cells are interrupted, closing cells run.", file=sys.stderr)
        stop.set()

    kept = {
        number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
