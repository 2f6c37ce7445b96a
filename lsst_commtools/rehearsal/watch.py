"""A watch on the observatory during a rehearsal: CSCs that fault, queues that pause, services that do not answer."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lsst_commtools.control import Control, CscState, SummaryState
from lsst_commtools.control.connect import connect_love
from lsst_commtools.errors import CommtoolsError, InputError, ServiceError
from lsst_commtools.night.counts import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lsst_commtools.control.love import LoveBackend
    from lsst_commtools.control.scripts import QueueState
    from lsst_commtools.site import Site

__all__ = ["ObservatoryWatch", "Sight", "csc_problems", "queue_problems"]

_QUEUES = ("MT", "AT", "OCS")


@dataclass(frozen=True)
class Sight:
    """What one look at the observatory showed.

    Parameters
    ----------
    states
        State of each CSC, as far as it is evident.
    problems
        What is wrong.
    not_observed
        Why nothing was seen; empty where something was.
    """

    states: tuple[CscState, ...] = ()
    problems: tuple[Problem, ...] = ()
    not_observed: str = ""


def csc_problems(states: Iterable[CscState]) -> list[Problem]:
    """Name the CSCs that are in FAULT.

    Parameters
    ----------
    states
        States of CSCs.

    Returns
    -------
    list of Problem
        Kind ``csc-fault``; a state that is unknown is no fault.
    """
    return [
        Problem("csc-fault", f"{state.csc} is in FAULT.", str(state.csc))
        for state in states
        if state.state is SummaryState.FAULT
    ]


def queue_problems(queues: Mapping[int, QueueState]) -> list[Problem]:
    """Name the script queues that take no scripts.

    Parameters
    ----------
    queues
        SAL index to what was seen of the queue.

    Returns
    -------
    list of Problem
        Kind ``queue-paused``.
    """
    return [
        Problem("queue-paused", f"ScriptQueue:{index} is paused: scripts wait.", f"ScriptQueue:{index}")
        for index, queue in sorted(queues.items())
        if queue.enabled and not queue.running
    ]


class ObservatoryWatch:
    """Looks at a site's CSCs and script queues through LOVE, again and again with one login.

    Parameters
    ----------
    site
        The site.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._love: LoveBackend | None = None
        self._control: Control | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the login."""
        if self._control is not None:
            self._control.close()
            self._control = None

    def look(self) -> Sight:
        """Look once.

        Returns
        -------
        Sight
            States and problems; LOVE that fails is the problem ``service-down``. Where the site has no LOVE, or the
            simulator does not run, nothing was observed, and that is said.
        """
        try:
            if self._control is None or self._love is None:
                self._love = connect_love(self._site)
                self._control = Control(self._site, self._love)
            self._love.check_answering()
            states = tuple(self._control.states())
            queues = [self._control.queue(name) for name in _QUEUES]
            seen = {queue.index: queue.state() for queue in queues}
        except ServiceError as error:
            self._close_quietly()
            return Sight(problems=(Problem("service-down", error.message, "love"),))
        except InputError as error:
            self._close_quietly()
            return Sight(not_observed=error.message)
        except CommtoolsError as error:
            return Sight(not_observed=error.message)
        return Sight(states, (*csc_problems(states), *queue_problems(seen)))

    def _close_quietly(self) -> None:
        try:
            self.close()
        except CommtoolsError:
            self._control = None  # what cannot be reached cannot be told good-bye
