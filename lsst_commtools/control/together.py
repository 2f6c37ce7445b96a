"""Many changes of state at the same time, each with its own outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from lsst_commtools.control.board import Board
from lsst_commtools.control.change import Change
from lsst_commtools.control.queue import ScriptQueue
from lsst_commtools.control.scripts import SET_SUMMARY_STATE, summary_state_config
from lsst_commtools.control.states import SummaryState
from lsst_commtools.errors import CommtoolsError
from lsst_commtools.ids import CscName

__all__ = ["at_once", "change_by_queues"]

_MAX_THREADS = 64


def at_once(tasks: Sequence[Callable[[], Any]], board: Board) -> None:
    """Run tasks in threads; each keeps its own failure, so one that raises is a fault of this package.

    Parameters
    ----------
    tasks
        Functions without arguments.
    board
        What they wait at: when a person interrupts, they are told there.
    """
    if len(tasks) <= 1:
        for task in tasks:
            task()
        return
    try:
        with ThreadPoolExecutor(max_workers=min(_MAX_THREADS, len(tasks))) as pool:
            try:
                for future in [pool.submit(task) for task in tasks]:
                    future.result()
            except KeyboardInterrupt:
                board.abandon(abandoned=True)
                raise
    finally:
        board.abandon(abandoned=False)


def change_by_queues(
    changes: Sequence[Change],
    queues: Mapping[CscName, str],
    queue: Callable[[str], ScriptQueue],
    watcher_lives: Callable[[], bool],
    board: Board,
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
    board
        What all wait at.
    """
    by_queue: dict[str, list[Change]] = {}
    settled: list[Callable[[], None]] = []
    for change in changes:
        name = queues[change.csc]
        if change.prepare(name):
            by_queue.setdefault(name, []).append(change)
        else:
            settled.append(change.confirm)
    scripts = [
        partial(_run, name, of_queue, queue, watcher_lives, board) for name, of_queue in by_queue.items()
    ]
    at_once([*scripts, *settled], board)


def _run(
    name: str,
    changes: list[Change],
    queue: Callable[[str], ScriptQueue],
    watcher_lives: Callable[[], bool],
    board: Board,
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
        at_once([partial(change.confirm, note) for change in changes], board)
    else:
        at_once([partial(change.settle, result.error, note) for change in changes], board)
