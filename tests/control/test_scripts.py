import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lsst_commtools.control import SummaryState, Verdict, plan_change
from lsst_commtools.control.scripts import (
    SET_SUMMARY_STATE,
    SET_SUMMARY_STATE_SCHEMA,
    Place,
    QueueState,
    ScriptSight,
    check_config,
    judge,
    summary_state_config,
)
from lsst_commtools.errors import InputError
from lsst_commtools.ids import CscName

S = SummaryState
CSC = CscName("DIMM", 1)


def sight(process_state, script_state, place=Place.CURRENT):
    return ScriptSight(100000, "x.py", place, process_state, script_state)


@pytest.mark.parametrize(
    ("process_state", "script_state", "verdict"),
    [
        ("RUNNING", "DONE", Verdict.GOING_ON),  # states go backwards: only the process's end counts
        ("RUNNING", "FAILED", Verdict.GOING_ON),
        ("DONE", "DONE", Verdict.SUCCEEDED),
        ("DONE", "FAILED", Verdict.FAILED),
        ("DONE", "STOPPED", Verdict.STOPPED),
        ("DONE", "RUNNING", Verdict.UNSETTLED),
        ("CONFIGURE_FAILED", "CONFIGURE_FAILED", Verdict.NOT_CONFIGURED),
        ("LOADFAILED", "UNKNOWN", Verdict.NOT_LOADED),
        ("TERMINATED", "RUNNING", Verdict.STOPPED),
        ("UNKNOWN", "UNKNOWN", Verdict.GOING_ON),
    ],
)
def test_a_verdict_needs_proof(process_state, script_state, verdict):
    assert judge(sight(process_state, script_state)) is verdict


def test_the_name_is_quoted_and_read_back_as_text():
    config = summary_state_config([plan_change(CSC, S.STANDBY, S.OFFLINE)])
    text = check_config(SET_SUMMARY_STATE, config, SET_SUMMARY_STATE_SCHEMA)
    assert '"DIMM:1"' in text
    assert yaml.safe_load(text) == {"data": [["DIMM:1", "OFFLINE"]], "mute_alarms": False}


def test_an_override_is_read_only_after_standby_so_the_csc_is_listed_twice():
    plan = plan_change(CSC, S.ENABLED, S.ENABLED, override="summit.yaml", reload=True)
    assert summary_state_config([plan])["data"] == [
        ["DIMM:1", "STANDBY"],
        ["DIMM:1", "ENABLED", "summit.yaml"],
    ]
    plan = plan_change(CSC, S.STANDBY, S.ENABLED, override="summit.yaml")
    assert summary_state_config([plan])["data"] == [["DIMM:1", "ENABLED", "summit.yaml"]]


@given(st.lists(st.lists(st.text(max_size=12), min_size=2, max_size=3), min_size=1, max_size=4))
def test_any_text_survives_yaml(rows):
    text = check_config(SET_SUMMARY_STATE, {"data": rows, "mute_alarms": True}, SET_SUMMARY_STATE_SCHEMA)
    assert yaml.safe_load(text) == {"data": rows, "mute_alarms": True}


@pytest.mark.parametrize("word", ["on", "NO", "1e3", "0x10", "12:30:45", "~", "2026-11-20", "null", "y"])
def test_words_that_yaml_reads_as_something_else_stay_text(word):
    assert yaml.safe_load(check_config("x.py", {"data": word}, None)) == {"data": word}


@pytest.mark.parametrize(
    "config",
    [
        {"data": []},
        {"data": [["DIMM:1"]]},
        {"data": [["DIMM:1", 5]]},
        {"data": [["a", "b"]], "ignore": []},
        {},
    ],
)
def test_a_configuration_that_does_not_fit_is_not_sent(config):
    with pytest.raises(InputError, match="schema"):
        check_config(SET_SUMMARY_STATE, config, SET_SUMMARY_STATE_SCHEMA)


def test_queue_streams_are_read_and_oddities_are_not():
    waiting = {"index": 1, "path": "a", "process_state": "CONFIGURED", "script_state": "CONFIGURED"}
    streams = {"waiting_scripts": [waiting, 5], "current_scripts": None, "finished_scripts": [{"index": "x"}]}
    state = QueueState.read({"enabled": True, "running": False}, streams)
    assert (state.enabled, state.running) == (True, False)
    assert state.scripts[1].place is Place.WAITING
    assert QueueState.read(None, streams) is None
