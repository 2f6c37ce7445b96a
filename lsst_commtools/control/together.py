"""Many changes of state at the same time, each with its own outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from lsst_commtools.control.change import Change
from lsst_commtools.control.queue import ScriptQueue
from lsst_commtools.control.scripts import SET_SUMMARY_STATE, summary_state_config
from lsst_commtools.control.states import SummaryState
from lsst_commtools.errors import CommtoolsError
from lsst_commtools.ids import CscName

__all__ = ["at_once", "change_by_queues"]

_MAX_THREADS = 64


def at_once(tasks: Sequence[Callable[[], Any]]) -> None:
    """Run tasks in threads; each keeps its own failure, so one that raises is a fault of this package.

    Parameters
    ----------
    tasks
        Functions without arguments.
    """
    if len(tasks) <= 1:
        for task in tasks:
            task()
        return
    with ThreadPoolExecutor(max_workers=min(_MAX_THREADS, len(tasks))) as pool:
        for future in [pool.submit(task) for task in tasks]:
            future.result()


def change_by_queues(
    changes: Sequence[Change],
    queues: Mapping[CscName, str],
    queue: Callable[[str], ScriptQueue],
    watcher_lives: Callable[[], bool],
) -> None:
    """Run one ``set_summary_state.py`` on each queue for all CSCs that belong to it.

    Parameters
    ----------
    changes
        What is wished; outcomes are kept there.
    queues
        CSC to the name of its queue.
    queue
        Gives a queue by its name.
    watcher_lives
        Tells whether a Watcher runs that could mute alarms.
    """
    by_queue: dict[str, list[Change]] = {}
    settled: list[Callable[[], None]] = []
    for change in changes:
        name = queues[change.csc]
        if change.prepare(name):
            by_queue.setdefault(name, []).append(change)
        else:
            settled.append(change.confirm)
    scripts = [partial(_run, name, of_queue, queue, watcher_lives) for name, of_queue in by_queue.items()]
    at_once([*scripts, *settled])


def _run(
    name: str,
    changes: list[Change],
    queue: Callable[[str], ScriptQueue],
    watcher_lives: Callable[[], bool],
) -> None:
    plans = [change.plan for change in changes if change.plan is not None]
    try:
        # Alarms are muted for CSCs that go OFFLINE only; the script waits long for a Watcher that is not there.
        mute = any(plan.target is SummaryState.OFFLINE for plan in plans) and watcher_lives()
        result = queue(name).run(SET_SUMMARY_STATE, summary_state_config(plans, mute_alarms=mute))
    except CommtoolsError as error:
        for change in changes:
            change.fail(error)
        return
    note = f"Script {result.index} on the {name} queue {result.verdict.value}."
    if result.error is None:
        at_once([partial(change.confirm, note) for change in changes])
    else:
        at_once([partial(change.settle, result.error, note) for change in changes])
