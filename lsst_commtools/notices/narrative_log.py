"""The observatory's narrative log: what people wrote down, and the time that was lost.

Contract: narrativelog d3db8b7. Times are TAI without time zone, ``max_`` bounds are exclusive, a message without
``date_begin`` is never found by that date, and an edit without the component fields breaks the service. The time lost
is a bare number: LOVE writes hours, the service stores seconds, and nothing tells which was meant.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import TypeAdapter, ValidationError
from typing_extensions import override

from lsst_commtools.errors import InputError, ProtocolError
from lsst_commtools.notices.service import (
    USER_AGENT,
    BearerAuth,
    RestClient,
    RestService,
    from_tai_text,
    tai_text,
)
from lsst_commtools.site.dry_run import refuse_in_dry_run

if TYPE_CHECKING:
    from pydantic import SecretStr

    from lsst_commtools.site import Site
    from lsst_commtools.site.notices import NoticesSection

__all__ = ["LogEntry", "NarrativeLog", "TimeLost", "TimeLostSum", "sum_time_lost"]

_COMPONENT_FIELDS: Mapping[str, Any] = {
    "components": [],
    "primary_software_components": [],
    "primary_hardware_components": [],
    "components_json": {},
}
_DURATION = TypeAdapter(dt.timedelta)
_SECONDS = {"s": 1.0, "h": 3600.0}


@dataclass(frozen=True)
class TimeLost:
    """Time that was lost on the sky.

    Parameters
    ----------
    value
        The number as it is stored.
    unit
        ``s`` or ``h``; empty if nobody knows.
    kind
        ``fault``, ``weather``, or empty.
    """

    value: float
    unit: Literal["", "s", "h"]
    kind: str = ""

    @property
    def seconds(self) -> float | None:
        """The time in seconds; None if its unit is not known."""
        if self.value == 0.0:
            return 0.0
        return self.value * _SECONDS[self.unit] if self.unit else None

    @override
    def __str__(self) -> str:
        kind = f" ({self.kind})" if self.kind else ""
        return f"{self.value:g} {self.unit or '(unit not told)'}{kind}" if self.value else "none"


@dataclass(frozen=True)
class TimeLostSum:
    """Times lost, summed where that can be.

    Parameters
    ----------
    seconds
        Sum by kind, in seconds; the kind is empty where it was not told.
    unknown
        Those whose unit is not known: they are in no sum.
    """

    seconds: Mapping[str, float]
    unknown: tuple[TimeLost, ...]


@dataclass(frozen=True)
class LogEntry:
    """A message of the narrative log.

    Parameters
    ----------
    id
        Its identifier.
    text
        What was written.
    begin_utc, end_utc
        The time that it is about, if that was told.
    added_utc
        When it was written.
    user, agent
        Who wrote it, and by which program.
    is_human
        Whether a person wrote it.
    level
        As of Python's logging.
    tags, urls
        As they were given.
    time_lost
        Time that was lost.
    parent
        Identifier of the message that this one replaces; empty if there is none.
    """

    id: str
    text: str
    begin_utc: dt.datetime | None
    end_utc: dt.datetime | None
    added_utc: dt.datetime
    user: str
    agent: str
    is_human: bool
    level: int
    tags: tuple[str, ...]
    urls: tuple[str, ...]
    time_lost: TimeLost
    parent: str = ""


class NarrativeLog(RestClient):
    """Reads and writes the narrative log.

    Parameters
    ----------
    section
        Where it is, and in which unit people write the time lost.
    token
        To log in with, if that is needed.
    """

    def __init__(self, section: NoticesSection, token: SecretStr | None = None) -> None:
        auth = BearerAuth(token) if token is not None else None
        url = section.narrative_log_url
        super().__init__(RestService("the narrative log", "narrative_log_url", url, section, auth))
        self._page_size = section.log_page_size
        self._unit = section.time_lost_unit

    @classmethod
    def of(cls, site: Site) -> Self:
        """Use the narrative log of a site.

        Parameters
        ----------
        site
            Says where it is.

        Returns
        -------
        NarrativeLog
            A client.

        Raises
        ------
        SiteError
            If the site has none.
        """
        return cls(site.notices, site.secret("logs_token"))

    def find(self, begin: dt.datetime, end: dt.datetime) -> tuple[LogEntry, ...]:
        """Find what was written about a time.

        Parameters
        ----------
        begin, end
            The time, its end not within it, with their time zones.

        Returns
        -------
        tuple of LogEntry
            Valid messages that begin in the time, and those without a beginning that were written in it; the earliest
            first.

        Raises
        ------
        ServiceError
            If the service gives no usable answer, by cause.
        """
        first, last = tai_text(begin), tai_text(end)
        dated = [("min_date_begin", first), ("max_date_begin", last)]
        undated = [("has_date_begin", "false"), ("min_date_added", first), ("max_date_added", last)]
        found = {entry.id: entry for query in (dated, undated) for entry in self._pages(query)}
        return tuple(sorted(found.values(), key=lambda e: (e.begin_utc or e.added_utc, e.id)))

    def add(
        self,
        text: str,
        *,
        user: str,
        begin: dt.datetime,
        end: dt.datetime | None = None,
        level: int = 20,
        is_human: bool = True,
        tags: Sequence[str] = (),
        urls: Sequence[str] = (),
        time_lost_s: float = 0.0,
        time_lost_type: Literal["", "fault", "weather"] = "",
    ) -> LogEntry:
        """Write a message.

        Parameters
        ----------
        text
            What to write; the time lost is added to it with its unit.
        user
            Who writes it.
        begin, end
            The time that it is about, with their time zones; it always has a beginning, or others would not find it.
        level
            As of Python's logging.
        is_human
            Whether a person writes it.
        tags, urls
            Tags have letters, digits and underscores, at least two, and begin with a letter.
        time_lost_s
            Time that was lost, in seconds.
        time_lost_type
            Why.

        Returns
        -------
        LogEntry
            As it was stored.

        Raises
        ------
        InputError
            If there is nothing to write.
        ServiceError
            If it was not stored, or that is not known, by cause.
        """
        if not text.strip() or not user.strip():
            raise InputError("A message needs a text and a user.", changed="Nothing was stored.")
        refuse_in_dry_run("A message to the narrative log")
        lost = f"\nTime lost: {time_lost_s:g} s ({time_lost_s / 3600.0:.3g} h)." if time_lost_s else ""
        body: dict[str, Any] = {
            "message_text": f"{text}{lost}",
            "level": level,
            "user_id": user,
            "user_agent": USER_AGENT,
            "is_human": is_human,
            "date_begin": tai_text(begin),
            "tags": list(tags),
            "urls": list(urls),
            # An ISO 8601 duration carries its unit; a bare number would be seconds to some and hours to others.
            "time_lost": f"PT{time_lost_s:.3f}S",
            **_COMPONENT_FIELDS,
        }
        if end is not None:
            body["date_end"] = tai_text(end)
        if time_lost_type:
            body["time_lost_type"] = time_lost_type
        return self._entry(self._rest.send("POST", "/messages", body))

    def edit(self, entry: LogEntry, text: str, *, user: str) -> LogEntry:
        """Replace the text of a message: the service keeps the old one as invalid.

        Parameters
        ----------
        entry
            The message.
        text
            What shall stand there.
        user
            Who edits it.

        Returns
        -------
        LogEntry
            The new message, under a new identifier.

        Raises
        ------
        ServiceError
            If it was not stored, or that is not known, by cause.
        """
        refuse_in_dry_run("A message to the narrative log")
        stored = self._rest.get(f"/messages/{_path_part(entry.id)}")
        if not isinstance(stored, Mapping):
            raise ProtocolError("The narrative log gave something else than a message.")
        if stored.get("is_valid") is False:
            raise InputError(
                f"The message {entry.id} was edited or deleted by another.", changed="Nothing was stored."
            )
        components = {name: stored.get(name) or empty for name, empty in _COMPONENT_FIELDS.items()}
        body = {"message_text": text, "user_id": user, "user_agent": USER_AGENT, **components}
        return self._entry(self._rest.send("PATCH", f"/messages/{_path_part(entry.id)}", body))

    def _pages(self, query: Sequence[tuple[str, str]]) -> Iterator[LogEntry]:
        for item in read_pages(self._rest, "/messages", query, self._page_size):
            yield self._entry(item)

    def _entry(self, item: Any) -> LogEntry:
        try:
            agent = str(item["user_agent"])
            unit: Literal["", "s", "h"] = "s" if agent == USER_AGENT else self._unit
            lost_s = _DURATION.validate_python(item.get("time_lost") or 0.0).total_seconds()
            return LogEntry(
                id=str(item["id"]),
                text=str(item["message_text"]),
                begin_utc=_optional(item.get("date_begin")),
                end_utc=_optional(item.get("date_end")),
                added_utc=from_tai_text(item["date_added"]),
                user=str(item["user_id"]),
                agent=agent,
                is_human=bool(item["is_human"]),
                level=int(item["level"]),
                tags=tuple(map(str, item.get("tags") or ())),
                urls=tuple(map(str, item.get("urls") or ())),
                time_lost=TimeLost(lost_s, unit, str(item.get("time_lost_type") or "")),
                parent=str(item.get("parent_id") or ""),
            )
        except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
            raise ProtocolError(
                f"The narrative log gave a message that cannot be read: {error!r:.200}."
            ) from None


def sum_time_lost(entries: Iterable[LogEntry]) -> TimeLostSum:
    """Sum the time lost where its unit is known.

    Parameters
    ----------
    entries
        Messages.

    Returns
    -------
    TimeLostSum
        Sums by kind, and what is in none of them.
    """
    seconds: dict[str, float] = {}
    unknown: list[TimeLost] = []
    for lost in (entry.time_lost for entry in entries):
        if lost.seconds is None:
            unknown.append(lost)
        elif lost.seconds:
            seconds[lost.kind] = seconds.get(lost.kind, 0.0) + lost.seconds
    return TimeLostSum(seconds, tuple(unknown))


def read_pages(
    rest: RestService, path: str, query: Sequence[tuple[str, str]], page_size: int
) -> Iterator[Mapping[str, Any]]:
    """Read a list page by page, to the first page that is empty.

    Parameters
    ----------
    rest
        The service.
    path
        Of the list.
    query
        What is asked for.
    page_size
        Entries in a page.

    Yields
    ------
    collections.abc.Mapping
        Each entry once.

    Raises
    ------
    ProtocolError
        If an answer is no list of entries, or the service gives the same page for ever.
    """
    seen: set[str] = set()
    offset = 0
    while True:
        page = rest.get(path, [*query, ("order_by", "id"), ("offset", offset), ("limit", page_size)])
        if not isinstance(page, list) or not all(isinstance(i, Mapping) and "id" in i for i in page):
            raise ProtocolError("A log service gave something else than a list of entries.")
        if not page:
            return
        fresh = [item for item in page if str(item["id"]) not in seen]
        if not fresh:
            raise ProtocolError("A log service gives the same page again and again.")
        seen.update(str(item["id"]) for item in fresh)
        yield from fresh
        offset += len(page)


def _optional(text: object) -> dt.datetime | None:
    return None if text is None else from_tai_text(text)


def _path_part(identifier: str) -> str:
    if not identifier.replace("-", "").isalnum():
        raise InputError(f"{identifier!r:.60} is not the identifier of an entry.")
    return identifier
