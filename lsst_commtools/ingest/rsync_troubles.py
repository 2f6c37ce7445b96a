"""What rsync's exit codes and messages mean, in words that say what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from lsst_commtools.errors import (
    AuthenticationError,
    CommtoolsError,
    ForbiddenError,
    NotFoundError,
    RejectedError,
    ServiceError,
    ServiceTimeoutError,
    UnreachableError,
)

__all__ = ["Trouble", "TroubleKind", "judge_end"]


class TroubleKind(StrEnum):
    """Why a run of rsync did not bring everything."""

    DISK_FULL = "disk-full"
    QUOTA = "quota-exceeded"
    FILE_TOO_LARGE = "file-too-large"
    READ_ONLY = "read-only"
    PERMISSION = "permission-denied"
    NO_MODULE = "no-such-module"
    NO_FOLDER = "no-such-folder"
    REFUSED_OPTION = "refused-option"
    REFUSED = "refused"
    BUSY = "too-many-connections"
    HOST_KEY = "host-key"
    LOGIN = "login-refused"
    NO_HOST = "no-such-host"
    NO_ANSWER = "no-answer"
    NO_RSYNC = "no-rsync-there"
    TIMEOUT = "timeout"
    CUT = "cut"
    KILLED = "killed"
    CHANGED = "changed-on-the-way"
    PARTIAL = "partial"
    OTHER = "other"


@dataclass(frozen=True)
class Trouble:
    """Why a run of rsync did not bring everything.

    Parameters
    ----------
    kind
        Short name.
    sentence
        One sentence for people.
    advice
        What to do.
    detail
        The line of rsync or ssh that it was told from.
    """

    kind: TroubleKind
    sentence: str
    advice: str
    detail: str = ""

    @property
    def passing(self) -> bool:
        """Whether the same call may well succeed a little later."""
        return self.kind in _PASSING

    @property
    def of_single_files(self) -> bool:
        """Whether other files may well be sent."""
        return self.kind is TroubleKind.PARTIAL

    @property
    def before_contact(self) -> bool:
        """Whether the other side was never spoken to: then waiting helps only if it was there before."""
        return self.kind in (TroubleKind.NO_HOST, TroubleKind.NO_ANSWER, TroubleKind.BUSY)

    def error(self, changed: str) -> CommtoolsError:
        """Give it as an error.

        Parameters
        ----------
        changed
            What arrived and what did not.

        Returns
        -------
        CommtoolsError
            Of the class that fits.
        """
        detail = f" ({self.detail})" if self.detail else ""
        message = f"{self.sentence.removesuffix('.')}{detail}."
        return _ERRORS.get(self.kind, ServiceError)(message, changed=changed, advice=self.advice)


_PASSING = frozenset(
    {
        TroubleKind.NO_HOST, TroubleKind.NO_ANSWER, TroubleKind.BUSY, TroubleKind.TIMEOUT, TroubleKind.CUT,
        TroubleKind.KILLED, TroubleKind.CHANGED,
    }
)  # fmt: skip
_ERRORS: dict[TroubleKind, type[CommtoolsError]] = {
    TroubleKind.DISK_FULL: RejectedError,
    TroubleKind.QUOTA: RejectedError,
    TroubleKind.FILE_TOO_LARGE: RejectedError,
    TroubleKind.READ_ONLY: ForbiddenError,
    TroubleKind.PERMISSION: ForbiddenError,
    TroubleKind.NO_MODULE: NotFoundError,
    TroubleKind.NO_FOLDER: NotFoundError,
    TroubleKind.REFUSED_OPTION: RejectedError,
    TroubleKind.REFUSED: RejectedError,
    TroubleKind.HOST_KEY: AuthenticationError,
    TroubleKind.LOGIN: AuthenticationError,
    TroubleKind.NO_HOST: UnreachableError,
    TroubleKind.NO_ANSWER: UnreachableError,
    TroubleKind.BUSY: UnreachableError,
    TroubleKind.CUT: UnreachableError,
    TroubleKind.TIMEOUT: ServiceTimeoutError,
}
_AGAIN = "Run the same again: it goes on from there."
_SPACE = f"Make room there. {_AGAIN}"
# In the order in which they are looked for: the cause stands before its consequences.
_MEANINGS: tuple[tuple[str, TroubleKind, str, str], ...] = (
    (r"No space left on device", TroubleKind.DISK_FULL, "The destination's disk is full.", _SPACE),
    (r"Disk quota exceeded", TroubleKind.QUOTA, "The destination's disk quota is used up.", _SPACE),
    (r"File too large", TroubleKind.FILE_TOO_LARGE, "The destination takes no file of that size.",
     f"Raise its limit of file sizes. {_AGAIN}"),
    (r"Read-only file system|module is read only", TroubleKind.READ_ONLY, "The destination is read-only.",
     "Name another, or have it opened for writing."),
    (r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED", TroubleKind.HOST_KEY,
     "The host's key is not the known one, or not known yet.",
     "Log in once by hand with ssh and compare the fingerprint."),
    (r"Permission denied \([a-z,-]+\)|@ERROR: auth failed|Too many authentication failures",
     TroubleKind.LOGIN, "The login was not accepted.",
     "ssh must work without a password; a daemon's is the secret rsync_password or $RSYNC_PASSWORD."),
    (r"@ERROR: Unknown module", TroubleKind.NO_MODULE, "The daemon has no such module.",
     "List them with 'rsync rsync://HOST[:PORT]/'."),
    (r"@ERROR: access denied", TroubleKind.PERMISSION, "The daemon gives this host no access.",
     "Have this host added to its 'hosts allow'."),
    (r"@ERROR: max connections", TroubleKind.BUSY, "The daemon has as many connections as it takes.",
     _AGAIN),
    (r"server is configured to refuse", TroubleKind.REFUSED_OPTION,
     "The daemon refuses an option that is needed.", "Take it out of its 'refuse options'."),
    (r"@ERROR: (chroot|chdir) failed|change_dir .* failed: No such file|failed: (Not|Is) a directory \(\d+\)",
     TroubleKind.NO_FOLDER, "The destination's folder does not exist, or is none.", "Have it made there."),
    (r"@ERROR", TroubleKind.REFUSED, "The daemon refuses the transfer.", "Ask those who run it."),
    (r"Could not resolve hostname|Name or service not known|getaddrinfo|nodename nor servname",
     TroubleKind.NO_HOST, "The host is not known.", "Check its name, and whether the network is up."),
    (r"Connection refused|No route to host|Network is unreachable|[Cc]onnection timed out|waiting for daemon",
     TroubleKind.NO_ANSWER,
     "The destination does not answer.", "Check host and port, and whether it is up."),
    (r"is your shell clean", TroubleKind.OTHER, "The login there prints something of its own.",
     "Take the output out of its .bashrc or .profile."),
    (r"rsync: (command )?not found|rsync: No such file", TroubleKind.NO_RSYNC,
     "There is no rsync on the destination's host.", "Have it installed there."),
    (r"failed: Permission denied \(13\)|Operation not permitted", TroubleKind.PERMISSION,
     "The destination may not be written by this user.", "Have the folder opened for this user."),
    (r"timeout in data send/receive|io timeout after", TroubleKind.TIMEOUT,
     "The connection went silent.", _AGAIN),
    (r"failed verification", TroubleKind.CHANGED, "What arrived was not what was sent.", _AGAIN),
    (r"connection unexpectedly closed|Connection (reset|closed)|Broken pipe|error in socket IO",
     TroubleKind.CUT, "The connection was cut.", _AGAIN),
)  # fmt: skip
_BY_CODE = {
    5: (TroubleKind.CUT, "The connection was cut as it began."),
    10: (TroubleKind.CUT, "The connection was cut."),
    12: (TroubleKind.CUT, "The connection was cut."),
    20: (TroubleKind.KILLED, "rsync was interrupted."),
    23: (TroubleKind.PARTIAL, "Some files could not be sent."),
    24: (TroubleKind.PARTIAL, "Some files vanished at the source."),
    30: (TroubleKind.TIMEOUT, "The connection went silent."),
    35: (TroubleKind.NO_ANSWER, "The destination does not answer."),
    127: (TroubleKind.NO_RSYNC, "There is no rsync on the destination's host."),
    255: (TroubleKind.CUT, "The connection was cut."),
}


def judge_end(code: int, messages: str) -> Trouble | None:
    """Tell what the end of rsync means.

    Parameters
    ----------
    code
        Its exit code; negative for the signal that ended it.
    messages
        Its standard error.

    Returns
    -------
    Trouble or None
        None if all went well.
    """
    if code == 0:
        return None
    for pattern, kind, sentence, advice in _MEANINGS:
        if found := re.search(rf"^.*(?:{pattern}).*$", messages, re.MULTILINE):
            return Trouble(kind, sentence, advice, _shorten(found[0]))
    lines = [line for line in messages.splitlines() if line.strip()]
    # The last line is rsync's own summary; what it sums up says more.
    telling = [line for line in lines if not line.startswith("rsync error:")] or lines
    last = _shorten(telling[-1]) if telling else ""
    if code < 0:
        return Trouble(TroubleKind.KILLED, f"rsync was ended by signal {-code}.", _AGAIN, last)
    if code in _BY_CODE:
        kind, sentence = _BY_CODE[code]
        return Trouble(kind, sentence, _AGAIN, last)
    return Trouble(TroubleKind.OTHER, f"rsync ended with code {code}.", _AGAIN, last)


def _shorten(line: str) -> str:
    line = line.strip()
    return line if len(line) <= 200 else f"{line[:197]}..."
