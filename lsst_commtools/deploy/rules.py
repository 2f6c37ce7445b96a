"""Rules of Argo CD, without any I/O: which Job runs a CSC, and when an operation is over.

Contract: argo-cd v3.6 ``cmd/argocd/commands/app.go`` (checkAppWaitConditions), phalanx ``charts/csc``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lsst_commtools.deploy.values import CscJob
from lsst_commtools.errors import NotFoundError, ProtocolError, RefusedError, RejectedError
from lsst_commtools.ids import CscName

__all__ = [
    "find_job",
    "in_progress",
    "is_reconciled_since",
    "job_resources",
    "may_run",
    "operation_failure",
    "parse_time_utc",
    "resource_sync",
]


def may_run(job: str, csc: CscName) -> bool:
    """Tell whether a Job may be the one of a CSC, by its name.

    Its name is the CSC's in lower case, with the index or without, and may have a variant behind it: ``dimm1``,
    ``dimm1-sim``, ``mtmount-ccw-only``.

    Parameters
    ----------
    job
        Name of the Job.
    csc
        The CSC.

    Returns
    -------
    bool
        Whether it may be.
    """
    index = f"(-?{csc.index})?" if csc.index else ""
    return re.fullmatch(f"{re.escape(csc.name.lower())}{index}(-[a-z].*)?", job) is not None


def job_resources(application: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List the Jobs that an application manages.

    Parameters
    ----------
    application
        As Argo CD describes it.

    Returns
    -------
    list of Mapping
        Entries of ``status.resources``.
    """
    resources = application.get("status", {}).get("resources") or []
    return [r for r in resources if r.get("kind") == "Job" and r.get("group") == "batch"]


def find_job(
    applications: Iterable[Mapping[str, Any]], csc: CscName, jobs: Mapping[str, str] | None = None
) -> CscJob:
    """Find the Job of a CSC.

    Parameters
    ----------
    applications
        All applications, as Argo CD describes them.
    csc
        The CSC.
    jobs
        What a person has said: CSC to ``JOB`` or ``APPLICATION/JOB``.

    Returns
    -------
    CscJob
        The only one that it can be.

    Raises
    ------
    NotFoundError
        If there is none.
    RefusedError
        If it can be more than one: a person must choose.
    """
    told = (jobs or {}).get(str(csc), "")
    told_application, _, told_job = told.rpartition("/")
    found = []
    for application in applications:
        name, spec = application["metadata"]["name"], application.get("spec", {})
        for resource in job_resources(application):
            if told and (resource["name"] != told_job or told_application not in ("", name)):
                continue
            if not told and not may_run(resource["name"], csc):
                continue
            namespace = resource.get("namespace") or spec.get("destination", {}).get("namespace", "")
            found.append(CscJob(str(csc), name, spec.get("project", ""), namespace, resource["name"]))
    if not found:
        raise NotFoundError(
            f"Argo CD has no Job {told or 'by the name'} of {csc}.",
            advice="Some CSCs do not run there; if this one does, say its Job in deploy.argocd.jobs of the site.",
        )
    if len(found) > 1:
        raise RefusedError(
            f"It can be more than one Job that runs {csc}: {'; '.join(map(str, found))}.",
            changed="Nothing was done.",
            advice=f"Choose: deploy.argocd.jobs: {{'{csc}': {found[0].application}/{found[0].name}}} in the site.",
        )
    return found[0]


def parse_time_utc(text: object) -> dt.datetime | None:
    """Read a time of Kubernetes.

    Parameters
    ----------
    text
        ISO 8601 with zone; empty or missing for none.

    Returns
    -------
    datetime.datetime or None
        UTC.
    """
    if not isinstance(text, str) or not text:
        return None
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except ValueError:
        raise ProtocolError(f"Argo CD gave {text[:40]!r} for a time.") from None


def _operation_state(application: Mapping[str, Any]) -> Mapping[str, Any]:
    return application.get("status", {}).get("operationState") or {}


def in_progress(application: Mapping[str, Any]) -> bool:
    """Tell whether an operation is in progress, or its end is not yet in what Argo CD tells.

    Parameters
    ----------
    application
        As Argo CD describes it.

    Returns
    -------
    bool
        As the rule of Argo CD's own command.
    """
    if application.get("operation") is not None:
        return True
    state = _operation_state(application)
    if not state:
        return False
    finished_utc = parse_time_utc(state.get("finishedAt"))
    if finished_utc is None:
        return True
    return not is_reconciled_since(application, finished_utc)


def is_reconciled_since(application: Mapping[str, Any], since_utc: dt.datetime) -> bool:
    """Tell whether what Argo CD says of resources and health is newer than a time.

    Parameters
    ----------
    application
        As Argo CD describes it.
    since_utc
        The time.

    Returns
    -------
    bool
        False also where it does not say.
    """
    reconciled_utc = parse_time_utc(application.get("status", {}).get("reconciledAt"))
    return reconciled_utc is not None and reconciled_utc >= since_utc


def operation_failure(application: Mapping[str, Any], earlier: Sequence[str]) -> RejectedError | None:
    """Give what an operation failed of.

    Parameters
    ----------
    application
        As Argo CD describes it, no operation being in progress.
    earlier
        ``startedAt`` of operations that were there before: they say nothing of this one.

    Returns
    -------
    RejectedError or None
        None if it succeeded.

    Raises
    ------
    LookupError
        If the operation is not shown yet.
    """
    state = _operation_state(application)
    if not state or state.get("startedAt") in earlier:
        raise LookupError
    if state.get("phase") == "Succeeded":
        return None
    return RejectedError(
        f"The sync ended as {state.get('phase')}: {str(state.get('message', 'no reason is given'))[:300]}",
        advice="See the application in Argo CD.",
    )


def resource_sync(application: Mapping[str, Any], job: CscJob) -> tuple[str, str]:
    """Give sync and health of a Job.

    Parameters
    ----------
    application
        As Argo CD describes it.
    job
        The Job.

    Returns
    -------
    sync, health : str
        ``Unknown`` where it does not say.
    """
    for resource in job_resources(application):
        if resource["name"] == job.name and resource.get("namespace", job.namespace) == job.namespace:
            health = resource.get("health") or {}
            return str(resource.get("status") or "Unknown"), str(health.get("status") or "Unknown")
    return "Unknown", "Missing"
