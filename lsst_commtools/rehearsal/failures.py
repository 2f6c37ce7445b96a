"""Failures, grouped by their cause, and how many of them there may be."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lsst_commtools.pipeline.outcomes import QuantumStatus
from lsst_commtools.qa.limits import Limit, Status

if TYPE_CHECKING:
    from lsst_commtools.pipeline.outcomes import ProcessingReport

__all__ = [
    "FAILURE_LIMIT",
    "Failure",
    "FailureGroup",
    "FailureRate",
    "cause_of",
    "failure_rate",
    "failures_of",
    "group_failures",
    "normalise_message",
]

FAILURE_LIMIT = Limit(
    "failed_percent",
    1.0,
    1.0,
    2.0,
    'DMTN-119, first operations rehearsal: "one percent seems ok two starts to seem a lot"; not decided since',
)
"""Failed parts in percent: good up to one, bad above two."""

_LONGEST = 300
_VARIABLE = (
    (re.compile(r"0x[0-9a-fA-F]+"), "#"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "#"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{12,64}\b"), "#"),
    (re.compile(r"\b[A-Z]{2}_[A-Z]_\d{8}_\d{6}(_R\w{2}_S\w{2})?"), "#"),
    (re.compile(r"\bR(\d\d|XX)_S\d\d\b"), "#"),
    (re.compile(r"(?<![\w/])(?:file://)?/(?:[\w.@+-]+/)+[\w.@+-]*"), "#"),
    (re.compile(r"(?<![A-Za-z_])[-+]?\d+(?:[.:-]\d+)*(?:[eE][-+]?\d+)?"), "#"),
)
"""What makes two messages of one cause differ: addresses, identifiers, image names, paths, numbers."""


@dataclass(frozen=True)
class Failure:
    """Something that failed.

    Parameters
    ----------
    exception
        Class of the exception; empty where there was none, as for a task that found no work.
    place
        Task or module in which it was raised; empty if that is not known.
    message
        What was said.
    where
        Visit, detector or file that it concerns.
    night
        Number of the night.
    """

    exception: str
    place: str
    message: str
    where: str
    night: int = 0


@dataclass(frozen=True)
class FailureGroup:
    """Failures of one cause: the same exception in the same place.

    Parameters
    ----------
    cause
        Its identifier, the same in each night.
    exception, place
        What the failures share.
    failures
        The failures, in the order in which they came.
    """

    cause: str
    exception: str
    place: str
    failures: tuple[Failure, ...]

    @property
    def count(self) -> int:
        """Number of failures."""
        return len(self.failures)

    @cached_property
    def messages(self) -> tuple[tuple[str, int], ...]:
        """What was said, without what differs from image to image, and how often; the most frequent first."""
        return tuple(Counter(normalise_message(f.message) for f in self.failures).most_common())

    @property
    def nights(self) -> tuple[int, ...]:
        """Nights in which it happened."""
        return tuple(sorted({failure.night for failure in self.failures}))

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "cause": self.cause,
            "exception": self.exception,
            "place": self.place,
            "count": self.count,
            "messages": [{"message": text, "count": count} for text, count in self.messages],
            "nights": list(self.nights),
            "where": [failure.where for failure in self.failures],
        }


@dataclass(frozen=True)
class FailureRate:
    """How much failed, judged by `FAILURE_LIMIT`.

    Parameters
    ----------
    failed, expected
        Numbers; what was skipped behind a failure counts as failed.
    of
        What is counted, in the plural.
    """

    failed: int
    expected: int
    of: str

    @property
    def percent(self) -> float | None:
        """Failed parts of the expected ones in percent; None if nothing was expected."""
        return 100.0 * self.failed / self.expected if self.expected else None

    @property
    def status(self) -> Status:
        """Verdict; unknown if nothing was expected."""
        return FAILURE_LIMIT.judge(self.percent)

    @property
    def text(self) -> str:
        """The rate with its denominator, for people."""
        if self.percent is None:
            return f"unknown: no {self.of} were expected"
        return f"{self.percent:.2f} % ({self.failed} of {self.expected} {self.of})"

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "failed": self.failed,
            "expected": self.expected,
            "of": self.of,
            "percent": self.percent,
            "text": self.text,
            "status": str(self.status),
            "limit": {
                "good_percent": FAILURE_LIMIT.design,
                "bad_percent": FAILURE_LIMIT.minimum,
                "source": FAILURE_LIMIT.source,
            },
        }


def normalise_message(message: str) -> str:
    """Take out of a message what differs between failures of one cause.

    Parameters
    ----------
    message
        What was said.

    Returns
    -------
    str
        One line with ``#`` for numbers, identifiers, names of images and paths; at most 300 characters.
    """
    text = " ".join(message.split())[: 4 * _LONGEST]
    for pattern, replacement in _VARIABLE:
        text = pattern.sub(replacement, text)
    return text[:_LONGEST]


def cause_of(exception: str, place: str, message: str = "") -> str:
    """Name a cause, so that it is known again in another night.

    Parameters
    ----------
    exception, place
        Class of the exception, and where it was raised.
    message
        Tells causes apart where the exception or the place is not known.

    Returns
    -------
    str
        Ten hexadecimal digits.
    """
    told = "" if exception and place else normalise_message(message)
    return hashlib.sha256(f"{exception}\0{place}\0{told}".encode()).hexdigest()[:10]


def group_failures(failures: Iterable[Failure]) -> tuple[FailureGroup, ...]:
    """Group failures by their cause.

    Parameters
    ----------
    failures
        In any order.

    Returns
    -------
    tuple of FailureGroup
        The largest first; each failure is in one of them.
    """
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(cause_of(failure.exception, failure.place, failure.message), []).append(failure)
    found = [
        FailureGroup(cause, members[0].exception, members[0].place, tuple(members))
        for cause, members in groups.items()
    ]
    return tuple(sorted(found, key=lambda group: (-group.count, group.place, group.exception, group.cause)))


def failures_of(report: ProcessingReport, night: int = 0) -> list[Failure]:
    """List what failed in a run of a pipeline, tasks that found no work included.

    Parameters
    ----------
    report
        What became of the run.
    night
        Number of the night.

    Returns
    -------
    list of Failure
        What was skipped behind a failure is not among them: it has no cause of its own.
    """
    return [
        Failure(outcome.error, outcome.task, outcome.message or "no work", outcome.where, night)
        for outcome in report.outcomes
        if outcome.status in (QuantumStatus.FAILED, QuantumStatus.NO_WORK)
    ]


def failure_rate(failed: int, expected: int, of: str) -> FailureRate:
    """Judge how much failed.

    Parameters
    ----------
    failed, expected
        Numbers.
    of
        What is counted, in the plural, such as ``quanta`` or ``detector images``: a rate without its denominator
        says nothing.

    Returns
    -------
    FailureRate
        With its verdict.

    Raises
    ------
    ValueError
        If more failed than was expected, or a number is negative.
    """
    if not 0 <= failed <= expected or not of:
        raise ValueError(f"{failed} of {expected} {of or 'nothing'} cannot have failed")
    return FailureRate(failed, expected, of)
