"""LOVE's REST interface: login, requests with the client's own time-outs, answers to errors.

Contract: LOVE-manager v7.5 ``api/urls.py``, ``api/authentication.py``. The trailing slash of each path counts, and a
redirect is never followed, because a POST would become a GET.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from typing_extensions import override
from urllib3.util import Retry

from lsst_commtools.errors import (
    AuthenticationError,
    ForbiddenError,
    ProtocolError,
    RejectedError,
    ServiceTimeoutError,
    UnreachableError,
)

__all__ = ["LoveSession"]

_LOG = logging.getLogger(__name__)
_POOL_SIZE = 64
_FAREWELL_S = 2.0
_TAI_MINUS_UTC_S = 37.0


class _TokenAuth(AuthBase):
    """Put LOVE's token into a request; its repr shows none, and netrc files are not looked at."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Token {self._token.get_secret_value()}"
        return r


class _PasswordAuth(AuthBase):
    """Put user and password into a login's body; they stand in no local variable that a traceback could show."""

    def __init__(self, user: str, password: SecretStr) -> None:
        self._user, self._password = user, password

    @override
    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.prepare_body(
            None, None, json={"username": self._user, "password": self._password.get_secret_value()}
        )
        return r


class LoveSession:
    """One login at LOVE, safe to use from many threads.

    Parameters
    ----------
    url
        Address with the deployment's subpath.
    user, password
        Login; a token made with it is deleted again by `close`.
    token
        Token that somebody else made; used instead of a login.
    connect_timeout_s, reply_timeout_s
        How long LOVE may take to be reached and to answer, in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str = "",
        password: SecretStr | None = None,
        token: SecretStr | None = None,
        connect_timeout_s: float = 5.0,
        reply_timeout_s: float = 20.0,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/manager/api").removesuffix("/manager")
        self._user = user
        self._password = password
        self._token = token
        self._timeouts_s = (connect_timeout_s, reply_timeout_s)
        self._own_token = False
        self._login_lock = threading.Lock()
        self._identity: Mapping[str, Any] | None = None
        self._clock_offset_s = 0.0
        self._http = requests.Session()
        # A proxy that the environment names cannot reach this computer's own services.
        self._http.trust_env = urlsplit(self.url).hostname not in ("127.0.0.1", "localhost", "::1")
        retry = Retry(total=2, read=False, status=0, other=0, backoff_factor=0.2, allowed_methods={"GET"})
        adapter = HTTPAdapter(pool_maxsize=_POOL_SIZE, max_retries=retry)
        self._http.mount("http://", adapter)
        self._http.mount("https://", adapter)

    def token(self) -> SecretStr:
        """Give a token, logging in first where that was not done yet.

        Returns
        -------
        pydantic.SecretStr
            The token.

        Raises
        ------
        AuthenticationError
            If LOVE accepts neither login nor token.
        """
        with self._login_lock:
            if self._identity is None or self._token is None:
                return self._log_in()
            return self._token

    def renew(self, refused: SecretStr) -> SecretStr:
        """Get another token in place of one that was not accepted.

        Parameters
        ----------
        refused
            That token; if another thread has renewed it already, nothing is done.

        Returns
        -------
        pydantic.SecretStr
            The new token.

        Raises
        ------
        AuthenticationError
            If there is no password to log in with again.
        """
        with self._login_lock:
            if self._token is not None and self._token != refused:
                return self._token
            if self._password is None:
                raise AuthenticationError(
                    f"LOVE at {self.url} does not accept the token: it is wrong or expired.",
                    changed="Nothing was sent.",
                    advice="Put a new one into COMMTOOLS_LOVE_TOKEN, or set love.user and COMMTOOLS_LOVE_PASSWORD.",
                )
            self._token = None
            return self._log_in()

    @property
    def may_command(self) -> bool:
        """Whether LOVE lets this user command CSCs."""
        self.token()
        permissions = (self._identity or {}).get("permissions")
        return bool(isinstance(permissions, dict) and permissions.get("execute_commands"))

    @property
    def user(self) -> str:
        """Name of the user who is logged in."""
        self.token()
        user = (self._identity or {}).get("user")
        return str(user.get("username", self._user)) if isinstance(user, dict) else self._user

    @property
    def clock_offset_s(self) -> float:
        """LOVE's TAI clock minus this computer's unix clock, in seconds."""
        self.token()
        return self._clock_offset_s

    def get(self, path: str) -> Any:
        """Ask for something.

        Parameters
        ----------
        path
            Below ``/manager/api/``, with the slash at its end where LOVE has one.

        Returns
        -------
        object
            The answer's JSON.
        """
        return self._request("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send something.

        Parameters
        ----------
        path
            Below ``/manager/api/``.
        body
            Sent as JSON.

        Returns
        -------
        object
            The answer's JSON.
        """
        return self._request("POST", path, body)

    def close(self) -> None:
        """Delete the token if this session made it, and hang up."""
        token = self._token
        if self._own_token and token is not None:
            self._timeouts_s = (_FAREWELL_S, _FAREWELL_S)
            try:
                self._send("DELETE", "logout/", None, _TokenAuth(token))
            except (requests.RequestException, UnreachableError, ServiceTimeoutError):
                _LOG.debug("LOVE did not take the logout; its token lives on until it expires")
        self._own_token = False
        self._identity = None
        self._http.close()

    def _log_in(self) -> SecretStr:
        """Validate the token at hand, or make one with user and password."""
        if self._token is not None:
            answer = self._send("GET", "validate-token/no_config/", None, _TokenAuth(self._token))
            if answer.status_code == requests.codes.unauthorized and self._password is not None:
                self._token = None
        if self._token is None:
            if self._password is None or not self._user:
                raise AuthenticationError(
                    f"There is no login for LOVE at {self.url}.",
                    advice="Set love.user and COMMTOOLS_LOVE_PASSWORD, or COMMTOOLS_LOVE_TOKEN.",
                )
            answer = self._send("POST", "get-token/", None, _PasswordAuth(self._user, self._password))
            self._own_token = True
        if answer.status_code in (requests.codes.bad_request, requests.codes.unauthorized):
            raise AuthenticationError(
                f"LOVE at {self.url} does not accept the login: {_detail(answer)}",
                advice="See love.user and COMMTOOLS_LOVE_PASSWORD (or COMMTOOLS_LOVE_TOKEN).",
            )
        identity = self._checked(answer, "login")
        if not isinstance(identity, dict) or not isinstance(identity.get("token"), str):
            raise ProtocolError(
                f"LOVE at {self.url} answered the login with something else.", advice="See love.url."
            )
        self._token = SecretStr(identity.pop("token"))
        self._identity = {key: identity.get(key) for key in ("user", "permissions")}
        times = identity.get("time_data")
        tai_s = times.get("tai") if isinstance(times, dict) else None
        now_s = time.time()
        self._clock_offset_s = tai_s - now_s if isinstance(tai_s, int | float) else _TAI_MINUS_UTC_S
        return self._token

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        token = self.token()
        answer = self._send(method, path, body, _TokenAuth(token))
        if answer.status_code == requests.codes.unauthorized:
            answer = self._send(method, path, body, _TokenAuth(self.renew(token)))
        return self._checked(answer, path)

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, auth: AuthBase
    ) -> requests.Response:
        try:
            return self._http.request(
                method,
                f"{self.url}/manager/api/{path}",
                json=body,
                auth=auth,
                timeout=self._timeouts_s,
                allow_redirects=False,
            )
        except requests.ReadTimeout:
            raise ServiceTimeoutError(
                f"LOVE at {self.url} did not answer {path} in {self._timeouts_s[1]:g} s.",
                changed="It may still carry out what was asked.",
            ) from None
        except requests.ConnectionError as error:
            raise UnreachableError(
                f"LOVE at {self.url} cannot be reached ({type(error).__name__}).",
                advice="See love.url and the network.",
            ) from None
        except requests.RequestException as error:
            raise UnreachableError(
                f"LOVE at {self.url} cannot be asked ({type(error).__name__}).", advice="See love.url."
            ) from None

    def _checked(self, answer: requests.Response, what: str) -> Any:
        """Give an answer's JSON, or raise what its status means."""
        status = answer.status_code
        if status == requests.codes.ok:
            try:
                return json.loads(answer.content)
            except ValueError:
                raise ProtocolError(
                    f"LOVE at {self.url} did not answer {what} with JSON.", advice="See love.url."
                ) from None
        if status == requests.codes.unauthorized:
            raise AuthenticationError(
                f"LOVE does not accept the token: {_detail(answer)}", advice="Log in again."
            )
        if status == requests.codes.forbidden:
            raise ForbiddenError(
                f"LOVE forbids {what} to {self._user or 'this user'}: {_detail(answer)}",
                changed="Nothing was done.",
                advice="Ask for the right to command in LOVE, or command from where the location is allowed.",
            )
        if status == requests.codes.gateway_timeout:
            raise ServiceTimeoutError(
                f"LOVE got no acknowledgement for {what}: {_detail(answer)}",
                changed="It may still be carried out.",
            )
        if status in (301, 302, 307, 308):
            raise ProtocolError(
                f"LOVE at {self.url} redirects {what} elsewhere.", advice="Give its real address as love.url."
            )
        if status == requests.codes.not_found:
            raise ProtocolError(
                f"There is no LOVE at {self.url} ({what}: HTTP 404).", advice="See love.url and its subpath."
            )
        raise RejectedError(f"LOVE refused it, or broke on it (HTTP {status} for {what}): {_detail(answer)}")


def _detail(answer: requests.Response) -> str:
    """Find what an error's body says; LOVE uses several keys, and HTML for what it did not expect."""
    try:
        body = json.loads(answer.content)
    except ValueError:
        return "no reason is given."
    if isinstance(body, dict):
        for key in ("ack", "detail", "non_field_errors"):
            if key in body:
                value = body[key]
                return str(value[0] if isinstance(value, list) and value else value)[:500]
    return str(body)[:500]
