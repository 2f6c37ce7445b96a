"""How the steps of an outline stand, by the entries of the journal."""

import pytest

from lsst_commtools.errors import NotFoundError
from lsst_commtools.rehearsal import FINAL_STANDUP, OUTLINE, Entry, Kind, find_step
from lsst_commtools.rehearsal.outline import planned_utc
from lsst_commtools.rehearsal.states import StepStatus, all_steps, needs_of, outline_states, stale, state_rows


def entries_of(*told):
    found = []
    for number, (kind, night, step, status) in enumerate(told, start=1):
        data = {"step": step, "run": f"run-{number}"} | ({"status": status} if status else {})
        found.append(Entry(number, kind, night, f"t{number}", f"r{number}", "x", "", data))
    return found


def begun_and_done(*steps, night=1):
    return [
        told
        for step in steps
        for told in ((Kind.STEP_STARTED, night, step, ""), (Kind.STEP_ENDED, night, step, "done"))
    ]


def test_the_outline_is_that_of_the_seed():
    assert [(step.id, step.owner) for step in OUTLINE] == [
        ("transmit-calibrations", "ObsOps"),
        ("generate-calibrations", "LDF"),
        ("standup", "All"),
        ("select-configuration", "SciOps"),
        ("transmit-science", "ObsOps"),
        ("run-pipeline", "LDF"),
        ("qa-processing", "LDF"),
        ("examine-products", "SciOps"),
        ("qa-observations", "SciOps"),
        ("monitor-campaign", "All"),
        ("nightly-report", "All"),
    ]
    assert len(all_steps(3)) == 34


def test_steps_come_after_what_they_follow_and_in_the_order_of_the_clock():
    known = set()
    for night, step in all_steps(3):
        assert set(needs_of(night, step)) <= known
        known.add((night, step.id))
    hours = [planned_utc(step, day) for day in (20261120, 20261121) for step in OUTLINE]
    assert hours == sorted(hours)


def test_a_step_that_is_none_is_named():
    with pytest.raises(NotFoundError, match="no step 'lunch'"):
        find_step("lunch")
    assert find_step("final-standup") is FINAL_STANDUP


def test_states_follow_the_journal():
    states = outline_states(
        entries_of(
            *begun_and_done("transmit-calibrations"),
            (Kind.STEP_STARTED, 1, "generate-calibrations", ""),
            (Kind.STEP_ENDED, 1, "generate-calibrations", "failed"),
            (Kind.STEP_STARTED, 1, "standup", ""),
            (Kind.DECISION, 1, "standup", ""),
            (Kind.STEP_STARTED, 7, "standup", ""),
        ),
        2,
    )
    assert states[1, "transmit-calibrations"].status is StepStatus.DONE
    assert states[1, "generate-calibrations"].status is StepStatus.FAILED
    assert states[1, "standup"].status is StepStatus.STARTED
    assert states[1, "standup"].run == "run-5"
    assert states[2, "standup"].status is StepStatus.WAITING
    assert [row["status"] for row in state_rows(states)][:4] == ["done", "failed", "started", "waiting"]


def test_what_follows_a_step_that_was_done_anew_is_stale():
    done = begun_and_done("transmit-calibrations", "generate-calibrations", "standup")
    states = outline_states(entries_of(*done), 1)
    assert not stale(states, (1, "standup"))
    assert stale(states, (1, "select-configuration"))
    again = outline_states(entries_of(*done, *begun_and_done("generate-calibrations")), 1)
    assert stale(again, (1, "standup"))
    assert not stale(again, (1, "generate-calibrations"))


def test_the_next_night_does_not_begin_anew_because_of_an_old_report():
    first, second = OUTLINE[0].id, OUTLINE[-1].id
    done = [*begun_and_done(second), *begun_and_done(first, night=2), *begun_and_done(second)]
    states = outline_states(entries_of(*done), 2)
    assert not stale(states, (2, first))


def test_a_step_that_is_done_anew_has_not_ended():
    told = [*begun_and_done("standup"), (Kind.STEP_STARTED, 1, "standup", "")]
    state = outline_states(entries_of(*told), 1)[1, "standup"]
    assert state.status is StepStatus.STARTED
    assert (state.started_utc, state.ended_utc, state.ended_rehearsal_utc) == ("t3", "", "")
