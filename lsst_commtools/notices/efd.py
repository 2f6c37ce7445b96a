"""Summary states of CSCs in the past, from the EFD.

Contract: InfluxDB 1.x, ``GET /query`` with InfluxQL, https://docs.influxdata.com/influxdb/v1/tools/api/#query-http-endpoint.
A summary state is an event: the state at a moment is the latest event before it, however long ago, and no event means
that the state is unknown. ``salIndex`` is a field, not a tag.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from requests.auth import HTTPBasicAuth

from lsst_commtools.errors import InputError, ProtocolError, RejectedError
from lsst_commtools.ids import CscName
from lsst_commtools.notices.service import RestClient, RestService

if TYPE_CHECKING:
    from pydantic import SecretStr

    from lsst_commtools.site import Site
    from lsst_commtools.site.notices import NoticesSection

__all__ = ["UNKNOWN_STATE", "Efd", "StateEvent", "StateHistory", "StateSpan"]

UNKNOWN_STATE = "UNKNOWN"
"""State of a CSC of which no event is known."""

_STATES = MappingProxyType({1: "DISABLED", 2: "ENABLED", 3: "FAULT", 4: "OFFLINE", 5: "STANDBY"})
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class StateEvent:
    """A CSC told its summary state.

    Parameters
    ----------
    csc
        The CSC.
    state
        Name of the state; a number that is none stands as ``UNKNOWN (7)``.
    at_utc
        When, by the EFD.
    """

    csc: str
    state: str
    at_utc: dt.datetime


@dataclass(frozen=True)
class StateSpan:
    """A time over which a CSC stayed in a state.

    Parameters
    ----------
    state
        The state.
    begin_utc, end_utc
        From when, until when.
    """

    state: str
    begin_utc: dt.datetime
    end_utc: dt.datetime

    @property
    def hours(self) -> float:
        """How long, in hours."""
        return (self.end_utc - self.begin_utc).total_seconds() / 3600.0


@dataclass(frozen=True)
class StateHistory:
    """States of a CSC over a time.

    Parameters
    ----------
    csc
        The CSC.
    begin_utc, end_utc
        The time, both ends within it.
    before
        Latest event before the time; None if none is known.
    events
        Events within it, the earliest first.
    """

    csc: str
    begin_utc: dt.datetime
    end_utc: dt.datetime
    before: StateEvent | None
    events: tuple[StateEvent, ...]

    def at(self, moment: dt.datetime) -> str:
        """Tell the state at a moment of the time.

        Parameters
        ----------
        moment
            With its time zone.

        Returns
        -------
        str
            The state by the latest event before the moment; ``UNKNOWN`` if there is none.
        """
        if not self.begin_utc <= moment <= self.end_utc:
            raise InputError(f"{moment.isoformat()} is outside of the time that was asked for.")
        last = next((event for event in reversed(self.events) if event.at_utc < moment), self.before)
        return last.state if last is not None else UNKNOWN_STATE

    @property
    def spans(self) -> tuple[StateSpan, ...]:
        """The time, parted where the state changes; repeated events of one state part nothing."""
        spans: list[StateSpan] = []
        state = self.before.state if self.before is not None else UNKNOWN_STATE
        begin = self.begin_utc
        for event in self.events:
            if event.state != state:
                if event.at_utc > begin:
                    spans.append(StateSpan(state, begin, event.at_utc))
                state, begin = event.state, event.at_utc
        return (*spans, StateSpan(state, begin, self.end_utc))


class Efd(RestClient):
    """Asks the EFD for the states of CSCs.

    Parameters
    ----------
    section
        Where it is.
    password
        Of ``efd_user``.
    """

    def __init__(self, section: NoticesSection, password: SecretStr | None = None) -> None:
        login = None
        if section.efd_user and password is not None:
            login = HTTPBasicAuth(section.efd_user, password.get_secret_value())
        super().__init__(RestService("the EFD", "efd_url", section.efd_url, section, login))
        self._database = section.efd_database
        self._policy = section.efd_retention

    @classmethod
    def of(cls, site: Site) -> Self:
        """Use the EFD of a site.

        Parameters
        ----------
        site
            Says where it is.

        Returns
        -------
        Efd
            A client.

        Raises
        ------
        SiteError
            If the site has none.
        """
        return cls(site.notices, site.secret("efd_password"))

    def state_at(self, csc: CscName | str, moment: dt.datetime) -> StateEvent | None:
        """Find the event that tells the state of a CSC at a moment.

        Parameters
        ----------
        csc
            The CSC; an index of 0 is asked for as such.
        moment
            With its time zone.

        Returns
        -------
        StateEvent or None
            The latest before the moment; None if there is none, and then the state is unknown.

        Raises
        ------
        ServiceError
            If the EFD gives no usable answer, by cause.
        """
        name = _name(csc)
        found = self._events(name, [self._latest_before(name, moment)])
        return max(found[0], key=lambda event: event.at_utc, default=None)

    def history(self, csc: CscName | str, begin: dt.datetime, end: dt.datetime) -> StateHistory:
        """Read the states of a CSC over a time.

        Parameters
        ----------
        csc
            The CSC.
        begin, end
            The time, both ends within it, with their time zones.

        Returns
        -------
        StateHistory
            Its events, and the one before them.

        Raises
        ------
        ServiceError
            If the EFD gives no usable answer, by cause.
        """
        name = _name(csc)
        if begin > end:
            raise InputError("The time begins after its end.")
        within = (
            f"{self._select(name)} WHERE time >= '{_literal(begin)}' AND time <= '{_literal(end)}' "
            f"AND salIndex = {name.index}"
        )
        before, events = self._events(name, [self._latest_before(name, begin), within])
        return StateHistory(
            str(name),
            begin.astimezone(dt.UTC),
            end.astimezone(dt.UTC),
            max(before, key=lambda event: event.at_utc, default=None),
            tuple(sorted(events, key=lambda event: event.at_utc)),
        )

    def histories(
        self, cscs: Iterable[CscName | str], begin: dt.datetime, end: dt.datetime
    ) -> tuple[StateHistory, ...]:
        """Read the states of several CSCs over a time.

        Parameters
        ----------
        cscs
            The CSCs.
        begin, end
            The time, both ends within it, with their time zones.

        Returns
        -------
        tuple of StateHistory
            In the order of the CSCs.
        """
        return tuple(self.history(csc, begin, end) for csc in cscs)

    def _select(self, csc: CscName) -> str:
        source = ".".join(
            _quoted(part)
            for part in (self._database, self._policy, f"lsst.sal.{csc.name}.logevent_summaryState")
        )
        return f"SELECT summaryState, salIndex FROM {source}"  # noqa: S608 - names are quoted, and this only reads

    def _latest_before(self, csc: CscName, moment: dt.datetime) -> str:
        return (
            f"{self._select(csc)} WHERE time < '{_literal(moment)}' AND salIndex = {csc.index} "
            "GROUP BY * ORDER BY DESC LIMIT 1"
        )

    def _events(self, csc: CscName, queries: list[str]) -> list[list[StateEvent]]:
        answer = self._rest.get("/query", {"db": self._database, "epoch": "ns", "q": "; ".join(queries)})
        try:
            results = answer["results"]
            for result in results:
                if "error" in result:
                    raise RejectedError(f"The EFD refused the query: {str(result['error'])[:300]}.")
                if result.get("partial") or any(s.get("partial") for s in result.get("series", [])):
                    raise ProtocolError("The EFD gave only a part of the events.")
            if len(results) != len(queries):
                raise ProtocolError(f"The EFD answered {len(results)} of {len(queries)} queries.")
            return [_read(str(csc), result) for result in results]
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
            raise ProtocolError(f"The EFD's answer cannot be read ({type(error).__name__}).") from None


def _name(csc: CscName | str) -> CscName:
    return csc if isinstance(csc, CscName) else CscName.parse(csc)


def _read(csc: str, result: dict[str, Any]) -> list[StateEvent]:
    events = []
    for series in result.get("series", []):
        columns = series["columns"]
        time, state = columns.index("time"), columns.index("summaryState")
        for row in series["values"]:
            if row[state] is None:
                continue
            code = int(row[state])
            at_utc = _EPOCH + dt.timedelta(microseconds=int(row[time]) // 1000)
            events.append(StateEvent(csc, _STATES.get(code, f"{UNKNOWN_STATE} ({code})"), at_utc))
    return events


def _literal(moment: dt.datetime) -> str:
    if moment.tzinfo is None:
        raise InputError(f"The time {moment.isoformat()} has no time zone.", advice="Give it in UTC.")
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _quoted(name: str) -> str:
    """Write an identifier of InfluxQL."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
