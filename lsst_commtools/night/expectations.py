"""What a night should have been, held against what came: filters, ids, arrivals, pace, room. Pure functions."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence

from lsst_commtools.ingest.rate import Rate
from lsst_commtools.night.counts import Problem

__all__ = [
    "bottleneck",
    "late_exposures",
    "lost_files",
    "replayed_exposures",
    "room_problems",
    "slow_transfer",
    "unacknowledged_files",
    "unprocessed_images",
    "wrong_filters",
]


def wrong_filters(
    told: Mapping[tuple[int, str], str], planned: Mapping[int, str] | Collection[str] | None = None
) -> list[Problem]:
    """Find exposures whose detectors disagree on the filter, and those taken with another one than planned.

    Parameters
    ----------
    told
        Exposure and detector's name to the physical filter of its header.
    planned
        Filter of each exposure; or all filters of the night's plan; None where there is no plan.

    Returns
    -------
    list of Problem
        Kind ``wrong-filter``: one for each detector in the minority, and one for each exposure off the plan.
    """
    by_exposure: dict[int, dict[str, str]] = {}
    for (exposure, detector), name in told.items():
        by_exposure.setdefault(exposure, {})[detector] = name
    problems = []
    for exposure, filters in sorted(by_exposure.items()):
        usual = statistics.mode(filters.values())
        for detector, name in sorted(filters.items()):
            if name != usual:
                what = f"Its header says filter {name}, those of the exposure's other detectors {usual}."
                problems.append(Problem("wrong-filter", what, f"visit {exposure}, detector {detector}"))
        wanted = _planned(planned, exposure)
        if wanted and usual not in wanted:
            what = f"The headers say filter {usual}, the plan says {' or '.join(sorted(wanted))}."
            problems.append(Problem("wrong-filter", what, f"visit {exposure}"))
    return problems


def _planned(planned: Mapping[int, str] | Collection[str] | None, exposure: int) -> set[str]:
    if planned is None:
        return set()
    if isinstance(planned, Mapping):
        return {planned[exposure]} if exposure in planned else set()
    return set(planned)


def replayed_exposures(found: Iterable[int], seen: Mapping[int, int], day_obs: int) -> list[Problem]:
    """Find exposures that were seen in an earlier night: their ids belong to other images.

    Parameters
    ----------
    found
        Exposure ids that came in this night.
    seen
        Exposure id to the day_obs of the night in which it came first.
    day_obs
        This night.

    Returns
    -------
    list of Problem
        Kind ``replayed-exposure``.
    """
    return [
        Problem(
            "replayed-exposure",
            f"This exposure came in the night {seen[exposure]} already.",
            f"exposure {exposure}",
        )
        for exposure in sorted(set(found))
        if exposure in seen and seen[exposure] < day_obs
    ]


def late_exposures(
    closed_utc: Mapping[str, dt.datetime],
    arrived_utc: Mapping[str, dt.datetime],
    now_utc: dt.datetime,
    limit: dt.timedelta,
) -> list[Problem]:
    """Find exposures that came late, or are late and still not there.

    Parameters
    ----------
    closed_utc
        Obs id to the time at which its shutter closed, UTC.
    arrived_utc
        Obs id to the time at which its last file arrived, by the same clock; those that did not arrive are absent.
    now_utc
        Now, by the same clock.
    limit
        How long it may take.

    Returns
    -------
    list of Problem
        Kind ``late-transfer``.
    """
    problems = []
    for obs_id, closed in sorted(closed_utc.items()):
        arrived = arrived_utc.get(obs_id)
        took = (arrived or now_utc) - closed
        if took > limit:
            how = "arrived" if arrived else "has not arrived"
            seconds, allowed = took.total_seconds(), limit.total_seconds()
            what = f"It {how} {seconds:.0f} s after its shutter closed; {allowed:.0f} s are allowed."
            problems.append(Problem("late-transfer", what, f"exposure {obs_id}"))
    return problems


def lost_files(
    at_source: Collection[str], acknowledged: Collection[str], arrived: Collection[str]
) -> list[Problem]:
    """Find files that were sent and are not there: lost on the way, not missing in the input.

    Parameters
    ----------
    at_source
        Files of the summit.
    acknowledged
        Files of which an arrival is recorded.
    arrived
        Files in storage.

    Returns
    -------
    list of Problem
        Kind ``lost-in-transfer``.
    """
    lost = (set(at_source) | set(acknowledged)) - set(arrived)
    return [
        Problem(
            "lost-in-transfer",
            "Its arrival was recorded, but it is not in storage."
            if name in acknowledged
            else "It is at the summit, but not in storage.",
            name,
        )
        for name in sorted(lost)
    ]


def unacknowledged_files(acknowledged: Collection[str], arrived: Collection[str]) -> list[Problem]:
    """Find files in storage of which nobody recorded that they arrived whole.

    Parameters
    ----------
    acknowledged
        Files of which an arrival is recorded.
    arrived
        Files in storage.

    Returns
    -------
    list of Problem
        Kind ``unacknowledged-transfer``.
    """
    what = "It is in storage, but no record says that it arrived whole."
    return [
        Problem("unacknowledged-transfer", what, name) for name in sorted(set(arrived) - set(acknowledged))
    ]


def slow_transfer(
    size_bytes: int, sending_s: float, expected: Rate, what: str, *, allowance_s: float = 1.0
) -> list[Problem]:
    """Say whether a transfer was slower than expected.

    Parameters
    ----------
    size_bytes, sending_s
        What was sent, and in what time.
    expected
        Rate that was expected.
    what
        What was sent.
    allowance_s
        Time that connecting may take, in seconds.

    Returns
    -------
    list of Problem
        Kind ``slow-transfer``; none where nothing was sent.
    """
    rate = Rate.of(size_bytes, sending_s)
    if rate is None or sending_s <= size_bytes / expected.bytes_per_s + allowance_s:
        return []
    message = f"{size_bytes} bytes were sent at {rate}, expected were {expected}."
    return [Problem("slow-transfer", message, what)]


def room_problems(free_bytes: int, needed_bytes: int, where: str, *, reserve: float = 2.0) -> list[Problem]:
    """Say whether there is room for what is still to come.

    Parameters
    ----------
    free_bytes
        Room on disk and within the quota.
    needed_bytes
        What is still to come.
    where
        Which storage.
    reserve
        Room over need below which it is called nearly full.

    Returns
    -------
    list of Problem
        Kind ``disk-full`` or ``disk-nearly-full``.
    """
    message = f"{free_bytes} bytes are free, {needed_bytes} bytes are still to come."
    if free_bytes < needed_bytes:
        return [Problem("disk-full", message, where)]
    if free_bytes < reserve * needed_bytes:
        return [Problem("disk-nearly-full", message, where)]
    return []


def bottleneck(
    stages_s: Mapping[str, Sequence[float]], limits_s: Mapping[str, float], kinds: Mapping[str, str]
) -> list[Problem]:
    """Name the stages that take longer than they may.

    Parameters
    ----------
    stages_s
        Stage to the time that each image took there, in seconds.
    limits_s
        Stage to the time that it may take, in seconds.
    kinds
        Stage to the kind of problem; by default ``slow-STAGE``.

    Returns
    -------
    list of Problem
        One for each stage in which an image took longer; the worst stage first.
    """
    worst = {stage: max(times) for stage, times in stages_s.items() if times}
    slow = sorted(
        (stage for stage in worst if stage in limits_s and worst[stage] > limits_s[stage]),
        key=lambda stage: -worst[stage],
    )
    return [
        Problem(
            kinds.get(stage, f"slow-{stage}"),
            f"{sum(t > limits_s[stage] for t in stages_s[stage])} of {len(stages_s[stage])} took longer than "
            f"{limits_s[stage]:g} s, the longest {worst[stage]:.1f} s.",
            stage,
        )
        for stage in slow
    ]


def unprocessed_images(
    ingested: Collection[tuple[int, int]],
    processed: Collection[tuple[int, int]],
    failed: Collection[tuple[int, int]],
) -> list[Problem]:
    """Find images that nobody tried to process: neither done nor failed.

    Parameters
    ----------
    ingested, processed, failed
        Exposure id and detector of each image at that station.

    Returns
    -------
    list of Problem
        Kind ``not-processed``, one for each exposure.
    """
    left: dict[int, list[int]] = {}
    for exposure, detector in sorted(set(ingested) - set(processed) - set(failed)):
        left.setdefault(exposure, []).append(detector)
    return [
        Problem(
            "not-processed",
            f"{len(detectors)} images were ingested, and neither processed nor refused.",
            f"visit {exposure}",
        )
        for exposure, detectors in left.items()
    ]
