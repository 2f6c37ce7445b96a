"""BPS's configuration of a submission."""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lsst_commtools.errors import InputError
from lsst_commtools.pipeline.bps.batches import Batch
from lsst_commtools.pipeline.bps.clusters import write_clusters
from lsst_commtools.site.pipeline import PipelineSection

__all__ = ["Submission", "environment", "make_config", "read_overlay", "write_config"]

_JOB = "lsst_commtools.pipeline.bps.job"
# What these say decides which quanta run, where their outcome is written, and what is brought in.
_OURS = (
    "createQuantumGraph",
    "clusterAlgorithm",
    "commtoolsClusters",
    "runQuantumCommand",
    "finalJob",
    "submitPath",
)


@dataclass(frozen=True)
class Submission:
    """What one submission is made of.

    Parameters
    ----------
    name
        Such as ``g001``.
    repository, inputs, output_run
        As the pipeline is run.
    graph, clusters, outcomes
        Graph file, list of jobs, and folder of outcomes.
    submit_path
        Folder for what BPS and the batch system write; it must not be there.
    mark
        File that is locked as long as the run is wanted: jobs that begin later do nothing. None where the batch
        system keeps the run by itself.
    """

    name: str
    repository: str
    inputs: tuple[str, ...]
    output_run: str
    graph: Path
    clusters: Path
    outcomes: Path
    submit_path: Path
    mark: Path | None = None


def read_overlay(section: PipelineSection) -> dict[str, Any]:
    """Read the site's own configuration of BPS.

    Parameters
    ----------
    section
        Its ``config`` names the file.

    Returns
    -------
    dict
        Empty where there is none.

    Raises
    ------
    InputError
        If it cannot be read, or sets what this package has to set.
    """
    if not section.config:
        return {}
    path = Path(section.config).expanduser()
    try:
        overlay = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"BPS's configuration {path} cannot be read: {error}.") from error
    if not isinstance(overlay, dict):
        raise InputError(f"BPS's configuration {path} does not hold settings by name.")
    taken = [key for key in _OURS if key in overlay]
    if taken:
        raise InputError(
            f"BPS's configuration {path} sets {', '.join(taken)}, which decide what is run and counted.",
            advice="Leave them out.",
        )
    return overlay


def make_config(
    submission: Submission, section: PipelineSection, overlay: Mapping[str, Any]
) -> dict[str, Any]:
    """Write down a submission for BPS.

    Parameters
    ----------
    submission
        What is submitted.
    section
        Batch system and its site.
    overlay
        From `read_overlay`, laid over the rest.

    Returns
    -------
    dict
        For a YAML file that ``bps submit`` takes.
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "_", f"{submission.output_run}_{submission.name}")
    config: dict[str, Any] = {
        "wmsServiceClass": section.service,
        "computeSite": section.compute_site,
        "project": "lsst_commtools",
        "campaign": re.sub(r"[^A-Za-z0-9_]+", "_", submission.output_run),
        "operator": re.sub(r"[^A-Za-z0-9_]+", "_", getpass.getuser()),
        "uniqProcName": name,
        "submitPath": str(submission.submit_path),
        "payload": {
            "payloadName": name,
            "butlerConfig": submission.repository,
            "inCollection": ",".join(submission.inputs),
            "output": submission.output_run,
            "outputRun": submission.output_run,
            # Settings and versions are in the run before anything is submitted.
            "runInit": False,
        },
        "qgraphFileTemplate": "quanta.qg",
        # The graph is there; to name it as BPS's qgraphFile would make BPS give all outputs new ids.
        "createQuantumGraph": f"/bin/cp {submission.graph} {{qgraphFile}}",
        "clusterAlgorithm": "lsst_commtools.pipeline.bps.clusters.cluster_by_file",
        "commtoolsClusters": str(submission.clusters),
        "runQuantumCommand": (
            f"{sys.executable} -m {_JOB} {{butlerConfig}} {{fileDistributionEndPoint}}{{qgraphFile}} "
            f"--outcomes {submission.outcomes} --quanta {{qgraphNodeId}}"
            + (f" --while-held {submission.mark}" if submission.mark is not None else "")
        ),
        "finalJob": {"whenRun": "NEVER"},
        "numberOfRetries": 2,
        "saveGenericWorkflow": True,
        "site": {
            section.compute_site: {
                "class": "lsst_commtools.pipeline.bps.parsl_site.ThisMachine",
                "cores": section.cores,
                "run_dir": str(submission.submit_path / "runinfo"),
            }
        },
    }
    if not _is_parsl(section):
        del config["site"]
    return _lay_over(config, overlay)


def _is_parsl(section: PipelineSection) -> bool:
    return section.service.startswith("lsst.ctrl.bps.parsl.")


def write_config(
    batch: Batch,
    name: str,
    attempt: int,
    section: PipelineSection,
) -> Path:
    """Write what ``bps submit`` is given.

    Parameters
    ----------
    batch, name
        The submission.
    attempt
        Number of the attempt, from 1; each has a folder of its own for what BPS writes.
    section
        Batch system.

    Returns
    -------
    pathlib.Path
        The YAML file.
    """
    folder = batch.group_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    write_clusters(folder / "clusters.json", batch.groups[name])
    submission = Submission(
        name=name,
        repository=batch.repository,
        inputs=batch.inputs,
        output_run=batch.output_run,
        graph=batch.graph,
        clusters=folder / "clusters.json",
        outcomes=batch.outcomes,
        submit_path=folder / f"submit-{attempt}",
        mark=folder / f"bps-{attempt}.lock" if _is_parsl(section) else None,
    )
    path = folder / f"bps-{attempt}.yaml"
    config = make_config(submission, section, read_overlay(section))
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def _lay_over(config: dict[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(config)
    for key, value in overlay.items():
        old = merged.get(key)
        merged[key] = _lay_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def environment() -> dict[str, str]:
    """Give what BPS and its jobs need besides this process's environment.

    Returns
    -------
    dict
        With the folders that BPS's defaults name, and this Python's programs first in the path.
    """
    prefix = Path(sys.prefix)
    found = {name: str(prefix) for name in ("CTRL_MPEXEC_DIR", "DAF_BUTLER_DIR", "CTRL_BPS_DIR")}
    return {
        **found,
        **os.environ,
        "PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }
