"""Start, stop and ask the simulator from another process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import requests

from lsst_commtools.errors import RefusedError, RejectedError, ServiceTimeoutError, UnreachableError
from lsst_commtools.site.home import commtools_home
from lsst_commtools.site.stand_ins import StandIns, read_stand_ins, stand_in, stand_ins_file

__all__ = ["simulator_act", "simulator_truth", "start_simulator", "stop_simulator"]

_START_S = 20.0
_STOP_S = 10.0


def start_simulator(*, speed: float = 1.0, cscs: int = 0) -> StandIns:
    """Start the simulator in a process of its own.

    Parameters
    ----------
    speed
        By what all its times are divided.
    cscs
        How many CSCs; its default cast at least.

    Returns
    -------
    StandIns
        Where it listens.

    Raises
    ------
    RefusedError
        If one runs already.
    ServiceTimeoutError
        If it does not come up.
    """
    if (running := _running()) is not None:
        raise RefusedError(
            f"The simulated observatory is running already (process {running.pid}).",
            advice="Use it, or stop it with `commtools sim down`.",
        )
    log = commtools_home() / "simulator.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "lsst_commtools.simulate.observatory.server",
        "--speed",
        str(speed),
        "--cscs",
        str(cscs),
    ]
    with log.open("wb") as stream:
        started = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            check=False,
        )
    deadline_s = time.monotonic() + _START_S
    while started.returncode == 0 and time.monotonic() < deadline_s:
        if (running := read_stand_ins()) is not None:
            return running
        time.sleep(0.05)
    raise ServiceTimeoutError("The simulated observatory does not come up.", advice=f"See {log}.")


def stop_simulator() -> int | None:
    """Stop the simulator.

    Returns
    -------
    int or None
        Its process, or None if none was running.
    """
    running = _running()
    if running is None:
        return None
    simulator_act("stop")
    deadline_s = time.monotonic() + _STOP_S
    while time.monotonic() < deadline_s:
        if read_stand_ins() is None:
            return running.pid
        time.sleep(0.05)
    raise ServiceTimeoutError(
        f"The simulated observatory (process {running.pid}) does not stop.", advice="Kill it."
    )


def _running() -> StandIns | None:
    """Find the simulator, if it answers: its process number may be another's by now."""
    running = read_stand_ins()
    if running is None:
        return None
    try:
        simulator_truth()
    except (UnreachableError, RejectedError):
        stand_ins_file().unlink(missing_ok=True)
        return None
    return running


def simulator_truth() -> dict[str, Any]:
    """Ask the simulator what is true.

    Returns
    -------
    dict
        CSCs, queues and faults to come.
    """
    return _ask("GET", None)


def simulator_act(do: str, **told: Any) -> dict[str, Any]:
    """Tell the simulator to do something.

    Parameters
    ----------
    do
        The action.
    told
        What it needs.

    Returns
    -------
    dict
        What is true then.
    """
    return _ask("POST", {"do": do, **told})


def _ask(method: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    service = stand_in("admin")
    try:
        with requests.Session() as http:
            http.trust_env = False  # a proxy that the environment names cannot reach this computer
            headers = {"Authorization": f"Bearer {service.token}"}
            answer = http.request(method, f"{service.url}/", json=body, headers=headers, timeout=10.0)
    except requests.RequestException as error:
        raise UnreachableError(
            f"The simulated observatory does not answer ({type(error).__name__})."
        ) from None
    if answer.status_code != requests.codes.ok:
        raise RejectedError(
            f"The simulated observatory refuses (HTTP {answer.status_code}): {answer.text[:300]}"
        )
    document: dict[str, Any] = answer.json()
    return document
