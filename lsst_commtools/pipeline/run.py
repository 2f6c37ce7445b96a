"""Runs a pipeline in this machine's processes, and counts what became of every quantum.

The quantum graph is built once, here; each worker executes one detector from raw to summary, and a visit's summary
as soon as its detectors have ended, well or badly. Run again with the same output, it does what is missing, and what
builds on it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.pipeline.graph import build_graph, find_done, open_run, prepare_run
from lsst_commtools.pipeline.outcomes import ProcessingReport, QuantumOutcome, QuantumStatus
from lsst_commtools.pipeline.schedule import Portion, Schedule, find_stale

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

    from lsst_commtools.pipeline.pool import Workers
    from lsst_commtools.pipeline.worker import Job, WorkOrder

__all__ = ["CALIBRATION_PIPELINE", "NIGHT_PIPELINE", "Progress", "run_pipeline"]

Progress = Callable[[int, int, QuantumOutcome], None]
"""Called with the number of quanta that ended, their total, and the latest one."""

NIGHT_PIPELINE = resources.files("lsst_commtools.pipeline") / "night.yaml"
CALIBRATION_PIPELINE = resources.files("lsst_commtools.pipeline") / "calibration.yaml"


@dataclass(frozen=True)
class _Plan:
    """A quantum graph, taken apart."""

    jobs: Mapping[Any, Job]
    order: tuple[Any, ...]
    predecessors: Mapping[Any, tuple[Any, ...]]
    done: frozenset[Any]


def run_pipeline(
    repository: str | Path,
    data_query: str,
    output_run: str,
    processes: int = 2,
    progress: Progress | None = None,
    *,
    pipeline: str | Path | None = None,
    inputs: Sequence[str] = (),
) -> ProcessingReport:
    """Run a pipeline on all data that a query selects.

    Parameters
    ----------
    repository
        Butler repository.
    data_query
        Butler expression, for instance ``instrument = 'LSSTComCam' AND day_obs = 20261120``.
    output_run
        RUN collection for the outputs; what is complete there is not done again.
    processes
        Worker processes; with 1 all runs in this one.
    progress
        Called after each quantum.
    pipeline
        Pipeline file; by default the night's.
    inputs
        Collections to read; by default those named ``<instrument>/defaults``.

    Returns
    -------
    ProcessingReport
        One outcome for each quantum that the data call for.

    Raises
    ------
    NotFoundError
        If there is no such repository.
    InputError
        If the query or a collection is refused, or there are no input collections.

    Notes
    -----
    With several processes, a script that calls this guards the call with ``if __name__ == "__main__"``, as
    `multiprocessing` demands.
    """
    from lsst_commtools.pipeline.pool import LocalWorker, WorkerPool
    from lsst_commtools.pipeline.worker import WorkOrder

    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        butler, collections, is_new = open_run(stack, str(repository), tuple(inputs), output_run)
        order = WorkOrder(str(repository), collections, output_run, is_new)
        pool: Workers = WorkerPool(order, processes) if processes > 1 else LocalWorker(order)
        stack.enter_context(pool)
        plan = _make_plan(butler, str(pipeline or NIGHT_PIPELINE), data_query, order)
        outcomes = _execute(plan, pool, progress)
    return ProcessingReport(
        output_run, tuple(outcomes[node] for node in plan.order), time.monotonic() - start
    )


def _make_plan(butler: Butler, pipeline: str, data_query: str, order: WorkOrder) -> _Plan:
    """Build the quantum graph, register what it writes, and look up what an earlier run finished."""
    from lsst_commtools.pipeline.worker import Job

    graph = build_graph(butler, pipeline, data_query).assemble()
    if not len(graph):
        return _Plan({}, (), {}, frozenset())
    prepare_run(butler, graph)
    done = frozenset() if order.is_new else find_done(butler, graph, order.output_run)
    graph.build_execution_quanta()
    network = graph.quantum_only_xgraph
    jobs = {}
    for node in graph:
        told = network.nodes[node]
        data_id = dict(told["quantum"].dataId.required)
        jobs[node] = Job(told["task_label"], data_id, told["pipeline_node"], told["quantum"], node)
    return _Plan(jobs, tuple(graph), {node: tuple(network.predecessors(node)) for node in graph}, done)


def _execute(plan: _Plan, pool: Workers, progress: Progress | None) -> dict[Any, QuantumOutcome]:
    stale = find_stale(plan.order, plan.predecessors, plan.done)
    schedule = Schedule(stale, plan.predecessors, lambda node: image_first(plan.jobs[node].data_id))
    running: dict[int, tuple[Portion[Any], list[Any]]] = {}
    outcomes = {
        node: plan.jobs[node].outcome(QuantumStatus.EXISTING) for node in plan.order if node not in set(stale)
    }
    while True:
        while pool.has_room and (portion := schedule.take()) is not None:
            running[portion.number] = (portion, list(portion.nodes))
            pool.submit(portion.number, [plan.jobs[node] for node in portion.nodes])
        if not running:
            return outcomes
        number, outcome = pool.wait()
        portion, pending = running[number]
        outcomes[pending.pop(0)] = outcome
        if not pending:
            del running[number]
            schedule.finish(portion)
        if progress is not None:
            progress(len(outcomes), len(plan.order), outcome)


def image_first(data_id: Mapping[str, int | str]) -> tuple[int, int]:
    """Sort quanta by exposure and then detector, so that visits are complete one after another.

    Parameters
    ----------
    data_id
        Dimension to value.

    Returns
    -------
    tuple of int
        Exposure or visit, and detector; 0 where there is none.
    """
    return int(data_id.get("exposure", data_id.get("visit", 0))), int(data_id.get("detector", 0))
