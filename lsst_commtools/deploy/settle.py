"""What must be over before a production CSC comes back: scripts that would command it, and the CSC under test."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import UnknownOutcomeError

if TYPE_CHECKING:
    from lsst_commtools.deploy.bench import Bench
    from lsst_commtools.deploy.eyes import CscEyes

__all__ = ["queue_before", "stop_under_test", "wait_for_scripts"]

_LOOK_AGAIN_S = 0.5
_TOLD_WITHIN_S = 2.0  # LOVE tells of a script a little after the queue has taken it
_SET_SUMMARY_STATE = "set_summary_state.py"
_ENDED = {"DONE", "LOADFAILED", "CONFIGURE_FAILED", "TERMINATED"}


def queue_before(control: CscEyes, queue: str) -> dict[str, Any]:
    """See a script queue before anything is put on it, for `wait_for_scripts`.

    Parameters
    ----------
    control
        Who sees it.
    queue
        ``MT``, ``AT`` or ``OCS``.

    Returns
    -------
    dict
        ``queue``, ``running``, ``enabled``, and ``scripts``, the indices that are there.
    """
    state = control.queue(queue).state()
    return {
        "queue": queue,
        "enabled": state.enabled,
        "running": state.running,
        "scripts": sorted(state.scripts),
    }


def wait_for_scripts(control: CscEyes, before: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Wait until no script that came later could change the state of a CSC, and let the queue go on if one stopped it.

    A script goes on when the kernel that sent it has died: without this it would take a CSC down that was put back.

    Parameters
    ----------
    control
        Who sees the queue.
    before
        As `queue_before` saw it.
    timeout_s
        How long to wait, in seconds.

    Returns
    -------
    dict
        ``waited_for``, indices of scripts; ``resumed``, whether the queue was made to go on.

    Raises
    ------
    UnknownOutcomeError
        If one is left.
    """
    queue = control.queue(before["queue"])
    began_s = time.monotonic()
    waited_for: set[int] = set()
    while True:
        state = queue.state()
        new = {
            index: sight
            for index, sight in state.scripts.items()
            if index not in before["scripts"] and sight.path == _SET_SUMMARY_STATE
        }
        left = [i for i, s in new.items() if s.place.name != "FINISHED" and s.process_state not in _ENDED]
        waited_for_s = time.monotonic() - began_s
        if not left and waited_for_s >= _TOLD_WITHIN_S:
            break
        waited_for.update(left)
        if left and waited_for_s >= timeout_s:
            names = ", ".join(map(str, left))
            raise UnknownOutcomeError(
                f"The script {names} of {_SET_SUMMARY_STATE} is still on the {before['queue']} queue: it may change "
                "the state of the CSC later.",
                advice=f"Stop it in LOVE, or let it end{'' if state.running else '; the queue is paused'}.",
            )
        time.sleep(_LOOK_AGAIN_S)
    stopped_by = [i for i, s in new.items() if s.place.name == "CURRENT" and s.process_state in _ENDED]
    resumed = bool(before["running"] and not state.running and stopped_by)
    if resumed:
        queue.resume()
    return {"waited_for": sorted(waited_for), "resumed": resumed}


def stop_under_test(control: CscEyes, bench: Bench, csc: str, *, orderly: bool = True) -> dict[str, Any]:
    """End a CSC under test, whoever started it, and see that nothing of it is left.

    Parameters
    ----------
    control
        Who can bring it to OFFLINE.
    bench
        Where it runs.
    csc
        For instance ``DIMM:1``.
    orderly
        Whether it is brought to OFFLINE before it is made to end: not where the production CSC hears the same command.

    Returns
    -------
    dict
        ``processes_before`` and ``processes``, which is empty; ``how`` it ended.
    """
    before = bench.processes(csc)
    how = "nothing ran"
    if before and orderly:
        outcome = control.set_states({csc: "OFFLINE"})[csc]
        how = "went OFFLINE" if outcome.error is None else f"was stopped ({outcome.error})"
    if before and not (orderly and bench.wait_until_gone(csc)):
        how = how if how.startswith("was stopped") else "was stopped"
        bench.stop(csc)
    return {"processes_before": before, "processes": bench.processes(csc), "how": how}
