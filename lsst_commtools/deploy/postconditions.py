"""The three postconditions of a test, observed: tested, not running any more, production started again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lsst_commtools.deploy.production import wait_until_silent
from lsst_commtools.errors import CommtoolsError

if TYPE_CHECKING:
    from lsst_commtools.deploy.argocd import ArgoCd
    from lsst_commtools.deploy.bench import Bench
    from lsst_commtools.deploy.eyes import CscEyes
    from lsst_commtools.deploy.values import Production

__all__ = ["Postcondition", "observe_postconditions"]

_SILENT_S = 20.0
_GOOD = ("STANDBY", "DISABLED", "ENABLED")


@dataclass(frozen=True)
class Postcondition:
    """One postcondition.

    Parameters
    ----------
    postcondition
        What must hold.
    met
        ``yes``, ``no``, or ``unknown`` where it could not be observed.
    observed
        What was observed.
    by_hand
        What a person has to do where it is not met.
    """

    postcondition: str
    met: str
    observed: str
    by_hand: str = ""

    def to_dict(self) -> dict[str, str]:
        """Give it as plain values.

        Returns
        -------
        dict
            Keys are the parameters.
        """
        return asdict(self)


def observe_postconditions(
    control: CscEyes, argocd: ArgoCd, bench: Bench, before: Production, *, enabled: int | None
) -> list[Postcondition]:
    """Observe whether all is as the founding document demands.

    Parameters
    ----------
    control, argocd, bench
        Who sees what.
    before
        Where the production CSC stood.
    enabled
        How often the CSC under test was seen ENABLED; None where no test is meant.

    Returns
    -------
    list of Postcondition
        In the order of the document.
    """
    csc = before.csc
    restore = f"commtools csc restore {csc}"
    rows = []
    if enabled is not None:
        told = (bool(enabled), f"times it was seen ENABLED: {enabled}")
        rows.append(_row(f"The CSC under test {csc} has been tested", lambda: told, "Test it again."))

    def gone() -> tuple[bool, str]:
        processes = bench.processes(csc)
        text = f"processes {', '.join(map(str, processes))}" if processes else "no process of it on the bench"
        return not processes, text

    rows.append(_row(f"The CSC under test {csc} is not running any more", gone, f"Run `{restore}`."))

    def back() -> tuple[bool, str]:
        if before.job is None or not before.was_running:
            seen = wait_until_silent(control, csc, _SILENT_S)
            return seen.alive is not True, f"it was not running before; {seen}"
        seen, job = control.state(csc), argocd.job_state(before.job)
        good = seen.alive is True and seen.state.name in _GOOD and job.pod_phase == "Running"
        return good, f"{seen} {job}"

    by_hand = (
        f"Run `{restore}`; or in Argo CD delete the Job {before.job.name} of {before.job.application} (never the "
        "application), sync only that Job, and see STANDBY in LOVE."
        if before.job is not None
        else f"Find out who runs {csc}."
    )
    rows.append(_row(f"The production CSC {csc} runs again if it did before", back, by_hand))
    return rows


def _row(name: str, look: Callable[[], tuple[Any, str]], by_hand: str) -> Postcondition:
    try:
        met, observed = look()
    except CommtoolsError as error:
        return Postcondition(name, "unknown", str(error), by_hand)
    return Postcondition(name, "yes" if met else "no", observed, "" if met else by_hand)
