"""Runs a pipeline in this machine's processes, and counts what became of every quantum.

The quantum graph is built once, here; each worker executes one detector from raw to summary, and a visit's summary
as soon as its detectors have ended, well or badly. Run again with the same output, it does what is missing, and what
builds on it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import InputError, NotFoundError
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
        butler, collections, is_new = _open(stack, str(repository), tuple(inputs), output_run)
        order = WorkOrder(str(repository), collections, output_run, is_new)
        pool: Workers = WorkerPool(order, processes) if processes > 1 else LocalWorker(order)
        stack.enter_context(pool)
        plan = _make_plan(butler, str(pipeline or NIGHT_PIPELINE), data_query, order)
        outcomes = _execute(plan, pool, progress)
    return ProcessingReport(
        output_run, tuple(outcomes[node] for node in plan.order), time.monotonic() - start
    )


def _open(
    stack: contextlib.ExitStack, repository: str, inputs: tuple[str, ...], output_run: str
) -> tuple[Butler, tuple[str, ...], bool]:
    """Open the repository, and say what to read and whether the output run is empty."""
    from lsst.daf.butler import Butler, CollectionType, MissingCollectionError

    try:
        butler = stack.enter_context(Butler.from_config(repository, writeable=True))
    except (OSError, ValueError) as error:
        raise NotFoundError(f"{repository} is not a Butler repository: {error}.") from error
    collections = inputs or tuple(sorted(butler.collections.query("*/defaults")))
    if not collections:
        raise InputError(
            f"The repository {repository} has no input collections.", advice="Ingest raw files first."
        )
    try:
        butler.collections.query_info(collections)
    except MissingCollectionError as error:
        raise InputError(f"A collection to read is missing: {error}") from error
    is_new = True
    with contextlib.suppress(MissingCollectionError):
        if butler.collections.get_info(output_run).type is not CollectionType.RUN:
            raise InputError(
                f"{output_run} is not a RUN collection.", advice="Give the name of a run or a new one."
            )
        is_new = not butler.query_all_datasets(output_run, find_first=False, limit=1)
    # In a transaction: the Butler writes a run in two rows, and a kill between them would make it unusable.
    with butler.transaction():
        butler.collections.register(output_run)
    return stack.enter_context(butler.clone(collections=collections, run=output_run)), collections, is_new


def _make_plan(butler: Butler, pipeline: str, data_query: str, order: WorkOrder) -> _Plan:
    """Build the quantum graph, register what it writes, and look up what an earlier run finished."""
    from lsst.daf.butler import ButlerUserError
    from lsst.pipe.base.separable_pipeline_executor import SeparablePipelineExecutor

    from lsst_commtools.pipeline.worker import Job

    builder = SeparablePipelineExecutor(butler, clobber_output=True)
    try:
        graph = builder.build_quantum_graph(builder.make_pipeline(pipeline), where=data_query)
    except ButlerUserError as error:
        raise InputError(
            f"The data query is refused: {error}.",
            changed="Nothing was processed.",
            advice="Give for instance: instrument = 'LSSTComCam' AND day_obs = 20261120.",
        ) from error
    if not len(graph):
        return _Plan({}, (), {}, frozenset())
    graph.pipeline_graph.register_dataset_types(butler)
    graph.write_init_outputs(butler, skip_existing=True)
    graph.write_configs(butler)
    with _without_warnings_of(
        "lsst.utils.packages"
    ):  # it misses eups, which nobody has outside the observatory
        graph.write_packages(butler)
    done = frozenset() if order.is_new else _find_done(butler, graph, order.output_run)
    graph.build_execution_quanta()
    network = graph.quantum_only_xgraph
    jobs = {}
    for node in graph:
        told = network.nodes[node]
        data_id = dict(told["quantum"].dataId.required)
        jobs[node] = Job(told["task_label"], data_id, told["pipeline_node"], told["quantum"], node)
    return _Plan(jobs, tuple(graph), {node: tuple(network.predecessors(node)) for node in graph}, done)


@contextlib.contextmanager
def _without_warnings_of(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _find_done(butler: Butler, graph: Any, output_run: str) -> frozenset[Any]:
    """Quanta whose metadata are stored: the last thing that a quantum writes."""
    from lsst.daf.butler import MissingDatasetTypeError

    done: set[Any] = set()
    for label, quanta in graph.quanta_by_task.items():
        try:
            refs = butler.query_datasets(
                f"{label}_metadata", output_run, find_first=False, explain=False, limit=None
            )
        except MissingDatasetTypeError:
            continue
        stored = {tuple(ref.dataId.required_values) for ref in refs}
        done |= {node for data_id, node in quanta.items() if tuple(data_id.required_values) in stored}
    return frozenset(done)


def _execute(plan: _Plan, pool: Workers, progress: Progress | None) -> dict[Any, QuantumOutcome]:
    stale = find_stale(plan.order, plan.predecessors, plan.done)
    schedule = Schedule(stale, plan.predecessors, lambda node: _image_first(plan.jobs[node].data_id))
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


def _image_first(data_id: Mapping[str, int | str]) -> tuple[int, int]:
    """Sort by exposure and then detector, so that visits are complete one after another."""
    return int(data_id.get("exposure", data_id.get("visit", 0))), int(data_id.get("detector", 0))
