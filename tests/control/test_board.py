import json
import time

from hypothesis import given
from hypothesis import strategies as st

from lsst_commtools.control import SummaryState
from lsst_commtools.control.board import Board
from lsst_commtools.control.messages import read_message
from lsst_commtools.control.values import Heartbeat, Stamp, StateSample
from lsst_commtools.ids import CscName

S = SummaryState
CSC = CscName("DIMM", 1)


def sample(sent_s, state, seq=1):
    return StateSample(Stamp(sent_s, seq), state)


def beat(lost, age_s, told_ago_s=0.0):
    return Heartbeat(lost, age_s, time.monotonic() - told_ago_s)


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(list(S))), min_size=1))
def test_repeats_and_old_samples_change_nothing_whatever_their_order(samples):
    board = Board()
    newest = -1
    for sent_s, state in samples:
        assert board.put_state(CSC, sample(float(sent_s), state)) == (sent_s > newest)
        newest = max(newest, sent_s)
    assert board.state_sample(CSC).stamp.sent_tai_s == newest


def test_a_process_that_was_started_again_counts_from_one_and_is_news():
    board = Board()
    board.put_state(CSC, sample(100.0, S.ENABLED, seq=50))
    assert board.put_state(CSC, sample(101.0, S.STANDBY, seq=1))


def test_liveness():
    cases = [
        (None, None),
        (beat(0, 0.5), True),
        (beat(1, 2.0), None),  # one beat may be late
        (beat(2, 4.0), False),
        (beat(0, 0.5, told_ago_s=60.0), None),  # nobody has told anything for a minute
        (beat(9, 20.0, told_ago_s=60.0), None),
        (beat(3, None), False),  # never seen
        (beat(0, None), None),
    ]
    for heartbeat, alive in cases:
        board = Board()
        if heartbeat is not None:
            board.put_heartbeat(CSC, heartbeat)
        assert board.alive(CSC) is alive, heartbeat


def test_a_dead_csc_keeps_its_state_in_love_and_is_unknown_here():
    board = Board()
    board.put_state(CSC, sample(1.0, S.ENABLED))
    board.put_heartbeat(CSC, beat(5, 12.0))
    seen = board.csc_state(CSC)
    assert (seen.state, seen.alive, seen.last_reported) == (S.UNKNOWN, False, S.ENABLED)
    assert 12.0 <= seen.heartbeat_age_s < 13.0
    assert "last event says ENABLED, last heartbeat 12.0 s ago" in str(seen)


def test_offline_without_heartbeat_is_evident():
    board = Board()
    board.put_state(CSC, sample(1.0, S.OFFLINE))
    board.put_heartbeat(CSC, beat(5, 12.0))
    assert board.csc_state(CSC).state is S.OFFLINE


def test_a_state_without_any_news_of_the_heartbeat_is_no_evidence():
    board = Board()
    board.put_state(CSC, sample(1.0, S.ENABLED))
    assert board.csc_state(CSC).state is S.UNKNOWN
    assert board.csc_state(CSC).alive is None


def test_states_since_leaves_out_repeats():
    board = Board()
    first = sample(1.0, S.STANDBY)
    for s in (first, sample(2.0, S.DISABLED), sample(2.5, S.DISABLED), sample(3.0, S.ENABLED)):
        board.put_state(CSC, s)
    assert board.states_since(CSC, first) == (S.DISABLED, S.ENABLED)


def love_event(**fields):
    values = {"private_sndStamp": 1795224236.14, "private_seqNum": 11, "private_origin": 4, **fields}
    return {name: {"value": value, "dataType": "Int", "units": "unitless"} for name, value in values.items()}


def test_loves_own_example_is_read_with_tai_as_utc_and_bare_nan():
    board = Board()
    text = json.dumps(
        {
            "category": "event",
            "data": [{"csc": "Test", "salindex": 1, "data": {
                "summaryState": [love_event(summaryState=5)],
                "logMessage": [love_event(level=40, message="hot", value=float("nan"))],
            }}],
            "subscription": "event-Test-1-summaryState",
        }
    )  # fmt: skip
    assert "NaN" in text
    read_message(json.loads(text), board)
    csc = CscName("Test", 1)
    assert board.state_sample(csc).state is S.STANDBY
    (message,) = board.log_messages(csc)
    assert message.time_utc.isoformat() == "2026-11-21T01:23:19.140000+00:00"  # 37 s before the TAI stamp


def test_heartbeat_ages_come_from_the_producers_clock_not_from_this_computers():
    board = Board()
    stream = {
        "csc": "Test",
        "salindex": 1,
        "lost": 0,
        "last_heartbeat_timestamp": 1000.0,
        "max_lost_heartbeats": 5,
    }
    message = {
        "data": [{"csc": "Heartbeat", "salindex": 0, "data": {"stream": stream}}],
        "tracing": {"producer_snd": 1001.5},
    }
    read_message(message, board)
    assert 1.5 <= board.csc_state(CscName("Test", 1)).heartbeat_age_s < 2.5


def test_a_heartbeat_that_never_came_has_no_age():
    board = Board()
    stream = {"csc": "Test", "salindex": 0, "lost": 4, "last_heartbeat_timestamp": -1}
    read_message({"data": [{"csc": "Heartbeat", "salindex": 0, "data": {"stream": stream}}]}, board)
    seen = board.csc_state(CscName("Test"))
    assert (seen.alive, seen.heartbeat_age_s) == (False, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "data",
                    "csc",
                    "salindex",
                    "stream",
                    "summaryState",
                    "logMessage",
                    "value",
                    "lost",
                    "private_sndStamp",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["data", "tracing", "category"]), json_values))
def test_no_message_can_break_the_reader(message):
    read_message(message, Board())
