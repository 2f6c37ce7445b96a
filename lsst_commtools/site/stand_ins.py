"""Where the stand-ins of site ``local`` listen, as told by the simulator's state file.

The simulator writes the file, and whoever works at site ``local`` reads it: the wire is all that they share.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import Field, ValidationError

from lsst_commtools.errors import SiteError
from lsst_commtools.site.home import commtools_home
from lsst_commtools.site.sections import Section

__all__ = ["StandIn", "StandIns", "read_stand_ins", "stand_in", "stand_ins_file"]


class StandIn(Section):
    """One service of the simulator.

    Parameters
    ----------
    url
        Base address.
    user, password, token
        What it wants for a login, where it wants one.
    """

    url: str
    user: str = ""
    password: str = Field("", repr=False)
    token: str = Field("", repr=False)


class StandIns(Section):
    """The running simulator.

    Parameters
    ----------
    pid
        Its process.
    started_at
        When it started, ISO 8601, UTC.
    services
        Its services by name: ``love``, ``admin`` and others.
    """

    pid: int
    started_at: str
    services: dict[str, StandIn]


def stand_ins_file() -> Path:
    """Give the file in which the simulator says where it listens.

    Returns
    -------
    pathlib.Path
        In the user's folder, mode 0600 where it exists.
    """
    return commtools_home() / "simulator.json"


def read_stand_ins() -> StandIns | None:
    """Read where the simulator listens.

    Returns
    -------
    StandIns or None
        None when no simulator runs.

    Raises
    ------
    SiteError
        If the file cannot be understood.
    """
    file = stand_ins_file()
    try:
        found = StandIns.model_validate(json.loads(file.read_text()))
        os.kill(found.pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except (ValidationError, ValueError) as error:
        raise SiteError(
            f"{file} does not say where the simulator listens ({type(error).__name__}).",
            advice="Delete it and run `commtools sim up`.",
        ) from None
    return found


def stand_in(service: str) -> StandIn:
    """Give one service of the running simulator.

    Parameters
    ----------
    service
        For instance ``love``.

    Returns
    -------
    StandIn
        Where it listens, and its login.

    Raises
    ------
    SiteError
        If no simulator runs, or it has no such service.
    """
    running = read_stand_ins()
    if running is None:
        raise SiteError(
            "The simulated observatory is not running.", advice="Start it with `commtools sim up`."
        )
    if service not in running.services:
        raise SiteError(
            f"The simulated observatory has no service {service!r}.",
            advice=f"It has {', '.join(running.services)}.",
        )
    return running.services[service]
