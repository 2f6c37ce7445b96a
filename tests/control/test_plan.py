import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsst_commtools.control import SummaryState, plan_change
from lsst_commtools.control.states import TRANSITIONS, parse_target
from lsst_commtools.errors import InputError, RefusedError, UnknownOutcomeError
from lsst_commtools.ids import CscName

S = SummaryState
CSC, CAMERA = CscName("DIMM", 1), CscName("MTCamera")
TARGETS = [S.OFFLINE, S.STANDBY, S.DISABLED, S.ENABLED]
LINE = {S.OFFLINE: 0, S.STANDBY: 1, S.DISABLED: 2, S.ENABLED: 3}
known_states = st.sampled_from([s for s in S if s is not S.UNKNOWN])
overrides = st.none() | st.sampled_from(["", "summit.yaml"])


@given(
    before=known_states,
    target=st.sampled_from(TARGETS),
    override=overrides,
    reload=st.booleans(),
    camera=st.booleans(),
)
def test_a_plan_is_a_chain_of_allowed_commands_that_ends_at_the_target(
    before, target, override, reload, camera
):
    csc = CAMERA if camera else CSC
    try:
        plan = plan_change(csc, before, target, override=override, reload=reload)
    except InputError:
        assert override is not None
        assert target in (S.OFFLINE, S.STANDBY)
        return
    except RefusedError:
        assert not camera
        assert before is S.OFFLINE
        return
    state = before
    for transition in plan.transitions:
        assert transition in TRANSITIONS
        assert transition.before is state
        state = transition.after
    assert state is target
    assert plan.path[0] is before
    starts = [t for t in plan.transitions if t.command == "start"]
    if override is not None:
        assert len(starts) == 1
        assert plan.parameters(starts[0]) == {"configurationOverride": override}
        assert bool(plan.question) == (before in (S.DISABLED, S.ENABLED) and not reload)
    else:
        assert plan.question == ""


@given(before=st.sampled_from(TARGETS), target=st.sampled_from(TARGETS))
def test_without_override_the_way_is_as_long_as_the_distance_on_the_line(before, target):
    assert len(plan_change(CAMERA, before, target).transitions) == abs(LINE[before] - LINE[target])


@given(target=st.sampled_from(TARGETS))
def test_fault_is_left_by_standby_only(target):
    plan = plan_change(CSC, S.FAULT, target)
    assert plan.transitions[0].command == "standby"


def test_a_process_that_has_ended_cannot_be_commanded_back_but_a_camera_can():
    with pytest.raises(RefusedError, match="Start its process"):
        plan_change(CSC, S.OFFLINE, S.STANDBY)
    assert [t.command for t in plan_change(CAMERA, S.OFFLINE, S.STANDBY).transitions] == ["enterControl"]


def test_nothing_is_planned_from_an_unknown_state():
    with pytest.raises(UnknownOutcomeError):
        plan_change(CSC, S.UNKNOWN, S.ENABLED)


@pytest.mark.parametrize("word", ["enabled", " Standby ", S.OFFLINE])
def test_targets_are_read_in_any_case(word):
    assert parse_target(word) in TARGETS


@pytest.mark.parametrize("word", ["FAULT", "UNKNOWN", "current", "", S.FAULT])
def test_what_cannot_be_asked_for_is_refused(word):
    with pytest.raises(InputError):
        parse_target(word)


def test_the_plan_says_in_words_that_a_detour_is_needed():
    plan = plan_change(CSC, S.ENABLED, S.ENABLED, override="summit.yaml")
    assert "detour through STANDBY" in str(plan)
    assert plan.to_dict()["path"] == ["ENABLED", "DISABLED", "STANDBY", "DISABLED", "ENABLED"]
