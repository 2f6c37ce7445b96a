"""The narrative log, with the traps that were observed on the real one."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from lsst_commtools.errors import (
    AuthenticationError,
    ForbiddenError,
    InputError,
    NotFoundError,
    ProtocolError,
    RefusedError,
    RejectedError,
    SiteError,
    UnreachableError,
)
from lsst_commtools.notices import NarrativeLog, sum_time_lost
from lsst_commtools.notices.service import from_tai_text, tai_text
from lsst_commtools.site.notices import NoticesSection

NIGHT = dt.datetime(2026, 11, 20, 23, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
SINCE = dt.datetime(2017, 1, 2, tzinfo=dt.UTC)  # no leap second has come since
OTHERS = {"level": 20, "user_id": "ana", "user_agent": "LOVE", "is_human": True}


@pytest.fixture
def narrative(log_section):
    with NarrativeLog(log_section) as client:
        yield client


def test_times_are_tai_without_a_zone(log_service, narrative):
    entry = narrative.add("Dome closed", user="ana", begin=NIGHT, end=NIGHT + HOUR)
    stored = log_service.rows["messages"][0]
    assert stored["date_begin"] == "2026-11-20T23:00:37.000000"
    assert stored["date_end"] == "2026-11-21T00:00:37.000000"
    assert (entry.begin_utc, entry.end_utc) == (NIGHT, NIGHT + HOUR)


def test_the_stand_in_refuses_what_the_service_refuses(log_service):
    body = {**OTHERS, "message_text": "x", "date_begin": "2026-11-20T23:00:37Z"}
    assert log_service.answer("POST", "/narrativelog/messages", body)[0] == 400
    assert log_service.answer("GET", "/narrativelog/messages?limit=1", {})[0] == 422
    assert (
        log_service.answer("GET", "/narrativelog/messages?min_date_begin=2026-11-20T23:00:37Z", {})[0] == 400
    )


def test_what_begins_in_the_time_is_found_and_the_end_is_not_within(log_service, narrative):
    for hours in (-1, 0, 1, 2):
        narrative.add(f"at {hours}", user="ana", begin=NIGHT + hours * HOUR)
    found = narrative.find(NIGHT, NIGHT + 2 * HOUR)
    assert [entry.text for entry in found] == ["at 0", "at 1"]


def test_a_message_without_a_beginning_is_found_by_when_it_was_written(log_service, narrative):
    log_service.add("messages", {**OTHERS, "message_text": "undated"})
    now = dt.datetime.now(dt.UTC)
    found = narrative.find(now - HOUR, now + HOUR)
    assert [(entry.text, entry.begin_utc) for entry in found] == [("undated", None)]
    assert narrative.find(now - 3 * HOUR, now - 2 * HOUR) == ()


def test_all_pages_are_read(log_service, narrative):
    for number in range(10):
        narrative.add(f"{number:02d}", user="ana", begin=NIGHT + number * HOUR / 60)
    assert [e.text for e in narrative.find(NIGHT, NIGHT + HOUR)] == [f"{n:02d}" for n in range(10)]
    limits = {query["limit"] for method, _, query, _ in log_service.asked if method == "GET"}
    assert limits == {"3"}


def test_what_we_write_tells_its_unit(log_service, narrative):
    entry = narrative.add("Cloud", user="ana", begin=NIGHT, time_lost_s=900, time_lost_type="weather")
    assert log_service.asked[-1][3]["time_lost"] == "PT900.000S"
    assert log_service.rows["messages"][0]["time_lost"] == 900.0
    assert "900 s" in entry.text
    assert (entry.time_lost.seconds, str(entry.time_lost)) == (900.0, "900 s (weather)")


@pytest.mark.parametrize("iso", [False, True])
def test_a_time_lost_without_a_unit_is_never_summed(start_log_service, log_section, iso):
    service = start_log_service(iso_durations=iso)
    section = log_section.model_copy(update={"narrative_log_url": f"{service.url}/narrativelog"})
    service.add(
        "messages", {**OTHERS, "message_text": "hours?", "time_lost": 0.25, "date_begin": tai_text(NIGHT)}
    )
    service.add("messages", {**OTHERS, "message_text": "nothing", "date_begin": tai_text(NIGHT)})
    with NarrativeLog(section) as log:
        log.add("ours", user="ana", begin=NIGHT, time_lost_s=60, time_lost_type="fault")
        lost = sum_time_lost(log.find(NIGHT, NIGHT + HOUR))
    assert lost.seconds == {"fault": 60.0}
    assert [str(time) for time in lost.unknown] == ["0.25 (unit not told)"]
    with NarrativeLog(section.model_copy(update={"time_lost_unit": "h"})) as log:
        agreed = sum_time_lost(log.find(NIGHT, NIGHT + HOUR))
    assert agreed.seconds == {"fault": 60.0, "": 900.0}
    assert agreed.unknown == ()


def test_an_edit_carries_the_component_fields(log_service, narrative):
    entry = narrative.add("first", user="ana", begin=NIGHT)
    log_service.rows["messages"][0]["components"] = ["MTMount"]
    edited = narrative.edit(entry, "second", user="ben")
    assert edited.parent == entry.id
    assert log_service.asked[-1][3]["components"] == ["MTMount"]
    assert [e.text for e in narrative.find(NIGHT, NIGHT + HOUR)] == ["second"]
    with pytest.raises(InputError, match="by another"):
        narrative.edit(entry, "third", user="ana")
    bare = {"message_text": "x"}
    assert log_service.answer("PATCH", f"/narrativelog/messages/{edited.id}", bare)[0] == 500


def test_hostile_identifiers_go_nowhere(narrative, log_service):
    entry = narrative.add("first", user="ana", begin=NIGHT)
    hostile = type(entry)(**{**vars(entry), "id": "../configuration?x="})
    with pytest.raises(InputError):
        narrative.edit(hostile, "x", user="ana")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, {}), AuthenticationError),
        ((403, {"detail": "no"}), ForbiddenError),
        ((404, {"detail": "no"}), NotFoundError),
        ((422, {"detail": [{"msg": "no"}]}), RejectedError),
        ((500, b"Internal Server Error"), RejectedError),
        ((302, b""), RejectedError),
        ((200, b"<html>"), ProtocolError),
        ((200, {"detail": "no list"}), ProtocolError),
        ((200, [{"id": "a"}]), ProtocolError),
        ((200, [1]), ProtocolError),
    ],
)
def test_trouble_is_named_by_its_cause(log_service, narrative, answer, error):
    log_service.faults["/narrativelog"] = answer
    with pytest.raises(error):
        narrative.find(NIGHT, NIGHT + HOUR)


def test_a_service_that_ignores_the_offset_does_not_hold_us_for_ever(log_service, narrative):
    row = log_service.add("messages", {**OTHERS, "message_text": "x", "date_begin": tai_text(NIGHT)})
    log_service.faults["/narrativelog"] = (200, [row])
    with pytest.raises(ProtocolError, match="again and again"):
        narrative.find(NIGHT, NIGHT + HOUR)


def test_a_time_with_a_zone_breaks_the_contract(log_service, narrative):
    row = log_service.add("messages", {**OTHERS, "message_text": "x", "date_begin": tai_text(NIGHT)})
    log_service.faults["/narrativelog"] = (200, [{**row, "date_begin": "2026-11-20T23:00:00Z"}])
    with pytest.raises(ProtocolError, match="time zone"):
        narrative.find(NIGHT, NIGHT + HOUR)


def test_a_token_is_sent_and_a_netrc_is_not(log_service, log_section, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password pw\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with NarrativeLog(log_section, SecretStr("secret")) as log:
        log.find(NIGHT, NIGHT + HOUR)
    assert set(log_service.tokens) == {"Bearer secret"}


def test_nothing_is_written_in_a_dry_run_or_without_words(log_service, narrative, monkeypatch):
    with pytest.raises(InputError):
        narrative.add(" ", user="ana", begin=NIGHT)
    monkeypatch.setenv("COMMTOOLS_DRY_RUN", "1")
    with pytest.raises(RefusedError):
        narrative.add("x", user="ana", begin=NIGHT)
    assert log_service.rows["messages"] == []


def test_no_service_at_all():
    with pytest.raises(SiteError):
        NarrativeLog(NoticesSection())
    with (
        NarrativeLog(NoticesSection(narrative_log_url="http://127.0.0.1:9")) as log,
        pytest.raises(UnreachableError),
    ):
        log.find(NIGHT, NIGHT + HOUR)


@given(moment=st.timedeltas(dt.timedelta(0), dt.timedelta(days=3600)).map(lambda after: SINCE + after))
@settings(deadline=None, max_examples=30)
def test_tai_and_back(moment):
    text = tai_text(moment)
    assert not text.endswith("Z")
    assert dt.datetime.fromisoformat(text) - moment.replace(tzinfo=None) == dt.timedelta(seconds=37)
    assert from_tai_text(text) == moment
