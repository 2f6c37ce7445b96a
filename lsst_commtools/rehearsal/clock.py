"""The rehearsal's clock: working hours can stand for a night, slower or faster, and for all processes alike."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from lsst_commtools.errors import InputError

__all__ = ["Clock", "Reading", "Segment", "SystemTimes", "Times"]

_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")
_TICK_S = 0.2


class Times(Protocol):
    """Where a clock takes real time from."""

    def utc(self) -> dt.datetime:
        """Give the time on the wall, which people and daemons may change."""

    def monotonic_s(self) -> float:
        """Give seconds since some moment of this boot: the same for all processes, and never backwards."""

    def boot(self) -> str:
        """Name the boot within which monotonic seconds can be compared."""


class SystemTimes:
    """Times of this machine."""

    def utc(self) -> dt.datetime:
        """Give the time on the wall."""
        return dt.datetime.now(dt.UTC)

    def monotonic_s(self) -> float:
        """Give seconds since the boot, sleep included where the system counts it."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def boot(self) -> str:
        """Name this boot; empty where the system has no name for it, and then only the time on the wall is left."""
        try:
            return _BOOT_FILE.read_text(encoding="ascii").strip()
        except OSError:
            return ""


@dataclass(frozen=True)
class Segment:
    """A stretch over which rehearsal time runs evenly.

    Parameters
    ----------
    real_utc, rehearsal_utc
        The same moment by both clocks.
    monotonic_s, boot
        The same moment by the machine, and in which boot that is.
    speed
        Seconds of rehearsal in one real second; with 0 it stands still.
    """

    real_utc: dt.datetime
    rehearsal_utc: dt.datetime
    monotonic_s: float
    boot: str
    speed: float

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self) | {
            "real_utc": self.real_utc.isoformat(),
            "rehearsal_utc": self.rehearsal_utc.isoformat(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read it back; other keys are passed over.

        Parameters
        ----------
        values
            As `to_dict` gives them.

        Returns
        -------
        Segment
            The segment.
        """
        return cls(
            dt.datetime.fromisoformat(values["real_utc"]),
            dt.datetime.fromisoformat(values["rehearsal_utc"]),
            float(values["monotonic_s"]),
            str(values["boot"]),
            float(values["speed"]),
        )


@dataclass(frozen=True)
class Reading:
    """The time by all clocks at one moment.

    Parameters
    ----------
    real_utc, rehearsal_utc
        Time on the wall, and of the rehearsal.
    jumped_s
        How far the time on the wall has jumped since the segment began, in seconds, forward positive; 0 where the
        machine was booted since and it cannot be known.
    begun
        Whether there is a segment; without one rehearsal time is the time on the wall.
    """

    real_utc: dt.datetime
    rehearsal_utc: dt.datetime
    jumped_s: float
    begun: bool = True


class Clock:
    """Tells rehearsal time; without a segment it is real time.

    Parameters
    ----------
    segment
        Gives the newest segment, None if there is none.
    record
        Keeps the segment that is made of the present reading, with the reason for it, as the only writer.
    times
        Where real time comes from, by default this machine.
    """

    def __init__(
        self,
        segment: Callable[[], Segment | None],
        record: Callable[[Callable[[Reading], Segment], str], None],
        times: Times | None = None,
    ) -> None:
        self._segment = segment
        self._record = record
        self._times = times or SystemTimes()

    def now_utc(self) -> dt.datetime:
        """Give the time of the rehearsal, UTC."""
        return self.reading().rehearsal_utc

    def real_utc(self) -> dt.datetime:
        """Give the time on the wall, UTC."""
        return self._times.utc()

    @property
    def speed(self) -> float:
        """Seconds of rehearsal in one real second."""
        segment = self._segment()
        return segment.speed if segment else 1.0

    def reading(self, segment: Segment | None = None) -> Reading:
        """Read all clocks at once.

        Parameters
        ----------
        segment
            By default the newest one.

        Returns
        -------
        Reading
            Within one boot the rehearsal's time follows the machine's monotonic clock, so that a jump of the time on
            the wall does not move it.
        """
        segment = segment or self._segment()
        real = self._times.utc()
        if segment is None:
            return Reading(real, real, 0.0, begun=False)
        wall_s = (real - segment.real_utc).total_seconds()
        same_boot = bool(segment.boot) and segment.boot == self._times.boot()
        elapsed_s = self._times.monotonic_s() - segment.monotonic_s if same_boot else max(0.0, wall_s)
        rehearsal = segment.rehearsal_utc + dt.timedelta(seconds=max(0.0, elapsed_s) * segment.speed)
        return Reading(real, rehearsal, wall_s - elapsed_s if same_boot else 0.0)

    def real_at(self, rehearsal_utc: dt.datetime) -> dt.datetime | None:
        """Tell when a moment of the rehearsal is on the wall, by the newest segment.

        Parameters
        ----------
        rehearsal_utc
            Time of the rehearsal.

        Returns
        -------
        datetime.datetime or None
            Time on the wall, UTC; None while the clock stands still.
        """
        now, speed = self.reading(), self.speed
        return now.real_utc + (rehearsal_utc - now.rehearsal_utc) / speed if speed else None

    def set(self, rehearsal_utc: dt.datetime | None, speed: float, reason: str = "") -> None:
        """Begin a new segment.

        Parameters
        ----------
        rehearsal_utc
            What time it shall be now, not before the present time of the rehearsal; None for that time itself.
        speed
            Seconds of rehearsal in one real second; with 0 the clock stands still.
        reason
            Why, for the journal.

        Raises
        ------
        InputError
            If the clock would run backwards.
        """
        if not 0.0 <= speed < float("inf"):
            raise InputError(f"A speed of {speed:g} is none.", advice="Give a number from 0, such as 60.")
        if rehearsal_utc is not None and rehearsal_utc.tzinfo is None:
            raise InputError("A time of the rehearsal needs its time zone, UTC.")

        def begin(now: Reading) -> Segment:
            # Before the first segment the clock shows the time on the wall, which stands for nothing.
            if rehearsal_utc is not None and now.begun and rehearsal_utc < now.rehearsal_utc:
                raise InputError(
                    f"The rehearsal's clock would go back to {rehearsal_utc:%Y-%m-%dT%H:%M:%S} UTC.",
                    changed="The clock was not set.",
                )
            moment = now.rehearsal_utc if rehearsal_utc is None else rehearsal_utc.astimezone(dt.UTC)
            return Segment(
                self._times.utc(), moment, self._times.monotonic_s(), self._times.boot(), float(speed)
            )

        self._record(begin, reason)

    def reach(self, rehearsal_utc: dt.datetime, reason: str = "") -> None:
        """Set the clock forward to a time, unless that is over.

        Parameters
        ----------
        rehearsal_utc
            What time it shall be at least.
        reason
            Why, for the journal.
        """
        if rehearsal_utc > self.now_utc():
            with contextlib.suppress(InputError):  # another process was faster
                self.set(rehearsal_utc, self.speed, reason)

    def wait_until(self, rehearsal_utc: dt.datetime, stop: threading.Event | None = None) -> bool:
        """Wait for a time of the rehearsal; also when the clock is set meanwhile.

        Parameters
        ----------
        rehearsal_utc
            What to wait for.
        stop
            Ends the wait.

        Returns
        -------
        bool
            Whether the time has come; False if the wait was stopped.
        """
        stop = stop or threading.Event()
        while not stop.is_set():
            left_s, speed = (rehearsal_utc - self.now_utc()).total_seconds(), self.speed
            if left_s <= 0.0:
                return True
            stop.wait(min(left_s / speed, _TICK_S) if speed else _TICK_S)
        return False
