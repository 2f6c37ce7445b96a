"""What the clients of the log services and of the EFD share: one way to ask, and errors by their cause."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import requests
from pydantic import SecretStr
from requests.auth import AuthBase
from typing_extensions import override

from lsst_commtools.errors import (
    AuthenticationError,
    ForbiddenError,
    InputError,
    NotFoundError,
    ProtocolError,
    RejectedError,
    ServiceTimeoutError,
    SiteError,
    UnreachableError,
)

if TYPE_CHECKING:
    from lsst_commtools.site.notices import NoticesSection

__all__ = ["RestClient", "RestService", "from_tai_text", "tai_text"]

USER_AGENT = "lsst_commtools"
"""What this package calls itself to the log services."""

_MOST_BYTES = 64 << 20
_STORED_MAYBE = "It may have been stored all the same."


class RestClient:
    """A client that hangs up at the end of a ``with`` block.

    Parameters
    ----------
    rest
        The service that it asks.
    """

    def __init__(self, rest: RestService) -> None:
        self._rest = rest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._rest.close()


class RestService:
    """A service that speaks JSON over HTTP.

    Parameters
    ----------
    name
        What people call it, with its article, such as ``the narrative log``.
    setting
        Setting of its URL, for the advice where that is empty.
    url
        Its URL.
    section
        Gives the time-outs.
    auth
        How it is logged in to, if at all.
    """

    def __init__(
        self, name: str, setting: str, url: str, section: NoticesSection, auth: AuthBase | None = None
    ) -> None:
        if not url:
            raise SiteError(
                f"The site does not say where {name} is.", advice=f"Set notices.{setting}, or go on without."
            )
        self._name = name
        self._url = url
        self._timeouts_s = (section.connect_timeout_s, section.reply_timeout_s)
        self._auth = auth
        self._http = requests.Session()
        self._http.trust_env = False  # a .netrc would put another login over ours

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def get(self, path: str, params: Mapping[str, Any] | Sequence[tuple[str, Any]] = ()) -> Any:
        """Ask.

        Parameters
        ----------
        path
            Below the URL of the service, with its slash.
        params
            Of the query.

        Returns
        -------
        object
            The answer's JSON.

        Raises
        ------
        ServiceError
            If there is no usable answer, by cause.
        """
        return self._ask("GET", path, params=params)

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Send something to be stored; it is never sent twice.

        Parameters
        ----------
        method
            POST or PATCH.
        path
            Below the URL of the service, with its slash.
        body
            Plain values.

        Returns
        -------
        object
            The answer's JSON.

        Raises
        ------
        ServiceError
            If it was not stored, or that is not known, by cause.
        """
        return self._ask(method, path, body=body)

    def _ask(self, method: str, path: str, *, params: Any = (), body: Mapping[str, Any] | None = None) -> Any:
        unchanged = "" if body is None else "Nothing was stored."
        try:
            with self._http.request(
                method,
                f"{self._url}{path}",
                params=params,
                json=body,
                auth=self._auth,
                timeout=self._timeouts_s,
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = self._content(answer)
                status = answer.status_code
        except requests.ConnectTimeout:
            raise UnreachableError(
                f"{self._title} cannot be reached in {self._timeouts_s[0]:g} s.", changed=unchanged
            ) from None
        except requests.Timeout:
            raise ServiceTimeoutError(
                f"{self._title} did not answer in {self._timeouts_s[1]:g} s.",
                changed="" if body is None else _STORED_MAYBE,
            ) from None
        except requests.RequestException as error:
            raise UnreachableError(
                f"{self._title} cannot be reached ({type(error).__name__}).",
                changed="" if body is None else _STORED_MAYBE,
            ) from None
        if status // 100 != 2:
            raise self._refusal(status, content, stores=body is not None)
        try:
            return json.loads(content)
        except ValueError:
            raise ProtocolError(
                f"{self._title} answered HTTP {status} and something else than JSON.",
                changed="" if body is None else _STORED_MAYBE,
            ) from None

    def _content(self, answer: requests.Response) -> bytes:
        content = bytearray()
        for part in answer.iter_content(1 << 16):
            content += part
            if len(content) > _MOST_BYTES:
                raise ProtocolError(f"{self._title} answers more than {_MOST_BYTES >> 20} MiB.")
        return bytes(content)

    def _refusal(self, status: int, content: bytes, *, stores: bool) -> Exception:
        reason = _reason(content)
        unchanged = "Nothing was stored." if stores else ""
        if status == requests.codes.unauthorized:
            return AuthenticationError(f"{self._title} does not accept the login.", changed=unchanged)
        if status == requests.codes.forbidden:
            return ForbiddenError(f"{self._title} does not allow this: {reason}.", changed=unchanged)
        if status == requests.codes.not_found:
            return NotFoundError(f"{self._title} does not know this: {reason}.", changed=unchanged)
        if status >= requests.codes.server_error:
            return RejectedError(
                f"{self._title} broke (HTTP {status}): {reason}.", changed=_STORED_MAYBE if stores else ""
            )
        return RejectedError(f"{self._title} refused this (HTTP {status}): {reason}.", changed=unchanged)

    @property
    def _title(self) -> str:
        return self._name[0].upper() + self._name[1:]


class BearerAuth(AuthBase):
    """Logs in with a token."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return r


def _reason(content: bytes) -> str:
    text = content[:2000].decode("utf-8", "replace")
    try:
        document = json.loads(content)
        told = document.get("detail", document.get("error", text))
        text = told if isinstance(told, str) else json.dumps(told)
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:300].rstrip(".") or "no reason is given"


def tai_text(moment: dt.datetime) -> str:
    """Write a moment as the log services want it: TAI, ISO 8601, no time zone and no Z.

    Parameters
    ----------
    moment
        With its time zone.

    Returns
    -------
    str
        For instance ``2026-11-20T23:00:37.000000``.

    Raises
    ------
    InputError
        If the moment has no time zone, so that nobody knows on which scale it is.
    """
    from astropy.time import Time

    if moment.tzinfo is None:
        raise InputError(f"The time {moment.isoformat()} has no time zone.", advice="Give it in UTC.")
    text: str = Time(moment.astimezone(dt.UTC).replace(tzinfo=None), scale="utc").tai.datetime.isoformat(
        timespec="microseconds"
    )
    return text


def from_tai_text(text: object) -> dt.datetime:
    """Read a moment as the log services write it.

    Parameters
    ----------
    text
        TAI, ISO 8601, without time zone.

    Returns
    -------
    datetime.datetime
        UTC.

    Raises
    ------
    ProtocolError
        If it is something else.
    """
    from astropy.time import Time

    try:
        moment = dt.datetime.fromisoformat(str(text))
    except ValueError:
        raise ProtocolError(f"A log service gave {str(text)[:60]!r} as a time.") from None
    if moment.tzinfo is not None:
        raise ProtocolError(f"A log service gave the time {str(text)[:60]!r} with a time zone, not as TAI.")
    utc: dt.datetime = Time(moment, scale="tai").utc.datetime
    return utc.replace(tzinfo=dt.UTC)
