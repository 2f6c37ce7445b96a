"""What a procedure owes: restored by closing cells that know nothing but the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from lsst_commtools.errors import StepError
from lsst_commtools.procedure.judge import Expected
from lsst_commtools.procedure.steps import PastStep, Step
from lsst_commtools.procedure.values import Event, Kind, StepStatus, slug

if TYPE_CHECKING:
    from lsst_commtools.procedure.journal import Journal

__all__ = ["Closing", "ClosingStep", "Debt", "outstanding"]

_SETTLES = (StepStatus.DONE, StepStatus.PLANNED)  # what was skipped was not put back


@dataclass(frozen=True)
class Debt:
    """Something that was taken down and must be put back.

    Parameters
    ----------
    id
        Short identifier.
    name
        What is owed, for people.
    data
        What the closing step needs to know.
    """

    id: str
    name: str
    data: dict[str, Any]


def outstanding(events: Sequence[Event]) -> list[Debt]:
    """Find what a run still owes.

    Parameters
    ----------
    events
        Events of the run, in order.

    Returns
    -------
    list of Debt
        The newest first: things are put back in the opposite order.
    """
    owed: dict[str, Debt] = {}
    for event in events:
        if event.kind is Kind.OWED:
            # What is owed twice is owed as it stood at first: that is what must be restored.
            owed.setdefault(
                event.data["debt"], Debt(event.data["debt"], event.data["name"], event.data["data"])
            )
        elif event.kind is Kind.SETTLED:
            owed.pop(event.data["debt"], None)
    return list(reversed(owed.values()))


class ClosingStep(Step):
    """A step that settles a debt when it is done.

    Parameters
    ----------
    journal
        Pen of the run.
    debt
        What it settles; None if nothing of that name is owed.
    step_id, name, observe, expect, dry_run, past
        As of any step.
    contained
        Whether an exception is kept until the others had their turn.
    """

    def __init__(
        self,
        journal: Journal,
        debt: Debt | None,
        step_id: str,
        name: str,
        *,
        observe: Callable[[], Any] | None = None,
        expect: Expected | None = None,
        dry_run: bool = False,
        past: PastStep | None = None,
        contained: bool = False,
    ) -> None:
        super().__init__(
            journal, step_id, name, kind="closing", observe=observe, expect=expect, dry_run=dry_run, past=past
        )
        self.debt = debt
        self.data: dict[str, Any] = debt.data if debt is not None else {}
        self._contained = contained

    @override
    def __enter__(self) -> Self:
        super().__enter__()
        self._needed = True  # what is owed is put back, whatever an earlier attempt has seen
        self._verdict = None
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            super().__exit__(kind, error, trace)
        except StepError:
            if not self._contained:
                raise
        finally:
            if self.debt is not None and self.status in _SETTLES:
                self._journal.note(Kind.SETTLED, debt=self.debt.id, name=self.debt.name, step=self.id)
        return self._contained and isinstance(error, Exception)


class Closing:
    """What is still owed, and the steps that settle it.

    Iterate to settle everything, the newest first; each item is a step to be entered with ``with``. A failure of one
    does not keep the others from their turn; after the last a `StepError` names what is still owed.

    Parameters
    ----------
    journal
        Pen of the run.
    make_step
        Makes a closing step of a debt and a name.
    """

    def __init__(self, journal: Journal, make_step: Callable[..., ClosingStep]) -> None:
        self._journal = journal
        self._make_step = make_step

    @property
    def owed(self) -> list[Debt]:
        """What is owed now, the newest first."""
        return outstanding(self._journal.events())

    def __call__(
        self, name: str, *, observe: Callable[[], Any] | None = None, expect: Expected | None = None
    ) -> ClosingStep:
        """Make a closing step of its own; it settles the debt of that name if there is one.

        Parameters
        ----------
        name
            Its name, for people.
        observe
            Reads the state that it is to bring about.
        expect
            What must be observed.

        Returns
        -------
        ClosingStep
            To be entered with ``with``; its ``debt`` is None if nothing of that name is owed.
        """
        debt = next((d for d in self.owed if d.id == slug(name)), None)
        return self._make_step(debt, name, observe=observe, expect=expect)

    def __iter__(self) -> Iterator[ClosingStep]:
        debts = self.owed
        for debt in debts:
            yield self._make_step(debt, debt.name, contained=True)
        left = [d.name for d in self.owed if d.id in {debt.id for debt in debts}]
        if left:
            raise StepError(
                f"{len(left)} of {len(debts)} closing steps did not succeed: {'; '.join(left)}.",
                changed=f"{len(debts) - len(left)} were put back.",
                advice=f"Put the rest back by hand, or run the closing cells again: commtools runs recover "
                f"{self._journal.run}.",
            )
