"""Files are ingested as they come, and each visit is announced once, whatever is killed when."""

import collections
import datetime as dt
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lsst_commtools.errors import InputError, LeaseError, NotFoundError, ServiceError
from lsst_commtools.ingest import (
    ArrivalWatcher,
    FileOutcome,
    Ingester,
    IngestReport,
    Outcome,
    RsyncTransfer,
    VisitState,
    open_repository,
)

DETECTORS = (0, 1, 4, 8)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.time_utc = dt.datetime(2026, 11, 21, 3, tzinfo=dt.UTC)

    def __call__(self):
        return self.time_utc

    def go(self, seconds):
        self.time_utc += dt.timedelta(seconds=seconds)


class NameIngester:
    """Takes files named ``EXPOSURE_DETECTOR.fits``; what does not end in ``whole`` cannot be read."""

    def __init__(self):
        self.calls = []
        self.error = None

    def ingest(self, paths):
        if self.error is not None:
            raise self.error
        self.calls.append([path.name for path in paths])
        return IngestReport(tuple(map(self._outcome, paths)))

    @staticmethod
    def _outcome(path):
        if path.read_text().startswith("refused"):
            return FileOutcome(path, Outcome.HEADER_REFUSED, "It is of LATISS.")
        if not path.read_text().endswith("whole"):
            return FileOutcome(path, Outcome.UNREADABLE, "It is truncated.")
        exposure, detector = map(int, path.stem.split("_")[:2])
        data_id = {"instrument": "X", "exposure": exposure, "detector": detector}
        kind = Outcome.COLLISION if path.stem.endswith("again") else Outcome.INGESTED
        return FileOutcome(path, kind, "", data_id, "0" * 64)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def named(tmp_path, clock):
    """A watched folder with a `NameIngester`; gives what makes watchers of it, and ends them."""
    folder = tmp_path / "arrivals"
    folder.mkdir()
    made = []

    def watcher(**options):
        for earlier in made:
            earlier.close()
        calls = options.setdefault("on_visit", lambda *call: watcher.calls.append(call))
        assert calls
        made.append(
            ArrivalWatcher(
                folder,
                watcher.ingester,
                **{
                    "expected_detectors": DETECTORS,
                    "settle_s": 0.0,
                    "visit_timeout_s": 60.0,
                    "now_utc": clock,
                    **options,
                },
            )
        )
        return made[-1]

    watcher.ingester, watcher.calls, watcher.folder = NameIngester(), [], folder
    yield watcher
    for earlier in made:
        earlier.close()


def put(folder, exposure, *detectors, text="whole"):
    for detector in detectors:
        (folder / f"{exposure}_{detector}.fits").write_text(text)


def stems(report):
    return [file.path.stem for file in report.files]


def test_a_visit_is_announced_once_when_it_is_complete(named):
    watcher = named()
    put(named.folder, 7, 0, 1)
    assert len(watcher.poll().files) == 2
    assert named.calls == []
    assert [(v.exposure, v.state, v.missing) for v in watcher.visits()] == [(7, VisitState.WAITING, (4, 8))]
    put(named.folder, 7, 4, 8)
    report = watcher.poll()
    assert stems(report) == ["7_4", "7_8"]
    assert named.calls == [(7, DETECTORS, ())]
    assert report.announced[0].state is VisitState.CALLED
    assert watcher.poll().files == ()
    assert named().poll().files == ()
    assert named.calls == [(7, DETECTORS, ())]


def test_a_visit_that_waits_too_long_is_announced_with_what_is_missing(named, clock):
    watcher = named()
    put(named.folder, 7, 0, 4)
    watcher.poll()
    clock.go(59)
    assert watcher.poll().announced == ()
    watcher = named()  # the wait goes on over a restart
    clock.go(2)
    watcher.poll()
    assert named.calls == [(7, (0, 4), (1, 8))]
    put(named.folder, 7, 8)
    report = watcher.poll()
    assert report.late == ((7, 8),)
    assert len(named.calls) == 1
    assert watcher.visits()[0].late == (8,)
    watcher.announce_again(7)
    assert named.calls[-1] == (7, (0, 4, 8), (1,))
    assert watcher.visits()[0].late == ()
    with pytest.raises(NotFoundError):
        watcher.announce_again(8)


def test_files_under_way_are_not_touched(named):
    put(named.folder, 7, 0)
    partial = named.folder / ".rsync-partial-12345678"
    partial.mkdir()
    put(partial, 7, 1, text="ha")
    (named.folder / ".7_4.fits.AbCdEf").write_text("ha")
    (named.folder / "7_8.fits.part").write_text("ha")
    (named.folder / "notes.txt").write_text("whole")
    (named.folder / "9_9.fits").symlink_to(named.folder / "nowhere")
    (named.folder / "8_8.fits").mkdir()
    os.mkfifo(named.folder / "6_6.fits")
    assert stems(named().poll()) == ["7_0"]


def test_a_growing_file_is_taken_when_it_has_settled(named):
    watcher = named(settle_s=0.3)
    put(named.folder, 7, 0, text="ha")
    for text in ("hal", "half"):
        assert watcher.poll().unsettled == 1
        time.sleep(0.2)
        put(named.folder, 7, 0, text=text)
    assert watcher.poll().unsettled == 1
    put(named.folder, 7, 0)
    watcher.poll()
    time.sleep(0.35)
    report = watcher.poll()
    assert (stems(report), report.unsettled) == (["7_0"], 0)
    assert report.files[0].outcome is Outcome.INGESTED


def test_an_unreadable_file_is_tried_again_and_a_changed_one_gets_a_new_outcome(named):
    watcher = named(attempts=3, retry_s=0.0)
    put(named.folder, 7, 0, text="half")
    put(named.folder, 7, 1, text="refused")
    for _ in range(5):
        watcher.poll()
    assert [f.attempts for f in watcher.files()] == [3, 1]
    watcher = named(attempts=3, retry_s=0.0)
    assert watcher.poll().files == ()
    put(named.folder, 7, 0)
    assert [f.outcome for f in watcher.poll().files] == [Outcome.INGESTED]
    assert [(Path(f.path).stem, f.outcome) for f in watcher.files()] == [
        ("7_0", Outcome.INGESTED),
        ("7_1", Outcome.HEADER_REFUSED),
    ]


def test_a_second_file_of_a_detector_does_not_make_a_visit_incomplete(named):
    put(named.folder, 7, *DETECTORS)
    (named.folder / "7_0_again.fits").write_text("whole")
    named().poll()
    assert named.calls == [(7, DETECTORS, ())]


def test_more_detectors_than_expected_are_told(named):
    put(named.folder, 7, *DETECTORS, 3)
    named().poll()
    assert named.calls == [(7, (0, 1, 3, 4, 8), ())]


def test_a_repository_that_cannot_be_written_costs_nothing_but_time(named):
    watcher = named()
    put(named.folder, 7, *DETECTORS)
    named.ingester.error = ServiceError("The registry cannot be written.")
    for _ in range(2):
        with pytest.raises(ServiceError):
            watcher.poll()
    named.ingester.error = None
    assert len(watcher.poll().files) == 4
    assert len(named.calls) == 1


def test_an_announcement_that_fails_is_told_and_not_repeated_by_itself(named):
    def fail(*call):
        named.calls.append(call)
        raise InputError("No pipeline.")

    watcher = named(on_visit=fail)
    put(named.folder, 7, *DETECTORS)
    report = watcher.poll()
    assert (report.announced[0].state, report.announced[0].error) == (VisitState.FAILED, "No pipeline.")
    watcher = named()
    watcher.poll()
    assert len(named.calls) == 1
    watcher.announce_again(7)
    assert [visit.state for visit in watcher.visits()] == [VisitState.CALLED]
    assert len(named.calls) == 2


def test_an_announcement_that_a_kill_fell_into_is_made_again(named):
    def die(*call):
        raise KeyboardInterrupt

    watcher = named(on_visit=die)
    put(named.folder, 7, *DETECTORS)
    with pytest.raises(KeyboardInterrupt):
        watcher.poll()
    report = named().poll()
    assert named.calls == [(7, DETECTORS, ())]
    assert report.announced[0].calls == 2


def test_two_watchers_at_once_are_refused(named):
    named()
    with pytest.raises(LeaseError, match="Another watcher"):
        ArrivalWatcher(named.folder, NameIngester(), expected_detectors=[1])
    with pytest.raises(InputError, match="No detectors"):
        ArrivalWatcher(named.folder, NameIngester(), expected_detectors=[])


def test_it_runs_until_it_is_told_to_end_and_looks_once_more(named):
    reports = []

    def until():
        if len(reports) == 2:
            put(named.folder, 7, 0)
        return len(reports) >= 2

    named().run(until, poll_s=0.01, on_report=reports.append)
    assert [len(report.files) for report in reports] == [0, 0, 1]


def test_names_of_any_kind_are_remembered(named):
    name = os.fsdecode(b"7_0_\xff\n.fits")
    (named.folder / name).write_text("half")
    watcher = named(attempts=1)
    assert [f.path.name for f in watcher.poll().files] == [name]
    assert watcher.poll().files == ()
    assert named(attempts=1).poll().files == ()


def test_a_night_sent_by_rsync_is_ingested_as_it_comes(small_night, repository, tmp_path):
    folder = tmp_path / "storage"
    visits = []
    files = [path.relative_to(small_night.raw) for path in sorted(small_night.raw.rglob("*.fits"))]
    transfer = RsyncTransfer(small_night.raw, folder)
    with ArrivalWatcher(
        folder,
        Ingester(repository, "LSSTComCam"),
        expected_detectors=DETECTORS,
        settle_s=0.0,
        on_visit=lambda *call: visits.append(call),
    ) as watcher:
        for start in range(0, len(files), 5):
            assert transfer.send(files[start : start + 5]).complete
            watcher.poll()
        assert {call[1:] for call in visits} == {(DETECTORS, ())}
        assert len(visits) == len({call[0] for call in visits}) == 4
        arrived = watcher.files()
    assert len(arrived) == 16
    assert all(file.arrived_utc <= file.ingested_utc for file in arrived)
    with open_repository(repository) as butler:
        assert len(butler.query_datasets("raw", collections="LSSTComCam/raw/all", limit=None)) == 16


PROGRAM = """
import sys, time
from pathlib import Path
from lsst_commtools.ingest import ArrivalWatcher, Ingester
import lsst_commtools.ingest.arrival as module
module.BATCH_FILES = 3
import lsst.daf.butler, lsst_commtools.ingest.dimensions
folder, repository, log = map(Path, sys.argv[1:4])
def on_visit(exposure, detectors, missing):
    with log.open("a") as stream:
        stream.write(f"{exposure} {len(detectors)} {len(missing)}\\n")
watcher = ArrivalWatcher(folder, Ingester(repository, "LSSTComCam"), expected_detectors=(0, 1, 4, 8), settle_s=0.05,
                         on_visit=on_visit)
print("ready", flush=True)
watcher.run(lambda: (folder / "end").exists(), poll_s=0.05)
"""


def watch(folder, repository, log):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, folder, repository, log], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def campaign(small_night, repository, folder, log, seed, kills):
    """Files come, the watcher is killed at random times; at the end everything is there once."""
    chance = random.Random(seed)
    folder.mkdir()
    files = sorted(small_night.raw.rglob("*.fits"))
    chance.shuffle(files)
    kill_before = sorted(chance.sample(range(1, len(files)), kills))
    process = watch(folder, repository, log)
    for k, path in enumerate(files):
        part = folder / f".{path.name}.part"
        shutil.copy(path, part)
        part.rename(folder / path.name)
        if k in kill_before:
            time.sleep(chance.uniform(0.0, 0.4))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
            process = watch(folder, repository, log)
    (folder / "end").touch()
    assert process.wait(60) == 0
    process.stdout.close()
    with open_repository(repository) as butler:
        refs = butler.query_datasets("raw", collections="LSSTComCam/raw/all", limit=None)
        assert len(refs) == len({(r.dataId["exposure"], r.dataId["detector"]) for r in refs}) == len(files)
    lines = log.read_text().splitlines()
    assert all(line.endswith(" 4 0") for line in lines)
    told = collections.Counter(int(line.split()[0]) for line in lines)
    with ArrivalWatcher(folder, Ingester(repository, "LSSTComCam"), expected_detectors=DETECTORS) as watcher:
        calls = {visit.exposure: visit.calls for visit in watcher.visits()}
    assert len(calls) == 4
    # Twice only where a kill fell into the announcement itself, and then the journal says so.
    assert all(1 <= told[exposure] <= number for exposure, number in calls.items())


def test_killed_watchers_lose_no_file_and_announce_no_visit_twice(small_night, repository, tmp_path):
    campaign(small_night, repository, tmp_path / "arrivals", tmp_path / "visits", seed=3, kills=3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_killed_watchers_many_times(small_night, repository, tmp_path, seed):
    campaign(small_night, repository, tmp_path / "arrivals", tmp_path / "visits", seed=seed, kills=6)
