"""Argo CD's REST interface, as v3.6 serves it; calls that destroy more than a Job are there too, and are remembered."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable
from typing import Any

import tornado.web
from typing_extensions import override

from lsst_commtools.simulate.observatory.cluster import Application, BusyError, SimulatedJob, iso
from lsst_commtools.simulate.observatory.observatory import Observatory

__all__ = ["argocd_application"]

_HANG_S = 3600.0
_PROJECT = "telescope"
_CODES = {401: 16, 403: 7, 404: 5, 409: 10, 400: 9, 500: 13, 503: 14}


class _Handler(tornado.web.RequestHandler):
    """What all requests share: faults, tokens, errors."""

    needs_token = True

    @override
    def initialize(self, observatory: Observatory, password: str, tokens: set[str]) -> None:
        self.observatory, self.password, self.tokens = observatory, password, tokens

    @override
    async def prepare(self) -> None:
        what = f"{self.request.method} {self.request.path.rpartition('/')[2]}"
        kind = self.observatory.faults.take("argocd", what)
        if kind == "drop":
            self.detach().close()
            self._finished = True
        elif kind == "hang":
            await asyncio.sleep(_HANG_S)
        elif kind == "sync_fails":
            self.observatory.cluster.next_failure = "one or more objects failed to apply"
        elif kind.startswith("http_"):
            await self.fail(int(kind.removeprefix("http_")), "simulated failure")
        elif self.needs_token:
            scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer" or token not in self.tokens:
                await self.fail(401, "no session information")

    async def fail(self, status: int, reason: str) -> None:
        """Finish with an error as grpc-gateway writes it."""
        self.set_status(status)
        code = _CODES.get(status, 2)
        await self.finish({"error": reason, "code": code, "message": reason})

    async def find_application(self, name: str) -> Application | None:
        """Find an application; one that is missing looks forbidden to who does not name the project."""
        found = self.observatory.cluster.applications.get(name)
        project = self.get_query_argument("project", "")
        if found is not None and not found.deleted and project in ("", _PROJECT):
            return found
        if project:
            await self.fail(404, f'applications.argoproj.io "{name}" not found')
        else:
            await self.fail(403, "permission denied")
        return None

    @override
    def log_exception(self, *args: Any) -> None:
        """Errors of requests are part of the play, and print nothing."""

    @override
    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None


def _told(application: Application) -> dict[str, Any]:
    """Describe an application as of its last reconciliation."""
    whole = all(r["status"] == "Synced" for r in application.resources)
    status: dict[str, Any] = {
        "sync": {"status": "Synced" if whole else "OutOfSync"},
        "health": {"status": "Progressing"},
        "resources": application.resources,
    }
    if application.reconciled_utc is not None:
        status["reconciledAt"] = application.reconciled_utc.isoformat()
    if application.operation_state is not None:
        status["operationState"] = application.operation_state
    told: dict[str, Any] = {
        "metadata": {"name": application.name, "namespace": "argocd"},
        "spec": {"project": _PROJECT, "destination": {"namespace": application.name}},
        "status": status,
    }
    if application.operation is not None:
        told["operation"] = application.operation
    return told


class _Session(_Handler):
    needs_token = False

    @override
    async def post(self) -> None:
        body = json.loads(self.request.body or b"{}")
        if body.get("username") != "commtools" or body.get("password") != self.password:
            await self.fail(401, "Invalid username or password")
            return
        token = secrets.token_hex(20)
        self.tokens.add(token)
        await self.finish({"token": token})


class _MaySync(_Handler):
    @override
    async def get(self, *_: str) -> None:
        await self.finish({"value": "yes"})


class _List(_Handler):
    @override
    async def get(self) -> None:
        wanted = self.get_query_arguments("projects") or [_PROJECT]
        found = [a for a in self.observatory.cluster.applications.values() if not a.deleted]
        await self.finish({"items": [_told(a) for a in found] if _PROJECT in wanted else None})


class _Application(_Handler):
    @override
    async def get(self, name: str) -> None:
        application = await self.find_application(name)
        if application is None:
            return
        if self.get_query_argument("refresh", ""):
            self.observatory.cluster.reconcile(application)
        await self.finish(_told(application))

    @override
    async def delete(self, name: str) -> None:
        application = await self.find_application(name)
        if application is None:
            return
        application.deleted = True
        for job in list(application.jobs):
            self.observatory.cluster.delete(application, job, orphan=False)
        await self.finish({})


class _Tree(_Handler):
    @override
    async def get(self, name: str) -> None:
        application = await self.find_application(name)
        if application is not None:
            nodes = [node for job in application.jobs.values() for node in _nodes(application, job)]
            await self.finish({"nodes": nodes, "orphanedNodes": None, "hosts": None})


def _nodes(application: Application, job: SimulatedJob) -> list[dict[str, Any]]:
    common = {"version": "v1", "namespace": application.name, "createdAt": iso(job.created_utc)}
    parent = {
        "group": "batch",
        "kind": "Job",
        "namespace": application.name,
        "name": job.name,
        "uid": job.uid,
    }
    return [
        {**common, **parent, "health": {"status": job.health}},
        {
            **common,
            "kind": "Pod",
            "name": job.pod,
            "uid": f"pod-{job.uid}",
            "parentRefs": [parent],
            "info": [{"name": "Status Reason", "value": job.phase}],
        },
    ]


class _Resource(_Handler):
    @override
    async def get(self, name: str) -> None:
        application = await self.find_application(name)
        if application is None:
            return
        kind, wanted = self.get_query_argument("kind", ""), self.get_query_argument("resourceName", "")
        job = next((j for j in application.jobs.values() if wanted in (j.name, j.pod)), None)
        if job is None:
            await self.fail(404, f'"{wanted}" not found')
            return
        metadata = {"name": wanted, "namespace": application.name, "uid": job.uid}
        status = {"phase": job.phase} if kind == "Pod" else {"active": int(job.phase == "Running")}
        labels = {"csc": "true", "csc-name": job.name}
        manifest = {"kind": kind, "metadata": {**metadata, "labels": labels}, "status": status}
        await self.finish({"manifest": json.dumps(manifest)})

    @override
    async def delete(self, name: str) -> None:
        application = await self.find_application(name)
        if application is None:
            return
        wanted = self.get_query_argument("resourceName", "")
        if self.get_query_argument("kind", "") != "Job" or not self.get_query_argument("version", ""):
            await self.fail(400, "invalid resource")
        elif wanted not in application.jobs:
            await self.fail(404, f'jobs.batch "{wanted}" not found')
        else:
            orphan = self.get_query_argument("orphan", "false") == "true"
            self.observatory.cluster.delete(application, wanted, orphan=orphan)
            await self.finish({})


class _Windows(_Handler):
    @override
    async def get(self, name: str) -> None:
        if await self.find_application(name) is not None:
            told = {"activeWindows": [], "assignedWindows": [], "canSync": self.observatory.cluster.may_sync}
            await self.finish(told)


class _Sync(_Handler):
    @override
    async def post(self, name: str) -> None:
        application = await self.find_application(name)
        if application is None:
            return
        if not self.observatory.cluster.may_sync:
            await self.fail(403, "cannot sync: blocked by sync window")
            return
        resources = json.loads(self.request.body or b"{}").get("resources")
        names = {r["name"] for r in resources if r["kind"] == "Job"} if resources else None
        try:
            self.observatory.cluster.sync(application, names)
        except BusyError:
            await self.fail(400, "another operation is already in progress")
        else:
            await self.finish(_told(application))


def argocd_application(observatory: Observatory, password: str) -> tornado.web.Application:
    """Make the web application that stands in for Argo CD.

    Parameters
    ----------
    observatory
        What is behind it.
    password
        Password of the account ``commtools``.

    Returns
    -------
    tornado.web.Application
        REST.
    """
    tokens: set[str] = set()
    given = {"observatory": observatory, "password": password, "tokens": tokens}
    api = "/api/v1"
    one = rf"{api}/applications/([^/]+)"
    routes: list[tuple[str, type[tornado.web.RequestHandler], dict[str, Any]]] = [
        (rf"{api}/session", _Session, given),
        (rf"{api}/account/can-i/applications/sync/([^/]+)/([^/]+)", _MaySync, given),
        (rf"{api}/applications", _List, given),
        (one, _Application, given),
        (rf"{one}/resource-tree", _Tree, given),
        (rf"{one}/resource", _Resource, given),
        (rf"{one}/syncwindows", _Windows, given),
        (rf"{one}/sync", _Sync, given),
    ]
    return tornado.web.Application(routes, log_function=lambda _: None)
