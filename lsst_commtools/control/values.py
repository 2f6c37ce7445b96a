"""What is known of CSCs: samples as they came, and the state that follows from them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from lsst_commtools.control.states import SummaryState
from lsst_commtools.ids import CscName

if TYPE_CHECKING:
    from lsst_commtools.errors import CommtoolsError

__all__ = ["CscState", "Heartbeat", "LogMessage", "Outcome", "Stamp", "StateSample", "iso_utc"]


def iso_utc(time_utc: dt.datetime) -> str:
    """Write a UTC time as ISO 8601 with milliseconds.

    Parameters
    ----------
    time_utc
        Time on the UTC scale, with its zone.

    Returns
    -------
    str
        For instance ``2026-11-20T23:14:05.880Z``; Z names UTC.
    """
    return time_utc.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, order=True)
class Stamp:
    """What tells one sample of a SAL topic from another: LOVE sends the same sample again and again.

    Parameters
    ----------
    sent_tai_s
        ``private_sndStamp``: TAI, unix seconds.
    seq_num
        ``private_seqNum``; it starts again when the process does.
    origin
        ``private_origin``, the process.
    """

    sent_tai_s: float
    seq_num: int
    origin: int = 0


@dataclass(frozen=True)
class StateSample:
    """One ``summaryState`` event.

    Parameters
    ----------
    stamp
        Its identity; a later one is newer.
    state
        What it says.
    """

    stamp: Stamp
    state: SummaryState


@dataclass(frozen=True)
class Heartbeat:
    """What is known of a CSC's heartbeat.

    Parameters
    ----------
    lost
        Beats lost one after the other; None where nobody counts.
    age_s
        Age of the last beat when this was told, in seconds; None if none was ever seen.
    told_s
        Local monotonic clock when this was told, in seconds.
    """

    lost: int | None
    age_s: float | None
    told_s: float

    def age_at(self, now_s: float) -> float | None:
        """Give the age of the last beat.

        Parameters
        ----------
        now_s
            Local monotonic clock, in seconds.

        Returns
        -------
        float or None
            Seconds since the last beat that is known of.
        """
        return None if self.age_s is None else max(0.0, self.age_s + now_s - self.told_s)


@dataclass(frozen=True)
class LogMessage:
    """A log message or an error code of a CSC.

    Parameters
    ----------
    csc
        Who wrote it.
    stamp
        Identity of the sample.
    time_utc
        When it was sent.
    level
        Level of Python's logging; that of ERROR for an error code.
    message
        Text.
    error_code
        Number of an ``errorCode`` event; None for a log message.
    """

    csc: CscName
    stamp: Stamp
    time_utc: dt.datetime
    level: int
    message: str
    error_code: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the message as plain values.

        Returns
        -------
        dict
            Keys ``csc``, ``index``, ``time_utc``, ``level``, ``message``, ``error_code``.
        """
        return {
            "csc": self.csc.name,
            "index": self.csc.index,
            "time_utc": iso_utc(self.time_utc),
            "level": self.level,
            "message": self.message,
            "error_code": self.error_code,
        }


@dataclass(frozen=True)
class CscState:
    """State of a CSC as far as it is evident.

    Parameters
    ----------
    csc
        The CSC.
    state
        Its summary state; UNKNOWN where the last event is not backed by a heartbeat. OFFLINE without heartbeat is
        evident: the process said so and ended.
    alive
        Whether its heart beats; None if that cannot be told.
    heartbeat_age_s
        Seconds since the last heartbeat that is known of.
    observed_utc
        When this was observed.
    last_reported
        What its last event said, also where that is no evidence.
    """

    csc: CscName
    state: SummaryState
    alive: bool | None
    heartbeat_age_s: float | None
    observed_utc: dt.datetime
    last_reported: SummaryState = SummaryState.UNKNOWN

    def to_dict(self) -> dict[str, Any]:
        """Give the state as plain values.

        Returns
        -------
        dict
            Keys ``csc``, ``index``, ``state``, ``alive``, ``heartbeat_age_s``, ``observed_at`` (UTC).
        """
        return {
            "csc": self.csc.name,
            "index": self.csc.index,
            "state": self.state.name,
            "alive": self.alive,
            "heartbeat_age_s": None if self.heartbeat_age_s is None else round(self.heartbeat_age_s, 3),
            "observed_at": iso_utc(self.observed_utc),
        }

    @override
    def __str__(self) -> str:
        return f"{self.csc} is {self.state.name}: {self.evidence}."

    @property
    def evidence(self) -> str:
        """Say what the state rests on."""
        beat = (
            "no heartbeat seen"
            if self.heartbeat_age_s is None
            else f"last heartbeat {self.heartbeat_age_s:.1f} s ago"
        )
        if self.last_reported is SummaryState.UNKNOWN:
            return f"no state event, {beat}"
        return f"last event says {self.last_reported.name}, {beat}"


@dataclass(frozen=True)
class Outcome:
    """What came of a wish to change one CSC's state.

    Parameters
    ----------
    csc
        The CSC.
    target
        State that was asked for.
    before, after
        What was observed first and last.
    path
        States that were observed, in order.
    seconds
        How long it took.
    error
        Why it is not as wished; None where it is.
    note
        What was observed that is worth saying, also where all is well.
    """

    csc: CscName
    target: SummaryState
    before: SummaryState
    after: SummaryState
    path: tuple[SummaryState, ...]
    seconds: float
    error: CommtoolsError | None = field(default=None, compare=False)
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the CSC was seen to be in the state that was asked for."""
        return self.error is None

    @property
    def reason(self) -> str:
        """Why it is not as wished, else what was observed."""
        return self.note if self.error is None else str(self.error)

    def to_dict(self) -> dict[str, Any]:
        """Give the outcome as plain values.

        Returns
        -------
        dict
            Keys ``csc``, ``index``, ``before``, ``after``, ``path``, ``ok``, ``reason``, ``seconds``.
        """
        return {
            "csc": self.csc.name,
            "index": self.csc.index,
            "before": self.before.name,
            "after": self.after.name,
            "path": [state.name for state in self.path],
            "ok": self.ok,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
        }

    @override
    def __str__(self) -> str:
        way = " -> ".join(state.name for state in self.path)
        return f"{self.csc}: {way} in {self.seconds:.1f} s. {self.reason}".rstrip()
