"""Metrics over the nights: a store with provenance, and the verdict of a value on its own history."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from lsst_commtools.errors import InputError, ServiceError
from lsst_commtools.qa.limits import DEFAULT_LIMITS, Limit, Status, history_limit, known_limit, worst
from lsst_commtools.qa.statistics import finite, median

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = ["TrendRow", "TrendStore", "TrendVerdict", "VisitValues", "judge_history"]

LEAST_NIGHTS = 5
"""Nights before, that a verdict on the history needs."""

_HISTORY_NIGHTS = 30
_ROUNDING = 1e-9
_BUSY_S = 30.0

_METADATA = sa.MetaData()
_TABLE = sa.Table(
    "qa_trend",
    _METADATA,
    sa.Column("day_obs", sa.Integer, primary_key=True),
    sa.Column("instrument", sa.String(32), primary_key=True),
    sa.Column("visit", sa.BigInteger, primary_key=True),
    sa.Column("band", sa.String(16), primary_key=True),
    sa.Column("metric", sa.String(64), primary_key=True),
    sa.Column("source", sa.String(256), primary_key=True),
    sa.Column("value", sa.Float),
    sa.Column("error", sa.Float),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("provenance", sa.Text, nullable=False),
    sa.Column("recorded_at_utc", sa.String(32), nullable=False),
)
_KEY = ("day_obs", "instrument", "visit", "band", "metric", "source")


@dataclass(frozen=True)
class TrendRow:
    """One value of one metric.

    Parameters
    ----------
    day_obs
        Day of observation, YYYYMMDD.
    instrument
        Butler name of the camera.
    metric
        Name, with its unit.
    value
        What was measured; None or not finite where it could not be.
    visit
        Visit; 0 for the whole night.
    band
        Band or physical filter; empty where the metric is of none.
    source
        Collection or software that gave it: two runs over one night stand beside each other.
    error
        Of the value.
    status
        Verdict from the limits, when it was measured.
    provenance
        What it was made with.
    """

    day_obs: int
    instrument: str
    metric: str
    value: float | None
    visit: int = 0
    band: str = ""
    source: str = ""
    error: float | None = None
    status: Status = Status.UNKNOWN
    provenance: Mapping[str, Any] | None = None


class VisitValues(Protocol):
    """A visit that was judged, as the night has it."""

    @property
    def visit(self) -> int:
        """Visit."""

    @property
    def physical_filter(self) -> str:
        """Filter."""

    @property
    def values(self) -> Mapping[str, float]:
        """Figure to value."""


@dataclass(frozen=True)
class TrendVerdict:
    """Verdict on one value.

    Parameters
    ----------
    metric
        Name.
    value
        What was judged.
    limit_status
        From the limits; unknown where the metric has none.
    history_status
        From the nights before; unknown where they are too few.
    status
        The worse of those that are known; unknown if the value is.
    n_nights
        Nights of history.
    centre, sigma
        Median and robust scatter of the nights; NaN where they are too few.
    reasons
        Why it is not good, or not judged.
    """

    metric: str
    value: float | None
    limit_status: Status
    history_status: Status
    status: Status
    n_nights: int
    centre: float
    sigma: float
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the verdict for JSON."""
        return {
            "metric": self.metric, "value": self.value, "status": str(self.status),
            "limit_status": str(self.limit_status), "history_status": str(self.history_status),
            "n_nights": self.n_nights, "centre": self.centre, "sigma": self.sigma, "reasons": list(self.reasons),
        }  # fmt: skip


def judge_history(
    metric: str,
    value: float | None,
    nightly_values: Sequence[float],
    limits: Mapping[str, Limit] | None = None,
) -> TrendVerdict:
    """Judge a value by its limit and by the nights before.

    Parameters
    ----------
    metric
        Name.
    value
        Measured value.
    nightly_values
        One value for each night before.
    limits
        By default those of a visit and of the survey.

    Returns
    -------
    TrendVerdict
        A sudden change is flagged also within the limits: a warning beyond 3, bad beyond 5 robust sigma. Nights that
        were all the same have no scatter; any other value is then a warning.
    """
    bounds = known_limit(metric, limits)
    nights = finite(nightly_values)
    measured = value if value is not None and math.isfinite(value) else None
    by_limit = bounds.judge(measured) if bounds is not None else Status.UNKNOWN
    reasons: list[str] = []
    if measured is None:
        reasons.append(f"{metric} was not measured")
        nothing = float("nan")
        unknown = Status.UNKNOWN
        return TrendVerdict(
            metric, None, unknown, unknown, unknown, nights.size, nothing, nothing, tuple(reasons)
        )
    if bounds is not None and by_limit is not Status.GOOD:
        bound = bounds.design if by_limit is Status.WARNING else bounds.minimum
        reasons.append(f"{metric} {measured:.4g} is beyond its limit {bound:.4g} ({bounds.source})")
    centre, sigma, by_history = median(nights), float("nan"), Status.UNKNOWN
    if nights.size < LEAST_NIGHTS:
        reasons.append(f"{nights.size} nights of history, {LEAST_NIGHTS} are needed")
    elif (limit := history_limit(metric, nights)) is not None:
        sigma, by_history = limit.stretch, limit.judge(measured)
        if by_history is not Status.GOOD:
            off = (measured - centre) / sigma
            reasons.append(
                f"{metric} {measured:.4g} is {off:+.1f} sigma from the {nights.size} nights before"
            )
    else:
        sigma = 0.0
        same = abs(measured - centre) <= _ROUNDING * abs(centre)
        by_history = Status.GOOD if same else Status.WARNING
        if not same:
            reasons.append(
                f"{metric} {measured:.4g} differs from the {nights.size} nights before: {centre:.4g}"
            )
    seen = [
        s
        for s, counts in ((by_limit, bounds is not None), (by_history, nights.size >= LEAST_NIGHTS))
        if counts
    ]
    return TrendVerdict(
        metric, measured, by_limit, by_history, worst(seen), nights.size, centre, sigma, tuple(reasons)
    )


class TrendStore:
    """Metrics with provenance in a table of a database.

    Parameters
    ----------
    url
        SQLAlchemy URL, sqlite or PostgreSQL. The table is made at the first writing.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise InputError(f"{url!r} is not the URL of a database.") from error
        self._file = (
            Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
        )
        options: dict[str, Any] = {"timeout": _BUSY_S} if self._file else {}
        self._engine = sa.create_engine(parsed, poolclass=sa.pool.NullPool, connect_args=options)

    @classmethod
    def in_folder(cls, folder: Path) -> TrendStore:
        """Open the store that is kept in a folder, such as the user's `commtools_home`.

        Parameters
        ----------
        folder
            Folder; made at the first writing.

        Returns
        -------
        TrendStore
            The store in its file ``trend.sqlite3``.
        """
        return cls(f"sqlite:///{folder / 'trend.sqlite3'}")

    def add(self, rows: Iterable[TrendRow]) -> int:
        """Add values; what the store already has of the same night, visit, metric and source is replaced.

        Parameters
        ----------
        rows
            Values. Those that could not be measured are kept as such.

        Returns
        -------
        int
            How many.

        Raises
        ------
        ServiceError
            If the database does not take them; then it has none of them.
        """
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
        made = {tuple(getattr(row, name) for name in _KEY): _record(row, now) for row in rows}
        records = list(made.values())
        if not records:
            return 0
        if self._file is not None:
            self._file.absolute().parent.mkdir(parents=True, exist_ok=True)
        old = sa.delete(_TABLE).where(
            sa.and_(*(_TABLE.c[name] == sa.bindparam(f"b_{name}") for name in _KEY))
        )
        with self._transaction() as connection:
            _METADATA.create_all(connection)
            connection.execute(old, [{f"b_{name}": record[name] for name in _KEY} for record in records])
            connection.execute(sa.insert(_TABLE), records)
        return len(records)

    def add_night(
        self,
        day_obs: int,
        instrument: str,
        visits: Iterable[VisitValues],
        *,
        source: str = "",
        provenance: Mapping[str, Any] | None = None,
    ) -> int:
        """Add the figures of a night's visits, and their medians over the night for each filter.

        Parameters
        ----------
        day_obs, instrument
            The night.
        visits
            Judged visits: ``visit``, ``physical_filter``, ``values``.
        source
            Collection that they come from.
        provenance
            What they were made with.

        Returns
        -------
        int
            Values that were added.
        """
        rows: list[TrendRow] = []
        by_filter: dict[tuple[str, str], list[float]] = {}
        for visit in visits:
            for metric, value in visit.values.items():
                by_filter.setdefault((visit.physical_filter, metric), []).append(value)
                rows.append(
                    _judged_row(
                        day_obs,
                        instrument,
                        metric,
                        value,
                        visit.visit,
                        visit.physical_filter,
                        source,
                        provenance,
                    )
                )
        for (band, metric), values in by_filter.items():
            rows.append(_judged_row(day_obs, instrument, metric, median(values), 0, band, source, provenance))
        return self.add(rows)

    def read(
        self,
        metric: str | None = None,
        *,
        instrument: str | None = None,
        band: str | None = None,
        before: int | None = None,
        visits: bool = False,
    ) -> pd.DataFrame:
        """Read values.

        Parameters
        ----------
        metric, instrument, band
            Only of these.
        before
            Only nights before this day of observation.
        visits
            Values of single visits instead of whole nights.

        Returns
        -------
        pandas.DataFrame
            One row for each, by night, visit and metric; empty where nothing was stored yet.

        Raises
        ------
        ServiceError
            If the database cannot be read.
        """
        import pandas as pd

        chosen = sa.select(_TABLE).order_by(*(_TABLE.c[name] for name in _KEY))
        for name, wanted in (("metric", metric), ("instrument", instrument), ("band", band)):
            if wanted is not None:
                chosen = chosen.where(_TABLE.c[name] == wanted)
        if before is not None:
            chosen = chosen.where(_TABLE.c.day_obs < before)
        chosen = chosen.where(_TABLE.c.visit != 0 if visits else _TABLE.c.visit == 0)
        columns = [column.name for column in _TABLE.columns]
        if self._file is not None and not self._file.exists():
            return pd.DataFrame(columns=columns)
        with self._transaction() as connection:
            if not sa.inspect(connection).has_table(_TABLE.name):
                return pd.DataFrame(columns=columns)
            found = connection.execute(chosen).all()
        return pd.DataFrame(found, columns=columns).astype({"value": float, "error": float})

    def judge(
        self,
        metric: str,
        value: float | None,
        *,
        day_obs: int,
        instrument: str,
        band: str = "",
        n_nights: int = _HISTORY_NIGHTS,
        limits: Mapping[str, Limit] | None = None,
    ) -> TrendVerdict:
        """Judge a value by its limit and by the nights before it.

        Parameters
        ----------
        metric, value
            What was measured.
        day_obs, instrument, band
            Of what; only earlier nights of the same camera and band count.
        n_nights
            At most so many of the last nights.
        limits
            By default those of a visit and of the survey.

        Returns
        -------
        TrendVerdict
            As of `judge_history`.
        """
        before = self.read(metric, instrument=instrument, band=band, before=day_obs)
        nightly = before.dropna(subset=["value"]).groupby("day_obs")["value"].median()
        return judge_history(metric, value, nightly.tail(n_nights).tolist(), limits)

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise ServiceError(f"The trend store cannot be used: {reason}.") from error


def _judged_row(
    day_obs: int,
    instrument: str,
    metric: str,
    value: float,
    visit: int,
    band: str,
    source: str,
    provenance: Mapping[str, Any] | None,
) -> TrendRow:
    limit = DEFAULT_LIMITS.get(metric)
    status = limit.judge(value) if limit is not None else Status.UNKNOWN
    return TrendRow(
        day_obs, instrument, metric, value, visit, band, source, status=status, provenance=provenance
    )


def _record(row: TrendRow, now: str) -> dict[str, Any]:
    if not 19000101 <= row.day_obs <= 99991231 or not row.metric or not row.instrument:
        raise InputError(
            f"A trend needs a day_obs, an instrument and a metric, not {row.day_obs}, {row.metric!r}."
        )
    record: dict[str, Any] = {name: getattr(row, name) for name in _KEY}
    for name in ("value", "error"):
        number = getattr(row, name)
        record[name] = float(number) if number is not None and math.isfinite(number) else None
    record["status"] = str(row.status if record["value"] is not None else Status.UNKNOWN)
    record["provenance"] = json.dumps(dict(row.provenance or {}), sort_keys=True, default=str)
    record["recorded_at_utc"] = now
    return record
