import datetime as dt
import signal
import threading
import time

import pytest

from lsst_commtools.control import SummaryState
from lsst_commtools.errors import (
    ForbiddenError,
    IdentifierError,
    InputError,
    NotFoundError,
    RefusedError,
    RejectedError,
    StepError,
    UnknownOutcomeError,
)

S = SummaryState


def truth(observatory, name):
    csc = observatory.observatory.csc(name)
    return csc.state if csc.running else "gone"


def test_three_lines_change_a_state_and_return_what_was_observed(control, observatory):
    started_s = time.monotonic()
    outcome = control.set_state("DIMM:1", "ENABLED")
    assert outcome.ok
    assert outcome.path == (S.STANDBY, S.DISABLED, S.ENABLED)
    assert truth(observatory, "DIMM:1") == "ENABLED"
    assert time.monotonic() - started_s < 1.5
    assert set(outcome.to_dict()) == {"csc", "index", "before", "after", "path", "ok", "reason", "seconds"}


def test_where_it_is_already_nothing_is_sent(control):
    outcome = control.set_state("DIMM:1", "STANDBY")
    assert (outcome.ok, outcome.path) == (True, (S.STANDBY,))
    assert "nothing was sent" in outcome.reason


def test_states_of_all_cscs(control, csc_site):
    seen = control.states()
    assert [str(s.csc) for s in seen] == list(csc_site.love.cscs)
    assert all(s.alive for s in seen)
    assert set(seen[0].to_dict()) == {"csc", "index", "state", "alive", "heartbeat_age_s", "observed_at"}


def test_a_site_without_list_hears_who_is_there(make_control, csc_site):
    bare = csc_site.model_copy(update={"love": csc_site.love.model_copy(update={"cscs": {}})})
    assert {str(s.csc) for s in make_control(site=bare).states()} == set(csc_site.love.cscs)


def test_offline_is_the_event_and_the_end_of_the_heartbeat(control, observatory):
    outcome = control.set_state("DIMM:1", "OFFLINE")
    assert "OFFLINE event seen, and heartbeats have ceased" in outcome.reason
    assert truth(observatory, "DIMM:1") == "gone"
    assert control.state("DIMM:1").state is S.OFFLINE
    assert control.set_state("DIMM:1", "OFFLINE").ok
    with pytest.raises(RefusedError, match="Start its process"):
        control.set_state("DIMM:1", "ENABLED")


def test_a_process_started_again_is_in_standby(control, observatory):
    control.set_state("DIMM:1", "OFFLINE")
    observatory.call(observatory.observatory.csc("DIMM:1").start_process)
    assert control.wait_for("DIMM:1", "STANDBY", timeout_s=2.0).alive
    with pytest.raises(UnknownOutcomeError, match="not seen in ENABLED"):
        control.wait_for("DIMM:1", "ENABLED", timeout_s=0.2)


def test_a_camera_goes_on_in_offline_and_comes_back(control, observatory):
    assert control.set_state("MTCamera", "ENABLED").path == (S.OFFLINE, S.STANDBY, S.DISABLED, S.ENABLED)
    assert control.set_state("MTCamera", "OFFLINE").ok
    assert truth(observatory, "MTCamera") == "OFFLINE"


def test_fault_is_left_and_its_code_is_told(control, observatory, break_it):
    break_it("DIMM:1", "fault", where="enable")
    with pytest.raises(StepError, match=r"went to FAULT on enable.*error code 7: enable failed"):
        control.set_state("DIMM:1", "ENABLED")
    assert control.set_state("DIMM:1", "ENABLED").path == (S.FAULT, S.STANDBY, S.DISABLED, S.ENABLED)


def test_a_refusal_gets_its_reason_from_the_log(control):
    with pytest.raises(RejectedError, match=r"no reason is given.*is STANDBY.*nope.yaml' does not exist"):
        control.set_state("DIMM:1", "ENABLED", override="nope.yaml")


def test_a_refusal_without_a_word_is_not_explained(control, break_it):
    break_it("DIMM:1", "reject", where="enable")
    with pytest.raises(RejectedError, match="logged nothing of it"):
        control.set_state("DIMM:1", "ENABLED")


def test_an_old_complaint_is_not_taken_for_the_reason(control, break_it):
    with pytest.raises(RejectedError, match=r"nope\.yaml"):
        control.set_state("DIMM:1", "ENABLED", override="nope.yaml")
    break_it("DIMM:1", "reject", where="start")
    with pytest.raises(RejectedError, match="logged nothing of it"):
        control.set_state("DIMM:1", "ENABLED")


def test_a_command_that_takes_effect_after_loves_timeout_has_happened(control, break_it):
    break_it("DIMM:1", "late", where="start")
    assert control.set_state("DIMM:1", "ENABLED").ok


def test_a_command_without_acknowledgement_and_effect(control, break_it):
    break_it("DIMM:1", "no_ack", where="enable")
    outcome = control.set_states({"DIMM:1": "ENABLED"})["DIMM:1"]
    assert isinstance(outcome.error, UnknownOutcomeError)
    assert "no effect within the time and was not acknowledged" in outcome.reason
    assert (outcome.after, outcome.path) == (S.DISABLED, (S.STANDBY, S.DISABLED))


@pytest.mark.parametrize("fault", ["http_500", "http_504", "drop", "hang"])
def test_love_fails_and_nothing_happens(control, break_it, fault):
    break_it("love", fault, where="cmd/", skip=1)
    outcome = control.set_states({"DIMM:1": "ENABLED"})["DIMM:1"]
    assert not outcome.ok
    assert outcome.after is S.DISABLED
    assert control.set_state("DIMM:1", "ENABLED").ok


def test_a_csc_that_dies_on_the_way(control, break_it):
    break_it("DIMM:1", "die", where="enable")
    started_s = time.monotonic()
    outcome = control.set_states({"DIMM:1": "ENABLED"})["DIMM:1"]
    assert "fell silent on enable" in outcome.reason
    assert outcome.after is S.UNKNOWN
    assert time.monotonic() - started_s < 4.0


def test_a_killed_csc_keeps_its_state_in_love_and_is_unknown_here(control, observatory):
    control.set_state("DIMM:1", "ENABLED")
    observatory.call(observatory.observatory.csc("DIMM:1").kill)
    last = list(control.watch(["DIMM:1"], seconds=1.0))[-1]
    assert (last.state, last.alive, last.last_reported) == (S.UNKNOWN, False, S.ENABLED)
    with pytest.raises(
        UnknownOutcomeError, match=r"DIMM:1 is not running: last event says ENABLED, last heartbeat"
    ):
        control.set_state("DIMM:1", "STANDBY")


def test_a_silent_producer_is_unknown_and_not_dead(control, observatory):
    control.state("DIMM:1")
    observatory.observatory.producer.silent = True
    fresh = control._backend.board
    fresh._heartbeats.clear()
    assert control.state("DIMM:1").alive is None


@pytest.mark.parametrize(
    ("name", "state", "error", "text"),
    [
        ("DIM", "ENABLED", NotFoundError, "Did you mean DIMM"),
        ("DIMM:9", "ENABLED", NotFoundError, "Nothing is heard of DIMM:9"),
        ("DIMM:*", "ENABLED", IdentifierError, "wildcard"),
        ("DIMM:", "ENABLED", IdentifierError, "not a CSC name"),
        ("DIMM:1", "FAULT", InputError, "told to go to"),
        ("DIMM:1", "current", InputError, "not a summary state"),
    ],
)
def test_wrong_names_and_states(control, name, state, error, text):
    with pytest.raises(error, match=text):
        control.set_state(name, state)


def test_a_csc_outside_the_allow_list_is_refused_and_nothing_is_sent(make_control, allow_only, observatory):
    control = make_control(site=allow_only("DIMM:*"))
    with pytest.raises(RefusedError, match=r"ATDome is not in the allow-list.*control\.allow"):
        control.set_states({"DIMM:1": "ENABLED", "ATDome": "ENABLED"})
    assert truth(observatory, "DIMM:1") == "STANDBY"
    assert control.set_state("DIMM:2", "ENABLED").ok


def test_without_the_right_to_command_nothing_is_sent(make_control, observatory):
    with pytest.raises(ForbiddenError, match="'visitor' has no right to command"):
        make_control(user="visitor").set_state("DIMM:1", "ENABLED")
    assert truth(observatory, "DIMM:1") == "STANDBY"


def test_an_expired_token_on_the_way_is_renewed(control, observatory):
    control.state("DIMM:1")
    observatory.call(lambda: [user.expire() for user in observatory.observatory.users.values()])
    assert control.set_state("DIMM:1", "ENABLED").ok


def test_an_override_for_a_csc_that_is_there_already_asks_for_a_detour(control):
    control.set_state("DIMM:1", "ENABLED")
    with pytest.raises(RefusedError, match="detour through STANDBY"):
        control.set_state("DIMM:1", "ENABLED", override="summit.yaml")
    assert control.plan("DIMM:1", "ENABLED", override="summit.yaml").question
    outcome = control.set_state("DIMM:1", "ENABLED", override="summit.yaml", reload=True)
    assert outcome.path == (S.ENABLED, S.DISABLED, S.STANDBY, S.DISABLED, S.ENABLED)
    assert outcome.reason == "Configuration applied: _init.yaml,summit.yaml."


def test_each_csc_has_its_own_outcome(control, break_it, observatory):
    break_it("ATMCS", "reject", where="enable")
    break_it("ATAOS", "die", where="start")
    wanted = dict.fromkeys(["DIMM:1", "ATMCS", "ATAOS", "MTMount", "DIMM:9"], "ENABLED")
    outcomes = control.set_states(wanted)
    assert list(outcomes) == list(wanted)
    assert [o.ok for o in outcomes.values()] == [True, False, False, True, False]
    reasons = [o.reason for o in outcomes.values()]
    assert "enable of ATMCS was not done" in reasons[1]
    assert "ATAOS fell silent" in reasons[2]
    assert "Nothing is heard of DIMM:9" in reasons[4]


def test_the_same_csc_twice_is_an_error(control):
    with pytest.raises(InputError, match="named twice"):
        control.set_states({"ATDome": "ENABLED", "ATDome:0": "OFFLINE"})


def test_many_cscs_take_no_longer_than_the_slowest(control, observatory):
    names = ["DIMM:1", "DIMM:2", "ATDome", "ATMCS", "ATAOS", "MTMount", "MTAOS", "MTHexapod:1"]
    control.states(names)
    for name in names:
        observatory.observatory.csc(name).latency_s = 0.2
    outcomes = control.set_states(dict.fromkeys(names, "ENABLED"))
    assert all(o.ok for o in outcomes.values())
    assert max(o.seconds for o in outcomes.values()) < 8 * 2 * 0.2 / 2


def test_a_websocket_that_is_cut_is_opened_again_and_nothing_is_missed(control, observatory):
    from lsst_commtools.simulate.observatory.love_socket import cut_websockets

    control.state("DIMM:1")
    observatory.observatory.csc("DIMM:1").latency_s = 0.3
    cuts = [
        threading.Timer(0.1 + 0.25 * n, observatory.call, (cut_websockets, observatory.observatory))
        for n in range(3)
    ]
    for cut in cuts:
        cut.start()
    assert control.set_state("DIMM:1", "ENABLED").ok
    for cut in cuts:
        cut.join()
    assert control._backend._feed.connections >= 2


def test_watching_shows_changes_and_no_repeats(control, make_control):
    seen = []
    watcher = threading.Thread(target=lambda: seen.extend(control.watch(["DIMM:1"], seconds=1.5)))
    watcher.start()
    time.sleep(0.4)
    other = make_control()
    other.state("DIMM:1")  # makes LOVE send the last state to everybody again
    other.set_state("DIMM:1", "DISABLED")
    watcher.join()
    assert [s.state for s in seen if s.alive] == [S.STANDBY, S.DISABLED]


def test_log_messages(control, observatory):
    control.log_messages("DIMM:1")
    observatory.call(observatory.observatory.csc("DIMM:1").log, 30, "humidity is high")
    time.sleep(0.2)
    assert [m.message for m in control.log_messages("DIMM:1")][-1] == "humidity is high"
    since = control.log_messages("DIMM:1")[-1].time_utc
    assert [m.message for m in control.log_messages("DIMM:1", since)] == ["humidity is high"]


def test_older_log_messages_come_from_the_efd(make_control, csc_site, observatory):
    observatory.call(observatory.observatory.csc("DIMM:1").log, 20, "before anybody listened")
    observatory.call(observatory.observatory.csc("DIMM:1").log, 20, "the last one")
    with_efd = csc_site.model_copy(
        update={"love": csc_site.love.model_copy(update={"efd_instance": "simulated_efd"})}
    )
    since = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    messages = [m.message for m in make_control(site=with_efd).log_messages("DIMM:1", since)]
    assert messages[-2:] == ["before anybody listened", "the last one"]
    assert [m.message for m in make_control().log_messages("DIMM:1")] == ["the last one"]


def test_a_name_without_its_index(control):
    with pytest.raises(NotFoundError, match="Did you mean DIMM:1 or DIMM:2"):
        control.set_state("DIMM", "ENABLED")


def test_an_interrupt_ends_all_changes_and_sends_nothing_more(control, observatory):
    names = ["DIMM:1", "DIMM:2", "ATDome"]
    control.states(names)
    for name in names:
        observatory.observatory.csc(name).latency_s = 0.3
    threading.Timer(0.15, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    started_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        control.set_states(dict.fromkeys(names, "ENABLED"))
    assert time.monotonic() - started_s < 1.0
    time.sleep(0.5)
    assert {truth(observatory, name) for name in names} == {"DISABLED"}
    for name in names:
        observatory.observatory.csc(name).latency_s = 0.01
    assert all(o.ok for o in control.set_states(dict.fromkeys(names, "ENABLED")).values())
