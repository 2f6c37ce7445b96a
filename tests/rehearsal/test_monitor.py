"""How the campaign stands: the log of quanta, the page, and its live form."""

import html
import json
import re
import threading

import pytest
import requests

from lsst_commtools.pipeline.outcomes import ProcessingReport, QuantumOutcome, QuantumStatus
from lsst_commtools.rehearsal import Kind, Rehearsal, RehearsalSettings
from lsst_commtools.rehearsal.backlog import change_problem
from lsst_commtools.rehearsal.monitor import LivePage, campaign_page, campaign_state, write_page
from lsst_commtools.rehearsal.progress import QuantumLog, log_path, read_quanta
from lsst_commtools.site import Site

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
VISIT = 2026112000000


@pytest.fixture
def held(tmp_path, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_HOME", str(tmp_path / "home"))
    settings = RehearsalSettings(
        tmp_path / "work", "simulated", "LSSTComCam", (20261120, 20261121), 3, 1, 60.0, unattended=True
    )
    return Rehearsal.create(Site.load("local"), settings)


def outcome(visit, detector, task="isr", status=QuantumStatus.SUCCEEDED, error="", message=""):
    data_id = {"instrument": "LSSTComCam", "exposure": VISIT + visit, "detector": detector}
    return QuantumOutcome(task, data_id, status, error, message, 0.1)


def failed(visit, detector, message="Only 3 stars"):
    return outcome(visit, detector, status=QuantumStatus.FAILED, error="RuntimeError", message=message)


def run(log, outcomes):
    for number, each in enumerate(outcomes, 1):
        log(number, len(outcomes), each)


def test_quanta_are_counted_while_the_pipeline_runs(held):
    log = QuantumLog(held.night(1))
    with log:
        log(1, 18, outcome(0, 0))
        log(2, 18, failed(0, 1))
        quanta = read_quanta(log.path)
        assert quanta.running
        assert quanta.counts == {"waiting or running": 16, "done": 1, "failed": 1, "no-work": 0, "skipped": 0}
    assert not read_quanta(log.path).running


def test_a_visit_at_a_time_and_what_was_done_before(held):
    with QuantumLog(held.night(1)) as log:
        first = [outcome(0, d) for d in range(3)]
        run(log, first)
        log.record(ProcessingReport("run", tuple(first)))
        second = [outcome(1, 0), outcome(1, 1, status=QuantumStatus.EXISTING)]
        log(1, 1, second[0])
        log.record(ProcessingReport("run", tuple(second)))
    quanta = read_quanta(log.path)
    assert quanta.counts["done"] == 5
    assert quanta.by_visit == {str(VISIT): {"done": 3}, str(VISIT + 1): {"done": 2}}
    lines = log.path.read_text().splitlines()
    assert len(lines) == 1 + 3 + 1 + 2 + 1 + 1  # nothing is written twice


def test_a_kill_and_a_resumption(held):
    log = QuantumLog(held.night(1))
    log.__enter__()
    log(1, 3, outcome(0, 0))
    log(2, 3, failed(0, 1))
    with log.path.open("a") as file:
        file.write('{"event": "quantum", "task": "isr", "data')
    assert read_quanta(log.path).running
    with QuantumLog(held.night(1)) as again:
        run(again, [outcome(0, 1), outcome(0, 2)])
    quanta = read_quanta(log.path)
    assert (quanta.counts["done"], quanta.counts["failed"], quanta.running) == (3, 0, False)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "7",
        "[]",
        '{"event": "quantum"}',
        '{"event": "quantum", "left": "x"}',
        "\x00\xff",
        '{"left": null}',
    ],
)
def test_lines_that_cannot_be_read_are_passed_over(held, line):
    with QuantumLog(held.night(1)) as log:
        log(1, 1, outcome(0, 0))
        with log.path.open("a", encoding="latin-1") as file:
            file.write(f"{line}\n")
    assert read_quanta(log.path).counts["done"] == 1


def test_a_folder_that_cannot_be_written_costs_no_night(held):
    path = log_path(held.settings.work, 20261120, "science")
    path.parent.write_text("a file where the folder should be")
    with QuantumLog(held.night(1)) as log:
        log(1, 1, outcome(0, 0))
    assert read_quanta(path).ended == ()


def test_many_threads_write_whole_lines(held):
    with QuantumLog(held.night(1)) as log:
        threads = [
            threading.Thread(target=lambda v=v: [log(1, 1, outcome(v, d)) for d in range(20)])
            for v in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert read_quanta(log.path).counts["done"] == 80


def test_rates_name_what_they_are_of(held):
    with QuantumLog(held.night(1)) as log:
        run(log, [outcome(0, d, task) for d in range(8) for task in ("isr", "wcs")] + [failed(0, 8)])
        skipped = outcome(0, 8, "wcs", QuantumStatus.SKIPPED)
        log(1, 1, skipped)
    quanta, images = read_quanta(log.path).rates
    assert quanta.text == "5.56 % (1 of 18 quanta that ended)"
    assert images.text == "11.11 % (1 of 9 detector images that were begun)"
    assert str(images.status) == "bad"


def test_the_state_of_all_steps_and_visits(held):
    held.journal.append(Kind.STEP_STARTED, 1, step="transmit-calibrations", run="a")
    held.journal.append(Kind.STEP_ENDED, 1, step="transmit-calibrations", run="a", status="done")
    held.journal.append(Kind.STEP_STARTED, 1, step="standup", run="b")
    held.journal.append(Kind.STEP_STARTED, 1, step="run-pipeline", run="c")
    held.journal.append(Kind.STEP_ENDED, 1, step="run-pipeline", run="c", status="failed", reason=HOSTILE)
    with QuantumLog(held.night(1)) as log:
        run(log, [outcome(0, 0), failed(1, 0), failed(2, 0, "Only 4 stars")])
        state = campaign_state(held)
    assert state.counts == {"waiting": 20, "running": 1, "done": 1, "failed": 1}
    assert state.running
    night = state.nights[0]
    assert [visit["status"] for visit in night.visits.values()] == ["running", "failed", "failed"]
    (group,) = night.groups
    assert (group.exception, group.place, group.count) == ("RuntimeError", "isr", 2)
    assert group.messages == (("Only # stars", 2),)
    assert json.loads(json.dumps(state.to_dict()))["nights"][0]["failures"][0]["count"] == 2


def test_failures_show_who_cares_for_them(held):
    known = held.note_problem(
        "processing-failed",
        "isr: Only 3 stars",
        "x",
        night=1,
        role="LDF",
        exception="RuntimeError",
        place="isr",
    )
    change_problem(held.journal, known, state="assigned", assignee="Ben", night=1)
    other = outcome(1, 1, "wcs", QuantumStatus.FAILED, "ValueError", "x")
    with QuantumLog(held.night(1)) as log:
        run(log, [failed(1, 0), other])
    rows = campaign_state(held).nights[0].failures
    assert [(row["place"], row["state"], row["assignee"]) for row in rows] == [
        ("isr", "assigned", "Ben"),
        ("wcs", "", ""),
    ]
    assert "<td>assigned</td><td>Ben</td>" in write_page(held).read_text()


def test_the_page_stands_alone_and_hostile_text_stays_text(held):
    held.note_problem("odd", HOSTILE, HOSTILE, night=1, role=HOSTILE)
    held.journal.append(Kind.STEP_STARTED, 1, step="standup", run=HOSTILE)
    held.journal.append(Kind.STEP_ENDED, 1, step="standup", run=HOSTILE, status="failed", reason=HOSTILE)
    with QuantumLog(held.night(1)) as log:
        run(log, [failed(1, 0, HOSTILE), outcome(2, 0, HOSTILE)])
    page = write_page(held).read_text()
    assert "Unattended: signed by stand-ins" in page
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in html.unescape(page)
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", page)
    assert 'http-equiv="refresh"' in page


def test_the_page_of_an_ended_rehearsal_is_not_loaded_again(held):
    held.journal.append(Kind.STEP_STARTED, 2, step="final-standup", run="a")
    held.journal.append(Kind.STEP_ENDED, 2, step="final-standup", run="a", status="done")
    assert 'http-equiv="refresh"' not in campaign_page(campaign_state(held))


def test_people_sign_where_it_is_not_unattended(tmp_path, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_HOME", str(tmp_path / "home"))
    settings = RehearsalSettings(
        tmp_path / "w", "simulated", "LSSTComCam", (20261120,), 3, 1, 60.0, unattended=False
    )
    held = Rehearsal.create(Site.load("local"), settings)
    assert "stand-ins" not in write_page(held).read_text()


def test_the_live_page_is_for_those_who_know_its_address(held):
    with LivePage(held) as page:
        answer = requests.get(page.url, timeout=10)
        assert "Campaign of the rehearsal" in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        held.journal.append(Kind.STEP_STARTED, 1, step="standup", run="a")
        state = requests.get(f"{page.url}state.json", timeout=10).json()
        assert state["steps"]["running"] == 1
        host = page.url.split("/")[2]
        assert requests.get(f"http://{host}/", timeout=10).status_code == 404
        assert requests.get(f"http://{host}/guess/", timeout=10).status_code == 404
        rebound = requests.get(page.url, headers={"Host": "evil.example.org"}, timeout=10)
        assert rebound.status_code == 403
    with pytest.raises(requests.ConnectionError):
        requests.get(page.url, timeout=5)


def test_the_live_page_says_when_the_journal_is_away(held):
    with LivePage(held) as page:
        held.journal.path.rename(held.journal.path.with_suffix(".gone"))
        held.settings.journal.mkdir()
        answer = requests.get(page.url, timeout=60)
        assert answer.status_code == 503
        assert "journal" in answer.text
