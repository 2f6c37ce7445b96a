"""How long an image takes from the closing of the shutter to each station of its way.

A header tells the end of an exposure in TAI; computers tell UTC. The two differ by the leap seconds, 37 s since 2017,
and whoever forgets that sees images that were ingested before they were taken.
"""

from __future__ import annotations

import bisect
import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lsst_commtools.errors import InputError

__all__ = ["STATIONS", "ImageStamps", "Latency", "LatencyReport", "latencies", "tai_to_utc", "utc_to_tai"]

STATIONS = ("transferred", "ingested", "processed", "measured")
"""Stations of an image, in the order in which it passes them."""

_SCALE_MARGIN_S = 5.0


@dataclass(frozen=True)
class ImageStamps:
    """When a detector image passed each station; None where that is not known.

    Parameters
    ----------
    exposure, detector
        Which image.
    shutter_close_tai
        End of the exposure, header DATE-END; without time zone, TAI.
    transferred_utc, ingested_utc, processed_utc, measured_utc
        Aware, UTC.
    """

    exposure: int
    detector: int
    shutter_close_tai: dt.datetime | None = None
    transferred_utc: dt.datetime | None = None
    ingested_utc: dt.datetime | None = None
    processed_utc: dt.datetime | None = None
    measured_utc: dt.datetime | None = None

    def __post_init__(self) -> None:
        if self.shutter_close_tai is not None and self.shutter_close_tai.tzinfo is not None:
            raise InputError("A time in TAI has no time zone.", advice="Take DATE-END as it is written.")
        for station in STATIONS:
            stamp = self.at_utc(station)
            if stamp is not None and stamp.tzinfo is None:
                raise InputError(f"{station}_utc has no time zone.", advice="Give an aware time in UTC.")

    def at_utc(self, station: str) -> dt.datetime | None:
        """Give the time at a station.

        Parameters
        ----------
        station
            One of `STATIONS`.

        Returns
        -------
        datetime.datetime or None
            UTC; None if it is not known.
        """
        stamp: dt.datetime | None = getattr(self, f"{station}_utc")
        return stamp


@dataclass(frozen=True)
class Latency:
    """Distribution of the time from the closed shutter to one station.

    Parameters
    ----------
    station
        Which.
    n
        Images that are counted.
    median_s, p95_s, max_s
        In seconds, linear between ranks; None if there is no image.
    unknown
        Images of which a stamp is missing.
    negative
        Exposure, detector and seconds of images that would have been there before the shutter closed: not counted.
    hint
        What the negative ones look like; empty if there are none.
    """

    station: str
    n: int
    median_s: float | None
    p95_s: float | None
    max_s: float | None
    unknown: int
    negative: tuple[tuple[int, int, float], ...] = ()
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, units in the keys."""
        return {
            **asdict(self),
            "negative": [
                {"exposure": exposure, "detector": detector, "latency_s": latency_s}
                for exposure, detector, latency_s in self.negative
            ],
        }


@dataclass(frozen=True)
class LatencyReport:
    """Latencies to all stations.

    Parameters
    ----------
    images
        How many images were looked at.
    stations
        One distribution for each of `STATIONS`.
    """

    images: int
    stations: tuple[Latency, ...]

    def to(self, station: str) -> Latency:
        """Give the distribution of one station.

        Parameters
        ----------
        station
            One of `STATIONS`.

        Returns
        -------
        Latency
            Its distribution.

        Raises
        ------
        InputError
            If there is no such station.
        """
        for latency in self.stations:
            if latency.station == station:
                return latency
        raise InputError(f"{station!r} is no station.", advice=f"Give one of {', '.join(STATIONS)}.")

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {"images": self.images, "stations": [latency.to_dict() for latency in self.stations]}


def tai_to_utc(times: Sequence[dt.datetime]) -> list[dt.datetime]:
    """Turn times of the TAI scale into UTC, by astropy's table of leap seconds.

    Parameters
    ----------
    times
        Without time zone.

    Returns
    -------
    list of datetime.datetime
        Aware. A time within a leap second is given as one in the second after it; times after the table's end take its
        last number, those before 1972 its first.
    """
    steps = _leap_seconds()
    begins = [begin + dt.timedelta(seconds=seconds) for begin, seconds in steps]
    return [
        (time - dt.timedelta(seconds=steps[max(bisect.bisect_right(begins, time) - 1, 0)][1])).replace(
            tzinfo=dt.UTC
        )
        for time in times
    ]


def utc_to_tai(times: Sequence[dt.datetime]) -> list[dt.datetime]:
    """Turn times in UTC into the TAI scale, by astropy's table of leap seconds.

    Parameters
    ----------
    times
        Aware.

    Returns
    -------
    list of datetime.datetime
        Without time zone.
    """
    steps = _leap_seconds()
    begins = [begin for begin, _ in steps]
    plain = [time.astimezone(dt.UTC).replace(tzinfo=None) for time in times]
    return [
        time + dt.timedelta(seconds=steps[max(bisect.bisect_right(begins, time) - 1, 0)][1]) for time in plain
    ]


@functools.cache
def _leap_seconds() -> tuple[tuple[dt.datetime, int], ...]:
    """TAI-UTC in seconds from each begin in UTC on.

    `astropy.time.Time` uses the same table, but warns of years that it calls dubious, and cannot give a datetime in a
    leap second; both would let one odd header end a report.
    """
    from astropy.utils.iers import LeapSeconds

    return tuple(
        (dt.datetime(int(row["year"]), int(row["month"]), 1), int(row["tai_utc"]))  # noqa: DTZ001  UTC, as all here
        for row in LeapSeconds.from_iers_leap_seconds()
    )


def latencies(images: Iterable[ImageStamps]) -> LatencyReport:
    """Give the distributions of the times from the closed shutter to the stations.

    Parameters
    ----------
    images
        One entry for each detector image.

    Returns
    -------
    LatencyReport
        Images without a stamp are counted as unknown, and negative latencies named and not counted.
    """
    rows = list(images)
    with_close = [row for row in rows if row.shutter_close_tai is not None]
    closed = tai_to_utc([row.shutter_close_tai for row in with_close if row.shutter_close_tai is not None])
    close_utc: Mapping[int, dt.datetime] = {
        id(row): time for row, time in zip(with_close, closed, strict=True)
    }
    return LatencyReport(len(rows), tuple(_distribution(station, rows, close_utc) for station in STATIONS))


def _distribution(station: str, rows: Sequence[ImageStamps], close_utc: Mapping[int, dt.datetime]) -> Latency:
    seconds: list[float] = []
    negative: list[tuple[int, int, float]] = []
    for row in rows:
        stamp, closed = row.at_utc(station), close_utc.get(id(row))
        if stamp is None or closed is None:
            continue
        latency_s = (stamp - closed).total_seconds()
        if latency_s < 0.0:
            negative.append((row.exposure, row.detector, latency_s))
        else:
            seconds.append(latency_s)
    unknown = len(rows) - len(seconds) - len(negative)
    values = np.array(seconds)
    return Latency(
        station,
        len(seconds),
        float(np.median(values)) if seconds else None,
        float(np.percentile(values, 95.0)) if seconds else None,
        float(values.max()) if seconds else None,
        unknown,
        tuple(sorted(negative)),
        _hint([latency_s for _, _, latency_s in negative]),
    )


def _hint(negative_s: Sequence[float]) -> str:
    """Say what negative latencies look like."""
    if not negative_s:
        return ""
    leap_s = 37.0
    if min(negative_s) > -leap_s - _SCALE_MARGIN_S and max(negative_s) < 0.0:
        return "Less than 37 s before: the leap seconds may have been added twice, or a clock is behind."
    return "A clock is wrong, or the header's times are of another night."
