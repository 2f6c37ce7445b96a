"""The simulated cluster: applications of Argo CD, a Job for each CSC, and what Argo CD knows of them.

Contract: Argo CD v3.6, phalanx: one application per group; a running Job is Progressing, never Healthy; what is told of
resources is as old as the last reconciliation.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lsst_commtools.simulate.observatory.cscs import SimulatedCsc
from lsst_commtools.simulate.observatory.pace import Pace

__all__ = ["Application", "BusyError", "SimulatedCluster", "SimulatedJob"]

_GROUPS = {
    "eas": ("DIMM",),
    "auxtel": ("ATDome", "ATMCS", "ATAOS"),
    "simonyitel": ("MTMount", "MTAOS", "MTHexapod"),
    "obssys": ("ScriptQueue", "Watcher"),
}
_OTHERS = "calsys"


class BusyError(Exception):
    """Another operation is in progress."""


@dataclass
class SimulatedJob:
    """A Job and its pod.

    Parameters
    ----------
    name
        Its name.
    csc
        The CSC that its pod runs.
    """

    name: str
    csc: SimulatedCsc
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_utc: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    refused: bool = False
    ended: str = ""

    @property
    def pod(self) -> str:
        """Name of its pod."""
        return f"{self.name}-{self.uid[:5]}"

    @property
    def phase(self) -> str:
        """Phase of its pod."""
        if not self.ended:
            mine = self.csc.host == self.uid
            if mine and self.csc.booting:
                return "Pending"
            if mine and self.csc.running:
                return "Running"
            self.ended = "Failed" if self.refused or self.csc.state != "OFFLINE" else "Succeeded"
        return self.ended

    @property
    def health(self) -> str:
        """Health as Argo CD judges a Job."""
        return {"Succeeded": "Healthy", "Failed": "Degraded"}.get(self.phase, "Progressing")


@dataclass
class Application:
    """A group of CSCs.

    Parameters
    ----------
    name
        Its name, and that of its namespace.
    wanted
        Name of a Job to its CSC, as git has it.
    """

    name: str
    wanted: dict[str, SimulatedCsc] = field(default_factory=dict)
    jobs: dict[str, SimulatedJob] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)
    reconciled_utc: dt.datetime | None = None
    operation: dict[str, Any] | None = None
    operation_state: dict[str, Any] | None = None
    deleted: bool = False


def iso(time_utc: dt.datetime) -> str:
    """Write a time as Kubernetes does, to the second."""
    return time_utc.strftime("%Y-%m-%dT%H:%M:%SZ")


class SimulatedCluster:
    """Applications, and Argo CD's knowledge of them.

    Parameters
    ----------
    cscs
        All CSCs.
    pace
        How long things take.
    """

    def __init__(self, cscs: Mapping[str, SimulatedCsc], pace: Pace) -> None:
        self._pace = pace
        self.applications: dict[str, Application] = {}
        self.two_at_once: list[str] = []
        self.whole_syncs = 0
        self.may_sync = True
        self.next_failure = ""
        self._tasks: set[asyncio.Task[None]] = set()
        for csc in cscs.values():
            if csc.is_camera:
                continue  # cameras do not run in the cluster
            group = next((g for g, names in _GROUPS.items() if csc.name.name in names), _OTHERS)
            application = self.applications.setdefault(group, Application(group))
            application.wanted[f"{csc.name.name.lower()}{csc.name.index or ''}"] = csc

    def begin(self) -> None:
        """Take the processes that run already as those of Jobs, and look at them again and again."""
        for application in self.applications.values():
            for name, csc in application.wanted.items():
                job = SimulatedJob(name, csc)
                application.jobs[name] = job
                csc.host = job.uid
            self.reconcile(application)
        self._spawn(self._look())

    def close(self) -> None:
        """End all tasks."""
        for task in self._tasks:
            task.cancel()

    def truth(self) -> dict[str, Any]:
        """Say what is true of the Jobs.

        Returns
        -------
        dict
            Jobs by name, syncs of whole applications, applications that were deleted.
        """
        return {
            "jobs": {
                name: {"uid": job.uid, "phase": job.phase}
                for application in self.applications.values()
                for name, job in application.jobs.items()
            },
            "whole_syncs": self.whole_syncs,
            "deleted_applications": [a.name for a in self.applications.values() if a.deleted],
        }

    def reconcile(self, application: Application) -> None:
        """Compare what is wanted with what is there.

        Parameters
        ----------
        application
            Which.
        """
        application.resources = [
            {
                "group": "batch",
                "version": "v1",
                "kind": "Job",
                "namespace": application.name,
                "name": name,
                "status": "Synced" if name in application.jobs else "OutOfSync",
                "health": {
                    "status": application.jobs[name].health if name in application.jobs else "Missing"
                },
            }
            for name in application.wanted
        ]
        application.reconciled_utc = dt.datetime.now(dt.UTC)

    def delete(self, application: Application, name: str, *, orphan: bool) -> None:
        """Delete a Job; its pod is told to end.

        Parameters
        ----------
        application, name
            Which.
        orphan
            Whether the pod goes on.
        """
        job = application.jobs[name]
        if not orphan and job.phase in ("Pending", "Running"):
            job.csc.kill()
        self._spawn(self._remove(application, job))

    def sync(self, application: Application, names: set[str] | None) -> None:
        """Begin a sync.

        Parameters
        ----------
        application
            Which.
        names
            Jobs; None for all.

        Raises
        ------
        BusyError
            If another operation is in progress.
        """
        if application.operation is not None or (
            application.operation_state is not None and application.operation_state["phase"] == "Running"
        ):
            raise BusyError
        if names is None:
            self.whole_syncs += 1
        application.operation = {"sync": {"resources": sorted(names or ())}}
        self._spawn(self._operate(application, names))

    async def _remove(self, application: Application, job: SimulatedJob) -> None:
        await asyncio.sleep(self._pace.sync_s)
        if application.jobs.get(job.name) is job:
            del application.jobs[job.name]

    async def _operate(self, application: Application, names: set[str] | None) -> None:
        # For a moment the operation is asked for, and the state of the one before is still shown.
        await asyncio.sleep(self._pace.sync_s / 2)
        started = dt.datetime.now(dt.UTC).isoformat()
        application.operation_state = {
            "phase": "Running",
            "startedAt": started,
            "operation": application.operation,
        }
        application.operation = None
        await asyncio.sleep(self._pace.sync_s)
        failure, self.next_failure = self.next_failure, ""
        if not failure:
            for name, csc in application.wanted.items():
                if (names is None or name in names) and name not in application.jobs:
                    self._create(application, name, csc)
        application.operation_state = {
            **application.operation_state,
            "phase": "Failed" if failure else "Succeeded",
            "message": failure or "successfully synced",
            "finishedAt": dt.datetime.now(dt.UTC).isoformat(),
        }
        await asyncio.sleep(self._pace.sync_s)
        self.reconcile(application)

    def _create(self, application: Application, name: str, csc: SimulatedCsc) -> None:
        job = SimulatedJob(name, csc)
        application.jobs[name] = job
        if csc.running or csc.booting:
            self.two_at_once.append(str(csc.name))
            job.refused, job.ended = True, "Failed"
            return
        csc.start_process(job.uid)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._pace.reconcile_s)
            for application in self.applications.values():
                self.reconcile(application)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
