"""Board on which everything that is heard is written, and on which others wait for news."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from lsst_commtools.control.states import SummaryState
from lsst_commtools.control.values import CscState, Heartbeat, LogMessage, StateSample
from lsst_commtools.errors import StepError
from lsst_commtools.ids import CscName

__all__ = ["ALIVE_AGE_S", "LOST_BEATS", "Board"]

ALIVE_AGE_S = 8.0
"""Age of the last heartbeat up to which a CSC counts as alive, in seconds: LOVE tells beats 3 s apart, 2 s late."""

LOST_BEATS = 2
"""Beats lost one after the other from which a CSC counts as dead; one alone may be late."""

_LOG_LENGTH = 1000
_HISTORY_LENGTH = 100


class Board:
    """Thread-safe store of the newest samples.

    One thread writes what it hears; any number read, or wait until what they need is there.
    """

    def __init__(self) -> None:
        lock = threading.RLock()
        self._news = threading.Condition(lock)
        # Whoever waits for one CSC is not woken by news of others: with many CSCs that costs most of the time.
        self._news_of: dict[CscName, threading.Condition] = defaultdict(lambda: threading.Condition(lock))
        self._states: dict[CscName, deque[StateSample]] = defaultdict(lambda: deque(maxlen=_HISTORY_LENGTH))
        self._heartbeats: dict[CscName, Heartbeat] = {}
        self._logs: dict[CscName, deque[LogMessage]] = defaultdict(lambda: deque(maxlen=_LOG_LENGTH))
        self._streams: dict[tuple[str, int, str], Any] = {}
        self._trouble: Exception | None = None
        self._abandoned = False

    def put_state(self, csc: CscName, sample: StateSample) -> bool:
        """Write down a ``summaryState`` event.

        Parameters
        ----------
        csc, sample
            Whose it is, and what came.

        Returns
        -------
        bool
            Whether it is news; a repeat or an older sample changes nothing.
        """
        with self._news:
            known = self._states[csc]
            if known and sample.stamp <= known[-1].stamp:
                return False
            known.append(sample)
            self._tell(csc)
            return True

    def put_heartbeat(self, csc: CscName, heartbeat: Heartbeat) -> None:
        """Write down what is known of a heartbeat.

        Parameters
        ----------
        csc, heartbeat
            Whose it is, and what came.
        """
        with self._news:
            self._heartbeats[csc] = heartbeat
            self._tell(csc)

    def put_log(self, message: LogMessage) -> None:
        """Write down a log message or error code, once.

        Parameters
        ----------
        message
            What came; a repeat of a known sample is dropped.
        """
        with self._news:
            log = self._logs[message.csc]
            if not any(m.stamp == message.stamp and m.error_code == message.error_code for m in log):
                log.append(message)
                self._tell(message.csc)

    def put_stream(self, csc: str, index: int, stream: str, payload: Any) -> None:
        """Write down what came in a stream that has no sequence numbers.

        Parameters
        ----------
        csc, index, stream
            Its name.
        payload
            The newest of it.
        """
        with self._news:
            self._streams[csc, index, stream] = payload
            self._tell(CscName(csc, index))

    def put_trouble(self, trouble: Exception | None) -> None:
        """Write down why nothing more can be heard, or that it can again.

        Parameters
        ----------
        trouble
            What all who wait shall get raised; None for no trouble.
        """
        with self._news:
            self._trouble = trouble
            self._tell(*self._news_of)

    def abandon(self, *, abandoned: bool) -> None:
        """Have all who wait or want to command give up, because a person has interrupted them; or end that.

        Parameters
        ----------
        abandoned
            Whether they shall.
        """
        with self._news:
            self._abandoned = abandoned
            self._tell(*self._news_of)

    def check_abandoned(self) -> None:
        """Raise if a person has interrupted what goes on.

        Raises
        ------
        StepError
            If so.
        """
        if self._abandoned:
            raise StepError("It was interrupted.", changed="No further command was sent.")

    def state_sample(self, csc: CscName) -> StateSample | None:
        """Give the newest ``summaryState`` event of a CSC.

        Parameters
        ----------
        csc
            The CSC.

        Returns
        -------
        StateSample or None
            None if none was heard.
        """
        with self._news:
            known = self._states.get(csc)
            return known[-1] if known else None

    def states_since(self, csc: CscName, before: StateSample | None) -> tuple[SummaryState, ...]:
        """Give the states that a CSC went through.

        Parameters
        ----------
        csc
            The CSC.
        before
            Sample to begin after; None for all that were heard.

        Returns
        -------
        tuple of SummaryState
            In order, without repeats.
        """
        with self._news:
            states: list[SummaryState] = [] if before is None else [before.state]
            for sample in self._states.get(csc, ()):
                is_news = before is None or sample.stamp > before.stamp
                if is_news and (not states or states[-1] is not sample.state):
                    states.append(sample.state)
            return tuple(states if before is None else states[1:])

    def alive(self, csc: CscName) -> bool | None:
        """Tell whether a CSC's heart beats.

        Parameters
        ----------
        csc
            The CSC.

        Returns
        -------
        bool or None
            None if nothing recent is known, or if a single beat is missing.
        """
        with self._news:
            return self._alive(self._heartbeats.get(csc), time.monotonic())

    @staticmethod
    def _alive(beat: Heartbeat | None, now_s: float) -> bool | None:
        if beat is None:
            return None
        age_s = beat.age_at(now_s)
        if beat.lost is None:
            silent_s = now_s - beat.told_s if age_s is None else age_s
            if silent_s > ALIVE_AGE_S:
                return False
            return None if age_s is None else True
        if beat.lost >= LOST_BEATS:
            return False if now_s - beat.told_s <= ALIVE_AGE_S else None
        if beat.lost == 0 and age_s is not None and age_s <= ALIVE_AGE_S:
            return True
        return None

    def heard(self) -> set[CscName]:
        """List the CSCs whose heartbeats are told.

        Returns
        -------
        set of CscName
            Alive or not.
        """
        with self._news:
            return set(self._heartbeats)

    def csc_state(self, csc: CscName) -> CscState:
        """Give the state of a CSC as far as it is evident now.

        Parameters
        ----------
        csc
            The CSC.

        Returns
        -------
        CscState
            UNKNOWN unless a heartbeat, or an OFFLINE event that nothing contradicts, backs the last event.
        """
        with self._news:
            now_s = time.monotonic()
            sample, beat = self.state_sample(csc), self._heartbeats.get(csc)
            reported = SummaryState.UNKNOWN if sample is None else sample.state
            alive = self._alive(beat, now_s)
            evident = alive is True or (alive is False and reported is SummaryState.OFFLINE)
            return CscState(
                csc=csc,
                state=reported if evident else SummaryState.UNKNOWN,
                alive=alive,
                heartbeat_age_s=None if beat is None else beat.age_at(now_s),
                observed_utc=dt.datetime.now(dt.UTC),
                last_reported=reported,
            )

    def log_messages(self, csc: CscName) -> list[LogMessage]:
        """Give what a CSC has logged since it was first listened to.

        Parameters
        ----------
        csc
            The CSC.

        Returns
        -------
        list of LogMessage
            Oldest first, at most the last 1000.
        """
        with self._news:
            return sorted(self._logs.get(csc, ()), key=lambda m: m.stamp)

    def stream(self, csc: str, index: int, stream: str) -> Any:
        """Give the newest payload of a stream.

        Parameters
        ----------
        csc, index, stream
            Its name.

        Returns
        -------
        object
            None if nothing came yet.
        """
        with self._news:
            return self._streams.get((csc, index, stream))

    def _tell(self, *cscs: CscName) -> None:
        """Wake those who wait for anything, and those who wait for these CSCs; the lock is held."""
        self._news.notify_all()
        for csc in cscs:
            if csc in self._news_of:
                self._news_of[csc].notify_all()

    def wait(self, condition: Callable[[], bool], timeout_s: float, csc: CscName | None = None) -> bool:
        """Wait until a condition on the board holds.

        Parameters
        ----------
        condition
            Looked at after each piece of news, and a few times a second because ages grow without news.
        timeout_s
            How long to wait, in seconds.
        csc
            CSC that the condition is about; None if it is about several.

        Returns
        -------
        bool
            Whether it holds.

        Raises
        ------
        CommtoolsError
            If nothing can be heard any more for a reason that does not go away by itself.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._news:
            news = self._news if csc is None else self._news_of[csc]
            while not condition():
                self.check_abandoned()
                if self._trouble is not None:
                    raise self._trouble
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return False
                news.wait(min(left_s, 0.25))
            return True
