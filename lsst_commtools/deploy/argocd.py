"""Production CSCs in Argo CD: find the Job of a CSC, see it, put a new one in its place.

Contract: Argo CD v3.6, phalanx; the summit's procedure in ``argocd-csc docs/app-maint/upgrade-application.rst``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import SecretStr

from lsst_commtools.deploy.rules import (
    find_job,
    in_progress,
    operation_failure,
    resource_sync,
)
from lsst_commtools.deploy.session import ArgoCdSession, Call
from lsst_commtools.deploy.values import CscJob, JobState
from lsst_commtools.errors import (
    NotFoundError,
    ProtocolError,
    RefusedError,
    RejectedError,
    ServiceTimeoutError,
    SiteError,
    UnreachableError,
)
from lsst_commtools.ids import CscName
from lsst_commtools.site.dry_run import refuse_in_dry_run
from lsst_commtools.site.stand_ins import stand_in

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["ArgoCd"]

_T = TypeVar("_T")
_JOB_KIND = {"group": "batch", "version": "v1", "kind": "Job"}
_POD_KIND = {"group": "", "version": "v1", "kind": "Pod"}


class ArgoCd:
    """Argo CD of a site.

    Parameters
    ----------
    site
        Where it is; where the site names none and is not real, the running simulator stands in.
    session
        Login; by default as the site says.
    """

    def __init__(self, site: Site, session: ArgoCdSession | None = None) -> None:
        self._section = site.deploy.argocd
        self._session = _connect(site) if session is None else session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    def find_job(self, csc: str) -> CscJob:
        """Find the Job that runs a CSC.

        Parameters
        ----------
        csc
            For instance ``DIMM:1``.

        Returns
        -------
        CscJob
            The only one that it can be.

        Raises
        ------
        NotFoundError
            If there is none.
        RefusedError
            If it can be more than one: a person must choose, in ``deploy.argocd.jobs`` of the site.
        """
        name = CscName.parse(csc)
        items: list[Mapping[str, Any]] = []
        for project in self._section.projects or ("",):
            query = {"projects": project} if project else {}
            items += self._known(self._session.ask(Call.LIST, query=query)).get("items") or []
        return find_job(items, name, self._section.jobs)

    def job_state(self, job: CscJob) -> JobState:
        """See a Job and its pod.

        Parameters
        ----------
        job
            The Job.

        Returns
        -------
        JobState
            As Argo CD observes it now.
        """
        return self._look(job, self._application(job, refresh=True))

    def hindrances(self, job: CscJob) -> list[str]:
        """Find what would keep a Job from being started again, before it is taken down.

        Parameters
        ----------
        job
            The Job.

        Returns
        -------
        list of str
            Sentences; empty if nothing is known to be in the way.
        """
        found = []
        may = self._session.ask(Call.MAY_SYNC, job.application, project=job.project)
        if self._known(may).get("value") != "yes":
            found.append(f"Argo CD does not let this user sync {job.application}.")
        windows = self._known(self._session.ask(Call.SYNC_WINDOWS, job.application, project=job.project))
        if windows.get("canSync") is False:
            found.append(f"A sync window of {job.application} is closed now.")
        return found

    def redeploy(self, job: CscJob) -> tuple[JobState, JobState]:
        """Put a new Job in the place of one whose CSC has ended, and wait until its pod runs.

        Only the Job is deleted, and only that resource is synced: its siblings in the application go on.

        Parameters
        ----------
        job
            The Job.

        Returns
        -------
        before, after : JobState
            What was observed; the CSC itself must still be seen in LOVE.

        Raises
        ------
        RefusedError
            If its pod still runs.
        ServiceError
            If Argo CD fails, by cause.
        """
        refuse_in_dry_run("A new Job")
        ends_s = time.monotonic() + self._section.wait_timeout_s
        before = self.job_state(job)
        if before.running:
            raise RefusedError(
                f"The pod of {job} still runs.",
                changed="Nothing was done.",
                advice=f"Bring {job.csc} to OFFLINE first, and see that it is gone.",
            )
        if before.uid:
            self._delete(job, ends_s)
            self._until(lambda: self._gone(job, before.uid), f"{job} to be gone", ends_s)
        self._sync(job, ends_s)
        after = self._until(lambda: self._runs(job, before.uid), f"a new pod of {job} to run", ends_s)
        return before, after

    def _delete(self, job: CscJob, ends_s: float) -> None:
        def deleted() -> bool | None:
            answer = self._session.ask(
                Call.DELETE_JOB,
                job.application,
                project=job.project,
                query={"resourceName": job.name, "namespace": job.namespace, **_JOB_KIND},
            )
            return None if answer is None else True

        try:
            self._until(deleted, f"{job} to be deleted", ends_s)
        except NotFoundError:
            return  # somebody else was faster

    def _gone(self, job: CscJob, uid: str) -> bool | None:
        now = self.job_state(job)
        # An application that heals itself may have made another one already.
        return True if now.uid != uid and (now.uid or now.sync != "Synced") else None

    def _sync(self, job: CscJob, ends_s: float) -> None:
        """Sync this resource only, and wait for the end of that operation, not of one before it."""
        resource = {"group": "batch", "kind": "Job", "name": job.name, "namespace": job.namespace}
        body = {
            "name": job.application,
            "project": job.project,
            "revision": "",
            "prune": False,
            "dryRun": False,
            "strategy": {"hook": {}},
            "resources": [resource],
            "syncOptions": {"items": []},
        }
        earlier: list[str] = []

        def accepted() -> bool | None:
            application = self._application(job)
            if in_progress(application):
                return None
            started = (application.get("status", {}).get("operationState") or {}).get("startedAt")
            earlier[:] = [str(started)] if started else []
            return None if self._session.ask(Call.SYNC, job.application, body=body) is None else True

        def ended() -> bool | None:
            application = self._application(job)
            if in_progress(application):
                return None
            try:
                failure = operation_failure(application, earlier)
            except LookupError:
                # Times are told to the second: the operation before may have begun in the same one.
                now = self._look(job, application)
                return True if now.uid and now.sync == "Synced" else None
            if failure is not None:
                raise failure
            return True

        self._until(accepted, f"{job.application} to take a sync", ends_s)
        self._until(ended, f"the sync of {job} to end", ends_s)

    def _runs(self, job: CscJob, uid_before: str) -> JobState | None:
        now = self.job_state(job)
        if now.pod_phase == "Failed":
            raise RejectedError(f"The new pod {now.pod} of {job} failed.", advice="See its log in Argo CD.")
        fresh = now.uid and now.uid != uid_before
        return now if fresh and now.sync == "Synced" and now.pod_phase == "Running" else None

    def _until(self, look: Callable[[], _T | None], what: str, ends_s: float) -> _T:
        """Look again and again; Argo CD may be away for a moment."""
        trouble: Exception | None = None
        while True:
            try:
                seen = look()
                trouble = None
            except (UnreachableError, ServiceTimeoutError) as error:
                seen, trouble = None, error
            if seen is not None:
                return seen
            if time.monotonic() >= ends_s:
                raise ServiceTimeoutError(
                    f"Waited {self._section.wait_timeout_s:g} s in vain for {what}.",
                    changed=f"{trouble}" if trouble is not None else "It may still happen.",
                    advice="See the application in Argo CD.",
                )
            time.sleep(self._section.poll_s)

    def _application(self, job: CscJob, *, refresh: bool = False) -> Mapping[str, Any]:
        query = {"refresh": "normal"} if refresh else {}
        return self._known(
            self._session.ask(Call.APPLICATION, job.application, project=job.project, query=query)
        )

    def _look(self, job: CscJob, application: Mapping[str, Any]) -> JobState:
        sync, health = resource_sync(application, job)
        tree = self._known(self._session.ask(Call.TREE, job.application, project=job.project))
        nodes = [n for n in tree.get("nodes") or [] if n.get("namespace", job.namespace) == job.namespace]
        jobs = [n for n in nodes if n.get("kind") == "Job" and n.get("name") == job.name]
        if not jobs:
            return JobState("", sync, "Missing", "", "")
        uid = str(jobs[0].get("uid", ""))
        pods = [
            n
            for n in nodes
            if n.get("kind") == "Pod" and uid in [parent.get("uid") for parent in n.get("parentRefs") or []]
        ]
        if not pods:
            return JobState(uid, sync, health, "", "")
        pod = max(pods, key=lambda n: str(n.get("createdAt", "")))["name"]
        return JobState(uid, sync, health, pod, self._pod_phase(job, pod))

    def _pod_phase(self, job: CscJob, pod: str) -> str:
        try:
            answer = self._session.ask(
                Call.MANIFEST,
                job.application,
                project=job.project,
                query={"resourceName": pod, "namespace": job.namespace, **_POD_KIND},
            )
        except NotFoundError:
            return ""  # it went between two looks
        try:
            manifest = json.loads(self._known(answer)["manifest"])
            return str(manifest.get("status", {}).get("phase", "Unknown"))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ProtocolError(f"Argo CD did not give the manifest of the pod {pod}.") from None

    def _known(self, answer: dict[str, Any] | None) -> dict[str, Any]:
        if answer is None:
            raise UnreachableError("Argo CD is busy with another operation.", advice="Try again.")
        return answer


def _connect(site: Site) -> ArgoCdSession:
    section = site.deploy.argocd
    url, user = section.url, section.user
    password, token = site.secret("argocd_password"), site.secret("argocd_token")
    if not url:
        if site.real:
            raise SiteError(f"The site {site.name!r} has no Argo CD.", advice="Set deploy.argocd.url.")
        service = stand_in("argocd")
        url, user, password = service.url, service.user, SecretStr(service.password)
    return ArgoCdSession(
        url,
        user=user,
        password=password,
        token=token,
        connect_timeout_s=section.connect_timeout_s,
        reply_timeout_s=section.reply_timeout_s,
    )
