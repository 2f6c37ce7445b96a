"""What became of each quantum of a run: a task on one data id."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ProcessingReport", "QuantumOutcome", "QuantumStatus"]


class QuantumStatus(enum.StrEnum):
    """How a quantum ended."""

    SUCCEEDED = "succeeded"
    EXISTING = "existing"
    NO_WORK = "no-work"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class QuantumOutcome:
    """How one quantum ended.

    Parameters
    ----------
    task
        Label in the pipeline.
    data_id
        Dimension to value, for instance visit and detector.
    status
        ``existing`` was done by an earlier run, ``skipped`` had nothing to work on because an earlier task failed.
    error
        Class of the exception, empty if there was none.
    message
        Its message, or why there was no work.
    seconds
        Wall time.
    """

    task: str
    data_id: dict[str, int | str]
    status: QuantumStatus
    error: str = ""
    message: str = ""
    seconds: float = 0.0

    @property
    def where(self) -> str:
        """Data id as text."""
        return ", ".join(f"{key} {value}" for key, value in self.data_id.items() if key != "instrument")


@dataclass(frozen=True)
class ProcessingReport:
    """What became of a run.

    Parameters
    ----------
    output_run
        Collection that holds the outputs.
    outcomes
        One for each quantum that was expected.
    seconds
        Wall time of the whole run.
    not_submitted
        Parts of a run on a batch system that were not submitted, with the reason; their quanta are skipped.
    """

    output_run: str
    outcomes: tuple[QuantumOutcome, ...] = field(repr=False)
    seconds: float = 0.0
    not_submitted: Mapping[str, str] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """Number of quanta that the data called for."""
        return len(self.outcomes)

    @property
    def succeeded(self) -> int:
        """Number of quanta whose outputs are there, from this run or an earlier one."""
        return sum(o.status in (QuantumStatus.SUCCEEDED, QuantumStatus.EXISTING) for o in self.outcomes)

    @property
    def no_work(self) -> tuple[QuantumOutcome, ...]:
        """Quanta that found nothing to do; pipetask counts them as successes."""
        return tuple(o for o in self.outcomes if o.status is QuantumStatus.NO_WORK)

    @property
    def failed(self) -> tuple[QuantumOutcome, ...]:
        """Quanta that raised."""
        return tuple(o for o in self.outcomes if o.status is QuantumStatus.FAILED)

    @property
    def skipped(self) -> tuple[QuantumOutcome, ...]:
        """Quanta behind one that raised."""
        return tuple(o for o in self.outcomes if o.status is QuantumStatus.SKIPPED)

    def by_task(self) -> dict[str, dict[str, int]]:
        """Count the outcomes of each task.

        Returns
        -------
        dict
            Task label to status to number, in the order of the pipeline.
        """
        counts: dict[str, Counter[str]] = {}
        for outcome in self.outcomes:
            counts.setdefault(outcome.task, Counter())[outcome.status.value] += 1
        return {task: dict(counter) for task, counter in counts.items()}
