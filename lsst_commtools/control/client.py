"""The verbs: see the states of CSCs, change them, watch them, read their logs."""

from __future__ import annotations

import atexit
import datetime as dt
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lsst_commtools.control.backend import Backend
from lsst_commtools.control.change import Change
from lsst_commtools.control.connect import connect_love
from lsst_commtools.control.love import LoveBackend
from lsst_commtools.control.messages import TAI_MINUS_UTC_S
from lsst_commtools.control.plan import Plan, Via, plan_change
from lsst_commtools.control.queue import ScriptQueue
from lsst_commtools.control.scripts import QUEUE_INDICES
from lsst_commtools.control.states import SummaryState, parse_target
from lsst_commtools.control.steps import Patience, evident_state, observe
from lsst_commtools.control.together import at_once, change_by_queues
from lsst_commtools.control.values import CscState, LogMessage, Outcome, Stamp
from lsst_commtools.errors import InputError, RefusedError, UnknownOutcomeError
from lsst_commtools.ids import CscName

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["Control"]

_ASK_AGAIN_S = 5.0
_WATCHER = CscName("Watcher")


class Control:
    """CSCs of a site.

    Parameters
    ----------
    site
        Where LOVE is, which CSCs there are, and which may be changed.
    backend
        Way to the CSCs; by default the site's LOVE.
    """

    def __init__(self, site: Site, backend: Backend | None = None) -> None:
        self._love = site.love
        self._allowed = site.control
        self._site_name = site.name
        self._backend: Backend = connect_love(site) if backend is None else backend
        self._patience = Patience(
            site.love.observe_timeout_s, site.love.gone_timeout_s, site.love.transition_timeout_s
        )
        atexit.register(self._backend.close)  # a notebook's kernel ends without a word

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections, threads and the token that was made."""
        atexit.unregister(self._backend.close)
        self._backend.close()

    def states(self, names: Iterable[str] | None = None) -> list[CscState]:
        """See the states of many CSCs at once.

        Parameters
        ----------
        names
            CSCs; by default all of the site, or, where the site lists none, all whose heartbeats LOVE tells of.

        Returns
        -------
        list of CscState
            In the order of the names; unknown is kept apart.
        """
        cscs = [CscName.parse(name) for name in (self._love.cscs if names is None else names)]
        if not cscs and names is None:
            cscs = self._discover()
        observe(self._backend, cscs, self._patience.observe_s)
        return [self._backend.board.csc_state(csc) for csc in cscs]

    def known(self, names: Iterable[str]) -> list[CscState]:
        """Give the states of CSCs that are followed already; nothing is asked, and nothing waited for.

        Parameters
        ----------
        names
            CSCs.

        Returns
        -------
        list of CscState
            As far as they are evident now.
        """
        return [self._backend.board.csc_state(CscName.parse(name)) for name in names]

    def state(self, name: str) -> CscState:
        """See the state of one CSC.

        Parameters
        ----------
        name
            For instance ``DIMM:1``.

        Returns
        -------
        CscState
            As far as it is evident.
        """
        return self.states([name])[0]

    def plan(
        self,
        name: str,
        state: str | SummaryState,
        *,
        override: str | None = None,
        via: Via = "direct",
        reload: bool = False,
    ) -> Plan:
        """See what a change of state would do; nothing is sent.

        Parameters
        ----------
        name, state
            The CSC, and where it should go.
        override
            Value of ``configurationOverride``.
        via
            Way of the change.
        reload
            Whether a detour through STANDBY is agreed to, to have the override read.

        Returns
        -------
        Plan
            From the state that is observed now.

        Raises
        ------
        UnknownOutcomeError
            If the state is not evident.
        """
        csc, target = CscName.parse(name), parse_target(state)
        queue = self._queue_name(csc) if via == "queue" else ""
        observe(self._backend, [csc], self._patience.observe_s)
        seen = evident_state(self._backend, csc)
        plan = plan_change(csc, seen.state, target, override=override, reload=reload)
        return replace(plan, via=via, queue=queue)

    def set_state(
        self,
        name: str,
        state: str | SummaryState,
        override: str | None = None,
        *,
        via: Via = "direct",
        reload: bool = False,
    ) -> Outcome:
        """Change the state of one CSC, and see that it happened.

        Parameters
        ----------
        name, state
            The CSC, and where it shall go.
        override
            Value of ``configurationOverride``.
        via
            ``direct`` sends commands, ``queue`` runs ``set_summary_state.py`` on the CSC's script queue.
        reload
            Whether a detour through STANDBY is agreed to, to have the override read.

        Returns
        -------
        Outcome
            What was observed.

        Raises
        ------
        CommtoolsError
            If it did not happen, or could not be observed.
        """
        outcome = self.set_states({name: state}, override=override, via=via, reload=reload)[name]
        if outcome.error is not None:
            raise outcome.error
        return outcome

    def set_states(
        self,
        states: Mapping[str, str | SummaryState],
        *,
        override: str | None = None,
        via: Via = "direct",
        reload: bool = False,
    ) -> dict[str, Outcome]:
        """Change the states of many CSCs at the same time.

        Parameters
        ----------
        states
            CSC to the state that it shall go to.
        override, via, reload
            As for `set_state`.

        Returns
        -------
        dict
            CSC, as it was named, to its own outcome; one failure hides no other.

        Raises
        ------
        InputError
            If a name or state is none; nothing was sent.
        RefusedError
            If a CSC is not in the site's allow-list; nothing was sent.
        """
        wanted = [(name, CscName.parse(name), parse_target(state)) for name, state in states.items()]
        if len({csc for _, csc, _ in wanted}) < len(wanted):
            raise InputError("The same CSC is named twice.", changed="Nothing was sent.")
        for _, csc, _ in wanted:
            self._check_allowed(csc)
        queues = {csc: self._queue_name(csc) for _, csc, _ in wanted} if via == "queue" else {}
        changes = [
            Change(self._backend, self._patience, csc, target, override=override, reload=reload)
            for _, csc, target in wanted
        ]
        observe(self._backend, [csc for _, csc, _ in wanted], self._patience.observe_s)
        if via == "queue":
            change_by_queues(changes, queues, self.queue, self._watcher_lives, self._backend.board)
        else:
            at_once([change.by_commands for change in changes], self._backend.board)
        return {name: change.outcome() for (name, _, _), change in zip(wanted, changes, strict=True)}

    def wait_for(self, name: str, state: str | SummaryState, timeout_s: float) -> CscState:
        """Wait until a CSC is seen in a state, for instance after its process was started.

        Parameters
        ----------
        name, state
            The CSC, and where it should come.
        timeout_s
            How long to wait, in seconds.

        Returns
        -------
        CscState
            What was observed.

        Raises
        ------
        UnknownOutcomeError
            If it was not seen there in time.
        """
        csc, target = CscName.parse(name), parse_target(state)
        board = self._backend.board
        ends_s = time.monotonic() + timeout_s
        while True:
            self._backend.follow([csc])
            left_s = ends_s - time.monotonic()
            wait_s = max(0.0, min(left_s, _ASK_AGAIN_S))
            if board.wait(lambda: board.csc_state(csc).state is target, wait_s, csc):
                return board.csc_state(csc)
            if left_s <= 0:
                raise UnknownOutcomeError(
                    f"{csc} was not seen in {target.name} within {timeout_s:g} s.",
                    changed=f"{board.csc_state(csc)}",
                    advice="See whether its process runs, and its log.",
                )

    def watch(self, names: Sequence[str], seconds: float | None = None) -> Iterator[CscState]:
        """Follow CSCs.

        Parameters
        ----------
        names
            CSCs.
        seconds
            How long; for ever by default.

        Yields
        ------
        CscState
            First the state of each, then each change of state or liveness.
        """
        cscs = [CscName.parse(name) for name in names]
        board = self._backend.board
        ends_s = float("inf") if seconds is None else time.monotonic() + seconds
        observe(self._backend, cscs, min(self._patience.observe_s, seconds or self._patience.observe_s))
        shown: dict[CscName, tuple[SummaryState, SummaryState, bool | None]] = {}

        def news() -> list[CscState]:
            seen = [board.csc_state(csc) for csc in cscs]
            return [s for s in seen if shown.get(s.csc) != (s.state, s.last_reported, s.alive)]

        while True:
            for state in news():
                shown[state.csc] = (state.state, state.last_reported, state.alive)
                yield state
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                return
            board.wait(lambda: bool(news()), min(left_s, 3600.0))

    def log_messages(
        self, name: str, since: dt.datetime | None = None, *, wait_s: float = 1.0
    ) -> list[LogMessage]:
        """Read the log messages and error codes of a CSC.

        Parameters
        ----------
        name
            The CSC.
        since
            From when on, with time zone; by default from when this client began to listen. LOVE itself keeps only the
            last message: older ones come from the EFD, where the site names one.
        wait_s
            How long the first call waits for LOVE to send the last message, in seconds.

        Returns
        -------
        list of LogMessage
            Oldest first.
        """
        csc, board = CscName.parse(name), self._backend.board
        if since is not None and since.tzinfo is None:
            raise InputError(
                "since needs a time zone.", advice="Give for instance datetime.now(datetime.UTC)."
            )
        self._backend.listen(csc)
        board.wait(lambda: bool(board.log_messages(csc)), wait_s, csc)
        messages = board.log_messages(csc)
        if since is not None and self._love.efd_instance and isinstance(self._backend, LoveBackend):
            messages += self._efd_logs(self._backend, csc, since)
        unique = {(m.stamp, m.error_code): m for m in messages if since is None or m.time_utc >= since}
        return sorted(unique.values(), key=lambda m: m.stamp)

    def queue(self, name: str) -> ScriptQueue:
        """Give a script queue.

        Parameters
        ----------
        name
            ``MT``, ``AT`` or ``OCS``.

        Returns
        -------
        ScriptQueue
            The queue.

        Raises
        ------
        RefusedError
            If this way to the CSCs has no script queues.
        """
        if name not in QUEUE_INDICES:
            raise InputError(
                f"{name!r} is not a script queue.", advice=f"Give one of {', '.join(QUEUE_INDICES)}."
            )
        if not isinstance(self._backend, LoveBackend):
            raise RefusedError("Script queues are reached by LOVE only.", changed="Nothing was sent.")
        return ScriptQueue(
            self._backend, QUEUE_INDICES[name], self._patience.observe_s, self._love.script_timeout_s
        )

    def _discover(self) -> list[CscName]:
        """Listen for heartbeats until every CSC had the time to be told of."""
        backend = self._backend
        backend.follow([])
        backend.board.wait(lambda: False, self._patience.observe_s)
        backend.check_hearing()
        return sorted(backend.board.heard())

    def _check_allowed(self, csc: CscName) -> None:
        if not self._allowed.allows(csc):
            raise RefusedError(
                f"{csc} is not in the allow-list of the site {self._site_name!r}.",
                changed="Nothing was sent.",
                advice=f"Add it to control.allow of the site ({', '.join(self._allowed.allow) or 'empty now'}).",
            )

    def _queue_name(self, csc: CscName) -> str:
        queue = self._love.cscs.get(str(csc))
        if queue is None:
            raise InputError(
                f"The site does not say which script queue {csc} belongs to.",
                changed="Nothing was sent.",
                advice="Add it to love.cscs of the site, or give via='direct' (--via direct).",
            )
        return queue

    def _watcher_lives(self) -> bool:
        return str(_WATCHER) in self._love.cscs and self.state(str(_WATCHER)).alive is True

    def _efd_logs(self, love: LoveBackend, csc: CscName, since: dt.datetime) -> list[LogMessage]:
        begin, end = since.astimezone(dt.UTC), dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
        written = [t.replace(tzinfo=None).isoformat(timespec="seconds") for t in (begin, end)]
        rows = love.efd_logs(self._love.efd_instance, csc, *written)
        messages = []
        for row in rows:
            sent, seq, origin = (row.get(f"private_{key}") for key in ("sndStamp", "seqNum", "origin"))
            if not isinstance(sent, int | float):
                continue
            stamp = Stamp(float(sent), int(seq or 0), int(origin or 0))
            time_utc = dt.datetime.fromtimestamp(stamp.sent_tai_s - TAI_MINUS_UTC_S, dt.UTC)
            messages.append(
                LogMessage(csc, stamp, time_utc, int(row.get("level") or 0), str(row.get("message", "")))
            )
        return messages
