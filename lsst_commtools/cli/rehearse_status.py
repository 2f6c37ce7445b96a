"""``commtools rehearse status``: how the steps stand, and who is waited for."""

from __future__ import annotations

from pathlib import Path

import click

from lsst_commtools.cli.output import Context

__all__ = ["command"]


@click.command("status")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the rehearsal [default: the newest one].",
)
@click.pass_obj
def command(context: Context, work: Path | None) -> int:
    """Show how the steps stand, and who is waited for. Exit code 3 if a step failed, 1 if some are not done."""
    from lsst_commtools.rehearsal.journal import Kind
    from lsst_commtools.rehearsal.rehearsal import Rehearsal
    from lsst_commtools.rehearsal.stand_ins import waiting
    from lsst_commtools.rehearsal.states import StepStatus, outline_states, state_rows

    rehearsal = Rehearsal.find(context.site, work or "")
    entries = rehearsal.entries({Kind.STEP_STARTED, Kind.STEP_ENDED})
    states = outline_states(entries, len(rehearsal.settings.nights))
    holds = [
        {"run": hold.run, "hold": hold.data["step"], "roles": hold.data["roles"]}
        for hold in waiting(rehearsal)
    ]
    asked = {hold["run"]: ", ".join(hold["roles"]) for hold in holds}
    now = rehearsal.clock.reading()
    document = {
        "work": str(rehearsal.settings.work),
        "unattended": rehearsal.unattended,
        "now_utc": now.real_utc.isoformat(),
        "now_rehearsal_utc": now.rehearsal_utc.isoformat(),
        "speed": rehearsal.clock.speed,
        "steps": state_rows(states),
        "waiting_for": holds,
    }
    rows = [
        (
            s.night,
            s.step.id,
            s.step.owner,
            str(s.status),
            s.ended_rehearsal_utc[:19],
            asked.get(s.run, ""),
            s.run,
        )
        for s in states.values()
    ]
    context.emit_table(
        document, rows, ("night", "step", "owner", "status", "ended (rehearsal, UTC)", "waits for", "run")
    )
    if any(state.status is StepStatus.FAILED for state in states.values()):
        return 3
    return 0 if all(state.status is StepStatus.DONE for state in states.values()) else 1
