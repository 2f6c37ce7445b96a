"""One tree of errors, each with a stable code.

::

    CommtoolsError                    everything that this package raises on purpose
    ├── InputError (ValueError)       bad input; nothing was changed            exit code 2
    │   ├── IdentifierError           a name or number that is none
    │   ├── SiteError                 a site file or setting that cannot be used
    │   ├── ParameterError            a procedure parameter that does not fit
    │   └── TableError                a table or file that cannot be read
    ├── NotFoundError (LookupError)   what was asked for is not there           exit code 2
    ├── RefusedError                  a rule or a right forbids it              exit code 2
    │   └── LeaseError                somebody else holds what it would change
    ├── ServiceError (OSError)        another system failed                     exit code 3
    │   ├── UnreachableError          no answer at all
    │   ├── AuthenticationError       the login or token was not accepted
    │   ├── ForbiddenError            logged in, but without the right
    │   ├── RejectedError             the service refused or broke the request
    │   ├── ProtocolError             an answer that breaks the contract
    │   ├── LedgerAwayError           the record of runs could not be reached
    │   └── ServiceTimeoutError       no answer in time (TimeoutError)
    ├── StepError                     a step of a procedure failed              exit code 3
    │   └── UnknownOutcomeError       what happened could not be observed
    └── DataError (ValueError)        data that cannot give the figure          exit code 1
"""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

__all__ = [
    "AuthenticationError",
    "CommtoolsError",
    "DataError",
    "ForbiddenError",
    "IdentifierError",
    "InputError",
    "LeaseError",
    "LedgerAwayError",
    "NotFoundError",
    "ParameterError",
    "ProtocolError",
    "RefusedError",
    "RejectedError",
    "ServiceError",
    "ServiceTimeoutError",
    "SiteError",
    "StepError",
    "TableError",
    "UnknownOutcomeError",
    "UnreachableError",
    "error_table",
]


class CommtoolsError(Exception):
    """Root of all errors that this package raises on purpose.

    Parameters
    ----------
    message
        One sentence that says what is wrong.
    changed
        What was and what was not changed, where that is not obvious.
    advice
        What to do next, where that is more than `next_step`, the advice that holds for all errors of the class.
    """

    code: ClassVar[str] = "commtools"
    exit_code: ClassVar[int] = 3
    next_step: ClassVar[str] = "Tell the developers what you did, with the sentence and its code."

    def __init__(self, message: str, *, changed: str = "", advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.changed = changed
        self.advice = advice

    @override
    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.changed, self.advice) if part)

    def to_dict(self) -> dict[str, str]:
        """Give the error as plain values, for JSON output and the ledger.

        Returns
        -------
        dict
            Keys ``code``, ``message``, ``changed``, ``advice``.
        """
        return {"code": self.code, "message": self.message, "changed": self.changed, "advice": self.advice}


class InputError(CommtoolsError, ValueError):
    """Raised when input cannot be used; nothing was changed."""

    code = "input"
    exit_code = 2
    next_step = "Correct the input that the sentence names, and try again."


class IdentifierError(InputError):
    """Raised for a day_obs, seq_num, exposure id, obs id, detector or CSC name that is none."""

    code = "identifier"
    next_step = (
        "Write it as the sentence says: a night is 20261120, an image AT_O_20261120_000001, a CSC DIMM:1."
    )


class SiteError(InputError):
    """Raised when a site description or setting cannot be used."""

    code = "site"
    next_step = "See what is set with `commtools site show`, and the settings in the reference."


class ParameterError(InputError):
    """Raised when a parameter of a procedure is unknown or does not fit its type."""

    code = "parameter"
    next_step = "See the notebook's parameters with `commtools run --help-notebook NB`."


class TableError(InputError):
    """Raised when a table or file cannot be read or lacks a column."""

    code = "table"
    next_step = "Look at the file that is named; columns with other names are told by `--columns`."


class NotFoundError(CommtoolsError, LookupError):
    """Raised when what was asked for is not there."""

    code = "not-found"
    exit_code = 2
    next_step = "Ask for one of those that the sentence lists, or list what is there."


class RefusedError(CommtoolsError):
    """Raised when a rule of this package or of the site forbids the action; nothing was sent."""

    code = "refused"
    exit_code = 2
    next_step = "Ask whoever owns the rule that is named; a site's rules are in its file."


class LeaseError(RefusedError):
    """Raised when another run holds what this one would change."""

    code = "lease"
    next_step = "Talk to the holder that is named; if its run is dead, `commtools runs recover`."


class ServiceError(CommtoolsError, OSError):
    """Raised when another system failed."""

    code = "service"
    exit_code = 3
    next_step = "Try `commtools site check`, which tells the places that answer from those that do not."


class UnreachableError(ServiceError):
    """Raised when a service gives no answer at all."""

    code = "unreachable"
    next_step = "Check network, VPN and URL with `commtools site check`; on site local, `commtools sim up`."


class AuthenticationError(ServiceError):
    """Raised when a login or token is not accepted."""

    code = "authentication"
    next_step = "Renew the password or token of the service, in the environment or its file with mode 0600."


class ForbiddenError(ServiceError):
    """Raised when the user is known to the service but lacks the right."""

    code = "forbidden"
    next_step = "Ask the service's owner for the right, or somebody who has it."


class RejectedError(ServiceError):
    """Raised when a service refused the request, or broke on it."""

    code = "rejected"
    next_step = "Look at the state of what was commanded before trying again: it may have taken effect."


class ProtocolError(ServiceError):
    """Raised when an answer breaks the contract of its service."""

    code = "protocol"
    next_step = "Tell the developers, with the version of the service: its answers have changed."


class LedgerAwayError(ServiceError):
    """Raised when the ledger could not be reached in the time that it is waited for."""

    code = "ledger-away"
    next_step = (
        "Wait or repair; events are kept beside the output notebook, and the next command takes them in."
    )


class ServiceTimeoutError(ServiceError, TimeoutError):
    """Raised when a service does not answer in time; the request may still take effect."""

    code = "timeout"
    next_step = "Look at the state before trying again: the request may still take effect."


class StepError(CommtoolsError):
    """Raised when a step of a procedure failed."""

    code = "step"
    exit_code = 3
    next_step = (
        "Look at the run with `commtools runs show`, mend the cause, and go on with `commtools runs resume`."
    )


class UnknownOutcomeError(StepError):
    """Raised when it could not be observed whether something happened."""

    code = "unknown-outcome"
    next_step = "Look at the thing itself, by another way, before anything is repeated."


class DataError(CommtoolsError, ValueError):
    """Raised when data cannot give the figure that was asked for."""

    code = "data"
    exit_code = 1
    next_step = "Look at the data that the sentence names; the figure stays unknown."


def error_table() -> dict[str, type[CommtoolsError]]:
    """Collect all error classes by code.

    Returns
    -------
    dict
        Code to class, the root included.

    Raises
    ------
    RuntimeError
        If two classes share a code.
    """
    table: dict[str, type[CommtoolsError]] = {}
    pending: list[type[CommtoolsError]] = [CommtoolsError]
    while pending:
        kind = pending.pop()
        if kind.code in table and table[kind.code] is not kind:
            raise RuntimeError(f"two errors share the code {kind.code!r}")
        table[kind.code] = kind
        pending.extend(kind.__subclasses__())
    return table


error_table()
