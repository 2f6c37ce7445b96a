"""Bringing a production CSC back: Argo CD starts it, and the observatory's own network shows that it is there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from lsst_commtools.errors import RefusedError, StepError, UnknownOutcomeError

if TYPE_CHECKING:
    from lsst_commtools.deploy.argocd import ArgoCd
    from lsst_commtools.deploy.values import CscJob

from lsst_commtools.deploy.values import Restored

__all__ = ["CscEyes", "restore_production"]

_LOOK_AGAIN_S = 0.5


class CscEyes(Protocol):
    """Who sees CSCs and can change their states, as `lsst_commtools.Control` does."""

    def state(self, name: str) -> Any:
        """Give what is evident: ``state.name``, ``alive``, ``observed_utc``."""

    def wait_for(self, name: str, state: str, timeout_s: float) -> Any:
        """Wait until it is seen in a state."""

    def set_state(self, name: str, state: str) -> Any:
        """Bring it to a state."""


def restore_production(
    control: CscEyes,
    argocd: ArgoCd,
    job: CscJob,
    *,
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
    boot_timeout_s
        How long it may take from the start of its pod to STANDBY, in seconds.
    gone_timeout_s
        How long the heartbeat of a process that has ended may go on to be seen, in seconds.

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
    if before.running and (before.pod_phase == "Pending" or seen.alive is not False):
        return _bring_to_standby(control, argocd, job, before.uid, boot_timeout_s)
    if before.running:
        before = _wait_for_pod(argocd, job, gone_timeout_s)
    seen = _wait_until_silent(control, csc, gone_timeout_s)
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


def _bring_to_standby(
    control: CscEyes, argocd: ArgoCd, job: CscJob, uid_before: str, boot_timeout_s: float
) -> Restored:
    """Deal with a Job whose pod runs: it booted just now, or it was never taken down."""
    csc, did = job.csc, "nothing"
    seen = control.state(csc)
    if seen.alive is not True or seen.state.name == "UNKNOWN":
        seen = control.wait_for(csc, "STANDBY", boot_timeout_s)
    elif seen.state.name != "STANDBY":
        control.set_state(csc, "STANDBY")
        did, seen = "brought to STANDBY", control.state(csc)
    if seen.alive is not True or seen.state.name != "STANDBY":
        raise UnknownOutcomeError(f"{csc} was not seen in STANDBY: {seen}.", advice="See LOVE and its log.")
    return _restored(csc, did, uid_before, argocd.job_state(job).uid, seen)


def _wait_for_pod(argocd: ArgoCd, job: CscJob, timeout_s: float) -> Any:
    """Wait for the end of a pod whose CSC has no heartbeat any more."""
    ends_s = time.monotonic() + timeout_s
    while (state := argocd.job_state(job)).running:
        if time.monotonic() >= ends_s:
            raise StepError(
                f"The pod of {job} runs, but {job.csc} has no heartbeat.",
                changed="Nothing was done.",
                advice=f"Look at the log of the pod {state.pod}; if it hangs, delete that Job in Argo CD and sync.",
            )
        time.sleep(_LOOK_AGAIN_S)
    return state


def _wait_until_silent(control: CscEyes, csc: str, timeout_s: float) -> Any:
    ends_s = time.monotonic() + timeout_s
    while (seen := control.state(csc)).alive is not False and time.monotonic() < ends_s:
        time.sleep(_LOOK_AGAIN_S)
    return seen


def _restored(csc: str, did: str, uid_before: str, uid_after: str, seen: Any) -> Restored:
    return Restored(
        csc, did, uid_before, uid_after, seen.state.name, seen.alive is True, seen.to_dict()["observed_at"]
    )
