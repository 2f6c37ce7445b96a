"""Which quanta one job of a batch executes: read from a file, so that a submission holds a part of a graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

__all__ = ["Cluster", "cluster_by_file", "part_into_groups", "write_clusters"]

_KEY = "commtoolsClusters"


@dataclass(frozen=True)
class Cluster:
    """Quanta of one job.

    Parameters
    ----------
    name
        Unique in its submission.
    label
        Kind of job: its tasks.
    tags
        Dimension to value, for names of log files.
    quanta
        Ids in the order in which they run.
    tasks
        Task label of each.
    waits_for
        Names of jobs that must have ended before.
    """

    name: str
    label: str
    tags: dict[str, str | int]
    quanta: tuple[str, ...]
    tasks: tuple[str, ...]
    waits_for: tuple[str, ...]


def part_into_groups(clusters: Sequence[Cluster], number: int) -> list[list[Cluster]]:
    """Part jobs into submissions that do not wait for one another.

    Parameters
    ----------
    clusters
        In order; what one waits for comes before it.
    number
        How many submissions at most.

    Returns
    -------
    list of list of Cluster
        Of about the same size, in the same order; jobs that wait for each other stay together.
    """
    root = {cluster.name: cluster.name for cluster in clusters}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    for cluster in clusters:
        for before in cluster.waits_for:
            root[find(before)] = find(cluster.name)
    by_root: dict[str, list[Cluster]] = {}
    for cluster in clusters:
        by_root.setdefault(find(cluster.name), []).append(cluster)
    families = list(by_root.values())
    total = sum(map(len, families))
    groups: list[list[Cluster]] = [[] for _ in range(min(number, len(families)))]
    placed = 0
    for family in families:
        groups[min(placed * len(groups) // max(total, 1), len(groups) - 1)] += family
        placed += len(family)
    return [group for group in groups if group]


def write_clusters(path: Path, clusters: Sequence[Cluster]) -> None:
    """Write the jobs of a submission.

    Parameters
    ----------
    path
        JSON file.
    clusters
        The jobs.
    """
    path.write_text(json.dumps([asdict(cluster) for cluster in clusters]), encoding="utf-8")


def cluster_by_file(config: Mapping[str, Any], qgraph: Any, name: str) -> Any:
    """Give BPS the jobs that a file lists; this is what its ``clusterAlgorithm`` names.

    Parameters
    ----------
    config
        BPS's configuration; its ``commtoolsClusters`` is the file.
    qgraph
        Quantum graph.
    name
        Name of the result.

    Returns
    -------
    lsst.ctrl.bps.ClusteredQuantumGraph
        With these jobs only, whatever else the graph holds.
    """
    from lsst.ctrl.bps.clustered_quantum_graph import ClusteredQuantumGraph, QuantaCluster

    listed = [Cluster(**values) for values in json.loads(Path(str(config[_KEY])).read_text(encoding="utf-8"))]
    clustered = ClusteredQuantumGraph(
        name=name, qgraph=qgraph, qgraph_filename=config[".bps_defined.runQgraphFile"]
    )
    for cluster in listed:
        job = QuantaCluster(cluster.name, cluster.label, dict(cluster.tags))
        for quantum, task in zip(cluster.quanta, cluster.tasks, strict=True):
            job.add_quantum(UUID(quantum), task)
        clustered.add_cluster(job)
    for cluster in listed:
        for before in cluster.waits_for:
            clustered.add_dependency(before, cluster.name)
    return clustered
