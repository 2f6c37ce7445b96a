import time

import pytest
from pydantic import SecretStr

from lsst_commtools.control import Control
from lsst_commtools.control.love import LoveBackend
from lsst_commtools.control.session import LoveSession
from lsst_commtools.simulate.observatory import Pace, running_observatory
from lsst_commtools.site import Site
from lsst_commtools.widgets import CscPanel

NAMES = ["DIMM:1", "ATDome", "MTCamera"]


@pytest.fixture
def observatory_of_panel():
    with running_observatory(Pace().faster(20.0)) as running:
        yield running


@pytest.fixture
def panel(observatory_of_panel):
    love = observatory_of_panel.services["love"]
    backend = LoveBackend(LoveSession(love.url, user=love.user, password=SecretStr(love.password)))
    with Control(Site.load("local"), backend) as control:
        panel = CscPanel(control, NAMES, refresh_s=0.05)
        wait_for(lambda: "STANDBY" in panel._table.value and not panel._ask.disabled)
        yield panel
        panel.close()


def wait_for(condition, seconds=5.0):
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.02)
    assert condition()


def test_states_are_text_as_well_as_colour(panel):
    for text in ("DIMM:1", "STANDBY", "#005f99", "▶", "OFFLINE", "s ago"):
        assert text in panel._table.value


def test_it_acts_only_after_the_plan_was_shown(panel, observatory_of_panel):
    csc = observatory_of_panel.observatory.csc("DIMM:1")
    assert panel._act.disabled
    panel.carry_out()  # shows the plan, and nothing else
    assert "start (STANDBY to DISABLED), enable" in panel.told.value
    assert csc.state == "STANDBY"
    assert not panel._act.disabled
    panel._act.click()
    wait_for(lambda: csc.state == "ENABLED")
    wait_for(lambda: "ENABLED" in panel._table.value)


def test_another_wish_needs_another_plan(panel):
    panel.show_plan()
    panel._target.value = "OFFLINE"
    assert panel._act.disabled
    assert panel.told.value == ""


def test_a_plan_that_is_no_longer_true_is_shown_anew(panel, observatory_of_panel):
    csc = observatory_of_panel.observatory.csc("DIMM:1")
    panel.show_plan()
    observatory_of_panel.call(csc._set_state, "DISABLED")
    wait_for(lambda: "DISABLED" in panel._table.value)
    panel.carry_out()
    assert "The state has changed" in panel.told.value
    assert csc.state == "DISABLED"


def test_a_question_is_agreed_to_by_the_button(panel, observatory_of_panel):
    panel._control.set_state("DIMM:1", "ENABLED")
    panel._override.value = "summit.yaml"
    panel.show_plan()
    assert panel._act.description == "Agree, and carry out"
    panel.carry_out()
    assert "ENABLED -&gt; DISABLED -&gt; STANDBY" in panel.told.value


def test_errors_are_shown_and_nothing_from_outside_is_markup(panel, observatory_of_panel):
    panel._override.value = "<b>nope</b>.yaml"
    panel.show_plan()
    panel.carry_out()
    assert "&lt;b&gt;nope&lt;/b&gt;.yaml" in panel.told.value
    observatory_of_panel.call(
        observatory_of_panel.observatory.csc("DIMM:1").log, 40, "<script>alert(1)</script>"
    )
    wait_for(lambda: "&lt;script&gt;" in panel._log.value)
    assert "<script>" not in panel._log.value
