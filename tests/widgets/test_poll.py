import pytest

from lsst_commtools.rehearsal.journal import Journal
from lsst_commtools.rehearsal.people import Roster
from lsst_commtools.rehearsal.poll import open_poll, polls
from lsst_commtools.widgets import PollPanel


@pytest.fixture
def rehearsal_journal(tmp_path):
    return Journal(tmp_path / "journal.sqlite")


@pytest.fixture
def panel(rehearsal_journal):
    open_poll(rehearsal_journal, "Ready for <the> night?", 1)
    return PollPanel(rehearsal_journal.path)


def test_a_poll_is_clicked_through(panel, rehearsal_journal):
    assert "Ready for &lt;the&gt; night?" in panel._shown.value
    assert panel._shown.value.count("no answer") == 3
    panel._go.click()
    assert "needs a name" in panel.told.value
    for role in panel._role.options:
        panel._role.value = role
        panel._name.value = f"the {role}"
        panel._go.click()
    assert "no answer" not in panel._shown.value
    panel._close.click()
    assert panel._go.disabled
    assert "go." in panel.told.value
    assert polls(rehearsal_journal.entries())[0].verdict == "go"


def test_a_no_go_and_silence_are_shown_in_words(panel):
    panel._role.value = "SciOps"
    panel._name.value, panel._comment.value = "Di", "<b>flats</b>"
    panel._no_go.click()
    assert "no-go" in panel._shown.value
    assert "&lt;b&gt;flats" in panel._shown.value
    panel._close.click()
    assert "no answer from ObsOps, LDF" in panel.told.value
    panel._go.click()
    assert "closed" in panel.told.value


def test_answers_of_others_are_seen_by_looking_again(panel, rehearsal_journal):
    other = PollPanel(rehearsal_journal)
    other._name.value = "Ana"
    other._go.click()
    assert "Ana" not in panel._shown.value
    panel._again.click()
    assert "Ana" in panel._shown.value


def test_the_roster_is_held_to(rehearsal_journal):
    open_poll(rehearsal_journal, "Ready?", 1)
    panel = PollPanel(rehearsal_journal, roster=Roster.of_stand_ins())
    panel._name.value = "stand-in LDF"
    panel._go.click()
    assert "may not sign for ObsOps" in panel.told.value
    panel._role.value = "LDF"
    panel._go.click()
    assert "answered go for LDF" in panel.told.value


def test_all_is_reached_by_the_keyboard_and_named(panel):
    import ipywidgets

    fields = [w for row in panel.children for w in getattr(row, "children", ())]
    for field in (
        f for f in fields if isinstance(f, ipywidgets.Button | ipywidgets.Text | ipywidgets.Dropdown)
    ):
        assert field.description
        assert field.tabbable is not False


def test_without_a_poll_it_says_so(rehearsal_journal):
    panel = PollPanel(rehearsal_journal)
    assert "no poll" in panel._shown.value
    assert panel._go.disabled
    panel.answer(go=True)
    panel.close_poll()
    assert "no poll" in panel.told.value
