"""One CSC on its way to another state, from evidence to outcome."""

from __future__ import annotations

import time
from dataclasses import replace

from lsst_commtools.control.backend import Backend
from lsst_commtools.control.plan import Plan, plan_change
from lsst_commtools.control.states import SummaryState
from lsst_commtools.control.steps import Patience, applied_configuration, carry_out, confirm, evident_state
from lsst_commtools.control.values import Outcome, StateSample
from lsst_commtools.errors import CommtoolsError, RefusedError
from lsst_commtools.ids import CscName

__all__ = ["Change"]


class Change:
    """The wish to change one CSC's state; failures are kept for its outcome, and hide no other's.

    Parameters
    ----------
    backend
        Way to the CSC, which was observed already.
    patience
        How long to wait for what.
    csc, target
        What is wished.
    override, reload
        Configuration, and whether a detour through STANDBY is agreed to.
    """

    def __init__(
        self,
        backend: Backend,
        patience: Patience,
        csc: CscName,
        target: SummaryState,
        *,
        override: str | None = None,
        reload: bool = False,
    ) -> None:
        self.csc = csc
        self.plan: Plan | None = None
        self._backend, self._patience = backend, patience
        self._target, self._override, self._reload = target, override, reload
        self._started_s = self._ended_s = time.monotonic()
        self._before = SummaryState.UNKNOWN
        self._sample: StateSample | None = None
        self._error: CommtoolsError | None = None
        self._note = ""

    def prepare(self, queue: str = "") -> bool:
        """Plan it.

        Parameters
        ----------
        queue
            Script queue that carries it out; empty for commands.

        Returns
        -------
        bool
            Whether there is something to carry out.
        """
        try:
            self._before = evident_state(self._backend, self.csc).state
            self._sample = self._backend.board.state_sample(self.csc)
            self._backend.listen(self.csc)
            plan = plan_change(
                self.csc, self._before, self._target, override=self._override, reload=self._reload
            )
            if plan.question:
                raise RefusedError(plan.question, changed="Nothing was sent.")
            self.plan = replace(plan, via="queue" if queue else "direct", queue=queue)
        except CommtoolsError as error:
            self.fail(error)
        return self.plan is not None and bool(self.plan.transitions)

    def by_commands(self) -> None:
        """Plan it, carry it out by commands, and see where the CSC is in the end."""
        self.prepare()
        if self.plan is not None:
            try:
                carry_out(self._backend, self.plan, self._patience)
            except CommtoolsError as error:
                self.fail(error)
        self.confirm()

    def settle(self, trouble: CommtoolsError, note: str) -> None:
        """See where the CSC is after a script that failed, perhaps at another CSC.

        Parameters
        ----------
        trouble
            Why the script failed; it counts unless the CSC was seen to arrive.
        note
            What was observed before, to be told with it.
        """
        if self._backend.board.states_since(self.csc, self._sample)[-1:] != (self._target,):
            self.fail(trouble)
        self.confirm(note)

    def confirm(self, note: str = "") -> None:
        """See where the CSC is in the end.

        Parameters
        ----------
        note
            What was observed before, to be told with it.
        """
        self._note = note or self._note
        if self._error is None:
            try:
                self._backend.follow([self.csc])
                seen = confirm(self._backend, self.csc, self._target, self._patience)
                if self.plan is not None and self.plan.override is not None:
                    seen = applied_configuration(self._backend, self.csc, self._sample)
                if self.plan is not None and not self.plan.transitions:
                    seen = f"It was there already, and nothing was sent. {seen}"
                self._note = f"{self._note} {seen}".strip()
            except CommtoolsError as error:
                self.fail(error)
        self._ended_s = time.monotonic()

    def fail(self, error: CommtoolsError) -> None:
        """Keep why it is not as wished; the first reason counts.

        Parameters
        ----------
        error
            The reason.
        """
        self._error = self._error or error
        self._ended_s = time.monotonic()

    def outcome(self) -> Outcome:
        """Give what came of it.

        Returns
        -------
        Outcome
            What was observed.
        """
        board = self._backend.board
        return Outcome(
            csc=self.csc,
            target=self._target,
            before=self._before,
            after=board.csc_state(self.csc).state,
            path=(
                self._before,
                *(board.states_since(self.csc, self._sample) if self._sample is not None else ()),
            ),
            seconds=self._ended_s - self._started_s,
            error=self._error,
            note=self._note,
        )
