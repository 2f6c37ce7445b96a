"""``commtools sim``: the simulated observatory of site ``local``."""

from __future__ import annotations

from typing import Any

import click
import yaml

from lsst_commtools.cli.output import Context
from lsst_commtools.errors import InputError

__all__ = ["command"]


@click.group("sim")
def command() -> None:
    """Start and stop the simulated observatory."""


@command.command("up")
@click.option("--speed", type=click.FloatRange(min=0.01, max=1000), default=1.0, show_default=True,
              help="How much faster than the real services it is.")  # fmt: skip
@click.option(
    "--cscs", type=click.IntRange(max=500), default=0, help="How many CSCs [default: the built-in cast]."
)
@click.pass_obj
def up(context: Context, speed: float, cscs: int) -> None:
    """Start it in the background, on free ports of this computer."""
    from lsst_commtools.simulate.observatory import start_simulator

    running = start_simulator(speed=speed, cscs=cscs)
    services = {name: service.url for name, service in running.services.items()}
    document = {"pid": running.pid, "started_at": running.started_at, "services": services}
    listens = ", ".join(f"{name} at {url}" for name, url in services.items())
    context.emit(document, f"The simulated observatory runs (process {running.pid}): {listens}.")


@command.command("down")
@click.pass_obj
def down(context: Context) -> None:
    """Stop it."""
    from lsst_commtools.simulate.observatory import stop_simulator

    pid = stop_simulator()
    text = "It was not running." if pid is None else f"The simulated observatory (process {pid}) has stopped."
    context.emit({"pid": pid}, text)


@command.command("status")
@click.pass_obj
def status(context: Context) -> int:
    """Show what is true in it, whatever its services tell. Exit code 1 if it is not running."""
    from lsst_commtools.simulate.observatory import simulator_truth
    from lsst_commtools.site.stand_ins import read_stand_ins

    running = read_stand_ins()
    if running is None:
        context.emit({"running": False}, "It is not running; start it with `commtools sim up`.")
        return 1
    truth = simulator_truth()
    services = {name: service.url for name, service in running.services.items()}
    rows = [
        (name, csc["state"], "runs" if csc["running"] else "has ended") for name, csc in truth["cscs"].items()
    ]
    document = {"running": True, "pid": running.pid, "services": services, **truth}
    context.emit_table(document, rows, ("csc", "state", "process"))
    return 0


@command.command("fault")
@click.argument("action")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.pass_obj
def fault(context: Context, action: str, settings: tuple[str, ...]) -> None:
    """Have something go wrong, or heal it.

    \b
    kill csc=DIMM:1             end a process without a word; start csc=DIMM:1 brings it back
    fault csc=DIMM:1            go to FAULT; mend csc=DIMM:1 state=ENABLED brings it back
    inject service=DIMM:1 kind=reject where=enable
                                reject, no_ack, late, fault or die at a command
    inject service=love kind=http_500 where=cmd/ skip=1 times=2
                                http_500, http_504, drop or hang at a request
    inject service=argocd kind=http_403 where="POST sync"
                                http_403, http_409, http_500, sync_fails, drop or hang
    inject service=slack kind=not_ok
                                not_ok, http_429, http_500, drop or hang
    inject service=docker kind=gone where="POST exec"
                                gone (the container), http_500, drop or hang
    remove-container name=develop-env, make-container name=develop-env, sync-window open=false
    cut-websockets, silence-producer, expire-tokens, heal
    withdraw service=love kind=http_500 where=cmd/    heal only that
    permit may_command=false, pause-queue queue=1, resume-queue queue=1
    """  # noqa: D301 - \b is click's mark for text that is not filled
    from lsst_commtools.simulate.observatory import simulator_act

    truth = simulator_act(action, **_read(settings))
    context.emit(truth, f"Told: {action} {' '.join(settings)}".rstrip())


def _read(settings: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"{setting!r} is not KEY=VALUE.")
        values[key] = text if key in ("csc", "service", "where") else yaml.safe_load(text)
    return values
