"""``commtools csc``: see, change and watch CSCs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

import click

from lsst_commtools.cli.csc_test import restore, test
from lsst_commtools.cli.output import Context, Output, print_error, safe_text

if TYPE_CHECKING:
    from lsst_commtools.control import CscState

__all__ = ["command"]

_HEADER = ("csc", "state", "alive", "heartbeat", "observed (UTC)")
_ALIVE = {True: "yes", False: "no", None: "unknown"}


@click.group("csc")
def command() -> None:
    """Show, change and test CSCs."""


command.add_command(test)
command.add_command(restore)


@command.command("states")
@click.option(
    "--csc", "names", multiple=True, metavar="NAME", help="A CSC such as DIMM:1 [default: all of the site]."
)
@click.pass_obj
def states(context: Context, names: tuple[str, ...]) -> int:
    """Show the states of CSCs. Exit code 1 if any is in FAULT, or its state is not evident."""
    from lsst_commtools.control import Control, SummaryState

    with Control(context.site) as control:
        seen = control.states(names or None)
    context.emit_table([state.to_dict() for state in seen], map(_row, seen), _HEADER)
    troubled = (SummaryState.UNKNOWN, SummaryState.FAULT)
    return 1 if any(state.state in troubled for state in seen) else 0


@command.command("set")
@click.argument("name")
@click.argument("state")
@click.option("--override", metavar="FILE", help="Configuration override, read at start.")
@click.option("--via", type=click.Choice(["direct", "queue"]), default="direct", show_default=True,
              help="Commands to the CSC, or set_summary_state.py on its script queue.")  # fmt: skip
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done; nothing is sent.")
@click.option("--reload", is_flag=True, help="Agree to a detour through STANDBY, to have the override read.")
@click.pass_obj
def set_state(
    context: Context,
    name: str,
    state: str,
    override: str | None,
    via: str,
    only_plan: bool,
    reload: bool,
) -> int:
    """Change the state of the CSC NAME to STATE, and see that it happened.

    A CSC outside the site's control.allow is refused.
    """
    from lsst_commtools.control import Control, Via

    way: Via = next(v for v in get_args(Via) if v == via)
    with Control(context.site) as control:
        if only_plan:
            plan = control.plan(name, state, override=override, via=way, reload=reload)
            context.emit(plan.to_dict(), safe_text(plan))
            return 1 if plan.question else 0
        outcome = control.set_states({name: state}, override=override, via=way, reload=reload)[name]
    if outcome.error is None or context.json:
        context.emit(outcome.to_dict(), safe_text(outcome))
    if outcome.error is None:
        return 0
    print_error(outcome.error, Output.TABLE)
    return outcome.error.exit_code


@command.command("watch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--seconds", type=float, help="How long [default: until interrupted].")
@click.pass_obj
def watch(context: Context, names: tuple[str, ...], seconds: float | None) -> None:
    """Print each change of state or liveness; as JSON, one document on each line."""
    from lsst_commtools.control import Control

    with Control(context.site) as control:
        for state in control.watch(names, seconds):
            line = json.dumps(state.to_dict()) if context.json else _line(state)
            print(line, flush=True)


@command.command("log")
@click.argument("name")
@click.option("--seconds", type=float, default=5.0, show_default=True, help="How long to listen.")
@click.pass_obj
def log(context: Context, name: str, seconds: float) -> None:
    """Print the log messages and error codes that the CSC NAME sends; the last one before comes first."""
    import time

    from lsst_commtools.control import Control
    from lsst_commtools.control.values import iso_utc

    with Control(context.site) as control:
        control.log_messages(name)
        time.sleep(seconds)
        messages = control.log_messages(name)
    rows = [(iso_utc(m.time_utc), m.level, m.message) for m in messages]
    context.emit_table([m.to_dict() for m in messages], rows, ("time (UTC)", "level", "message"))


def _row(state: CscState) -> Sequence[object]:
    age_s = state.heartbeat_age_s
    return [
        str(state.csc),
        state.state.name,
        _ALIVE[state.alive],
        "never seen" if age_s is None else f"{age_s:.1f} s ago",
        state.to_dict()["observed_at"],
    ]


def _line(state: CscState) -> str:
    return safe_text(f"{state.to_dict()['observed_at']}  {state}")
