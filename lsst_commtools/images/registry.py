"""Client of the Docker Registry HTTP API v2: tags and digests.

Contract: distribution specification; nublado ``storage/docker.py``. The list of tags is not sorted. The client never
follows redirects, reads no more than it must, and sends credentials only to the registry and to listed token hosts.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import requests
import urllib3
from pydantic import SecretStr

from lsst_commtools.errors import (
    AuthenticationError,
    ForbiddenError,
    InputError,
    NotFoundError,
    ProtocolError,
    RejectedError,
    ServiceError,
    ServiceTimeoutError,
    UnreachableError,
)
from lsst_commtools.images.cache import EtagCache
from lsst_commtools.images.challenges import check_realm, next_link, origin_of, parse_challenges
from lsst_commtools.images.listing import DIGEST

__all__ = ["Registry"]

ACCEPT = (
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json"
)
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_PAGES = 10_000
_PASSING = (429, 500, 502, 503, 504)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DOCKER_HUB = {"docker.io": "registry-1.docker.io"}  # the name that people write is not that of the API
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


class _Answer:
    """Status, headers and bounded body of one answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, url: str) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.url = url


class Registry:
    """One repository of a registry.

    Parameters
    ----------
    registry
        Host, or URL; plain http is allowed to this computer only, and usual there.
    repository
        Path of the repository.
    user, password
        Login, where the registry wants one.
    token_hosts
        Hosts besides the registry that may be asked for a token.
    timeout_s
        Longest time for one answer as a whole, in seconds.
    attempts
        How often a request is tried while the registry is busy or not reached.
    cache
        Where lists are kept with their ETag; None to keep none.
    pause
        Called with the seconds to wait between two attempts.
    verify
        Certificate bundle, by default the system's.
    """

    def __init__(
        self,
        registry: str,
        repository: str,
        *,
        user: str | None = None,
        password: SecretStr | None = None,
        token_hosts: Iterable[str] = (),
        timeout_s: float = 20.0,
        attempts: int = 4,
        cache: Path | None = None,
        pause: Callable[[float], None] = time.sleep,
        verify: str | bool = True,
    ) -> None:
        self._url = _checked_url(registry)
        if not _REPOSITORY.fullmatch(repository):
            raise InputError(f"{repository!r} is not the path of a repository.")
        self.repository = repository
        self._login = (user, password.get_secret_value()) if user and password is not None else None
        self._token_hosts = tuple(token_hosts)
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._cache = EtagCache(cache)
        self._pause = pause
        self._session = requests.Session()
        self._session.verify = verify
        self._session.headers["Accept-Encoding"] = "identity"  # a small answer stays small
        self._authorization: str | None = None

    def tags(self) -> list[str]:
        """List all tags, page by page.

        Returns
        -------
        list of str
            In the order of the registry, which means nothing; each tag once.

        Raises
        ------
        NotFoundError
            If there is no such repository.
        ServiceError
            If the registry fails, or breaks its contract.
        """
        url: str | None = f"{self._url}/v2/{self.repository}/tags/list"
        seen = {str(url)}
        found: dict[str, None] = {}
        for _ in range(MAX_PAGES):
            if url is None:
                return list(found)
            body, link = self._page(url)
            found.update(dict.fromkeys(self._tags_of(body)))
            url = next_link(link, url, seen)
        raise ProtocolError(f"The registry's list of tags does not end after {MAX_PAGES} pages.")

    def digest(self, tag: str) -> str | None:
        """Ask for the digest of a tag, without reading the image.

        Parameters
        ----------
        tag
            Text of the tag.

        Returns
        -------
        str or None
            ``sha256:`` and 64 hexadecimal digits; None if there is no such tag.

        Raises
        ------
        ServiceError
            If the registry fails, or names something that is no digest.
        """
        if not _TAG.fullmatch(tag):
            return None
        answer = self._request("HEAD", self._manifest_url(tag), {"Accept": ACCEPT})
        if answer.status == 404:
            return None
        self._expect(answer, 200)
        if "Docker-Content-Digest" not in answer.headers:
            return self.verified_digest(tag)
        return _checked_digest(answer.headers["Docker-Content-Digest"], tag)

    def verified_digest(self, tag: str) -> str | None:
        """Read the manifest of a tag and compute its digest.

        Parameters
        ----------
        tag
            Text of the tag.

        Returns
        -------
        str or None
            The digest; None if there is no such tag.

        Raises
        ------
        ProtocolError
            If the registry names another digest than that of what it sent.
        """
        if not _TAG.fullmatch(tag):
            return None
        answer = self._request("GET", self._manifest_url(tag), {"Accept": ACCEPT})
        if answer.status == 404:
            self._check_repository(answer)
            return None
        self._expect(answer, 200)
        digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        named = answer.headers.get("Docker-Content-Digest")
        if named is not None and _checked_digest(named, tag) != digest:
            raise ProtocolError(
                f"The registry names the digest {named} for the tag {tag!r}, but sent a manifest of {digest}.",
                advice="Do not use the image before the registry's owner has explained it.",
            )
        return digest

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _page(self, url: str) -> tuple[bytes, str | None]:
        known = self._cache.get(url)
        headers = {"Accept": "application/json"} | ({"If-None-Match": known.etag} if known else {})
        answer = self._request("GET", url, headers)
        if answer.status == 304 and known is not None:
            return known.body, known.link
        if answer.status == 404:
            self._check_repository(answer)
        self._expect(answer, 200)
        link = answer.headers.get("Link")
        etag = answer.headers.get("ETag")
        if etag is not None:
            self._cache.put(url, etag, answer.body, link)
        return answer.body, link

    def _tags_of(self, body: bytes) -> list[str]:
        try:
            tags = json.loads(body)["tags"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ProtocolError("The registry's list of tags cannot be read.") from None
        if tags is None:  # a repository whose last tag was deleted
            return []
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise ProtocolError("The registry's list of tags holds something that is no tag.")
        return tags

    def _check_repository(self, answer: _Answer) -> None:
        """Tell a missing tag (None) from a missing repository (an error)."""
        if b"MANIFEST_UNKNOWN" in answer.body:
            return
        raise NotFoundError(f"The registry {origin_of(self._url)} has no repository {self.repository!r}.")

    def _manifest_url(self, tag: str) -> str:
        return f"{self._url}/v2/{self.repository}/manifests/{tag}"

    def _expect(self, answer: _Answer, status: int) -> None:
        if answer.status == status:
            return
        where = f"the registry {origin_of(self._url)}"
        if answer.status == 401:
            raise AuthenticationError(
                f"The login at {where} was not accepted.",
                advice="See the secrets registry_user, registry_password.",
            )
        if answer.status == 403:
            raise ForbiddenError(f"The user may not read {self.repository!r} at {where}.")
        raise RejectedError(f"The registry answered with HTTP {answer.status} to {answer.url}.")

    def _request(self, method: str, url: str, headers: dict[str, str]) -> _Answer:
        """Send a request, log in where that is asked for, and try again while the registry is busy."""
        answer = self._with_retries(method, url, headers)
        if answer.status != 401:
            return answer
        self._authorization = self._authorize(answer)
        return self._with_retries(method, url, headers)

    def _with_retries(self, method: str, url: str, headers: dict[str, str]) -> _Answer:
        if self._authorization is not None:
            headers = headers | {"Authorization": self._authorization}
        for attempt in range(1, self._attempts + 1):
            wait_s = min(2.0 ** (attempt - 1) * 0.5, 10.0)
            try:
                answer = self._once(method, url, headers)
            except (UnreachableError, ServiceTimeoutError):
                if attempt == self._attempts:
                    raise
            else:
                if answer.status not in _PASSING or attempt == self._attempts:
                    return answer
                asked = answer.headers.get("Retry-After", "")
                wait_s = min(float(asked), 30.0) if asked.isdecimal() else wait_s
            self._pause(wait_s)
        raise ServiceError(f"The registry was not asked for {url}.")

    def _once(
        self, method: str, url: str, headers: dict[str, str], query: dict[str, str] | None = None
    ) -> _Answer:
        """Send one request; the whole answer must come in time and within bounds."""
        deadline = time.monotonic() + self._timeout_s
        body = bytearray()
        try:
            with self._session.request(
                method,
                url,
                headers=headers,
                timeout=self._timeout_s,
                stream=True,
                allow_redirects=False,
                params=query,
                auth=_no_netrc,
            ) as response:
                # One read of the socket at a time: an answer that trickles must not hold us in a read that fills.
                while chunk := response.raw.read1(65536, decode_content=True):
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        raise ProtocolError(f"The answer of {url} is longer than {MAX_BODY_BYTES} bytes.")
                    if time.monotonic() > deadline:
                        raise ServiceTimeoutError(
                            f"The answer of {url} took more than {self._timeout_s:g} s."
                        )
                return _Answer(response.status_code, response.headers, bytes(body), url)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise ServiceTimeoutError(
                f"The registry gave no answer within {self._timeout_s:g} s: {url}."
            ) from None
        except requests.exceptions.SSLError:
            raise UnreachableError(f"The certificate of {origin_of(url)} is not accepted.") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise UnreachableError(
                f"The registry {origin_of(url)} cannot be reached: {type(error).__name__}."
            ) from None

    def _authorize(self, answer: _Answer) -> str:
        """Answer a challenge: a token where one is offered, else the login itself."""
        offered = {
            c.scheme: c.parameters for c in parse_challenges(answer.headers.get("WWW-Authenticate", ""))
        }
        if "bearer" in offered:
            return f"Bearer {self._token(offered['bearer'])}"
        if "basic" not in offered:
            raise AuthenticationError(
                f"The registry {origin_of(self._url)} offers no login that is known here."
            )
        return self._basic()

    def _basic(self) -> str:
        if self._login is None:
            raise AuthenticationError(
                f"The registry {origin_of(self._url)} wants a login.",
                advice="Set the secrets registry_user and registry_password of the site.",
            )
        return f"Basic {base64.b64encode(':'.join(self._login).encode()).decode()}"

    def _token(self, parameters: dict[str, str]) -> str:
        realm = check_realm(parameters.get("realm", ""), self._url, self._token_hosts)
        query = {key: value for key, value in parameters.items() if key in ("service", "scope")}
        headers = {"Accept": "application/json"}
        if self._login is not None:
            headers["Authorization"] = self._basic()
        answer = self._once("GET", realm, headers, query)
        if answer.status in (401, 403):
            raise AuthenticationError(f"The login was not accepted at {origin_of(realm)}.")
        self._expect(answer, 200)
        try:
            document = json.loads(answer.body)
            token = document.get("token") or document.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ProtocolError(f"{origin_of(realm)} sent no token.")
        return token


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from looking for a login in the user's netrc file."""
    return request


def _checked_url(registry: str) -> str:
    registry = _DOCKER_HUB.get(registry, registry)
    url = registry if "://" in registry else f"https://{registry}"
    host = origin_of(url).partition("://")[2].rpartition(":")[0]
    if "://" not in registry and host in _LOOPBACK:  # as Docker does
        url = f"http://{registry}"
    origin = origin_of(url)
    if (
        not origin
        or "@" in url
        or not (url.startswith("https://") or (url.startswith("http://") and host in _LOOPBACK))
    ):
        raise InputError(
            f"{registry!r} is not a registry.", advice="Give a host such as ghcr.io, or an https URL."
        )
    return url.rstrip("/")


def _checked_digest(digest: str, tag: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise ProtocolError(f"The registry names {digest!r} for the tag {tag!r}, which is no digest.")
    return digest
