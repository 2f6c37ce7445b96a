"""A batch system for tests, behind BPS's interface: it takes a workflow, gives its run an id, and runs it by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def _root() -> Path:
    return Path(os.environ["QUEUE_WMS_ROOT"])


def run(folder: Path) -> None:
    """Run the jobs of a workflow one after another; those behind a failed one are not run."""
    jobs = json.loads((folder / "jobs.json").read_text())
    failed = set()
    for job in jobs:
        gate = folder.parent / "wait"
        while gate.exists():
            import time

            time.sleep(0.05)
        if failed.intersection(job["parents"]):
            failed.add(job["name"])
            continue
        with (folder / f"{job['name']}.out").open("wb") as out:
            if subprocess.run(job["command"], shell=True, stdout=out, stderr=out, check=False).returncode:
                failed.add(job["name"])
    (folder / "state").write_text("FAILED" if failed else "SUCCEEDED")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
else:
    from lsst.ctrl.bps import BaseWmsService, BaseWmsWorkflow, WmsStates

    class QueueWorkflow(BaseWmsWorkflow):
        """Jobs with their commands."""

        @classmethod
        def from_generic_workflow(cls, config, generic_workflow, out_prefix, service_class):
            workflow = cls(generic_workflow.name, config)
            workflow.jobs = []
            for name in generic_workflow:
                job = generic_workflow.get_job(name)
                command = f"{job.executable.src_uri} {job.arguments}"
                for file in generic_workflow.get_job_inputs(name):
                    command = command.replace(f"<FILE:{file.name}>", file.src_uri)
                parents = sorted(generic_workflow.predecessors(name))
                workflow.jobs.append(
                    {"name": name, "command": command.format(**job.cmdvals), "parents": parents}
                )
            return workflow

        def write(self, out_prefix):
            (Path(out_prefix) / "jobs.json").write_text(json.dumps(self.jobs))

    class QueueService(BaseWmsService):
        """Keeps each run in a folder."""

        def prepare(self, config, generic_workflow, out_prefix=None):
            workflow = QueueWorkflow.from_generic_workflow(config, generic_workflow, out_prefix, "")
            workflow.write(out_prefix)
            return workflow

        def submit(self, workflow, **kwargs):
            closed = _root() / "closed"
            if closed.exists() and closed.read_text() in workflow.name:
                raise RuntimeError(f"the queue is closed for {workflow.name}")
            number = sum(path.is_dir() for path in _root().iterdir()) + 1
            folder = _root() / f"{number}.0"
            folder.mkdir()
            workflow.write(folder)
            subprocess.Popen(
                [sys.executable, __file__, str(folder)],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            workflow.run_id = folder.name
            return workflow

        def get_status(self, wms_workflow_id, hist=1, is_global=False):
            state = _root() / wms_workflow_id / "state"
            return (WmsStates[state.read_text()], "") if state.exists() else (WmsStates.RUNNING, "")
