"""Whether the places that a site names can be reached."""

from __future__ import annotations

import enum
import errno
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import BaseModel

if TYPE_CHECKING:
    from lsst_commtools.site.model import Site

__all__ = ["EndpointCheck", "Reach", "check_site"]

_PORTS = {
    "http": 80,
    "https": 443,
    "ws": 80,
    "wss": 443,
    "ssh": 22,
    "rsync": 873,
    "postgresql": 5432,
    "tcp": 2375,
}


class Reach(enum.Enum):
    """What was seen when a place was tried."""

    REACHABLE = "reachable"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class EndpointCheck:
    """Outcome of trying one place.

    Parameters
    ----------
    setting
        Its setting, such as ``love.url``.
    target
        URL or folder.
    reach
        What was seen.
    reason
        In what it was seen.
    """

    setting: str
    target: str
    reach: Reach
    reason: str


def check_site(site: Site, timeout_s: float = 3.0) -> list[EndpointCheck]:
    """Try each URL and folder of a site at the same time; nothing is sent but the wish to connect.

    Parameters
    ----------
    site
        The site.
    timeout_s
        How long each may take, in seconds.

    Returns
    -------
    list of EndpointCheck
        In the order of the settings. A name that cannot be resolved and a silent host are unknown, not refused.
    """
    places = list(_places(site))
    if not places:
        return []
    with ThreadPoolExecutor(max_workers=min(16, len(places))) as pool:
        return list(pool.map(lambda place: _check(place[0], place[1], timeout_s), places))


def _places(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        yield from _places_of(getattr(model, name), f"{prefix}{name}")


def _places_of(value: object, setting: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        yield from _places(value, f"{setting}.")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _places_of(item, f"{setting}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _places_of(item, f"{setting}[{index}]")
    elif isinstance(value, str | Path) and ("://" in str(value) or str(value).startswith("/")):
        yield setting, str(value)


def _check(setting: str, target: str, timeout_s: float) -> EndpointCheck:
    try:
        reason = _try(target, timeout_s)
    except PermissionError:
        return EndpointCheck(setting, target, Reach.REFUSED, "no permission")
    except ConnectionRefusedError:
        return EndpointCheck(setting, target, Reach.REFUSED, "nothing listens there")
    except TimeoutError:
        return EndpointCheck(setting, target, Reach.UNKNOWN, f"no answer in {timeout_s:g} s")
    except socket.gaierror:
        return EndpointCheck(setting, target, Reach.UNKNOWN, "the name cannot be resolved")
    except (OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        return EndpointCheck(
            setting, target, Reach.UNKNOWN, os.strerror(code) if code else "not a usable address"
        )
    return EndpointCheck(setting, target, Reach.REACHABLE, reason)


def _try(target: str, timeout_s: float) -> str:
    url = urlsplit(target)
    if url.scheme in ("", "file"):
        if Path(url.path).is_file():
            with Path(url.path).open("rb"):
                return "the file can be read"
        with os.scandir(url.path) as entries:
            next(entries, None)
        return "the folder can be read"
    if url.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(url.path)
        return "something listens there"
    if url.hostname is None or (url.port or _PORTS.get(url.scheme)) is None:
        raise OSError(errno.EINVAL, "no host")
    with socket.create_connection((url.hostname, url.port or _PORTS[url.scheme]), timeout=timeout_s):
        return "something listens there"
