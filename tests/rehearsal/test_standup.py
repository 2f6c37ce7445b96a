"""Pages for the meetings."""

import pytest

from lsst_commtools.pipeline.outcomes import QuantumOutcome, QuantumStatus
from lsst_commtools.rehearsal import Kind, Rehearsal, RehearsalSettings, report
from lsst_commtools.rehearsal.poll import answer_poll, open_poll
from lsst_commtools.rehearsal.progress import QuantumLog
from lsst_commtools.rehearsal.standup import standup_content, write_standup
from lsst_commtools.site import Site


@pytest.fixture
def held(tmp_path, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_HOME", str(tmp_path / "home"))
    settings = RehearsalSettings(
        tmp_path / "work", "simulated", "LSSTComCam", (20261120, 20261121), 3, 1, 60.0, unattended=True
    )
    return Rehearsal.create(Site.load("local"), settings)


def test_before_the_first_night_there_is_none_before(held):
    text = write_standup(held, 1).read_text()
    assert "There is no night before this one" in text
    assert [
        h for h in ("Night report", "Processing summary", "Metrics", "Issues", "Plan") if h not in text
    ] == []


def test_the_agenda_is_filled_with_the_night_before(held):
    with QuantumLog(held.night(1)) as log:
        bad = QuantumOutcome(
            "isr", {"exposure": 1, "detector": 2}, QuantumStatus.FAILED, "OSError", "disk is full"
        )
        log(1, 1, bad)
    held.note_problem("full-disk", "x", "/data", night=1, role="LDF")
    report.write_night_report(held, 1)
    report.amend_report(held, 1, "plan", "buy a disk", who="Ana", role="LDF")
    held.journal.append(Kind.DECISION, 2, who="Ana", role="LDF", text="process without darks")
    poll = open_poll(held.journal, "Ready?", 2)
    answer_poll(held.journal, poll.id, role="LDF", name="Ana", go=True)
    page = write_standup(held, 2)
    text, short = page.read_text(), page.with_suffix(".md").read_text()
    assert page.name == "standup_20261121.html"
    for told in (
        "disk is full",
        "buy a disk",
        "full-disk",
        "process without darks",
        "asked without an answer: ObsOps, SciOps",
    ):
        assert told in text, told
        assert told.replace("-", "-") in short.replace("\\", ""), told
    assert "<script" not in text


def test_a_night_without_a_report_is_gathered_and_said_to_be(held):
    content = standup_content(held, 2)
    assert [r["written"] for r in content["reports"]] == [False]
    assert "its report was not written" in write_standup(held, 2).read_text()


def test_the_final_standup_talks_about_all_nights(held):
    for night in (1, 2):
        held.note_problem("full-disk", "x", "/data", night=night, role="LDF")
        report.write_night_report(held, night)
    content = standup_content(held, 0, final=True)
    assert [r["night"] for r in content["reports"]] == [1, 2]
    assert [(c["new"], c["still open"]) for c in content["changes"]] == [(1, 0), (0, 1)]
    assert write_standup(held, 0, final=True).name == "standup_final.html"
