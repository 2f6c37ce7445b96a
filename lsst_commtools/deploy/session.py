"""Argo CD's REST interface: the few calls that this package can make, and no other.

Contract: Argo CD v3.6, OpenAPI. There is no call that deletes an application: `Call` lists all calls, and the adapter
below lets no DELETE out that is not of one Job.
"""

from __future__ import annotations

import enum
import json
import re
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from typing_extensions import override

from lsst_commtools.errors import (
    AuthenticationError,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RefusedError,
    RejectedError,
    ServiceTimeoutError,
    UnreachableError,
)

__all__ = ["ArgoCdSession", "Call"]

_FAILED_PRECONDITION = 9
_READ_TRIES = 3
_TRY_AGAIN_S = 0.3
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
_JOB_PATH = re.compile(r".*/api/v1/applications/[a-z0-9.-]+/resource")


class Call(enum.Enum):
    """All that this package asks of Argo CD: method, and path below ``/api/v1/``."""

    LOG_IN = ("POST", "session")
    MAY_SYNC = ("GET", "account/can-i/applications/sync/{project}/{name}")
    LIST = ("GET", "applications")
    APPLICATION = ("GET", "applications/{name}")
    TREE = ("GET", "applications/{name}/resource-tree")
    MANIFEST = ("GET", "applications/{name}/resource")
    SYNC_WINDOWS = ("GET", "applications/{name}/syncwindows")
    DELETE_JOB = ("DELETE", "applications/{name}/resource")
    SYNC = ("POST", "applications/{name}/sync")


class _JobsOnly(HTTPAdapter):
    """Lets nothing out that deletes anything but one Job."""

    @override
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        query = parse_qs(url.query)
        of_job = _JOB_PATH.fullmatch(url.path) and query.get("kind") == ["Job"] and query.get("resourceName")
        if request.method not in ("GET", "POST", "DELETE") or (request.method == "DELETE" and not of_job):
            raise RefusedError(
                f"{request.method} {url.path} could delete more than one Job.", changed="Nothing was sent."
            )
        return super().send(request, *args, **kwargs)


class _BearerAuth(AuthBase):
    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return r


class ArgoCdSession:
    """A login at Argo CD.

    Parameters
    ----------
    url
        Address with its root path.
    user, password
        To log in with, where there is no token.
    token
        Token of an account or project.
    connect_timeout_s, reply_timeout_s
        How long it may take to be reached and to answer, in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str = "",
        password: SecretStr | None = None,
        token: SecretStr | None = None,
        connect_timeout_s: float = 5.0,
        reply_timeout_s: float = 30.0,
    ) -> None:
        self.url = url.rstrip("/")
        self._user = user
        self._password = password
        self._token = token
        self._timeouts_s = (connect_timeout_s, reply_timeout_s)
        self._lock = threading.Lock()
        self._http = requests.Session()
        self._http.trust_env = False  # a .netrc would put another login over the token
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, _JobsOnly())

    def ask(
        self,
        call: Call,
        name: str = "",
        *,
        project: str = "",
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """Make a call.

        Parameters
        ----------
        call
            Which.
        name, project
            Application, and its project: without the project, one that is missing looks like one that is forbidden.
        query, body
            What goes with it.

        Returns
        -------
        dict or None
            The answer; None if Argo CD is busy with another operation on that application.

        Raises
        ------
        ServiceError
            If it does not work, by cause.
        """
        for part in filter(None, (name, project)):
            if not _NAME.fullmatch(part):
                raise RefusedError(f"{part[:60]!r} is not a name in Argo CD.", changed="Nothing was sent.")
        method, path = call.value
        takes_project = bool(project) and method != "POST" and "{project}" not in path
        given = {**({"project": project} if takes_project else {}), **(query or {})}
        path = path.format(name=name, project=project)
        token = self._log_in(None)
        answer = self._send(method, path, given, body, token)
        if answer.status_code == requests.codes.unauthorized and self._password is not None:
            answer = self._send(method, path, given, body, self._log_in(token))
        return self._checked(answer, f"{method} {path}", hidden=bool(name) and not project)

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _log_in(self, refused: SecretStr | None) -> SecretStr:
        """Give a token other than one that was refused."""
        with self._lock:
            if self._token is not None and self._token != refused:
                return self._token
            if self._password is None or not self._user:
                raise AuthenticationError(
                    f"There is no login for Argo CD at {self.url}.",
                    changed="Nothing was sent.",
                    advice="Put a token into COMMTOOLS_ARGOCD_TOKEN, or set deploy.argocd.user and "
                    "COMMTOOLS_ARGOCD_PASSWORD.",
                )
            method, path = Call.LOG_IN.value
            login = {"username": self._user, "password": self._password.get_secret_value()}
            answer = self._send(method, path, {}, login, None)
            document = self._checked(answer, "the login", hidden=False)
            token = (document or {}).get("token")
            if not isinstance(token, str):
                raise ProtocolError(
                    f"Argo CD at {self.url} answered the login with something else.",
                    advice="See deploy.argocd.url and its root path.",
                )
            self._token = SecretStr(token)
            return self._token

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        token: SecretStr | None,
    ) -> requests.Response:
        changed = "It may still do what was asked." if method != "GET" else ""
        tries = _READ_TRIES if method == "GET" else 1
        while True:
            tries -= 1
            try:
                return self._http.request(
                    method,
                    f"{self.url}/api/v1/{path}",
                    params=query,
                    json=body,
                    auth=_BearerAuth(token) if token is not None else None,
                    timeout=self._timeouts_s,
                    allow_redirects=False,
                )
            except requests.ReadTimeout:
                raise ServiceTimeoutError(
                    f"Argo CD at {self.url} did not answer in {self._timeouts_s[1]:g} s.", changed=changed
                ) from None
            except requests.RequestException as error:
                if not tries or not isinstance(error, requests.ConnectionError):
                    raise UnreachableError(
                        f"Argo CD at {self.url} cannot be reached ({type(error).__name__}).",
                        changed=changed,
                        advice="See deploy.argocd.url and the network.",
                    ) from None
                time.sleep(_TRY_AGAIN_S)

    def _checked(self, answer: requests.Response, what: str, *, hidden: bool) -> dict[str, Any] | None:
        try:
            document = json.loads(answer.content)
        except ValueError:
            document = None
        if answer.status_code == requests.codes.ok:
            if not isinstance(document, dict):
                raise ProtocolError(
                    f"Argo CD at {self.url} did not answer {what} with JSON.",
                    advice="See deploy.argocd.url and its root path.",
                )
            return document
        error = document if isinstance(document, dict) else {}
        reason = str(error.get("message") or error.get("error") or "no reason is given")[:300]
        status, code = answer.status_code, error.get("code")
        if status == requests.codes.conflict or (
            status == requests.codes.bad_request and code == _FAILED_PRECONDITION
        ):
            return None
        if status == requests.codes.unauthorized:
            raise AuthenticationError(
                f"Argo CD does not accept the login: {reason}.",
                advice="Get a new token (COMMTOOLS_ARGOCD_TOKEN).",
            )
        if status == requests.codes.forbidden:
            raise ForbiddenError(
                f"Argo CD forbids {what}: {reason}.",
                changed="Nothing was done.",
                advice="It may also be that there is no such application."
                if hidden
                else "Ask for the right, or for somebody who has it; a closed sync window opens by itself.",
            )
        if status == requests.codes.not_found:
            raise NotFoundError(f"Argo CD does not know it ({what}): {reason}.", changed="Nothing was done.")
        raise RejectedError(f"Argo CD refused it, or broke on it (HTTP {status} for {what}): {reason}.")
