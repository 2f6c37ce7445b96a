"""`Procedure`: what a notebook says of itself while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lsst_commtools.errors import InputError, LeaseError, StepError, UnknownOutcomeError
from lsst_commtools.procedure.binding import Binding
from lsst_commtools.procedure.closing import Closing, ClosingStep, Debt
from lsst_commtools.procedure.judge import Expected, judge
from lsst_commtools.procedure.steps import PastStep, Step, StepKind
from lsst_commtools.procedure.values import Kind, RunStatus, StepStatus, plain, slug

if TYPE_CHECKING:
    from lsst_commtools.procedure.cell_guard import CellGuard
    from lsst_commtools.procedure.journal import Journal
    from lsst_commtools.site import Site
    from lsst_commtools.site.procedure import ProcedureSection

__all__ = ["Procedure"]


class Procedure:
    """The run of this notebook: steps, observations, holds, debts, leases.

    Get it with `here`.

    Parameters
    ----------
    journal
        Pen of the run.
    binding
        The run, its attempt and its folders.
    section
        The site's settings of procedures.
    by_hand
        Whether a person runs the cells, without an engine.
    finish
        Ends a run by hand.
    guard
        Knows the cells of a run by hand.
    """

    _current: ClassVar[Procedure | None] = None

    def __init__(
        self,
        journal: Journal,
        binding: Binding,
        section: ProcedureSection,
        *,
        by_hand: bool = False,
        finish: Callable[[str], str] | None = None,
        guard: CellGuard | None = None,
    ) -> None:
        self._guard = guard
        self._finish = finish
        self.run = binding.run
        self.dry_run = binding.dry_run
        self.by_hand = by_hand
        self._journal = journal
        self._binding = binding
        self._section = section
        self._steps: list[Step] = []
        self._occurrences: dict[str, int] = {}
        self._past = past_steps(journal) if binding.attempt > 1 or binding.closing else {}
        self._parameters: dict[str, Any] | None = None

    @classmethod
    def here(cls, site: Site) -> Procedure:
        """Join the run that executes this notebook, or start one where a person runs the cells by hand.

        Parameters
        ----------
        site
            Where the procedure works.

        Returns
        -------
        Procedure
            One for each kernel: calling this again gives the same, until `finish`.

        Raises
        ------
        LedgerAwayError
            If no record can be kept: a procedure without one may not begin.
        """
        binding = Binding.from_environment()
        current = Procedure._current
        if current is not None and (binding is None or binding.run == current.run):
            return current
        if binding is not None:
            procedure = _join(binding, site.procedure)
        else:
            from lsst_commtools.procedure.by_hand import begin

            procedure = begin(site)
        Procedure._current = procedure
        return procedure

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of this run as the ledger knows them, secrets redacted: for closing cells in a fresh kernel."""
        if self._parameters is None:
            events = self._journal.ledger.events(self.run, [Kind.RUN_STARTED])
            self._parameters = dict(events[-1].data.get("parameters", {})) if events else {}
        return self._parameters

    def step(
        self, name: str, *, observe: Callable[[], Any] | None = None, expect: Expected | None = None
    ) -> Step:
        """Make a step.

        Parameters
        ----------
        name
            Its name for people; the identifier is made of it, so that it stays the same from run to run.
        observe
            Reads the state of the world that this step is to bring about, and changes nothing. Read after the body
            where the body sets no ``observed``, and before it in a resumed run: if the state still holds,
            ``step.needed`` is False.
        expect
            What must be observed: a value, or a function of the observation. Otherwise the step fails.

        Returns
        -------
        Step
            To be entered with ``with``.
        """
        return self._new(name, "step", observe=observe, expect=expect)

    def do(
        self,
        name: str,
        action: Callable[[], Any],
        *,
        observe: Callable[[], Any] | None = None,
        expect: Expected | None = None,
        idempotent: bool = True,
    ) -> Step:
        """Do a step whose body must really be left out when it is not needed.

        Parameters
        ----------
        name
            Its name for people.
        action
            What changes the world; never called in a dry run. Its value is the observation where nothing observes.
        observe
            Reads the state that the action brings about.
        expect
            What must be observed.
        idempotent
            Whether it may be done twice. If not, a resumed run does it only if it never began.

        Returns
        -------
        Step
            As it ended.

        Raises
        ------
        StepError
            If it failed, or if its outcome is unknown (`UnknownOutcomeError`).
        """
        step = self._new(name, "step", observe=observe, expect=expect)
        with step:
            if self.dry_run:
                step.observed = observe() if observe is not None else "planned"
            elif not idempotent and step.past is not None:
                _settle_once_only(step, observe, expect)
            elif step.needed:
                result = action()
                step.observed = result if observe is None else None
        return step

    def precondition(self, name: str, check: Any, *, expect: Expected = True) -> Any:
        """Observe that something holds before anything is changed.

        Parameters
        ----------
        name
            What must hold, for people.
        check
            Function that observes it, or the observation.
        expect
            What must be observed: a value, or a function of the observation.

        Returns
        -------
        object
            The observation.

        Raises
        ------
        StepError
            If something else was observed.
        UnknownOutcomeError
            If nothing could be observed: unknown is not pass.
        """
        step = self._new(name, "precondition", expect=expect)
        with step:
            try:
                step.observed = check() if callable(check) else check
            except Exception as error:
                raise UnknownOutcomeError(
                    f"Whether {name!r} holds could not be observed: {type(error).__name__}: {error}."
                ) from error
            if step.observed is None:
                step.unknown("nothing was observed")
        return step.observed

    def hold(
        self,
        name: str,
        *,
        roles: list[str],
        people: int = 1,
        timeout_s: float | None = None,
        observation: Any = None,
    ) -> Step:
        """Wait until people have signed.

        Parameters
        ----------
        name
            What they sign for.
        roles
            Roles of which each must sign.
        people
            How many different people must have signed.
        timeout_s
            How long to wait, in seconds; by default as the site says.
        observation
            What they are shown and sign; it is stored with each signature.

        Returns
        -------
        Step
            Its ``observed`` holds the observation and the signatures.

        Raises
        ------
        StepError
            If somebody refuses, or if the time is over.
        """
        from lsst_commtools.procedure.holds import wait_for_signatures

        step = self._new(name, "hold")
        with step:
            if self.dry_run:
                step.observed = {"observation": plain(observation), "would_wait_for": roles, "people": people}
            else:
                step.observed = wait_for_signatures(
                    self._journal,
                    step,
                    roles=roles,
                    people=people,
                    timeout_s=self._section.hold_timeout_s if timeout_s is None else timeout_s,
                    observation=observation,
                )
        return step

    @property
    def closing(self) -> Closing:
        """What is owed, and the closing steps that settle it."""
        return Closing(self._journal, self._new_closing)

    def owe(self, name: str, data: dict[str, Any]) -> Debt:
        """Write down what must be put back, before it is taken down.

        Parameters
        ----------
        name
            What is owed, for people: ``"DIMM:1 back to ENABLED"``. Owing it twice changes nothing.
        data
            All that a closing cell needs to put it back without the memory of this kernel.

        Returns
        -------
        Debt
            As the ledger keeps it.
        """
        debt = Debt(slug(name), name, plain(data))
        known = next((d for d in self.closing.owed if d.id == debt.id), None)
        if known is not None:
            return known
        event = self._journal.note(Kind.OWED, debt=debt.id, name=name, data=data)
        if event.clock < 0:
            raise StepError(
                f"That {name!r} is owed could be recorded nowhere.",
                changed="Nothing was taken down.",
                advice="Look whether the disks are full.",
            )
        return debt

    def measure(self, name: str, value: float, unit: str) -> None:
        """Record a number.

        Parameters
        ----------
        name
            What was measured.
        value
            The number.
        unit
            Its unit; empty text for none.
        """
        number = float(value)
        entry = {"value": number if math.isfinite(number) else str(number), "unit": unit}
        step = self._running_step()
        if step is not None:
            step.collected[name] = entry
        self._journal.note(Kind.MEASURED, step=step.id if step else None, name=name, **entry)

    def attach(self, thing: Any, name: str | None = None) -> Path:
        """Keep a figure, table or file beside the output notebook.

        Parameters
        ----------
        thing
            A matplotlib or bokeh figure, a pandas or astropy table, or the path of a file.
        name
            Name of the file, without folder and ending.

        Returns
        -------
        pathlib.Path
            Where it lies.
        """
        from lsst_commtools.procedure.attachments import keep

        kept = keep(thing, name, self._binding.files, dry_run=self.dry_run)
        step = self._running_step()
        if step is not None:
            step.collected.setdefault("attached", []).append(kept.path.name)
        self._journal.note(Kind.ATTACHED, step=step.id if step else None, **plain(kept))
        return kept.path

    def lease(self, key: str, *, taken_over_by: str | None = None) -> None:
        """Take the right to change something, until this run has ended and owes nothing.

        Parameters
        ----------
        key
            What will be changed: ``csc:DIMM:1``, ``repo:auxTel``.
        taken_over_by
            Name of the person who says that the present holder is dead.

        Raises
        ------
        LeaseError
            If another run holds it: with its name, host and age.
        """
        from lsst_commtools.procedure.ledger import leases

        if not key.strip() or key.startswith("run:"):
            raise InputError(
                f"{key!r} is not the name of something that can be held.", advice="Give csc:DIMM:1."
            )
        if self.dry_run:
            held = [lease.text() for lease in leases.all_leases(self._journal.ledger) if lease.key == key]
            self._journal.note(Kind.NOTE, text=f"dry run: {key} would be taken", held=held)
            return
        own = leases.all_leases(self._journal.ledger, self.run)
        runner = next((lease.holder for lease in own if lease.key == leases.run_key(self.run)), None)
        if runner is None:
            raise LeaseError(f"The run {self.run} is no longer alive in the ledger, so it can hold nothing.")
        found = leases.lease_of(self._journal.ledger, key) if taken_over_by is not None else None
        before = leases.take(self._journal.ledger, key, self.run, runner, instead_of=found)
        self._journal.note(
            Kind.LEASE_TAKEN,
            key=key,
            taken_over_by=taken_over_by,
            taken_from=before.text() if before else None,
        )

    def finish(self) -> str:
        """End a run that a person runs by hand; under an engine the engine does it.

        Returns
        -------
        str
            Status of the run.
        """
        if self._finish is None:
            return RunStatus.RUNNING.value
        Procedure._current = None
        return self._finish("")

    def _new(
        self,
        name: str,
        kind: StepKind,
        *,
        observe: Callable[[], Any] | None = None,
        expect: Expected | None = None,
    ) -> Step:
        if self._guard is not None:
            self._guard.check()
        step_id = self._next_id(name)
        step = Step(
            self._journal,
            step_id,
            name,
            kind=kind,
            observe=observe,
            expect=expect,
            dry_run=self.dry_run,
            past=self._past.get(step_id),
        )
        self._steps.append(step)
        return step

    def _new_closing(self, debt: Debt | None, name: str, **options: Any) -> ClosingStep:
        step = ClosingStep(
            self._journal, debt, self._next_id(name, "closing-"), name, dry_run=self.dry_run, **options
        )
        self._steps.append(step)
        return step

    def _next_id(self, name: str, prefix: str = "") -> str:
        base = prefix + slug(name)
        if self._guard is not None:
            known = self._guard.step_id(base)
            if known is not None:
                return known
        self._occurrences[base] = self._occurrences.get(base, 0) + 1
        step_id = base if self._occurrences[base] == 1 else f"{base}-{self._occurrences[base]}"
        if self._guard is not None:
            self._guard.remember(base, step_id)
        return step_id

    def _running_step(self) -> Step | None:
        for step in reversed(self._steps):
            if step.entered and step.status is StepStatus.RUNNING:
                return step
        return None


def past_steps(journal: Journal) -> dict[str, PastStep]:
    """Collect what earlier attempts of a run know of its steps.

    Parameters
    ----------
    journal
        Pen of the run.

    Returns
    -------
    dict
        Step identifier to its last outcome; a step that began and did not end is ``unknown``.
    """
    past: dict[str, PastStep] = {}
    for event in journal.events():
        if event.data.get("attempt", 1) >= journal.attempt:
            continue
        if event.kind is Kind.STEP_STARTED:
            past[event.data["step"]] = PastStep(StepStatus.UNKNOWN, None)
        elif event.kind is Kind.STEP_ENDED:
            past[event.data["step"]] = PastStep(StepStatus(event.data["status"]), event.data["observed"])
    return past


def _join(binding: Binding, section: ProcedureSection) -> Procedure:
    from lsst_commtools.procedure.journal import Journal
    from lsst_commtools.procedure.ledger import Ledger

    ledger = Ledger(binding.ledger_url, wait_s=section.ledger_wait_s, spool=binding.spool, create=False)
    journal = Journal(
        ledger, binding.run, binding.attempt, complete=binding.attempt == 1 and not binding.closing
    )
    return Procedure(journal, binding, section)


def _settle_once_only(step: Step, observe: Callable[[], Any] | None, expect: Expected | None) -> None:
    """Decide about a step that must not be done twice and that an earlier attempt began."""
    past = step.past
    found = observe() if observe is not None else None
    if found is not None and judge(found, expect).status is StepStatus.DONE and expect is not None:
        step.observed = plain(found)
        step.skip("begun before, and observed to be done")
    elif past is not None and past.status in (StepStatus.DONE, StepStatus.SKIPPED) and observe is None:
        step.observed = past.observed
        step.skip("done by an earlier attempt; it must not be done twice")
    else:
        step.observed = plain(found)
        step.unknown(
            "an earlier attempt began it, it must not be done twice, and it was not observed to be done"
        )
