"""Settings of the CSCs: where LOVE is, which CSCs there are, which of them may be changed."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from lsst_commtools.ids import CscName
from lsst_commtools.site.sections import Section

__all__ = ["ControlSection", "LoveSection", "QueueName"]

QueueName = Literal["MT", "AT", "OCS"]
"""Script queue of the Main Telescope, the Auxiliary Telescope, or the whole observatory."""

_ALLOWED = re.compile(r"\*|[A-Za-z_-][A-Za-z0-9_-]*(:(\d{1,9}|\*))?", re.ASCII)


class LoveSection(Section):
    """LOVE, the operators' web interface, through which CSCs are seen and commanded.

    Parameters
    ----------
    url
        Address with the deployment's subpath, for instance ``https://love.example.org/love``; empty at a site where
        the simulator stands in.
    user
        Name to log in with; the password is the secret ``love_password``, or a token the secret ``love_token``.
    connect_timeout_s
        How long LOVE may take to be reached, in seconds.
    reply_timeout_s
        How long it may take to answer, in seconds; above its own command time-out of 10.
    observe_timeout_s
        How long to wait for a state and a heartbeat, in seconds; LOVE tells heartbeats every 2 to 5 s.
    gone_timeout_s
        How long the heartbeats of a CSC that went OFFLINE may take to cease, in seconds.
    transition_timeout_s
        How long one change of state may take, in seconds.
    script_timeout_s
        How long a script may take to come to its end, in seconds.
    efd_instance
        EFD that LOVE is asked for older log messages; empty if there is none.
    cscs
        CSCs of the site, and the script queue that each belongs to.
    """

    url: str = ""
    user: str = ""
    connect_timeout_s: float = Field(default=5.0, gt=0)
    reply_timeout_s: float = Field(default=20.0, gt=0)
    observe_timeout_s: float = Field(default=8.0, gt=0)
    gone_timeout_s: float = Field(default=20.0, gt=0)
    transition_timeout_s: float = Field(default=60.0, gt=0)
    script_timeout_s: float = Field(default=600.0, gt=0)
    efd_instance: str = ""
    cscs: dict[str, QueueName] = Field(default_factory=dict)

    @field_validator("cscs")
    @classmethod
    def _names(cls, value: dict[str, QueueName]) -> dict[str, QueueName]:
        for name in value:
            CscName.parse(name)
        return value


class ControlSection(Section):
    """What may be done to CSCs.

    Parameters
    ----------
    allow
        CSCs whose state may be changed: ``DIMM:1``, or ``DIMM:*`` for all indices, or ``*`` for all CSCs.
    """

    allow: tuple[str, ...] = ()

    @field_validator("allow")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if not _ALLOWED.fullmatch(pattern):
                raise ValueError(f"{pattern!r} is not a CSC, NAME:* or *")
        return value

    def allows(self, csc: CscName) -> bool:
        """Tell whether the state of a CSC may be changed.

        Parameters
        ----------
        csc
            The CSC.

        Returns
        -------
        bool
            Whether an entry of the allow-list covers it.
        """
        return any(pattern in ("*", str(csc), f"{csc.name}:*") for pattern in self.allow)
