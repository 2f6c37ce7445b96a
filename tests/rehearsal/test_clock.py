"""The rehearsal's clock: even, the same for all processes, and deaf to the clock on the wall."""

import datetime as dt
import multiprocessing
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import InputError
from lsst_commtools.rehearsal import Journal, Kind, Rehearsal, RehearsalSettings
from lsst_commtools.rehearsal.clock import SystemTimes
from lsst_commtools.site import Site

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


class FakeTimes:
    """Times that a test moves."""

    def __init__(self):
        self.wall, self.running_s, self.name = NOON, 100.0, "boot"

    def utc(self):
        return self.wall

    def monotonic_s(self):
        return self.running_s

    def boot(self):
        return self.name

    def pass_s(self, seconds, jump_s=0.0):
        self.running_s += seconds
        self.wall += dt.timedelta(seconds=seconds + jump_s)


@pytest.fixture
def times():
    return FakeTimes()


@pytest.fixture
def journal(tmp_path, times):
    return Journal(tmp_path / "journal.sqlite", times)


def test_without_a_segment_it_is_the_time_on_the_wall(journal, times):
    assert journal.clock.now_utc() == times.wall
    assert journal.clock.speed == 1.0


def test_it_goes_at_its_speed(journal, times):
    journal.clock.set(NOON - dt.timedelta(days=300), 60.0)
    times.pass_s(10.0)
    assert journal.clock.now_utc() == NOON - dt.timedelta(days=300) + dt.timedelta(minutes=10)


def test_it_stands_still_between_nights_and_goes_on(journal, times):
    journal.clock.set(NOON, 60.0)
    journal.clock.set(None, 0.0)
    times.pass_s(86400.0)
    assert journal.clock.now_utc() == NOON
    assert journal.clock.real_at(NOON + dt.timedelta(hours=1)) is None
    journal.clock.set(None, 60.0)
    times.pass_s(1.0)
    assert journal.clock.now_utc() == NOON + dt.timedelta(minutes=1)


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
def test_a_jump_of_the_wall_does_not_move_it_and_is_seen(journal, times, jump_s):
    journal.clock.set(NOON, 2.0)
    times.pass_s(10.0, jump_s)
    reading = journal.clock.reading()
    assert reading.rehearsal_utc == NOON + dt.timedelta(seconds=20)
    assert reading.jumped_s == pytest.approx(jump_s)


def test_after_a_new_boot_only_the_wall_is_left_and_it_never_goes_back(journal, times):
    journal.clock.set(NOON, 2.0)
    times.name, times.running_s = "another", 1.0
    times.wall += dt.timedelta(seconds=30)
    assert journal.clock.now_utc() == NOON + dt.timedelta(seconds=60)
    times.wall -= dt.timedelta(days=1)
    assert journal.clock.now_utc() == NOON
    assert journal.clock.reading().jumped_s == 0.0


@pytest.mark.parametrize("speed", [-1.0, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(journal, speed):
    with pytest.raises(InputError, match="speed"):
        journal.clock.set(NOON, speed)


def test_it_is_not_turned_back_and_needs_a_time_zone(journal, times):
    journal.clock.set(NOON, 10.0)
    times.pass_s(60.0)
    with pytest.raises(InputError, match="would go back"):
        journal.clock.set(NOON + dt.timedelta(seconds=599), 10.0)
    with pytest.raises(InputError, match="time zone"):
        journal.clock.set(NOON.replace(tzinfo=None), 10.0)
    before = journal.clock.now_utc()
    journal.clock.reach(NOON)
    assert journal.clock.now_utc() == before
    journal.clock.reach(NOON + dt.timedelta(hours=5), "the night")
    assert journal.clock.now_utc() == NOON + dt.timedelta(hours=5)
    assert journal.entries({Kind.CLOCK_SET})[-1].data["reason"] == "the night"


STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 1e4),
        st.floats(-1e5, 1e5),
        st.one_of(st.none(), st.floats(0.0, 1e5)),
        st.sampled_from([0.0, 0.5, 1.0, 60.0]),
        st.booleans(),
    ),
    max_size=12,
)


@given(steps=STEPS)
@settings(deadline=None, max_examples=40)
def test_whatever_happens_entries_follow_each_other(tmp_path_factory, steps):
    times = FakeTimes()
    journal = Journal(tmp_path_factory.mktemp("j") / "journal.sqlite", times)
    journal.clock.set(NOON, 60.0)
    for seconds, jump_s, ahead_s, speed, boots in steps:
        times.pass_s(seconds, jump_s)
        if boots:
            times.name, times.running_s = f"{times.name}+", 0.0
        if ahead_s is not None:
            journal.clock.reach(journal.clock.now_utc() + dt.timedelta(seconds=ahead_s))
        journal.clock.set(None, speed)
        journal.append(Kind.DECISION, 1, text="x")
    told = [entry.at_rehearsal_utc for entry in journal.entries()]
    assert told == sorted(told)


def test_it_is_waited_for(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.clock.set(NOON, 100.0)
    assert journal.clock.wait_until(NOON + dt.timedelta(seconds=20))
    assert journal.clock.now_utc() >= NOON + dt.timedelta(seconds=20)
    stop = threading.Event()
    stop.set()
    assert not journal.clock.wait_until(NOON + dt.timedelta(days=1), stop)


def test_a_wait_ends_when_the_clock_is_set_forward_meanwhile(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.clock.set(NOON, 0.0)
    threading.Timer(0.3, lambda: journal.clock.set(NOON + dt.timedelta(days=1), 1.0)).start()
    assert journal.clock.wait_until(NOON + dt.timedelta(hours=1))


def _read_clock(path, queue):
    queue.put(Journal(path).clock.now_utc())


def test_processes_share_it(tmp_path):
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    journal.clock.set(NOON, 1.0)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_read_clock, args=(path, queue))
    process.start()
    theirs = queue.get(timeout=60)
    process.join()
    assert NOON <= theirs <= journal.clock.now_utc()


def test_a_jump_is_named_as_a_problem_once(tmp_path, times):
    told = RehearsalSettings(tmp_path / "w", "simulated", "LATISS", (20261120,), 1, 1, 10.0, unattended=True)
    rehearsal = Rehearsal.create(Site.load("local"), told, times)
    times.pass_s(5.0)
    assert rehearsal.check_clock() == 0.0
    before = rehearsal.clock.now_utc()
    times.pass_s(5.0, -3600.0)
    assert rehearsal.check_clock() == pytest.approx(-3600.0)
    assert rehearsal.check_clock() == 0.0
    problems = rehearsal.entries({Kind.PROBLEM})
    assert [p.data["kind"] for p in problems] == ["clock-jumped"]
    assert "jumped back by 3600.0 s" in problems[0].data["message"]
    assert rehearsal.clock.now_utc() == before + dt.timedelta(seconds=50)


def test_the_machine_names_its_boot():
    here = SystemTimes()
    first = here.monotonic_s()
    assert here.monotonic_s() >= first
    assert here.boot() == here.boot()
