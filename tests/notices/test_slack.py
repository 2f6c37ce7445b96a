"""Announcements against a simulated Slack."""

import time

import pytest

from lsst_commtools.errors import (
    AuthenticationError,
    InputError,
    ProtocolError,
    RefusedError,
    RejectedError,
    ServiceTimeoutError,
    SiteError,
    UnreachableError,
)
from lsst_commtools.notices import Notices
from lsst_commtools.simulate.observatory import Fault, Pace, running_observatory
from lsst_commtools.simulate.observatory.slack import WEBHOOK_PATH
from lsst_commtools.site import Site
from lsst_commtools.site.notices import NoticesSection


@pytest.fixture
def slack():
    with running_observatory(Pace().faster(20.0)) as running:
        yield running


@pytest.fixture
def announced(slack):
    return slack.observatory.announced


@pytest.fixture
def channel_site(slack):
    section = NoticesSection(
        slack_url=f"{slack.services['slack'].url}/api", patience_s=5.0, reply_timeout_s=1.0
    )
    return Site.load("local").model_copy(update={"notices": section})


@pytest.fixture
def bot(slack, channel_site, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_SLACK_TOKEN", slack.services["slack"].token)
    with Notices(channel_site) as notices:
        yield notices


@pytest.fixture
def hook(slack, channel_site, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_SLACK_WEBHOOK", slack.services["slack"].url + WEBHOOK_PATH)
    with Notices(channel_site) as notices:
        yield notices


@pytest.fixture
def trouble(slack):
    def inject(kind, times=1):
        slack.call(slack.observatory.add_fault, Fault("slack", kind, "", 0, times))

    return inject


def test_a_bot_announces_and_threads(bot, announced):
    assert bot.can_thread
    first = bot.announce("DIMM:1 is tested.")
    assert (first.how, first.channel) == ("bot", "summit-announce")
    second = bot.announce("It has ended.", thread=first.ts)
    assert second.ts > first.ts
    assert [m["thread_ts"] for m in announced] == ["", first.ts]
    assert announced[0]["text"] == first.text == "[REHEARSAL] DIMM:1 is tested."


def test_a_real_site_says_it_plainly(channel_site, slack, monkeypatch, announced):
    monkeypatch.setenv("COMMTOOLS_SLACK_TOKEN", slack.services["slack"].token)
    Notices(channel_site.model_copy(update={"real": True})).announce("DIMM:1 is tested.")
    assert announced[0]["text"] == "DIMM:1 is tested."


def test_a_webhook_announces_without_threads(hook, announced):
    assert not hook.can_thread
    made = hook.announce("DIMM:1 is tested.", thread="1.2")
    assert (made.how, made.ts) == ("webhook", "")
    assert announced[0]["text"].startswith("[REHEARSAL] ")


def test_ok_false_is_a_failure(bot, trouble, announced):
    trouble("not_ok")
    with pytest.raises(RejectedError, match="not_in_channel"):
        bot.announce("x")
    assert announced == []


@pytest.mark.parametrize("way", ["bot", "hook"])
def test_a_limit_is_waited_for(way, request, trouble, announced):
    notices = request.getfixturevalue(way)
    trouble("http_429")
    begun = time.monotonic()
    notices.announce("x")
    assert 0.9 < time.monotonic() - begun < 5
    assert len(announced) == 1


def test_a_limit_that_lasts_is_given_up(bot, trouble):
    trouble("http_429", times=-1)
    with pytest.raises(RejectedError, match="too many"):
        bot.announce("x")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("http_500", RejectedError),
        ("drop", UnreachableError),
        ("hang", ServiceTimeoutError),
        ("http_404", ProtocolError),
    ],
)
def test_failures_have_a_cause(bot, trouble, kind, error):
    trouble(kind)
    with pytest.raises(error):
        bot.announce("x")


def test_a_webhook_that_is_gone(hook, trouble):
    trouble("http_404")
    with pytest.raises(RejectedError, match="HTTP 404") as failed:
        hook.announce("x")
    assert WEBHOOK_PATH not in str(failed.value)


def test_a_wrong_token_is_told_and_not_shown(channel_site, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_SLACK_TOKEN", "xoxb-wrong")
    with pytest.raises(AuthenticationError, match="invalid_auth") as failed:
        Notices(channel_site).announce("x")
    assert "xoxb-wrong" not in f"{failed.value!r}"


def test_a_person_takes_it_on_by_name(channel_site, announced):
    notices = Notices(channel_site)
    with pytest.raises(SiteError, match="by name"):
        notices.announce("x")
    with pytest.raises(SiteError):
        notices.announce("x", taken_on_by="  ")
    made = notices.announce("x", taken_on_by="Alma Mater")
    assert (made.how, made.taken_on_by) == ("person", "Alma Mater")
    assert announced == []


@pytest.mark.parametrize("text", ["", "  ", "x" * 5000])
def test_texts_that_are_none(bot, text):
    with pytest.raises(InputError):
        bot.announce(text)


def test_nothing_is_sent_in_a_dry_run(bot, monkeypatch, announced):
    monkeypatch.setenv("COMMTOOLS_DRY_RUN", "1")
    with pytest.raises(RefusedError, match="dry run"):
        bot.announce("x")
    assert announced == []


def test_the_simulator_stands_in_only_where_it_runs():
    notices = Notices(Site.load("local"))
    assert notices.can_thread
    with pytest.raises(SiteError, match="sim up"):
        notices.announce("x")
