"""The repository's side of a batch: its graph before it is submitted, and its outputs afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lsst_commtools.pipeline.bps.batches import Batch
from lsst_commtools.pipeline.bps.clusters import Cluster, part_into_groups
from lsst_commtools.pipeline.graph import (
    build_graph,
    find_done,
    open_run,
    prepare_run,
    without_warnings_of,
)
from lsst_commtools.pipeline.run import image_first
from lsst_commtools.pipeline.schedule import Portion, Schedule, find_stale

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetRef

__all__ = ["bring_in", "make_batch"]


def make_batch(
    folder: Path,
    key: str,
    *,
    repository: str,
    data_query: str,
    output_run: str,
    pipeline: str,
    inputs: tuple[str, ...],
    groups: int,
    dry: bool = False,
) -> Batch:
    """Build the graph of a batch, part it into submissions, and clear what they write again.

    Parameters
    ----------
    folder
        Where to; it is made.
    key
        From `batch_key`.
    repository, data_query, output_run, pipeline, inputs
        As the pipeline is run.
    groups
        How many submissions at most.
    dry
        Whether nothing of it is to be run: nothing is cleared then, nor written to the output run.

    Returns
    -------
    Batch
        Written, with nothing submitted.

    Raises
    ------
    NotFoundError
        If there is no such repository.
    InputError
        If the query or a collection is refused.
    """
    with contextlib.ExitStack() as stack:
        butler, _, is_new = open_run(stack, repository, inputs, output_run)
        components = build_graph(butler, pipeline, data_query, with_records=True)
        graph = components.assemble()
        nodes = graph.quantum_only_xgraph.nodes
        order = tuple(
            (str(node), str(nodes[node]["task_label"]), dict(nodes[node]["data_id"].required))
            for node in graph
        )
        predecessors = {node: tuple(graph.quantum_only_xgraph.predecessors(node)) for node in graph}
        done: frozenset[Any] = frozenset()
        stale: list[Any] = []
        if order:
            if not dry:
                prepare_run(butler, graph)
            done = frozenset() if is_new else find_done(butler, graph, output_run)
            stale = find_stale(tuple(graph), predecessors, done)
            if not is_new and not dry:
                _clear(butler, graph, stale, output_run)
        folder.mkdir(parents=True, exist_ok=True)
        clusters = _clusters(Schedule(stale, predecessors).portions, order)
        parts = part_into_groups(clusters, groups)
        batch = Batch(
            folder=folder,
            key=key,
            repository=repository,
            inputs=inputs,
            output_run=output_run,
            order=order,
            done=frozenset(map(str, done - set(stale))),
            groups={f"g{number:03d}": tuple(part) for number, part in enumerate(parts, 1)},
        )
        if stale:
            components.write(str(batch.graph))
        batch.write()
    return batch


def _clusters(
    portions: tuple[Portion[Any], ...], order: tuple[tuple[str, str, dict[str, int | str]], ...]
) -> list[Cluster]:
    """Make a job of each portion, image by image, and each visit's summary after its images."""
    told = {quantum: (task, data_id) for quantum, task, data_id in order}
    names: dict[int, str] = {}
    for portion in portions:
        tasks = [told[str(node)][0] for node in portion.nodes]
        data_id = told[str(portion.nodes[0])][1]
        place = "_".join(str(value) for name, value in data_id.items() if name != "instrument")
        names[portion.number] = f"{tasks[0]}_{place}"
    found = []
    for portion in portions:
        tasks = [told[str(node)][0] for node in portion.nodes]
        data_id = told[str(portion.nodes[0])][1]
        found.append(
            (
                (image_first(data_id)[0], bool(portion.waits_for), image_first(data_id)[1]),
                Cluster(
                    name=names[portion.number],
                    label="-".join(tasks),
                    tags={name: value for name, value in data_id.items() if name != "instrument"},
                    quanta=tuple(map(str, portion.nodes)),
                    tasks=tuple(tasks),
                    waits_for=tuple(sorted(names[number] for number in portion.waits_for)),
                ),
            )
        )
    return [cluster for _, cluster in sorted(found, key=lambda pair: pair[0])]


def _refs(graph: Any, quanta: Collection[Any]) -> list[DatasetRef]:
    graph.build_execution_quanta()
    nodes = graph.quantum_only_xgraph.nodes
    return [ref for node in quanta for refs in nodes[node]["quantum"].outputs.values() for ref in refs]


def _clear(butler: Butler, graph: Any, stale: Collection[Any], output_run: str) -> None:
    """Remove what is to be written again: a job without the registry cannot."""
    refs = _refs(graph, stale)
    there: set[UUID] = set()
    for name in {ref.datasetType.name for ref in refs}:
        found = butler.query_datasets(name, output_run, find_first=False, explain=False, limit=None)
        there |= {ref.id for ref in found}
    butler.pruneDatasets(
        [ref for ref in refs if ref.id in there], disassociate=True, unstore=True, purge=True
    )


def bring_in(batch: Batch, quanta: Collection[str]) -> int:
    """Register in the repository what jobs have written; what is there already is passed over.

    Parameters
    ----------
    batch
        The batch.
    quanta
        Ids of quanta that have ended, well or badly.

    Returns
    -------
    int
        Number of datasets that came in.
    """
    from lsst.daf.butler import Butler, QuantumBackedButler
    from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

    if not quanta:
        return 0
    ids = {UUID(quantum) for quantum in quanta}
    graph = PredictedQuantumGraph.read_execution_quanta(str(batch.graph), quantum_ids=ids)
    refs = _refs(graph, ids)
    types = {node.name: node.dataset_type for node in graph.pipeline_graph.dataset_types.values()}
    with (
        Butler.from_config(batch.repository, writeable=True) as butler,
        QuantumBackedButler.from_predicted(
            config=batch.repository,
            predicted_inputs=[ref.id for ref in refs],
            predicted_outputs=[],
            dimensions=butler.dimensions,
            datastore_records={},
            dataset_types=types,
        ) as written,
    ):
        known = butler.stored_many(refs)
        new = [ref for ref in refs if not known[ref]]
        # It warns of each file that is not there: those that a failed quantum did not come to write.
        with without_warnings_of("lsst.daf.butler.datastores.file_datastore.transfer"):
            return len(butler.transfer_from(written, new, transfer="auto", skip_missing=True))
