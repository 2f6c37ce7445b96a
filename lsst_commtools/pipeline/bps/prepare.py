"""What would be submitted, without submitting it: files of BPS and of the batch system to look at."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lsst_commtools.errors import InputError, RejectedError
from lsst_commtools.pipeline.bps.config import environment, write_config
from lsst_commtools.pipeline.bps.outputs import make_batch
from lsst_commtools.pipeline.bps.run import BPS, check_service, last_words
from lsst_commtools.pipeline.run import NIGHT_PIPELINE
from lsst_commtools.site.pipeline import PipelineSection

__all__ = ["Prepared", "prepare_bps"]

_NO_SERVICE = "lsst.ctrl.bps.wms_service.BaseWmsService"
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Prepared:
    """What would be submitted.

    Parameters
    ----------
    service
        Class of the batch system.
    folder
        Where the files are.
    files
        Submission to its files: BPS's configuration, the list of jobs, and what the batch system takes.
    checked, not_checked
        What was tried here, and what could not be.
    """

    service: str
    folder: Path
    files: Mapping[str, tuple[Path, ...]]
    checked: tuple[str, ...]
    not_checked: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "service": self.service,
            "folder": str(self.folder),
            "files": {name: [str(path) for path in paths] for name, paths in self.files.items()},
            "checked": list(self.checked),
            "not_checked": list(self.not_checked),
        }


def prepare_bps(
    repository: str | Path,
    data_query: str,
    output_run: str,
    section: PipelineSection,
    folder: Path,
    *,
    pipeline: str | Path | None = None,
    inputs: Sequence[str] = (),
) -> Prepared:
    """Do all of a submission but the submitting.

    Parameters
    ----------
    repository, data_query, output_run, section, pipeline, inputs
        As of `run_by_bps`.
    folder
        Where the files go, each time into a new folder.

    Returns
    -------
    Prepared
        With the batch system's own files where its package is installed; else as far as BPS comes without it.

    Raises
    ------
    InputError
        If the query or a setting is refused.
    RejectedError
        If BPS or the batch system's package refuses to prepare it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="prepared-", dir=folder)).absolute()
    batch = make_batch(
        place,
        "",
        repository=str(Path(repository).absolute()),
        data_query=data_query,
        output_run=output_run,
        pipeline=str(pipeline or NIGHT_PIPELINE),
        inputs=tuple(inputs),
        groups=section.groups,
        dry=True,
    )
    missing = ""
    try:
        check_service(section.service)
    except InputError as error:
        missing = error.message
    files = {}
    for name in batch.groups:
        config = write_config(batch, name, 1, section)
        submit_path = batch.group_folder(name) / "submit-1"
        if missing:
            _call_bps(_without_service(config), "transform")
        else:
            _call_bps(config, "prepare")
        jobs = batch.group_folder(name) / "jobs.txt"
        jobs.write_text(_describe(submit_path / "bps_generic_workflow.pickle"), encoding="utf-8")
        written = sorted(path for path in submit_path.rglob("*") if path.is_file())
        files[name] = (config, jobs, *([] if missing else written))
    checked = ["quantum graph", "parts of it for each job", "BPS's configuration", "commands of all jobs"]
    not_checked = ["that the batch system accepts and runs it"]
    if missing:
        not_checked.insert(0, f"the batch system's own files: {missing}")
    else:
        checked.append(f"the files that {section.service} writes")
    return Prepared(section.service, place, files, tuple(checked), tuple(not_checked))


def _without_service(config: Path) -> Path:
    """Write the same configuration for BPS alone: it asks the batch system's class for its defaults at once."""
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    path = config.with_name("bps-check.yaml")
    path.write_text(
        yaml.safe_dump(values | {"wmsServiceClass": _NO_SERVICE}, sort_keys=False), encoding="utf-8"
    )
    return path


def _call_bps(config: Path, stage: str) -> None:
    try:
        process = subprocess.run(
            [sys.executable, "-c", BPS, stage, str(config)],
            cwd=config.parent,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RejectedError(f"bps {stage} did not end within {_TIMEOUT_S:g} s.") from None
    (config.parent / f"bps-{stage}.log").write_text(process.stdout + process.stderr, encoding="utf-8")
    if process.returncode:
        raise RejectedError(
            f"bps {stage} failed: {last_words(process.stderr or process.stdout)}.",
            changed="Nothing was submitted.",
            advice=f"See bps-{stage}.log in {config.parent}.",
        )


def _describe(workflow: Path) -> str:
    """List the jobs of a workflow: what each runs, wants and waits for."""
    from lsst.ctrl.bps import GenericWorkflow

    with workflow.open("rb") as file:
        loaded = GenericWorkflow.load(file, "pickle")
    lines = []
    for name in loaded:
        job = loaded.get_job(name)
        lines += [
            name,
            f"    command   {job.executable.src_uri} {job.arguments}",
            f"    values    {job.cmdvals}",
            f"    wants     {job.request_cpus} cores, {job.request_memory} MB",
            f"    waits for {', '.join(sorted(loaded.predecessors(name))) or 'nothing'}",
        ]
    return "\n".join(lines) + "\n"
