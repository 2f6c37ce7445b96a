"""What a job of a batch runs: ``python -m lsst_commtools.pipeline.bps.job REPOSITORY GRAPH --outcomes DIR ...``.

A task that raises does not fail its job: that would keep the visit's summary from running, which must come also where
a detector failed, as it does in this machine's processes. What happened is in the outcome. A job fails when it could
not execute at all; the batch system may then try it again, and what is finished is not repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsst_commtools.pipeline.bps.marks import is_held, working
from lsst_commtools.pipeline.bps.outcomes import unfinished, write_outcome

__all__ = ["main"]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Execute quanta of a graph and write what became of each.")
    parser.add_argument("repository")
    parser.add_argument("graph")
    parser.add_argument("--outcomes", type=Path, required=True, help="folder for one file each")
    parser.add_argument("--quanta", required=True, help="ids, separated by commas")
    parser.add_argument("--while-held", type=Path, help="do nothing where no process has locked this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute quanta one after another.

    Parameters
    ----------
    arguments
        By default those of the command line.

    Returns
    -------
    int
        0 when each quantum has an outcome, 1 when the run is not wanted any more.
    """
    told = _parse(arguments)
    with working(told.outcomes):
        # Looked at after the mark was set: who submits again waits for marks once the lock is free.
        if told.while_held is not None and not is_held(told.while_held):
            return 1
        missing = unfinished(told.outcomes, told.quanta.split(","))
        if missing:
            _execute(told.repository, told.graph, told.outcomes, {uuid.UUID(quantum) for quantum in missing})
    return 0


def _execute(repository: str, graph_file: str, outcomes: Path, quanta: set[uuid.UUID]) -> None:
    from lsst.daf.butler import Quantum, QuantumBackedButler
    from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
    from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

    from lsst_commtools.pipeline.worker import Job, execute_jobs, quiet_logging

    quiet_logging()
    graph = PredictedQuantumGraph.read_execution_quanta(graph_file, quantum_ids=quanta)
    graph.build_execution_quanta()
    types = {node.name: node.dataset_type for node in graph.pipeline_graph.dataset_types.values()}
    with contextlib.ExitStack() as stack:

        def open_limited(quantum: Quantum) -> Any:
            return stack.enter_context(
                QuantumBackedButler.initialize(
                    config=repository,
                    quantum=quantum,
                    dimensions=graph.pipeline_graph.universe,
                    dataset_types=types,
                )
            )

        executor = SingleQuantumExecutor(
            butler=None, limited_butler_factory=open_limited, clobber_outputs=True, skip_existing=False
        )
        network = graph.quantum_only_xgraph
        jobs = []
        for node in graph:
            told = network.nodes[node]
            data_id = dict(told["quantum"].dataId.required)
            jobs.append(Job(told["task_label"], data_id, told["pipeline_node"], told["quantum"], node))
        for job, outcome in zip(jobs, execute_jobs(executor, jobs), strict=True):
            write_outcome(outcomes, str(job.quantum_id), outcome)


if __name__ == "__main__":
    raise SystemExit(main())
