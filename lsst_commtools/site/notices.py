"""Settings of announcements."""

from __future__ import annotations

from pydantic import Field

from lsst_commtools.site.sections import Endpoint, Section

__all__ = ["NoticesSection"]


class NoticesSection(Section):
    """Where work that may affect others is announced.

    With the secret ``slack_token`` of a bot messages go by ``chat.postMessage`` and can be threaded; with the secret
    ``slack_webhook`` they go to the channel of that URL, without threads.

    Parameters
    ----------
    channel
        Slack channel.
    slack_url
        Slack's web API; empty at a site where the simulator stands in.
    connect_timeout_s, reply_timeout_s
        How long Slack may take to be reached and to answer, in seconds.
    patience_s
        How long a limit of Slack's rate is waited for, in seconds.
    """

    channel: str = "summit-announce"
    slack_url: Endpoint = "https://slack.com/api"
    connect_timeout_s: float = Field(default=5.0, gt=0)
    reply_timeout_s: float = Field(default=20.0, gt=0)
    patience_s: float = Field(default=60.0, gt=0)
