"""Time budget of a night's images: is the last layer there before observing, and if not, which one made it late."""

from __future__ import annotations

import csv
import datetime as dt
import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.ids import day_obs_date
from lsst_commtools.site.images import BuildsSection

__all__ = ["Build", "BuildReport", "BuildStatus", "LayerReport", "judge_builds", "read_builds"]

_COLUMNS = ("day_obs", "layer", "started_utc", "finished_utc")


class BuildStatus(enum.Enum):
    """Whether a layer was there in time."""

    ON_TIME = "on-time"
    LATE = "late"
    MISSING = "missing"


@dataclass(frozen=True)
class Build:
    """One run of the build of one layer.

    Parameters
    ----------
    day_obs
        Night that it is for.
    layer
        Name of the layer.
    started_utc, finished_utc
        When it began and ended; None where it did not.
    """

    day_obs: int
    layer: str
    started_utc: dt.datetime | None
    finished_utc: dt.datetime | None


@dataclass(frozen=True)
class LayerReport:
    """How one layer kept its budget.

    Parameters
    ----------
    layer
        Name of the layer.
    status
        On time if it ended before its due time.
    due_utc
        Due time: the deadline less the budgets of the layers above.
    started_utc, finished_utc
        Of the first run that counts (it ended, and began after the layer below was there), or of the last at all.
    waited_min
        Minutes between the end of the layer below and its start (of the first layer: since its planned start).
    took_min
        Minutes that it took.
    budget_min
        Minutes that it may take.
    runs
        How many times it was tried.
    """

    layer: str
    status: BuildStatus
    due_utc: dt.datetime
    started_utc: dt.datetime | None
    finished_utc: dt.datetime | None
    waited_min: float | None
    took_min: float | None
    budget_min: float
    runs: int

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain values.

        Returns
        -------
        dict
            Times as ISO 8601, durations in minutes.
        """
        return {
            "layer": self.layer,
            "status": self.status.value,
            "due_utc": self.due_utc.isoformat(),
            "started_utc": None if self.started_utc is None else self.started_utc.isoformat(),
            "finished_utc": None if self.finished_utc is None else self.finished_utc.isoformat(),
            "waited_min": self.waited_min,
            "took_min": self.took_min,
            "budget_min": self.budget_min,
            "runs": self.runs,
        }


@dataclass(frozen=True)
class BuildReport:
    """How a night's images kept the budget.

    Parameters
    ----------
    day_obs
        The night.
    status
        That of the whole: missing if a layer is, late if the last one came after the deadline or took too long.
    deadline_utc
        When the last layer had to be there.
    layers
        From the bottom.
    chain
        What made it late, in order, a sentence each.
    """

    day_obs: int
    status: BuildStatus
    deadline_utc: dt.datetime
    layers: tuple[LayerReport, ...]
    chain: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain values.

        Returns
        -------
        dict
            Keys day_obs, status, deadline_utc, layers, chain.
        """
        return {
            "day_obs": self.day_obs,
            "status": self.status.value,
            "deadline_utc": self.deadline_utc.isoformat(),
            "layers": [layer.to_dict() for layer in self.layers],
            "chain": list(self.chain),
        }


def read_builds(path: Path | str) -> list[Build]:
    """Read a table of builds.

    Parameters
    ----------
    path
        CSV with columns ``day_obs``, ``layer``, ``started_utc``, ``finished_utc`` (ISO 8601; empty where it did not
        happen; without an offset it is taken as UTC).

    Returns
    -------
    list of Build
        In the order of the file.

    Raises
    ------
    NotFoundError
        If there is no such file.
    TableError
        If a column is missing or a cell cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFoundError(f"There is no table of builds {str(path)!r}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"The table of builds {str(path)!r} cannot be read: {error}.") from None
    reader = csv.DictReader(text.splitlines())
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise TableError(f"The table of builds {str(path)!r} has no column {', '.join(missing)}.")
    builds = []
    for row in reader:
        try:
            build = Build(
                int(row["day_obs"]),
                row["layer"].strip(),
                _time(row["started_utc"]),
                _time(row["finished_utc"]),
            )
        except (ValueError, AttributeError, TypeError):
            raise TableError(f"Line {reader.line_num} of {str(path)!r} cannot be read.") from None
        if build.started_utc and build.finished_utc and build.finished_utc < build.started_utc:
            raise TableError(f"Line {reader.line_num} of {str(path)!r} ends before it starts.")
        builds.append(build)
    return builds


def _time(text: str | None) -> dt.datetime | None:
    if not (text or "").strip():
        return None
    time = dt.datetime.fromisoformat(str(text).strip())
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def judge_builds(builds: Iterable[Build], day_obs: int, budget: BuildsSection) -> BuildReport:
    """Judge the builds of one night.

    Parameters
    ----------
    builds
        Builds of any nights.
    day_obs
        The night.
    budget
        Layers, minutes and deadline of the site.

    Returns
    -------
    BuildReport
        Status of the whole and of each layer, and the chain that made it late.
    """
    deadline = dt.datetime.combine(day_obs_date(day_obs), budget.deadline_utc, dt.UTC)
    mine = [b for b in builds if b.day_obs == day_obs]
    due = deadline - sum((dt.timedelta(minutes=m) for m in budget.layers.values()), dt.timedelta())
    planned = due
    below: dt.datetime | None = dt.datetime.min.replace(tzinfo=dt.UTC)
    reports: list[LayerReport] = []
    for layer, minutes in budget.layers.items():
        due += dt.timedelta(minutes=minutes)
        report = _judge_layer([b for b in mine if b.layer == layer], layer, minutes, due, below)
        if not reports:
            report = replace(report, waited_min=_minutes(planned, report.started_utc))
        reports.append(report)
        below = report.finished_utc if report.status is not BuildStatus.MISSING else None
    status = _overall(reports, deadline, budget.budget)
    return BuildReport(
        day_obs, status, deadline, tuple(reports), tuple(_chain(reports, status, deadline, budget.budget))
    )


def _judge_layer(
    runs: list[Build], layer: str, minutes: float, due: dt.datetime, below: dt.datetime | None
) -> LayerReport:
    # What began before the layer below was there holds an older one: it is not the image of this night.
    counting = [
        r for r in runs if r.started_utc and r.finished_utc and below is not None and r.started_utc >= below
    ]
    first = min(counting, key=lambda run: run.finished_utc or due, default=None)
    shown = first or (runs[-1] if runs else None)
    started, ended = (shown.started_utc, shown.finished_utc) if shown else (None, None)
    if first is None:
        status = BuildStatus.MISSING
    else:
        status = BuildStatus.ON_TIME if ended is not None and ended <= due else BuildStatus.LATE
    return LayerReport(
        layer,
        status,
        due,
        started,
        ended,
        _minutes(below, started),
        _minutes(started, ended),
        minutes,
        len(runs),
    )


def _minutes(start: dt.datetime | None, end: dt.datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds() / 60, 1)


def _overall(reports: list[LayerReport], deadline: dt.datetime, budget: dt.timedelta) -> BuildStatus:
    if not reports or any(report.status is BuildStatus.MISSING for report in reports):
        return BuildStatus.MISSING
    starts = [r.started_utc for r in reports if r.started_utc]
    ends = [r.finished_utc for r in reports if r.finished_utc]
    if max(ends) > deadline or max(ends) - min(starts) >= budget:
        return BuildStatus.LATE
    return BuildStatus.ON_TIME


def _chain(
    reports: list[LayerReport], status: BuildStatus, deadline: dt.datetime, budget: dt.timedelta
) -> list[str]:
    """Say, layer by layer, where the time went."""
    if status is BuildStatus.ON_TIME:
        return []
    chain = []
    for report in reports:
        if report.status is BuildStatus.MISSING:
            built = report.finished_utc is not None
            why = "began before the layer below was there" if built else "was not built"
            chain.append(f"{report.layer} {why} ({report.runs} attempts).")
            continue
        if report.waited_min is not None and report.waited_min > 0:
            chain.append(f"{report.layer} began {report.waited_min:g} min after it could have.")
        if report.took_min is not None and report.took_min > report.budget_min:
            over = report.took_min - report.budget_min
            chain.append(f"{report.layer} took {report.took_min:g} min, {over:g} min over its budget.")
    ends = [r.finished_utc for r in reports if r.finished_utc]
    starts = [r.started_utc for r in reports if r.started_utc]
    if status is BuildStatus.LATE:
        late = _minutes(deadline, max(ends)) or 0.0
        took = _minutes(min(starts), max(ends)) or 0.0
        if late > 0:
            chain.append(f"The last image came {late:g} min after the deadline.")
        if took * 60 >= budget.total_seconds():
            chain.append(
                f"All layers together took {took:g} min; under {budget.total_seconds() / 60:g} are allowed."
            )
    return chain
