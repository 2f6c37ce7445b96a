"""Rules that turn what happened in a step into its outcome. Unknown is never done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsst_commtools.errors import UnknownOutcomeError
from lsst_commtools.procedure.values import StepStatus, plain

__all__ = ["Expected", "Verdict", "judge", "same"]

Expected = Callable[[Any], bool] | object
"""What must be observed: a value, or a function that says whether an observation is good."""


@dataclass(frozen=True)
class Verdict:
    """Outcome of a step and why.

    Parameters
    ----------
    status
        The outcome.
    reason
        For people; empty where it is plain.
    """

    status: StepStatus
    reason: str = ""


def judge(
    observed: Any,
    expect: Expected | None = None,
    *,
    error: BaseException | None = None,
    dry_run: bool = False,
) -> Verdict:
    """Judge a step.

    Parameters
    ----------
    observed
        What was observed; None if nothing was.
    expect
        What had to be observed, if that is known.
    error
        What ended the step early.
    dry_run
        Whether nothing was sent.

    Returns
    -------
    Verdict
        ``unknown`` where the step was interrupted, timed out, observed nothing, or observed a state of UNKNOWN: what
        was sent may have taken effect. ``failed`` where it raised anything else, observed something else than
        expected, or observed False.
    """
    if error is not None:
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, UnknownOutcomeError | TimeoutError) or not isinstance(error, Exception):
            return Verdict(StepStatus.UNKNOWN, text)
        return Verdict(StepStatus.FAILED, text)
    if dry_run:
        return Verdict(StepStatus.PLANNED)
    if observed is None:
        return Verdict(StepStatus.UNKNOWN, "nothing was observed")
    if _says_unknown(observed) and (expect is None or callable(expect) or not same(observed, expect)):
        return Verdict(StepStatus.UNKNOWN, "what was observed says unknown")
    if expect is None:
        return Verdict(StepStatus.FAILED, "observed False") if observed is False else Verdict(StepStatus.DONE)
    if callable(expect):
        try:
            met = bool(expect(observed))
        except Exception as failure:  # noqa: BLE001 - an expectation that breaks says nothing about the world
            return Verdict(StepStatus.UNKNOWN, f"it could not be judged: {type(failure).__name__}: {failure}")
        return (
            Verdict(StepStatus.DONE) if met else Verdict(StepStatus.FAILED, f"observed {plain(observed)!r}")
        )
    if same(observed, expect):
        return Verdict(StepStatus.DONE)
    return Verdict(StepStatus.FAILED, f"observed {plain(observed)!r} where {plain(expect)!r} was expected")


def _says_unknown(observed: Any) -> bool:
    """Tell whether an observation is that nothing is known: UNKNOWN itself, or a thing whose state it is."""
    seen = plain(observed)
    return bool("UNKNOWN" in (seen, seen.get("state") if isinstance(seen, dict) else None))


def same(one: Any, other: Any) -> bool:
    """Compare two observations by their plain form, as the ledger keeps them.

    Parameters
    ----------
    one, other
        Observations.

    Returns
    -------
    bool
        Whether they are equal; 1 and True are not.
    """
    left, right = plain(one), plain(other)
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)
