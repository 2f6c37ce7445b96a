"""``commtools rehearse score``: which faults were noticed, by whom, and how long it took."""

from __future__ import annotations

from pathlib import Path

import click

from lsst_commtools.cli.output import Context

__all__ = ["command"]


@click.command("score")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the rehearsal [default: the newest one].",
)
@click.option("--reveal", is_flag=True, help="As the coordinator: undo what is left and end the sealing now.")
@click.pass_obj
def command(context: Context, *, work: Path | None, reveal: bool) -> int:
    """Show what was noticed of the prepared faults. Exit code 1 if not all was, or there were false alarms."""
    from lsst_commtools.rehearsal import Rehearsal, default_rehearsal
    from lsst_commtools.rehearsal.injects import Injector
    from lsst_commtools.rehearsal.score import score

    rehearsal = Rehearsal.open(context.site, work or default_rehearsal(context.site))
    if reveal:
        Injector.of(rehearsal).end()
    found = score(rehearsal.entries())
    rows: list[tuple[object, ...]] = [
        (
            inject.night,
            inject.inject,
            inject.fault,
            inject.noticing,
            inject.by_role or None,
            None if inject.after_s is None else f"{inject.after_s / 60:.1f}",
            None if inject.within_s is None else f"{inject.within_s / 60:.1f}",
            None if inject.after_real_s is None else f"{inject.after_real_s:.1f}",
            inject.reason or inject.told,
        )
        for inject in found.injects
    ]
    rows += [
        (p.night, None, p.kind, "false alarm", None, None, None, None, p.where) for p in found.false_alarms
    ]
    header = (
        "night", "inject", "fault", "noticed", "by", "after min", "within min", "after real s", "what",
    )  # fmt: skip
    unattended = {"unattended": rehearsal.unattended, "work": str(rehearsal.settings.work)}
    context.emit_table({**unattended, **found.to_dict()}, rows, header)
    return 0 if found.good and not found.false_alarms else 1
