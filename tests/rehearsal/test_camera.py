"""Files of exposures appear as the clock passes their shutter close."""

import datetime as dt
import threading

import pytest

from lsst_commtools.rehearsal import Journal
from lsst_commtools.rehearsal.camera import publish, read_published
from lsst_commtools.rehearsal.datasets import READOUT_S, Shot

CLOSES = dt.datetime.fromisoformat("2026-11-21T01:00:37")  # TAI: 01:00:00 UTC
TAI_MINUS_UTC_S = 37.0


@pytest.fixture
def night(tmp_path):
    source = tmp_path / "source"
    shots = []
    for number in range(3):
        name = f"2026/{number}/{number}.fits"
        (source / name).parent.mkdir(parents=True)
        (source / name).write_text(str(number))
        shots.append(
            Shot(f"o{number}", "science", "r_03", CLOSES + dt.timedelta(seconds=45 * number), (name,))
        )
    return source, tmp_path / "summit" / "raw", shots, Journal(tmp_path / "journal.sqlite").clock


def names(summit):
    return sorted(path.name for path in summit.rglob("*") if path.is_file())


def test_the_clock_of_utc_decides_about_times_in_tai(night):
    _, _, shots, _ = night
    expected = CLOSES.replace(tzinfo=dt.UTC) + dt.timedelta(seconds=READOUT_S - TAI_MINUS_UTC_S)
    assert shots[0].appears_utc == expected


def test_they_appear_in_their_time(night):
    source, summit, shots, clock = night
    clock.set(shots[0].appears_utc - dt.timedelta(seconds=5), 100.0)
    seen = {}
    assert (
        publish(shots, source, summit, clock, published=lambda s: seen.update({s.obs_id: clock.now_utc()}))
        == 3
    )
    assert all(seen[shot.obs_id] >= shot.appears_utc for shot in shots)
    assert names(summit) == ["0.fits", "1.fits", "2.fits"]
    assert [shot.late_s for shot in read_published(summit)] == [0.0, 0.0, 0.0]


def test_a_long_pause_is_skipped_and_said_so(night):
    source, summit, shots, clock = night
    clock.set(shots[0].appears_utc - dt.timedelta(hours=7), 200.0)
    publish(shots, source, summit, clock)
    assert len(names(summit)) == 3


def test_they_appear_once_and_what_was_taken_away_stays_away(night):
    source, summit, shots, clock = night
    publish(shots, source, summit, clock, paced=False)
    (summit / shots[1].files[0]).unlink()
    assert publish(shots, source, summit, clock, paced=False) == 3
    assert names(summit) == ["0.fits", "2.fits"]


def test_a_file_that_was_never_written_keeps_nobody_waiting(night):
    source, summit, shots, clock = night
    (source / shots[0].files[0]).unlink()
    assert publish(shots, source, summit, clock, paced=False) == 3
    assert names(summit) == ["1.fits", "2.fits"]


def test_an_interrupted_night_goes_on_at_its_pace(night):
    source, summit, shots, clock = night
    clock.set(shots[0].appears_utc + dt.timedelta(hours=2), 500.0)
    publish(shots, source, summit, clock)
    late = [shot.late_s for shot in read_published(summit)]
    assert late[0] >= 7200.0
    assert late[2] >= late[0]


def test_it_can_be_stopped(night):
    source, summit, shots, clock = night
    clock.set(shots[0].appears_utc - dt.timedelta(seconds=60), 1.0)
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert publish(shots, source, summit, clock, stop=stop) == 0
    assert names(summit) == []


def test_a_line_that_a_kill_cut_is_passed_over(night):
    source, summit, shots, clock = night
    publish(shots[:1], source, summit, clock, paced=False)
    with (summit.parent / "published.jsonl").open("a") as stream:
        stream.write('\n{"obs_id": "o')
    publish(shots, source, summit, clock, paced=False)
    assert [shot.obs_id for shot in read_published(summit)] == ["o0", "o1", "o2"]
