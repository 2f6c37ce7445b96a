"""Where files are sent to: a folder here, a module of an rsync daemon, or a folder of a host by ssh."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from typing_extensions import override

from lsst_commtools.errors import InputError

__all__ = ["Destination", "Reach", "SshSettings"]

_DAEMON = re.compile(
    r"rsync://((?P<user>[^@/:\s]+)(?P<password>:[^@/]*)?@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@/:\s\[\]]+)"
    r"(:(?P<port>\d{1,5}))?/(?P<path>.*)",
    re.DOTALL,
)
_SSH = re.compile(
    r"((?P<user>[^@/:\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@/:\s\[\]]+):(?P<path>.*)", re.DOTALL
)
_FORMS = "Give a folder, rsync://HOST[:PORT]/MODULE/FOLDER or [USER@]HOST:FOLDER."


class Reach(StrEnum):
    """How a destination is reached."""

    LOCAL = "local"
    DAEMON = "daemon"
    SSH = "ssh"


@dataclass(frozen=True)
class SshSettings:
    """How ssh is called, besides the person's own settings of it.

    Parameters
    ----------
    options
        Further options, for instance ``("-i", "FILE", "-p", "2222")``.
    connect_timeout_s
        How long it may take to connect, in seconds.
    """

    options: tuple[str, ...] = ()
    connect_timeout_s: float = 15.0

    def command(self) -> str:
        """Write the remote shell as rsync's option ``--rsh`` wants it: words in quotes, quotes doubled.

        Returns
        -------
        str
            One line; it never asks for a password, and notices a dead connection.
        """
        words = [
            "ssh",
            "-o", "BatchMode=yes",
            "-o", "ServerAliveInterval=15",
            "-o", f"ConnectTimeout={max(1, round(self.connect_timeout_s))}",
            *self.options,
        ]  # fmt: skip
        return " ".join(f'"{word.replace(chr(34), chr(34) * 2)}"' for word in words)


@dataclass(frozen=True)
class Destination:
    """A place that files are sent to.

    Parameters
    ----------
    reach
        How.
    address
        As rsync takes it.
    host
        Its host; empty for a folder here.
    folder
        The folder here; None for another host.
    """

    reach: Reach
    address: str
    host: str = ""
    folder: Path | None = None

    @classmethod
    def parse(cls, told: str | Path) -> Self:
        """Read what a person named.

        Parameters
        ----------
        told
            A path is a folder here; text may also be ``rsync://HOST[:PORT]/MODULE/FOLDER`` or
            ``[USER@]HOST:FOLDER``.

        Returns
        -------
        Destination
            The place.

        Raises
        ------
        InputError
            If it is none of these, or could be read as something else by a program on the way.
        """
        if isinstance(told, Path):
            return cls._here(told)
        if told.startswith("rsync://"):
            return cls._daemon(told)
        head = told.split("/", 1)[0]
        if "://" in told or "::" in head:
            raise InputError(f"{told[:80]!r} is no destination that is known.", advice=_FORMS)
        if ":" in head:
            return cls._ssh(told)
        if not told:
            raise InputError("The destination is empty.", advice=_FORMS)
        return cls._here(Path(told))

    @classmethod
    def _here(cls, folder: Path) -> Self:
        folder = folder.expanduser().absolute()
        return cls(Reach.LOCAL, f"{folder}/", folder=folder)

    @classmethod
    def _daemon(cls, told: str) -> Self:
        match = _DAEMON.fullmatch(told)
        if match is None or not match["path"].strip("/"):
            raise InputError("The destination names no host and module of a daemon.", advice=_FORMS)
        if match["password"]:
            raise InputError(
                "The destination holds a password.",
                advice="Leave it out: the secret rsync_password or $RSYNC_PASSWORD is used.",
            )
        if match["port"] and not 0 < int(match["port"]) < 65536:
            raise InputError(f"{match['port']} is no port.", advice=_FORMS)
        _check_words(match["user"], match["host"])
        _check_path(match["path"])
        return cls(Reach.DAEMON, told.rstrip("/") + "/", host=match["host"])

    @classmethod
    def _ssh(cls, told: str) -> Self:
        match = _SSH.fullmatch(told)
        if match is None or not match["path"]:
            raise InputError(f"{told[:80]!r} names no host and folder.", advice=_FORMS)
        _check_words(match["user"], match["host"])
        _check_path(match["path"])
        return cls(Reach.SSH, told.rstrip("/") + "/", host=match["host"])

    @override
    def __str__(self) -> str:
        return self.address.rstrip("/") or "/"


def _check_words(*words: str | None) -> None:
    """Refuse users and hosts that ssh or rsync would take for an option."""
    for word in words:
        if word is not None and (word.startswith("-") or not word.isprintable()):
            raise InputError(f"{word[:40]!r} is no name of a user or host.", advice=_FORMS)


def _check_path(path: str) -> None:
    """Refuse what the other side would expand or leave its module by."""
    if not path.isprintable() or any(c in path for c in "*?[]{}~$`\\"):
        raise InputError(
            f"The folder {path[:60]!r} at the destination holds characters that are expanded there.",
            advice="Name a folder of letters, digits, '.', '_' and '-'.",
        )
    parts: Sequence[str] = path.split("/")
    if ".." in parts or path.startswith("-"):
        raise InputError(f"The folder {path[:60]!r} at the destination is no plain path.", advice=_FORMS)
