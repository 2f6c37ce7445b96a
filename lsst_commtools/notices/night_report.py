"""The observatory's night reports.

Contract: ts_nightreport ce31818. Times are TAI without time zone, ``max_day_obs`` is exclusive, ``limit=1`` is
refused, and an edit is a new report that replaces the old one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from lsst_commtools.errors import InputError, ProtocolError
from lsst_commtools.ids import check_day_obs, day_obs_date
from lsst_commtools.notices.narrative_log import read_pages
from lsst_commtools.notices.service import USER_AGENT, BearerAuth, RestClient, RestService, from_tai_text
from lsst_commtools.site.dry_run import refuse_in_dry_run

if TYPE_CHECKING:
    from pydantic import SecretStr

    from lsst_commtools.site import Site
    from lsst_commtools.site.notices import NoticesSection

__all__ = ["NightReportText", "NightReports", "StoredNightReport"]

_LONGEST_URL = 200  # ts_nightreport create_tables.py, URLS_LEN


@dataclass(frozen=True)
class NightReportText:
    """What a night report says.

    Parameters
    ----------
    day_obs
        The night.
    summary, weather, maintel_summary, auxtel_summary
        Its texts.
    url
        Where the whole report is; at most 200 characters.
    crew
        Who was there.
    """

    day_obs: int
    summary: str
    weather: str = ""
    maintel_summary: str = ""
    auxtel_summary: str = ""
    url: str = ""
    crew: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        """Give it under the names of the service."""
        return {
            "day_obs": self.day_obs,
            "summary": self.summary,
            "weather": self.weather,
            "maintel_summary": self.maintel_summary,
            "auxtel_summary": self.auxtel_summary,
            "confluence_url": self.url,
            "observers_crew": list(self.crew),
        }


@dataclass(frozen=True)
class StoredNightReport:
    """A night report as it is stored.

    Parameters
    ----------
    id
        Its identifier.
    text
        What it says.
    added_utc, sent_utc
        When it was written, and when it was sent out, if it was.
    user, agent
        Who wrote it, and by which program.
    """

    id: str
    text: NightReportText
    added_utc: dt.datetime
    sent_utc: dt.datetime | None
    user: str
    agent: str


class NightReports(RestClient):
    """Reads and writes night reports.

    Parameters
    ----------
    section
        Where they are.
    token
        To log in with, if that is needed.
    """

    def __init__(self, section: NoticesSection, token: SecretStr | None = None) -> None:
        auth = BearerAuth(token) if token is not None else None
        url = section.night_report_url
        super().__init__(RestService("the night-report service", "night_report_url", url, section, auth))
        self._page_size = section.log_page_size

    @classmethod
    def of(cls, site: Site) -> Self:
        """Use the night-report service of a site.

        Parameters
        ----------
        site
            Says where it is.

        Returns
        -------
        NightReports
            A client.

        Raises
        ------
        SiteError
            If the site has none.
        """
        return cls(site.notices, site.secret("logs_token"))

    def find(self, day_obs: int, last: int | None = None) -> tuple[StoredNightReport, ...]:
        """Find the valid reports of a night or of several.

        Parameters
        ----------
        day_obs
            The night, or the first of them.
        last
            The last of them, itself included.

        Returns
        -------
        tuple of StoredNightReport
            By night and time.

        Raises
        ------
        ServiceError
            If the service gives no usable answer, by cause.
        """
        after = day_obs_date(check_day_obs(last or day_obs)) + dt.timedelta(days=1)
        query = [("min_day_obs", str(check_day_obs(day_obs))), ("max_day_obs", f"{after:%Y%m%d}")]
        found = [_report(item) for item in read_pages(self._rest, "/reports", query, self._page_size)]
        return tuple(sorted(found, key=lambda report: (report.text.day_obs, report.added_utc, report.id)))

    def send(self, text: NightReportText, *, user: str) -> StoredNightReport:
        """Store a report; the one that this package stored before for that night is edited.

        Parameters
        ----------
        text
            What it says.
        user
            Who writes it.

        Returns
        -------
        StoredNightReport
            As it was stored; what says the same already is left as it is.

        Raises
        ------
        InputError
            If it has no summary or no user, or its URL is too long for the service.
        ServiceError
            If it was not stored, or that is not known, by cause.
        """
        check_day_obs(text.day_obs)
        if not text.summary.strip() or not user.strip():
            raise InputError("A night report needs a summary and a user.", changed="Nothing was stored.")
        if len(text.url) > _LONGEST_URL:
            raise InputError(
                f"The service takes URLs of {_LONGEST_URL} characters.", changed="Nothing was stored."
            )
        refuse_in_dry_run("A night report")
        mine = [report for report in self.find(text.day_obs) if report.agent == USER_AGENT]
        if mine and mine[-1].text == text:
            return mine[-1]
        body = {**text.fields(), "user_id": user, "user_agent": USER_AGENT}
        if mine:
            return _report(self._rest.send("PATCH", f"/reports/{mine[-1].id}", body))
        return _report(self._rest.send("POST", "/reports", body))


def _report(item: Any) -> StoredNightReport:
    try:
        sent = item.get("date_sent")
        return StoredNightReport(
            id=_identifier(item),
            text=NightReportText(
                day_obs=int(item["day_obs"]),
                summary=str(item["summary"]),
                weather=str(item.get("weather") or ""),
                maintel_summary=str(item.get("maintel_summary") or ""),
                auxtel_summary=str(item.get("auxtel_summary") or ""),
                url=str(item.get("confluence_url") or ""),
                crew=tuple(map(str, item.get("observers_crew") or ())),
            ),
            added_utc=from_tai_text(item["date_added"]),
            sent_utc=None if sent is None else from_tai_text(sent),
            user=str(item["user_id"]),
            agent=str(item["user_agent"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(
            f"The night-report service gave a report that cannot be read: {error!r:.200}."
        ) from None


def _identifier(item: Mapping[str, Any]) -> str:
    text = str(item["id"])
    if not text.replace("-", "").isalnum():
        raise ValueError("an identifier that is none")
    return text
