"""Bringing a production CSC back, from wherever a test has left it."""

import pytest

from lsst_commtools.deploy import (
    Production,
    observe_postconditions,
    queue_before,
    restore_production,
    stop_under_test,
    survey_production,
    wait_for_scripts,
)
from lsst_commtools.errors import RefusedError, StepError, UnknownOutcomeError

CSC = "DIMM:1"


@pytest.fixture
def job(argocd):
    return argocd.find_job(CSC)


@pytest.fixture
def restore(eyes, argocd, job):
    def run(**given):
        return restore_production(eyes, argocd, job, boot_timeout_s=5.0, gone_timeout_s=3.0, **given)

    return run


def test_where_production_stands(eyes, argocd, job, csc_of, running):
    seen = survey_production(eyes, argocd, CSC)
    assert (seen.was_running, seen.state, seen.job) == (True, "STANDBY", job)
    assert Production.of_dict(seen.to_dict()) == seen
    eyes.set_state(CSC, "OFFLINE")
    assert survey_production(eyes, argocd, CSC).was_running is False


def test_what_is_not_of_a_job_is_not_touched(eyes, argocd, bench):
    eyes.set_state(CSC, "OFFLINE")
    bench.start(CSC)
    eyes.wait_for(CSC, "STANDBY", 5)
    with pytest.raises(RefusedError, match="not by a Job"):
        survey_production(eyes, argocd, CSC)
    with pytest.raises(RefusedError, match="not by a Job"):
        survey_production(eyes, argocd, "MTCamera")


def test_a_running_csc_that_is_not_heard_is_unknown(eyes, argocd, running):
    running.call(lambda: setattr(running.observatory.producer, "silent", True))
    with pytest.raises(UnknownOutcomeError):
        survey_production(eyes, argocd, CSC)


def test_doing_it_twice_changes_nothing(eyes, restore, truth):
    eyes.set_state(CSC, "OFFLINE")
    first = restore()
    assert (first.did, first.state, first.alive) == ("redeployed", "STANDBY", True)
    assert first.uid_after != first.uid_before
    second = restore()
    assert (second.did, second.uid_before, second.uid_after) == ("nothing", first.uid_after, first.uid_after)


def test_what_has_never_ended_is_kept_or_brought_to_standby(eyes, restore):
    eyes.set_state(CSC, "ENABLED")
    assert (restore(keep=("ENABLED",)).did, restore(keep=("ENABLED",)).state) == ("nothing", "ENABLED")
    assert (restore().did, eyes.state(CSC).state.name) == ("brought to STANDBY", "STANDBY")


def test_fault_is_left_by_standby(eyes, restore, running, csc_of):
    running.call(csc_of(CSC).go_to_fault)
    next(state for state in eyes.watch([CSC], 5.0) if state.state.name == "FAULT")
    assert restore().state == "STANDBY"


def test_a_production_process_that_died_is_started_again(restore, running, csc_of):
    running.call(csc_of(CSC).kill)
    assert restore().did == "redeployed"


def test_two_processes_never_run_as_the_same_csc(eyes, argocd, bench, restore, running, job):
    eyes.set_state(CSC, "OFFLINE")
    bench.start(CSC)
    eyes.wait_for(CSC, "STANDBY", 5)
    before = argocd.job_state(job)
    with pytest.raises(RefusedError, match="Stop the CSC under test first"):
        restore()
    assert argocd.job_state(job) == before
    assert stop_under_test(eyes, bench, CSC)["how"] == "went OFFLINE"
    assert restore().did == "redeployed"
    assert running.observatory.cluster.two_at_once == []


def test_silence_of_love_is_not_taken_for_the_end_of_a_process(eyes, restore, running, csc_of, truth):
    eyes.set_state(CSC, "OFFLINE")
    before = truth()
    running.call(lambda: setattr(running.observatory.producer, "silent", True))
    eyes._backend.board.__init__()  # a client that has just begun has heard nothing
    with pytest.raises(UnknownOutcomeError):
        restore()
    assert truth()["jobs"] == before["jobs"]


def test_a_pod_that_hangs_is_left_to_a_person(restore, running, csc_of, monkeypatch):
    csc = csc_of(CSC)
    monkeypatch.setattr(type(csc), "kill", lambda self: None)
    running.call(setattr, csc, "_origin", -1)  # its heart stands still, and the process goes on
    with pytest.raises(StepError, match="hangs"):
        restore()


def test_a_csc_under_test_that_does_not_listen_is_stopped(eyes, bench, fail):
    eyes.set_state(CSC, "OFFLINE")
    bench.start(CSC)
    eyes.wait_for(CSC, "STANDBY", 5)
    fail(CSC, "reject", "", times=-1)
    ended = stop_under_test(eyes, bench, CSC)
    assert ended["how"].startswith("was stopped")
    assert ended["processes"] == []
    assert stop_under_test(eyes, bench, CSC)["how"] == "nothing ran"


def test_production_does_not_hear_the_command_for_the_bench(eyes, bench, running):
    eyes.set_state(CSC, "OFFLINE")
    bench.start(CSC)
    eyes.wait_for(CSC, "STANDBY", 5)
    assert stop_under_test(eyes, bench, CSC, orderly=False)["how"] == "was stopped"


def test_scripts_that_would_still_act_are_waited_for(eyes, running):
    before = queue_before(eyes, "MT")
    assert wait_for_scripts(eyes, before, 5.0) == {"waited_for": [], "resumed": False}
    config = {"data": [[CSC, "ENABLED"]], "mute_alarms": False}
    index = eyes.queue("MT").add("set_summary_state.py", config)
    assert wait_for_scripts(eyes, before, 10.0)["waited_for"] in ([index], [])
    assert eyes.state(CSC).state.name == "ENABLED"


def test_a_script_that_waits_on_a_paused_queue_is_told(eyes):
    before = queue_before(eyes, "MT")
    queue = eyes.queue("MT")
    queue.pause()
    index = queue.add("set_summary_state.py", {"data": [[CSC, "OFFLINE"]], "mute_alarms": False}, paused=True)
    with pytest.raises(UnknownOutcomeError, match=f"{index} .*the queue is paused"):
        wait_for_scripts(eyes, before, 0.5)


def test_a_queue_that_our_script_stopped_goes_on(eyes, fail):
    before = queue_before(eyes, "MT")
    fail(CSC, "reject", "exitControl")
    eyes.queue("MT").add("set_summary_state.py", {"data": [[CSC, "OFFLINE"]], "mute_alarms": False})
    ended = wait_for_scripts(eyes, before, 10.0)
    while not ended["resumed"] and eyes.queue("MT").state().running is False:
        ended = wait_for_scripts(eyes, before, 10.0)
    assert eyes.queue("MT").state().running


def test_postconditions_are_observed(eyes, argocd, bench, restore, job, running):
    before = survey_production(eyes, argocd, CSC)
    rows = observe_postconditions(eyes, argocd, bench, before, enabled=2)
    assert [row.met for row in rows] == ["yes", "yes", "yes"]
    eyes.set_state(CSC, "OFFLINE")
    bench.start(CSC)
    eyes.wait_for(CSC, "STANDBY", 5)
    rows = observe_postconditions(eyes, argocd, bench, before, enabled=0)
    assert [row.met for row in rows] == ["no", "no", "no"]
    assert "commtools csc restore DIMM:1" in rows[2].by_hand
    assert "never the application" in rows[2].by_hand
    bench.stop(CSC)
    never = Production(CSC, job, was_running=False, state="OFFLINE")
    assert [row.met for row in observe_postconditions(eyes, argocd, bench, never, enabled=None)] == [
        "yes",
        "yes",
    ]


def test_what_cannot_be_observed_is_unknown(eyes, argocd, bench, fail):
    before = survey_production(eyes, argocd, CSC)
    fail("docker", "http_500", "", times=-1)
    fail("argocd", "http_403", "", times=-1)
    rows = observe_postconditions(eyes, argocd, bench, before, enabled=None)
    assert [row.met for row in rows] == ["unknown", "unknown"]
