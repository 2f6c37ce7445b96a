"""Night reports, with the traps that were observed on the real service."""

import pytest

from lsst_commtools.errors import (
    IdentifierError,
    InputError,
    ProtocolError,
    RefusedError,
    RejectedError,
    SiteError,
)
from lsst_commtools.notices import NightReports, NightReportText
from lsst_commtools.site.notices import NoticesSection

TEXT = NightReportText(
    20261130, "All good", weather="clear", url="https://example.org/night", crew=("Ana", "Ben")
)
LOVE = {
    "day_obs": 20261130,
    "summary": "by hand",
    "weather": "",
    "maintel_summary": "",
    "auxtel_summary": "",
    "confluence_url": "",
    "user_id": "ana",
    "user_agent": "LOVE",
}


@pytest.fixture
def reports(log_section):
    with NightReports(log_section) as client:
        yield client


def test_a_report_is_stored_and_found_at_the_end_of_a_month(reports):
    stored = reports.send(TEXT, user="ana")
    assert stored.text == TEXT
    assert stored.sent_utc is None
    assert [r.id for r in reports.find(20261130)] == [stored.id]
    assert reports.find(20261129) == ()
    assert reports.find(20261201) == ()
    assert [r.id for r in reports.find(20261101, 20261130)] == [stored.id]


def test_sent_twice_it_is_there_once(reports, log_service):
    first = reports.send(TEXT, user="ana")
    assert reports.send(TEXT, user="ana").id == first.id
    changed = NightReportText(20261130, "Not all good")
    second = reports.send(changed, user="ben")
    assert [r.text for r in reports.find(20261130)] == [changed]
    assert log_service.rows["reports"][1]["parent_id"] == first.id
    assert second.user == "ben"


def test_a_report_of_another_program_is_left_alone(reports, log_service):
    log_service.add("reports", LOVE)
    reports.send(TEXT, user="ana")
    assert sorted(r.text.summary for r in reports.find(20261130)) == ["All good", "by hand"]


def test_all_pages_are_read_and_one_is_never_asked_for(reports, log_service):
    for number in range(7):
        log_service.add("reports", {**LOVE, "summary": str(number)})
    assert len(reports.find(20261130)) == 7
    assert {int(query["limit"]) for _, _, query, _ in log_service.asked} == {3}
    with pytest.raises(ValueError, match="log_page_size"):
        NoticesSection(log_page_size=1)


def test_what_the_service_would_break_on_is_refused_before(reports, log_service, monkeypatch):
    with pytest.raises(InputError, match="200"):
        reports.send(NightReportText(20261130, "x", url="https://e.org/" + "a" * 200), user="ana")
    with pytest.raises(InputError):
        reports.send(NightReportText(20261130, " "), user="ana")
    with pytest.raises(IdentifierError):
        reports.send(NightReportText(20261131, "x"), user="ana")
    monkeypatch.setenv("COMMTOOLS_DRY_RUN", "1")
    with pytest.raises(RefusedError):
        reports.send(TEXT, user="ana")
    assert log_service.rows["reports"] == []


def test_trouble_is_named(reports, log_service):
    log_service.faults["/nightreport"] = (200, [{"id": "a"}])
    with pytest.raises(ProtocolError):
        reports.find(20261130)
    log_service.faults["/nightreport"] = (500, b"oops")
    with pytest.raises(RejectedError, match="broke"):
        reports.find(20261130)
    with pytest.raises(SiteError):
        NightReports(NoticesSection())
