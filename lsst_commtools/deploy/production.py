"""A production CSC: where it stands, and bringing it back by Argo CD, seen by the observatory's own network."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from lsst_commtools.deploy.values import Production, Restored
from lsst_commtools.errors import NotFoundError, RefusedError, StepError, UnknownOutcomeError

if TYPE_CHECKING:
    from lsst_commtools.deploy.argocd import ArgoCd
    from lsst_commtools.deploy.eyes import CscEyes
    from lsst_commtools.deploy.values import CscJob, JobState

__all__ = ["restore_production", "survey_production", "wait_for_pod", "wait_until_silent"]

_LOOK_AGAIN_S = 0.5


def survey_production(control: CscEyes, argocd: ArgoCd, csc: str) -> Production:
    """See where a production CSC stands, before anything is done with it.

    Parameters
    ----------
    control
        Who sees the CSC.
    argocd
        Who knows its Job.
    csc
        For instance ``DIMM:1``.

    Returns
    -------
    Production
        Its Job, if it has one, and whether it runs.

    Raises
    ------
    RefusedError
        If it could not be put back: a process that is not of a Job runs as this CSC, or it can be more than one Job.
    UnknownOutcomeError
        If Argo CD runs it and no heartbeat is seen.
    """
    try:
        job = argocd.find_job(csc)
    except NotFoundError:
        job = None
    seen = control.state(csc)
    running = job is not None and argocd.job_state(job).running
    if seen.alive and not running:
        raise RefusedError(
            f"{csc} runs, but not by a Job of Argo CD: it could not be put back ({seen}).",
            changed="Nothing was done.",
            advice=f"Find out who runs it. After a test that broke off: `commtools csc restore {csc}`.",
        )
    if running and seen.alive is not True:
        raise UnknownOutcomeError(
            f"Argo CD runs {csc}, and no heartbeat of it is seen: {seen}.",
            changed="Nothing was done.",
            advice="See its log in Argo CD, and LOVE's producer.",
        )
    return Production(csc, job, running, seen.state.name)


def restore_production(
    control: CscEyes,
    argocd: ArgoCd,
    job: CscJob,
    *,
    keep: Collection[str] = ("STANDBY",),
    boot_timeout_s: float = 180.0,
    gone_timeout_s: float = 30.0,
) -> Restored:
    """Bring a production CSC to STANDBY, from wherever it is; doing it twice changes nothing.

    Parameters
    ----------
    control
        Who sees the CSC.
    argocd
        Who starts it.
    job
        Its Job.
    keep
        States that are good where its process has never ended.
    boot_timeout_s
        How long it may take from the start of its pod to STANDBY, in seconds.
    gone_timeout_s
        How long a process that ends may go on to be seen, in seconds.

    Returns
    -------
    Restored
        What was done, and observed.

    Raises
    ------
    RefusedError
        If another process runs as this CSC: two of them must never run at the same time.
    UnknownOutcomeError
        If it cannot be seen whether one does, or whether the CSC came to STANDBY.
    """
    csc = job.csc
    before = argocd.job_state(job)
    seen = control.state(csc)
    if (
        before.running
        and seen.state.name != "OFFLINE"
        and (before.pod_phase == "Pending" or seen.alive is not False)
    ):
        return _bring_to_standby(control, argocd, job, before.uid, keep, boot_timeout_s)
    if before.running:
        before = wait_for_pod(argocd, job, gone_timeout_s)
    seen = wait_until_silent(control, csc, gone_timeout_s)
    if seen.alive is None:
        raise UnknownOutcomeError(
            f"It cannot be seen whether another process runs as {csc}.",
            changed="No new Job was started.",
            advice=f"See LOVE, then run `commtools csc restore {csc}`.",
        )
    if seen.alive:
        raise RefusedError(
            f"A process that is not the Job's runs as {csc} ({seen}).",
            changed="No new Job was started.",
            advice=f"Stop the CSC under test first, then run `commtools csc restore {csc}`.",
        )
    _, after = argocd.redeploy(job)
    standby = control.wait_for(csc, "STANDBY", boot_timeout_s)
    return _restored(csc, "redeployed", before.uid, after.uid, standby)


def wait_for_pod(argocd: ArgoCd, job: CscJob, timeout_s: float) -> JobState:
    """Wait for the end of a pod whose CSC has gone OFFLINE.

    Parameters
    ----------
    argocd
        Who sees it.
    job
        Its Job.
    timeout_s
        How long, in seconds.

    Returns
    -------
    JobState
        As it is then.

    Raises
    ------
    StepError
        If it goes on.
    """
    ends_s = time.monotonic() + timeout_s
    while (state := argocd.job_state(job)).running:
        if time.monotonic() >= ends_s:
            raise StepError(
                f"The pod of {job} goes on, although {job.csc} is OFFLINE or has no heartbeat.",
                changed="Nothing was done.",
                advice=f"Look at the log of the pod {state.pod}; if it hangs, delete that Job in Argo CD, sync only "
                f"it, then run `commtools csc restore {job.csc}`.",
            )
        time.sleep(_LOOK_AGAIN_S)
    return state


def _bring_to_standby(
    control: CscEyes,
    argocd: ArgoCd,
    job: CscJob,
    uid_before: str,
    keep: Collection[str],
    boot_timeout_s: float,
) -> Restored:
    """Deal with a Job whose pod runs: it booted just now, or it was never taken down."""
    csc, did = job.csc, "nothing"
    seen = control.state(csc)
    if seen.alive is not True or seen.state.name == "UNKNOWN":
        seen = control.wait_for(csc, "STANDBY", boot_timeout_s)
    elif seen.state.name not in keep:
        error = control.set_states({csc: "STANDBY"})[csc].error
        if error is not None:
            raise error
        did, seen = "brought to STANDBY", control.state(csc)
    if seen.alive is not True or seen.state.name not in (*keep, "STANDBY"):
        raise UnknownOutcomeError(f"{csc} was not seen in STANDBY: {seen}.", advice="See LOVE and its log.")
    return _restored(csc, did, uid_before, argocd.job_state(job).uid, seen)


def wait_until_silent(control: CscEyes, csc: str, timeout_s: float) -> Any:
    """Wait until no heartbeat of a CSC is seen any more: it is told of for some seconds after the last one.

    Parameters
    ----------
    control
        Who sees it.
    csc
        For instance ``DIMM:1``.
    timeout_s
        How long, in seconds.

    Returns
    -------
    object
        Its state then, silent or not.
    """
    ends_s = time.monotonic() + timeout_s
    while (seen := control.state(csc)).alive is not False and time.monotonic() < ends_s:
        time.sleep(_LOOK_AGAIN_S)
    return seen


def _restored(csc: str, did: str, uid_before: str, uid_after: str, seen: Any) -> Restored:
    observed_at = seen.to_dict()["observed_at"]
    return Restored(csc, did, uid_before, uid_after, seen.state.name, seen.alive is True, observed_at)
