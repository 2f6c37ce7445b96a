"""Challenges of a registry (``WWW-Authenticate``) and links to the next page (``Link``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from lsst_commtools.errors import ProtocolError, RefusedError

__all__ = ["Challenge", "check_realm", "next_link", "origin_of", "parse_challenges"]

_SCHEME = re.compile(r"[\s,]*([A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]*)(?=\s+[^=\s,]|\s*$|\s*,)")
_PARAMETER = re.compile(r'[\s,]*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[A-Za-z*]+(?:\s*=\s*(?:"[^"]*"|[^\s",;]+))?)*)')
_REL = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s",;]+))', re.IGNORECASE)
_LONGEST_HEADER = 8192  # and no two repetitions of white space stand side by side below: that would be slow
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Challenge:
    """One way to log in that a registry offers.

    Parameters
    ----------
    scheme
        ``basic`` or ``bearer``, in lower case.
    parameters
        For instance ``realm``, ``service``, ``scope``.
    """

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """Read a ``WWW-Authenticate`` header (RFC 9110, 11.6.1): quoted values may hold commas.

    Parameters
    ----------
    header
        Value of the header; it may offer several ways.

    Returns
    -------
    list of Challenge
        As far as the header can be read.

    Raises
    ------
    ProtocolError
        If it is longer than any that is in use.
    """
    _check_length(header)
    challenges: list[Challenge] = []
    position = 0
    while (scheme := _SCHEME.match(header, position)) is not None and scheme.end() > position:
        position = scheme.end()
        parameters: dict[str, str] = {}
        while (parameter := _PARAMETER.match(header, position)) is not None:
            quoted, plain = parameter[2], parameter[3]
            parameters[parameter[1].lower()] = (
                re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            )
            position = parameter.end()
        challenges.append(Challenge(scheme[1].lower(), parameters))
    return challenges


def origin_of(url: str) -> str:
    """Give scheme, host and port of a URL.

    Parameters
    ----------
    url
        An absolute URL.

    Returns
    -------
    str
        For instance ``https://ghcr.io:443``; empty if it is no such URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname and port else ""


def check_realm(realm: str, registry: str, token_hosts: tuple[str, ...]) -> str:
    """Check that credentials may be sent to a realm.

    Parameters
    ----------
    realm
        URL that the registry names in its challenge.
    registry
        URL of the registry.
    token_hosts
        Further hosts (``host`` or ``host:port``) that are trusted with credentials.

    Returns
    -------
    str
        The realm.

    Raises
    ------
    RefusedError
        If it is not https (plain http is allowed to this computer only), if it names a user, or if its host is
        neither the registry's nor on the list.
    """
    origin, home = origin_of(realm), origin_of(registry)
    parts: SplitResult | None = urlsplit(realm) if origin else None
    if parts is None or parts.username is not None or parts.fragment:
        raise RefusedError(f"The registry names {realm!r} to log in at, which is no URL.")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise RefusedError(f"The registry wants the login at {realm!r}, which is not https.")
    named = {parts.hostname, f"{parts.hostname}:{parts.port or 443}"}
    if origin != home and not named & set(token_hosts):
        raise RefusedError(
            f"The registry wants the login at {parts.hostname}, which is not on the site's list.",
            changed="No credentials were sent.",
            advice="If it is right, add it to images.source.token_hosts.",
        )
    return realm


def next_link(header: str | None, url: str, seen: set[str]) -> str | None:
    """Find the next page of an answer.

    Parameters
    ----------
    header
        Value of the ``Link`` header, if there is one.
    url
        URL of the page that it came with; links may be relative to it.
    seen
        URLs of the pages that were read; the result is added.

    Returns
    -------
    str or None
        URL of the next page; None after the last.

    Raises
    ------
    ProtocolError
        If the link leads to another host or scheme, or to a page that was read.
    """
    _check_length(header or "")
    for match in _LINK.finditer(header or ""):
        rel = _REL.search(match[2])
        if rel is None or "next" not in (rel[1] or rel[2] or "").lower().split():
            continue
        try:
            target: str = urljoin(url, match[1])
        except ValueError:
            raise ProtocolError(
                f"The registry continues its list at {match[1]!r}, which is no URL."
            ) from None
        if not origin_of(target) or origin_of(target) != origin_of(url):
            raise ProtocolError(
                f"The registry continues its list at {target!r}, which is another host.",
                changed="It was not followed.",
            )
        if target in seen:
            raise ProtocolError(f"The registry continues its list at {target!r}, which was read already.")
        seen.add(target)
        return target
    return None


def _check_length(header: str) -> None:
    """Refuse headers that only an attack would be so long for."""
    if len(header) > _LONGEST_HEADER:
        raise ProtocolError(f"The registry sent a header of {len(header)} characters.")
