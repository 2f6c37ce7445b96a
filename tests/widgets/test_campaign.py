"""The panel of a campaign."""

import time

import pytest

from lsst_commtools.pipeline.outcomes import QuantumOutcome, QuantumStatus
from lsst_commtools.rehearsal import Kind, Rehearsal, RehearsalSettings
from lsst_commtools.rehearsal.backlog import from_entries
from lsst_commtools.rehearsal.progress import QuantumLog
from lsst_commtools.site import Site
from lsst_commtools.widgets import CampaignPanel
from lsst_commtools.widgets.style import Tone, badge

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def held(tmp_path, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_HOME", str(tmp_path / "home"))
    settings = RehearsalSettings(
        tmp_path / "work", "simulated", "LSSTComCam", (20261120,), 3, 1, 60.0, unattended=True
    )
    return Rehearsal.create(Site.load("local"), settings)


@pytest.fixture
def panel(held):
    shown = CampaignPanel(held, refresh_s=0)
    yield shown
    shown.close()


def test_the_panel_shows_steps_quanta_and_problems(held, panel):
    held.journal.append(Kind.STEP_STARTED, 1, step="run-pipeline", run="a")
    held.note_problem("full-disk", HOSTILE, HOSTILE, night=1, role="LDF")
    with QuantumLog(held.night(1)) as log:
        log(
            1,
            2,
            QuantumOutcome("isr", {"exposure": 7, "detector": 1}, QuantumStatus.FAILED, "OSError", HOSTILE),
        )
        panel.refresh()
    assert "Unattended: signed by stand-ins" in panel._trouble.value
    text = panel._shown.value
    badges = (badge("1 running", Tone.ACTIVE), badge("7", Tone.BAD))
    for told in (*badges, "OSError", "1 waiting or running", "full-disk"):
        assert told in text, told
    assert HOSTILE not in text
    assert "100.00 % (1 of 1 quanta that ended)" in text


def test_a_problem_is_assigned_and_solved(held, panel):
    panel.record()
    assert "no problem" in panel.told.value
    held.note_problem("full-disk", "x", "/data", night=1, role="LDF")
    panel.refresh()
    panel._state.value = "assigned"
    panel.record()
    assert "needs an assignee" in panel.told.value
    panel._assignee.value, panel._name.value = "Ben", HOSTILE
    panel.record()
    (item,) = from_entries(held.entries()).items
    assert (item.state, item.assignee) == ("assigned", "Ben")
    assert HOSTILE not in panel.told.value
    panel._state.value = "solved"
    panel.record()
    assert from_entries(held.entries()).open == ()
    assert "solved" in panel._shown.value


def test_the_choice_survives_news(held, panel):
    for kind in ("a-problem", "b-problem"):
        held.note_problem(kind, "x", kind, night=1)
    panel.refresh()
    chosen = panel._problem.options[1][1]
    panel._problem.value = chosen
    held.note_problem("c-problem", "x", "c", night=1)
    panel.refresh()
    assert panel._problem.value == chosen


def test_the_panel_keeps_itself_fresh_and_stops(held):
    panel = CampaignPanel(held, refresh_s=0.05)
    held.note_problem("full-disk", "x", "/data", night=1)
    ends_s = time.monotonic() + 20
    while "full-disk" not in panel._shown.value and time.monotonic() < ends_s:
        time.sleep(0.02)
    assert "full-disk" in panel._shown.value
    panel.close()
    assert not panel._thread.is_alive()


def test_a_journal_that_is_away_is_told_and_what_was_shown_stays(held, panel):
    before = panel._shown.value
    held.journal.path.rename(held.journal.path.with_suffix(".gone"))
    held.settings.journal.mkdir()
    panel.refresh()
    assert "journal" in panel._trouble.value
    assert panel._shown.value == before
