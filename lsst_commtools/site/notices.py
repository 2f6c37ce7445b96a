"""Settings of announcements, of the services that keep a night's log, and of the telemetry archive."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lsst_commtools.site.sections import Endpoint, Section

__all__ = ["NoticesSection"]


class NoticesSection(Section):
    """Where work that may affect others is announced, and where a night's records are read and written.

    With the secret ``slack_token`` of a bot messages go by ``chat.postMessage`` and can be threaded; with the secret
    ``slack_webhook`` they go to the channel of that URL, without threads. The secret ``logs_token`` is a bearer token
    for the log services, ``efd_password`` the password of ``efd_user``.

    Parameters
    ----------
    channel
        Slack channel.
    slack_url
        Slack's web API; empty at a site where the simulator stands in.
    connect_timeout_s, reply_timeout_s
        How long a service may take to be reached and to answer, in seconds.
    patience_s
        How long a limit of Slack's rate is waited for, in seconds.
    narrative_log_url
        Narrative log, for instance ``https://logs.example.org/narrativelog``; empty if there is none.
    night_report_url
        Night reports, for instance ``https://logs.example.org/nightreport``; empty if there is none.
    log_page_size
        Entries asked for at once; the services refuse 1.
    time_lost_unit
        Unit in which the people of this site write the time lost, as the service does not tell it; empty if they are
        not known to agree, and then it is never summed.
    efd_url
        InfluxDB 1.x of the EFD, for instance ``https://efd.example.org/influxdb``; empty if there is none.
    efd_database, efd_retention
        Its database and retention policy.
    efd_user
        Name to log in with; empty for none.
    """

    channel: str = "summit-announce"
    slack_url: Endpoint = "https://slack.com/api"
    connect_timeout_s: float = Field(default=5.0, gt=0)
    reply_timeout_s: float = Field(default=20.0, gt=0)
    patience_s: float = Field(default=60.0, gt=0)
    narrative_log_url: Endpoint = ""
    night_report_url: Endpoint = ""
    log_page_size: int = Field(default=50, gt=1, le=1000)
    time_lost_unit: Literal["", "s", "h"] = ""
    efd_url: Endpoint = ""
    efd_database: str = Field(default="efd", min_length=1)
    efd_retention: str = Field(default="autogen", min_length=1)
    efd_user: str = ""
