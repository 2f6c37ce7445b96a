"""Announcements in Slack.

Contract: https://api.slack.com/methods/chat.postMessage and https://api.slack.com/messaging/webhooks: a bot's message
that failed is an HTTP 200 with ``ok: false``; a webhook answers plain text and no stamp, so that nothing can be
threaded to it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import requests
from pydantic import SecretStr
from requests.auth import AuthBase
from typing_extensions import override

from lsst_commtools.errors import (
    AuthenticationError,
    InputError,
    ProtocolError,
    RejectedError,
    ServiceTimeoutError,
    SiteError,
    UnreachableError,
)
from lsst_commtools.site.dry_run import refuse_in_dry_run
from lsst_commtools.site.stand_ins import stand_in

if TYPE_CHECKING:
    from lsst_commtools.site import Site

__all__ = ["Announcement", "Notices"]

_REHEARSAL = "[REHEARSAL] "
_MAX_TEXT = 4000
_LOGIN_ERRORS = {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"}


@dataclass(frozen=True)
class Announcement:
    """An announcement that was made.

    Parameters
    ----------
    text
        What was said.
    channel
        Where.
    how
        ``bot``, ``webhook``, or ``person`` where somebody has taken it on.
    ts
        Slack's stamp, by which it can be answered; empty where there is none.
    taken_on_by
        Name of the person who has taken it on.
    """

    text: str
    channel: str
    how: Literal["bot", "webhook", "person"]
    ts: str = ""
    taken_on_by: str = ""

    def to_dict(self) -> dict[str, str]:
        """Give it as plain values.

        Returns
        -------
        dict
            Keys are the parameters.
        """
        return asdict(self)


class _BotAuth(AuthBase):
    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return r


class Notices:
    """Where the work at a site is announced.

    Parameters
    ----------
    site
        Channel and secrets; announcements of a site that is not real are marked as a rehearsal's.
    """

    def __init__(self, site: Site) -> None:
        section = site.notices
        self.channel = section.channel
        self._real = site.real
        self._patience_s = section.patience_s
        self._timeouts_s = (section.connect_timeout_s, section.reply_timeout_s)
        self._url = section.slack_url
        self._token, self._webhook = site.secret("slack_token"), site.secret("slack_webhook")
        self._stands_in = not site.real and not self._url
        self._http = requests.Session()
        self._http.trust_env = False  # a .netrc would put another login over the token

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    @property
    def can_thread(self) -> bool:
        """Whether an announcement can be answered in a thread: a bot can, a webhook cannot."""
        return self._stands_in or self._token is not None

    def announce(self, text: str, *, thread: str = "", taken_on_by: str = "") -> Announcement:
        """Announce something; it returns when Slack has it, or not at all.

        Parameters
        ----------
        text
            What to say.
        thread
            Stamp of the announcement that this answers; it goes to the channel all the same.
        taken_on_by
            Name of a person who announces it by another way, and answers for that; nothing is sent then.

        Returns
        -------
        Announcement
            As it was made.

        Raises
        ------
        ServiceError
            If Slack did not take it, by cause.
        """
        said = (text if self._real else f"{_REHEARSAL}{text}").strip()
        if not text.strip() or len(said) > _MAX_TEXT:
            raise InputError(f"An announcement has 1 to {_MAX_TEXT} characters.", changed="Nothing was sent.")
        if taken_on_by.strip():
            return Announcement(said, self.channel, "person", taken_on_by=taken_on_by.strip())
        refuse_in_dry_run("An announcement")
        if self._stands_in or self._token is not None:
            return self._by_bot(said, thread)
        if self._webhook is not None:
            return self._by_webhook(said, self._webhook)
        raise SiteError(
            f"There is no way to announce anything in {self.channel}.",
            changed="Nothing was sent.",
            advice="Set COMMTOOLS_SLACK_TOKEN or COMMTOOLS_SLACK_WEBHOOK, or have a person announce it by name.",
        )

    def _by_bot(self, said: str, thread: str) -> Announcement:
        url, token = self._url, self._token
        if self._stands_in:
            service = stand_in("slack")
            url, token = f"{service.url}/api", SecretStr(service.token)
        body: dict[str, Any] = {"channel": self.channel, "text": said}
        if thread:
            body |= {"thread_ts": thread, "reply_broadcast": True}
        answer = self._post(f"{url}/chat.postMessage", body, _BotAuth(token) if token is not None else None)
        try:
            document = answer.json()
            good, reason = document["ok"] is True, str(document.get("error", "no reason is given"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ProtocolError(
                f"Slack answered HTTP {answer.status_code} and something else than JSON."
            ) from None
        if reason in _LOGIN_ERRORS and not good:
            raise AuthenticationError(
                f"Slack does not accept the token: {reason}.", advice="Get a new one (COMMTOOLS_SLACK_TOKEN)."
            )
        if not good:
            raise RejectedError(
                f"Slack did not take the announcement in {self.channel}: {reason[:100]}.",
                changed="It is not announced.",
                advice="See notices.channel, and that the bot is a member of it.",
            )
        return Announcement(said, self.channel, "bot", ts=str(document.get("ts", "")))

    def _by_webhook(self, said: str, webhook: SecretStr) -> Announcement:
        answer = self._post(webhook.get_secret_value(), {"text": said}, None)
        if answer.status_code != requests.codes.ok or answer.text.strip() != "ok":
            raise RejectedError(
                f"Slack did not take the announcement (HTTP {answer.status_code}): {answer.text.strip()[:100]}.",
                changed="It is not announced.",
                advice="Get a new webhook (COMMTOOLS_SLACK_WEBHOOK).",
            )
        return Announcement(said, self.channel, "webhook")

    def _post(self, url: str, body: dict[str, Any], auth: AuthBase | None) -> requests.Response:
        """Post, and wait when Slack says that it is too much; the URL may be a secret, so no error holds it."""
        ends_s = time.monotonic() + self._patience_s
        while True:
            try:
                answer = self._http.post(
                    url, json=body, auth=auth, timeout=self._timeouts_s, allow_redirects=False
                )
            except requests.ReadTimeout:
                raise ServiceTimeoutError(
                    f"Slack did not answer in {self._timeouts_s[1]:g} s.",
                    changed="It may be announced all the same.",
                ) from None
            except requests.RequestException as error:
                raise UnreachableError(
                    f"Slack cannot be reached ({type(error).__name__}).", changed="It is not announced."
                ) from None
            if answer.status_code != requests.codes.too_many_requests:
                break
            wait_s = _retry_after_s(answer)
            if time.monotonic() + wait_s > ends_s:
                raise RejectedError(
                    f"Slack takes no announcement for another {wait_s:g} s: too many were sent.",
                    changed="It is not announced.",
                )
            time.sleep(wait_s)
        if answer.status_code >= requests.codes.server_error:
            raise RejectedError(
                f"Slack broke on the announcement (HTTP {answer.status_code}).",
                changed="It may not be announced.",
            )
        return answer


def _retry_after_s(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return max(0.0, float(text)) if text.replace(".", "", 1).isdigit() else 1.0
