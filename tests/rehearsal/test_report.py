"""The nightly report: gathered, amended, signed; sources that fail are named and the rest goes on."""

import datetime as dt
import json
import re
import shutil

import pytest

from lsst_commtools.errors import InputError, NotFoundError, RefusedError, ServiceError, SiteError
from lsst_commtools.notices.service import tai_text
from lsst_commtools.procedure.by_hand import begin
from lsst_commtools.rehearsal import Kind, Rehearsal, RehearsalSettings, report
from lsst_commtools.rehearsal.ledger_states import observed_states
from lsst_commtools.rehearsal.pages import markdown, write_whole
from lsst_commtools.rehearsal.sending import send_narrative, send_night_report
from lsst_commtools.rehearsal.states_figure import states_figure
from lsst_commtools.rehearsal.telling import windows_of
from lsst_commtools.simulate.log_services import LogServices
from lsst_commtools.site import Site
from lsst_commtools.site.notices import NoticesSection
from lsst_commtools.testing.influxdb import running_influxdb, summary_state_line

HOSTILE = "<script>alert(1)</script>"
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
COUNTS = {"expected": 54, "transferred": 54, "ingested": 53, "processed": 52, "measured": 50}
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def services():
    with LogServices() as running:
        yield running


@pytest.fixture
def notices(services):
    return NoticesSection(
        narrative_log_url=f"{services.url}/narrativelog",
        night_report_url=f"{services.url}/nightreport",
        efd_url=NOBODY,
    )


@pytest.fixture
def held(tmp_path, monkeypatch, notices):
    monkeypatch.setenv("COMMTOOLS_HOME", str(tmp_path / "home"))
    settings = RehearsalSettings(
        tmp_path / "work", "simulated", "LSSTComCam", (20261120, 20261121), 3, 1, 60.0, unattended=True
    )
    return Rehearsal.create(Site.load("local").model_copy(update={"notices": notices}), settings)


def sources(content):
    return {source["name"]: source["status"] for source in content["sources"]}


def message(services, text, moment, **more):
    body = {"message_text": text, "level": 20, "user_id": "ana", "user_agent": "LOVE", "is_human": True}
    services.add("messages", {**body, "date_begin": tai_text(moment), **more})


def test_a_report_of_an_empty_night_says_what_is_unknown(held):
    page = report.write_night_report(held, 1).read_text()
    assert "The ledger of detector images is unknown" in page
    assert "No visit was measured" in page
    assert "The EFD was not read" in page
    assert "not signed" in page
    content = report.read_report(held, 1)
    assert sources(content)["EFD"] == "bad"
    assert sources(content)["narrative log"] == "good"
    assert content["processing"]["rates"][0]["status"] == "unknown"


def test_sources_that_fail_are_named_and_the_rest_goes_on(held, services):
    services.faults["/narrativelog"] = (500, {"detail": "no database"})
    held.journal.append(Kind.COUNTS, 1, stage="night", counts=COUNTS)
    page = report.write_night_report(held, 1).read_text()
    assert "The narrative log broke (HTTP 500): no database" in page
    assert "The EFD cannot be reached" in page
    content = report.read_report(held, 1)
    assert [(r["count"], r["lost"]) for r in content["counts"]["stations"]] == [
        (54, 0),
        (54, 0),
        (53, 1),
        (52, 1),
        (50, 2),
    ]
    assert sources(content)["night reports"] == "good"


def test_a_site_without_services_is_unknown_not_bad(held):
    bare = Rehearsal(held.site.model_copy(update={"notices": NoticesSection(slack_url="")}), held.settings)
    report.write_night_report(bare, 1)
    told = sources(report.read_report(bare, 1))
    assert (told["EFD"], told["narrative log"], told["night reports"]) == ("unknown",) * 3


def test_counts_of_stages_and_not_of_each_exposure(held):
    held.journal.append(
        Kind.COUNTS, 1, stage="transferred", what="science", files=54, rate_bytes_per_s=40_000_000
    )
    held.journal.append(Kind.COUNTS, 1, stage="exposure-transferred", exposure_transferred="x", files=9)
    held.journal.append(
        Kind.COUNTS, 1, stage="transferred", what="science", files=60, rate_bytes_per_s=41_000_000
    )
    held.journal.append(Kind.COUNTS, 2, stage="transferred", what="science", files=1)
    report.write_night_report(held, 1)
    held.journal.append(
        Kind.COUNTS,
        1,
        stage="transferred",
        what="calibrations",
        rate_bytes_per_s=3e6,
        expected_bytes_per_s=4e7,
    )
    held.journal.append(Kind.COUNTS, 1, stage="ingested", files=59)
    page = report.write_night_report(held, 1)
    counts = report.read_report(held, 1)["counts"]
    assert counts["stages"] == [{"stage": "ingested", "files": 59}]
    assert counts["latency"] == []
    science, calibrations = counts["transfers"]
    assert (science["files"], science["rate"], science["expected"]) == (60, "41 MB/s (328 Mb/s)", "unknown")
    assert (calibrations["rate"], calibrations["below_expected"]) == ("3 MB/s (24 Mb/s)", True)
    assert "expected 40 MB/s (320 Mb/s)" in page.with_suffix(".md").read_text()


def test_looking_again_whether_all_arrived_does_not_make_the_pace_unknown(held):
    sent = {"stage": "transferred", "what": "science", "files": 2, "arrived": 2}
    held.journal.append(Kind.COUNTS, 1, **sent, size_bytes=900, rate_bytes_per_s=40_000_000)
    held.journal.append(Kind.COUNTS, 1, **{**sent, "files": 3}, size_bytes=0, rate_bytes_per_s=None)
    report.write_night_report(held, 1)
    (science,) = report.read_report(held, 1)["counts"]["transfers"]
    assert (science["files"], science["size_bytes"], science["rate"]) == (3, 900, "40 MB/s (320 Mb/s)")


def test_a_choice_is_shown_by_what_it_changed(held):
    held.journal.append(
        Kind.CHOICE, 1, role="SciOps", who="Ana", pipeline_name="night", configuration="a" * 64,
        image={"tag": "w_2026_22"}, calibrations=[{"collection": "calib/bias"}], reason="darks are old",
        differences=[{"what": "dark", "old": "calib/1", "new": ""}, "nonsense"],
    )  # fmt: skip
    page = report.write_night_report(held, 1).read_text()
    for told in ("w_2026_22", "calib/bias", "darks are old", "calib/1"):
        assert told in page
    assert "a" * 64 not in page


def test_latencies_are_a_table_with_their_unit(held):
    row = {
        "station": "ingested",
        "n": 54,
        "median_s": 12.5,
        "p95_s": 30.0,
        "max_s": None,
        "unknown": 1,
        "negative": [],
        "hint": "",
    }
    held.journal.append(
        Kind.COUNTS,
        1,
        stage="processed",
        what="science",
        latency_rehearsal_s={"images": 55, "stations": [row]},
    )
    page = report.write_night_report(held, 1)
    assert report.read_report(held, 1)["counts"]["latency"] == [row]
    assert "seconds of the rehearsal" in page.read_text()
    assert "Latency to ingested: median 12.5 s, 95 % 30 s, longest - s" in page.with_suffix(".md").read_text()


def test_time_lost_is_summed_where_its_unit_is_known(held, services):
    message(services, "clouds", NOON, time_lost=0.25)
    message(services, "the day before", NOON - dt.timedelta(days=1), time_lost=9)
    message(services, HOSTILE, NOON + dt.timedelta(hours=12))
    held.journal.append(
        Kind.NARRATIVE,
        1,
        role="ObsOps",
        who="Ana",
        text="dome stuck",
        time_lost_s=60.0,
        time_lost_type="fault",
    )
    page = report.write_night_report(held, 1).read_text()
    narrative = report.read_report(held, 1)["narrative"]
    assert [entry["text"] for entry in narrative["entries"]] == ["clouds", HOSTILE]
    assert narrative["lost_unknown"] == ["0.25 (unit not told)"]
    assert narrative["lost_seconds"] == {}
    assert narrative["journal"][0]["time_lost"] == "60 s (fault)"
    assert "In no sum, as the service does not tell the unit: 0.25 (unit not told)" in page
    assert HOSTILE not in page


def test_states_that_procedures_observed_stand_beside_those_of_the_efd(held):
    held.journal.append(Kind.STEP_STARTED, 1, step="standup", run="a")
    procedure = begin(held.site)
    with procedure.step("Take it down") as step:
        step.observed = {
            "before": 1,
            "found": [{"csc": "DIMM", "index": 1, "state": "OFFLINE", "alive": False}],
        }
    with procedure.step("Something else") as step:
        step.observed = {"files": 3}
    procedure.finish()
    page = report.write_night_report(held, 1).read_text()
    content = report.read_report(held, 1)
    (row,) = content["states"]["ledger"]
    assert (row["csc"], row["state"]) == ("DIMM:1", "OFFLINE")
    assert row["told"].endswith("step take-it-down")
    assert sources(content)["states in the ledger"] == "good"
    assert "take-it-down" in page


@pytest.mark.parametrize(
    ("observed", "states"),
    [
        ({"csc": {"name": "ATDome", "index": 0}, "state": "STANDBY"}, [("ATDome", "STANDBY")]),
        ({"csc": "DIMM", "index": 2, "before": "ENABLED", "after": "OFFLINE"}, [("DIMM:2", "OFFLINE")]),
        ({"csc": "DIMM", "index": 2, "state": 5}, []),
        ({"csc": "", "state": "OFFLINE"}, []),
        ([None, 7, "x", [[{"csc": "A", "state": "FAULT"}]]], [("A", "FAULT")]),
    ],
)
def test_states_are_found_in_whatever_they_are_nested(observed, states):
    assert list(observed_states(observed)) == states


def test_written_amended_signed(held):
    report.write_night_report(held, 1)
    written = report.read_report(held, 1)
    report.sign_report(held, 1, who="stand-in LDF", role="LDF")
    page = held.settings.report / "night_20261120.html"
    assert "this version" in page.read_text()
    report.amend_report(held, 1, "plan", f"{HOSTILE}\nsecond line", who="Ana", role="SciOps")
    text = page.read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\nsecond line" in text
    assert "an earlier version" in text
    report.sign_report(held, 1, who="Ana", role="SciOps", comment="after the meeting")
    assert page.read_text().count("this version") == 1
    assert report.read_report(held, 1) == written
    kinds = [entry.kind for entry in held.entries() if str(entry.kind).startswith("report-")]
    assert kinds == [Kind.REPORT_WRITTEN, Kind.REPORT_SIGNED, Kind.REPORT_AMENDED, Kind.REPORT_SIGNED]


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", '{"format": 0}', "7"])
def test_a_report_of_another_version_is_written_again_not_drawn(held, text):
    report.write_night_report(held, 1)
    (held.settings.report / "night_20261120.json").write_text(text)
    with pytest.raises(NotFoundError, match=r"not written|another version"):
        report.amend_report(held, 1, "plan", "x")
    assert "not written" in report.write_rehearsal_report(held).read_text()


def test_written_again_it_keeps_what_was_amended_and_is_not_signed_any_more(held):
    report.write_night_report(held, 1)
    report.amend_report(held, 1, "problems", "seen by eye", who="Ana")
    report.sign_report(held, 1, who="Ana", role="LDF")
    held.journal.append(Kind.COUNTS, 1, stage="night", counts=COUNTS)
    text = report.write_night_report(held, 1).read_text()
    assert "seen by eye" in text
    assert "an earlier version" in text
    assert "this version" not in text


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda held: report.amend_report(held, 1, "plan", "x"), NotFoundError),
        (lambda held: report.sign_report(held, 1, who="Ana", role="LDF"), NotFoundError),
        (lambda held: report.sign_report(held, 1, who=" ", role="LDF"), InputError),
        (lambda held: report.sign_report(held, 1, who="Ana", role="Coordinator"), RefusedError),
        (lambda held: report.amend_report(held, 1, "weather", "x"), InputError),
        (lambda held: report.amend_report(held, 1, "plan", " "), InputError),
        (lambda held: report.amend_report(held, 1, "plan", "x" * 6000), InputError),
        (lambda held: report.write_night_report(held, 3), NotFoundError),
    ],
)
def test_what_is_not_done_says_why(held, call, error):
    with pytest.raises(error):
        call(held)
    assert not [entry for entry in held.entries() if str(entry.kind).startswith("report-")]


def test_every_page_of_an_unattended_run_says_so(held):
    from lsst_commtools.rehearsal.monitor import write_page
    from lsst_commtools.rehearsal.standup import write_standup

    report.write_night_report(held, 1)
    write_standup(held, 2)
    write_standup(held, 2, final=True)
    write_page(held)
    report.write_rehearsal_report(held)
    pages = [p for p in held.settings.report.iterdir() if p.suffix in (".html", ".md")]
    assert len(pages) == 9
    for page in pages:
        text = page.read_text()
        assert "Unattended: signed by stand-ins" in text, page.name
        assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text), page.name
    attended = Rehearsal(held.site, RehearsalSettings.read(held.settings.work))
    assert attended.unattended


def test_hostile_text_stays_text_everywhere(held, services):
    message(services, HOSTILE, NOON)
    held.note_problem(HOSTILE, HOSTILE, HOSTILE, night=1, role=HOSTILE, exception=HOSTILE, place=HOSTILE)
    for kind in (Kind.DECISION, Kind.CHOICE, Kind.CALIBRATION, Kind.CSC_STATE, Kind.NARRATIVE):
        held.journal.append(
            kind, 1, role=HOSTILE, who=HOSTILE, text=HOSTILE, csc=HOSTILE, state=HOSTILE, status=HOSTILE
        )
    held.journal.append(Kind.COUNTS, 1, stage=HOSTILE, files={HOSTILE: HOSTILE})
    held.journal.append(Kind.STEP_STARTED, 1, step="standup", run=HOSTILE)
    held.journal.append(Kind.STEP_ENDED, 1, step="standup", run=HOSTILE, status="failed", reason=HOSTILE)
    report.write_night_report(held, 1)
    report.amend_report(held, 1, "plan", HOSTILE, who=HOSTILE, role=HOSTILE)
    report.sign_report(held, 1, who=HOSTILE, role="LDF", comment=HOSTILE)
    from lsst_commtools.rehearsal.standup import write_standup

    write_standup(held, 2)
    report.write_rehearsal_report(held)
    for page in held.settings.report.iterdir():
        if page.suffix in (".html", ".md"):
            assert "<script>alert" not in page.read_text(), page.name


def test_problems_compared_with_the_night_before(held):
    held.note_problem("late-transfer", "x", "rsync", night=1, role="LDF")
    held.note_problem("full-disk", "x", "/data", night=2, role="LDF")
    report.write_night_report(held, 2)
    problems = report.read_report(held, 2)["problems"]
    assert {name: [p["kind"] for p in items] for name, items in problems.items()} == {
        "new": ["full-disk"], "recurring": [], "still open": ["late-transfer"], "solved": [],
    }  # fmt: skip


def test_the_report_of_the_rehearsal_has_its_tables_and_files(held):
    held.note_problem("late-transfer", "=cmd()", "rsync", night=1, role="LDF")
    report.write_night_report(held, 1)
    report.sign_report(held, 1, who="Ana", role="LDF")
    page = report.write_rehearsal_report(held)
    text = page.read_text()
    assert "Ana (LDF)" in text
    assert "night_20261121.html" not in text
    names = {p.name for p in page.parent.iterdir()}
    assert {"backlog.csv", "backlog_jira.csv", "campaign.html", "index.md", "night_20261120.json"} <= names


def test_a_night_of_another_time_is_asked_for_in_real_time_too(held):
    now = dt.datetime(2027, 3, 1, tzinfo=dt.UTC)
    itself, rehearsed = windows_of(20261120, [], 1, now)
    assert tai_text(itself.begin_utc) == "2026-11-20T12:00:00.000000"
    assert itself.end_utc - itself.begin_utc == dt.timedelta(days=1)
    assert rehearsed.end_utc == now
    assert len(windows_of(20261120, [], 1, itself.begin_utc + dt.timedelta(hours=5))) == 1


def test_sent_reports_are_marked_and_there_once(held, services):
    held.journal.append(Kind.COUNTS, 1, stage="night", counts=COUNTS)
    held.journal.append(
        Kind.NARRATIVE, 1, who="Ana", text="dome stuck", time_lost_s=60.0, time_lost_type="fault"
    )
    with pytest.raises(NotFoundError):
        send_night_report(held, 1, who="Ana")
    report.write_night_report(held, 1)
    with pytest.raises(InputError):
        send_night_report(held, 1, who=" ")
    for _ in range(2):
        send_night_report(held, 1, who="Ana")
        send_narrative(held, 1, who="Ana")
    (stored,) = services.rows["reports"]
    assert stored["summary"].startswith("[REHEARSAL] ")
    assert "Unattended: signed by stand-ins" in stored["summary"]
    assert "measured: 50 detector images, 2 lost here" in stored["summary"]
    (message,) = services.rows["messages"]
    assert message["message_text"].startswith("[REHEARSAL] dome stuck")
    assert message["tags"] == ["rehearsal"]
    assert message["time_lost"] == 60.0


def test_a_site_without_a_night_report_service_refuses_to_send(held):
    report.write_night_report(held, 1)
    bare = Rehearsal(held.site.model_copy(update={"notices": NoticesSection(slack_url="")}), held.settings)
    with pytest.raises(SiteError):
        send_night_report(bare, 1, who="Ana")


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = write_whole(tmp_path / "a.html", "old")
    with pytest.raises(ServiceError, match="cannot be written"):
        write_whole(path / "below" / "b.html", "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("# title", "\\# title"),
        ("- item", "\\- item"),
        ("1. item", "1\u200b. item"),
        ("2.5 %", "2.5 %"),
        ("a|b\nc", "a\\|b c"),
        ("<!channel> & [x](http://e)", "&lt;!channel&gt; &amp; \\[x\\](http:\u200b//e)"),
        ("@here *b* _i_ `c`", "@\u200bhere \\*b\\* \\_i\\_ \\`c\\`"),
        ("a\u202eb\x00c", "a b c"),
    ],
)
def test_markdown_of_others_has_no_marks(text, safe):
    assert markdown(text) == safe


def test_bars_carry_their_words():
    span = {
        "begin_utc": NOON.isoformat(),
        "end_utc": (NOON + dt.timedelta(hours=24)).isoformat(),
        "hours": 24.0,
    }
    rows = [
        {"window": HOSTILE, "csc": HOSTILE, "spans": [{**span, "state": state}]}
        for state in ("ENABLED", "FAULT", "UNKNOWN", "UNKNOWN (9)")
    ]
    svg = states_figure(rows)
    assert HOSTILE not in svg
    for word in ("ENABLED", "FAULT", "UNKNOWN (9)"):
        assert f">{word}</text>" in svg
    assert svg.count("stroke-dasharray") == 2
    assert 'fill="currentColor"' in svg, "names of CSCs can be read on a dark ground too"
    assert states_figure([]) == ""


@pytest.mark.debian
@pytest.mark.skipif(shutil.which("influxd") is None, reason="Debian's influxdb is not installed")
def test_states_over_the_night_come_from_the_efd(held, notices, tmp_path):
    hour = dt.timedelta(hours=1)
    (tmp_path / "influxdb").mkdir()
    with running_influxdb(tmp_path / "influxdb") as efd:
        efd.write(
            summary_state_line("DIMM", 1, 2, NOON - 300 * hour),
            summary_state_line("DIMM", 1, 3, NOON + 12 * hour),
            summary_state_line("ATDome", 0, 5, NOON + 3 * hour),
        )
        section = notices.model_copy(update={"efd_url": efd.url})
        site = held.site.model_copy(update={"notices": section})
        page = report.write_night_report(Rehearsal(site, held.settings), 1).read_text()
    content = report.read_report(held, 1)
    rows = {
        row["csc"]: row for row in content["states"]["efd"] if row["window"].startswith("the night itself")
    }
    assert (rows["DIMM:1"]["before"], rows["DIMM:1"]["end"]) == ("ENABLED", "FAULT")
    assert (rows["ATDome"]["before"], rows["ATDome"]["end"]) == ("UNKNOWN", "STANDBY")
    assert (rows["MTMount"]["before"], rows["MTMount"]["end"]) == ("UNKNOWN", "UNKNOWN")
    assert rows.keys() == set(site.love.cscs)
    assert sources(content)["EFD"] == "good"
    assert "<svg" in page
    assert "OFFLINE</text>" not in page


def test_the_stored_report_is_strict_json(held):
    held.journal.append(Kind.COUNTS, 1, stage="latency", median_s=float("nan"))
    report.write_night_report(held, 1)
    text = (held.settings.report / "night_20261120.json").read_text()
    json.loads(text, parse_constant=pytest.fail)
