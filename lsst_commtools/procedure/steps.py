"""Steps: the unit of a procedure that is recorded, judged and resumed."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from lsst_commtools.errors import ServiceError, StepError, UnknownOutcomeError
from lsst_commtools.procedure.judge import Expected, Verdict, judge, same
from lsst_commtools.procedure.values import Kind, StepStatus, plain

if TYPE_CHECKING:
    from lsst_commtools.procedure.journal import Journal

__all__ = ["PastStep", "Step", "StepKind"]

StepKind = Literal["step", "precondition", "hold", "closing"]


class PastStep:
    """What an earlier attempt of the same run knows of a step.

    Parameters
    ----------
    status
        Its outcome there.
    observed
        What was observed there.
    """

    def __init__(self, status: StepStatus, observed: Any) -> None:
        self.status = status
        self.observed = observed


class Step:
    """One step of a procedure, as a context manager.

    The outcome is ``done`` only if the body ended and something was observed: set `observed`, or measure or attach
    something. A body that is interrupted or times out leaves ``unknown``.

    Parameters
    ----------
    journal
        Pen of the run.
    step_id, name
        Stable identifier within the run, and name for people.
    kind
        Ordinary step, precondition, hold or closing step.
    observe
        Reads the state of the world that this step is to bring about; changes nothing.
    expect
        What must be observed.
    dry_run
        Whether nothing may be sent.
    past
        What an earlier attempt of this run knows of it.
    """

    def __init__(
        self,
        journal: Journal,
        step_id: str,
        name: str,
        *,
        kind: StepKind = "step",
        observe: Callable[[], Any] | None = None,
        expect: Expected | None = None,
        dry_run: bool = False,
        past: PastStep | None = None,
    ) -> None:
        self.id = step_id
        self.name = name
        self.kind: StepKind = kind
        self.dry_run = dry_run
        self.observed: Any = None
        self.status = StepStatus.RUNNING
        self.reason = ""
        self.collected: dict[str, Any] = {}
        self._journal = journal
        self._observe = observe
        self._expect = expect
        self._past = past
        self.entered = False
        self._needed = True
        self._asked = False
        self._found: Any = None
        self._verdict: Verdict | None = None

    @property
    def needed(self) -> bool:
        """Whether the body has work to do: False in a resumed run whose finished step was observed to hold still."""
        self._asked = True
        return self._needed

    @property
    def past(self) -> PastStep | None:
        """What an earlier attempt of this run knows of this step."""
        return self._past

    def unknown(self, reason: str) -> None:
        """Say that the outcome could not be observed; the step ends as ``unknown`` and the procedure stops.

        Parameters
        ----------
        reason
            Why not.
        """
        self._verdict = Verdict(StepStatus.UNKNOWN, reason)

    def skip(self, reason: str) -> None:
        """Say that the step is not for this run, before anything was done.

        Parameters
        ----------
        reason
            Why not.
        """
        self._verdict = Verdict(StepStatus.SKIPPED, reason)

    def __enter__(self) -> Self:
        self.entered = True
        event = self._journal.note(Kind.STEP_STARTED, step=self.id, name=self.name, step_kind=self.kind)
        if event.clock < 0 and self.kind != "closing":
            raise ServiceError(
                f"The start of the step {self.name!r} could be recorded nowhere.",
                changed="The step was not begun.",
                advice="Look whether the disks are full.",
            )
        if (
            self._past is not None
            and self._past.status in (StepStatus.DONE, StepStatus.SKIPPED)
            and self._observe
        ):
            found = self._look_again(self._observe)
            good = judge(found, self._expect).status is StepStatus.DONE
            if good and (self._expect is not None or same(found, self._past.observed)):
                self._needed = False
                self._found = plain(found)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self.end(error)
        if error is None and self.status is StepStatus.FAILED:
            raise StepError(f"Step {self.name!r} failed: {self.reason}.")
        looked = self._verdict is not None or self._expect is not None or self._evidence() is not None
        if error is None and self.status is StepStatus.UNKNOWN and looked:
            raise UnknownOutcomeError(f"The outcome of step {self.name!r} is unknown: {self.reason}.")
        return None

    def end(self, error: BaseException | None = None) -> None:
        """Judge and record the outcome.

        Parameters
        ----------
        error
            What ended the body early.
        """
        left_out = not self._needed and self._asked and self.observed is None
        if error is None and self._observe is not None and self.observed is None and not left_out:
            try:
                self.observed = self._observe()
            except Exception as failure:  # noqa: BLE001 - whatever keeps us from observing makes it unknown
                self.unknown(f"it could not be observed: {type(failure).__name__}: {failure}")
        if left_out and error is None:
            self._verdict = Verdict(StepStatus.SKIPPED, "done before, and observed to hold still")
            self.observed = self._found
        observed = self._evidence()
        early = self._verdict if error is None else None
        verdict = early or judge(observed, self._expect, error=error, dry_run=self.dry_run)
        if self.dry_run and error is None:
            now = judge(observed, self._expect)
            unmet = self._expect is not None and now.status is not StepStatus.DONE
            verdict = Verdict(StepStatus.PLANNED, f"it does not hold now: {now.reason}" if unmet else "")
        self.status, self.reason = verdict.status, verdict.reason
        self._journal.note(
            Kind.STEP_ENDED,
            step=self.id,
            name=self.name,
            step_kind=self.kind,
            status=self.status,
            observed=observed,
            reason=self.reason,
        )

    def _look_again(self, observe: Callable[[], Any]) -> Any:
        try:
            return observe()
        except Exception as failure:
            error = UnknownOutcomeError(
                f"Whether step {self.name!r}, done before, still holds could not be observed: "
                f"{type(failure).__name__}: {failure}.",
                changed="It was not done again.",
            )
            self.end(error)
            raise error from failure

    def _evidence(self) -> Any:
        return self.observed if self.observed is not None else (self.collected or None)
