"""From the file to tasks: matrices unrolled, dependencies in order, results handed on. Pure functions."""

from __future__ import annotations

import graphlib
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsst_commtools.errors import InputError, ParameterError
from lsst_commtools.procedure.campaign.model import Campaign, Entry, Reference
from lsst_commtools.procedure.parameters import json_values

__all__ = ["Task", "content_key", "plan_tasks", "resolve_parameters"]

_MOST_TASKS = 100_000


@dataclass(frozen=True)
class Task:
    """One notebook with one set of parameters.

    Parameters
    ----------
    name
        Name in the campaign: that of its entry, and its point of the matrix.
    entry
        What the file says of it.
    point
        Its point of the matrix.
    needs
        Names of the tasks that must be done before.
    """

    name: str
    entry: Entry
    point: Mapping[str, Any]
    needs: tuple[str, ...]


def plan_tasks(campaign: Campaign) -> list[Task]:
    """Unroll a campaign.

    Parameters
    ----------
    campaign
        What the file says.

    Returns
    -------
    list of Task
        Each after all that it needs. A task needs those points of an earlier matrix that agree with its own on the
        axes that both have.

    Raises
    ------
    InputError
        If notebooks need each other in a circle, or if there are too many.
    """
    entries = {entry.id: entry for entry in campaign.notebooks}
    try:
        order = list(graphlib.TopologicalSorter({e.id: e.all_needs for e in entries.values()}).static_order())
    except graphlib.CycleError as error:
        circle = " needs ".join(reversed(error.args[1]))
        raise InputError(f"The notebooks need each other in a circle: {circle}.") from None
    tasks: dict[str, list[Task]] = {}
    count = 0
    for name in order:
        entry = entries[name]
        size = 1
        for values in entry.matrix.values():
            size *= len(values)
        count += size
        if count > _MOST_TASKS:
            raise InputError(f"The campaign has more than {_MOST_TASKS} tasks.")
        tasks[name] = []
        for values_at in itertools.product(*entry.matrix.values()):
            point = dict(zip(entry.matrix, values_at, strict=True))
            needs = [t.name for other in entry.all_needs for t in tasks[other] if _agree(point, t.point)]
            tasks[name].append(Task(_task_name(entry.id, point), entry, point, tuple(needs)))
    return [task for name in order for task in tasks[name]]


def resolve_parameters(
    task: Task, tasks: Mapping[str, Task], results: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Give a task its parameters.

    Parameters
    ----------
    task
        The task.
    tasks
        All tasks by name.
    results
        Task to its results by name.

    Returns
    -------
    dict
        Values by name. A result of one task is one value; of several points of a matrix, the list in their order.

    Raises
    ------
    ParameterError
        If a task has no such result.
    """
    values: dict[str, Any] = {}
    for name, value in task.entry.parameters.items():
        if not isinstance(value, Reference):
            values[name] = value
            continue
        sources = [need for need in task.needs if tasks[need].entry.id == value.source]
        missing = [source for source in sources if value.result not in results.get(source, {})]
        if missing:
            raise ParameterError(f"{missing[0]} has no result {value.result!r}, which {task.name} needs.")
        found = [results[source][value.result] for source in sources]
        values[name] = found if tasks[sources[0]].entry.matrix and len(found) != 1 else found[0]
    return values | dict(task.point)


def content_key(code_sha256: str, parameters: Mapping[str, Any], inputs: Sequence[tuple[str, str]]) -> str:
    """Give the hash of all that decides what a task does.

    Parameters
    ----------
    code_sha256
        Hash of the notebook's code cells.
    parameters
        Values by name.
    inputs
        Name and hash of each input.

    Returns
    -------
    str
        SHA-256; equal if nothing has changed.
    """
    values = {
        name: [type(value).__name__, json_values({"": value})[""]] for name, value in parameters.items()
    }
    text = json.dumps([code_sha256, values, sorted(inputs)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _task_name(entry: str, point: Mapping[str, Any]) -> str:
    if not point:
        return entry
    return f"{entry}[{','.join(f'{axis}={value}' for axis, value in point.items())}]"


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[axis] == other[axis] for axis in one if axis in other)
