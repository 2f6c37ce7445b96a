import threading
import time

import pytest

from lsst_commtools.control import SummaryState, Verdict
from lsst_commtools.errors import InputError, NotFoundError, RefusedError, StepError, UnknownOutcomeError

S = SummaryState


@pytest.fixture
def queue(control):
    return control.queue("MT")


def sim_queue(observatory, index=1):
    return observatory.observatory.queues[index]


def test_a_state_is_changed_through_the_queue(control, observatory):
    outcome = control.set_state("DIMM:1", "ENABLED", via="queue")
    assert outcome.path == (S.STANDBY, S.DISABLED, S.ENABLED)
    assert "Script 100000 on the MT queue succeeded" in outcome.reason
    assert control.set_state("ATDome", "OFFLINE", via="queue").path[-1] is S.OFFLINE
    assert not observatory.observatory.csc("ATDome").running


def test_the_plan_names_the_queue(control):
    plan = control.plan("DIMM:2", "ENABLED", via="queue")
    assert plan.queue == "AT"
    assert "set_summary_state.py on the AT queue" in str(plan)


def test_an_override_is_read_when_the_csc_is_listed_twice(control):
    control.set_state("DIMM:1", "ENABLED")
    outcome = control.set_state("DIMM:1", "ENABLED", override="summit.yaml", via="queue", reload=True)
    assert S.STANDBY in outcome.path
    assert "Configuration applied: _init.yaml,summit.yaml." in outcome.reason


def test_many_cscs_go_by_one_script_on_each_queue(control, observatory):
    outcomes = control.set_states(
        dict.fromkeys(["DIMM:1", "MTMount", "ATDome", "ATAOS"], "ENABLED"), via="queue"
    )
    assert all(o.ok for o in outcomes.values()), outcomes
    assert [len(sim_queue(observatory, i)._finished) for i in (1, 2, 3)] == [1, 1, 0]


def test_a_failed_script_is_seen_while_it_is_current_and_the_queue_goes_on(control, observatory, break_it):
    break_it("DIMM:1", "reject", where="enable")
    with pytest.raises(StepError, match=r"Script 100000 on ScriptQueue:1 failed.*enable was rejected"):
        control.set_state("DIMM:1", "ENABLED", via="queue")
    assert sim_queue(observatory).running
    assert control.set_state("DIMM:1", "ENABLED", via="queue").ok


def test_follow_alone_leaves_a_paused_queue_paused(queue, observatory):
    result = queue.follow(queue.add("fail.py"))
    assert result.verdict is Verdict.FAILED
    assert not sim_queue(observatory).running
    with pytest.raises(RefusedError, match=r"paused.*script 100000, fail.py, has failed"):
        queue.add("fail.py")


def test_run_resumes_what_its_own_failure_stopped(queue, observatory):
    result = queue.run("fail.py")
    assert (result.verdict, result.resumed) == (Verdict.FAILED, True)
    assert sim_queue(observatory).running


def test_states_that_go_backwards_do_not_deceive(queue):
    sights = []
    result = queue.follow(
        queue.add("set_summary_state.py", {"data": [["DIMM:1", "ENABLED"]]}), saw=sights.append
    )
    assert result.ok
    states = [s.script_state for s in sights]
    first_done = states.index("DONE")
    assert sights[first_done].process_state == "RUNNING"
    assert (sights[-1].process_state, sights[-1].script_state) == ("DONE", "DONE")


def test_a_configuration_that_fails_on_the_queue_is_told_with_its_reason(queue, observatory):
    result = queue.run("set_summary_state.py", {"data": [["not a name!", "ENABLED"]]})
    assert result.verdict is Verdict.NOT_CONFIGURED
    assert "Configuration failed" in str(result.error)


def test_a_paused_queue_takes_nothing_unless_asked(queue, control, observatory):
    observatory.call(sim_queue(observatory).pause)
    with pytest.raises(RefusedError, match="paused"):
        control.set_state("DIMM:1", "ENABLED", via="queue")
    index = queue.add("set_summary_state.py", {"data": [["DIMM:1", "ENABLED"]]}, paused=True)
    with pytest.raises(UnknownOutcomeError, match=r"CONFIGURED in waiting_scripts, and the queue is paused"):
        queue.follow(index, timeout_s=0.5)
    queue.resume()
    assert queue.follow(index).ok


def test_a_queue_that_is_not_enabled_takes_nothing(control, observatory):
    control.set_state("ScriptQueue:1", "DISABLED")
    time.sleep(0.2)
    with pytest.raises(RefusedError, match="not enabled"):
        control.set_state("DIMM:1", "ENABLED", via="queue")


def test_a_script_that_is_taken_off_the_queue_is_not_waited_for(queue, observatory):
    observatory.call(sim_queue(observatory).pause)
    index = queue.add("sleep.py", paused=True)
    threading.Timer(0.3, queue.stop, (index,)).start()
    with pytest.raises(UnknownOutcomeError, match="no longer on"):
        queue.follow(index)


def test_a_stopped_script_is_stopped(queue):
    index = queue.add("sleep.py", {"sleep_for": 0.5})
    threading.Timer(0.2, queue.stop, (index,)).start()
    assert queue.follow(index).verdict is Verdict.STOPPED


def test_scripts_that_are_not_there(queue):
    with pytest.raises(NotFoundError, match=r"Did you mean set_summary_state\.py"):
        queue.add("set_sumary_state.py")
    with pytest.raises(InputError, match="schema"):
        queue.add("set_summary_state.py", {"data": [], "ignore": ["x"]})


def test_which_queue_is_said_by_the_site(make_control, csc_site):
    bare = csc_site.model_copy(update={"love": csc_site.love.model_copy(update={"cscs": {}})})
    with pytest.raises(InputError, match=r"love\.cscs"):
        make_control(site=bare).set_state("DIMM:1", "ENABLED", via="queue")


def test_a_websocket_cut_while_a_script_runs(queue, observatory):
    from lsst_commtools.simulate.observatory.love_socket import cut_websockets

    index = queue.add("sleep.py", {"sleep_for": 0.6})
    threading.Timer(0.2, observatory.call, (cut_websockets, observatory.observatory)).start()
    assert queue.follow(index).ok


def test_a_script_that_fails_at_one_csc_has_not_failed_at_the_one_before(control, break_it):
    break_it("MTMount", "reject", where="start")
    outcomes = control.set_states(dict.fromkeys(["DIMM:1", "MTMount", "MTAOS"], "ENABLED"), via="queue")
    assert [o.ok for o in outcomes.values()] == [True, False, False]
    assert outcomes["MTAOS"].after is S.STANDBY
