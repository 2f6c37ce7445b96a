"""Each fault on the real parts of a small night: what existing code notices of it, and that it can be undone."""

import datetime as dt
import hashlib
import shutil
import sqlite3

import numpy as np
import pytest

from lsst_commtools.errors import NotFoundError, RefusedError, RejectedError, TableError
from lsst_commtools.ids import FileId
from lsst_commtools.ingest.rate import Rate
from lsst_commtools.ingest.rsync import RsyncTransfer
from lsst_commtools.ingest.transfer import find_raw_files
from lsst_commtools.instrument.headers import contradictions, translate
from lsst_commtools.instrument.raws import assemble, inspect_raw, read_raw, read_raw_header
from lsst_commtools.night.expectations import (
    late_exposures,
    lost_files,
    replayed_exposures,
    room_problems,
    slow_transfer,
    unacknowledged_files,
    wrong_filters,
)
from lsst_commtools.rehearsal import Rehearsal, RehearsalSettings
from lsst_commtools.rehearsal.batch import BatchQueue, unsubmitted_groups, waiting_problems
from lsst_commtools.rehearsal.camera import publish
from lsst_commtools.rehearsal.checks import (
    check_arrivals,
    check_headers,
    check_image,
    check_lateness,
    check_room,
)
from lsst_commtools.rehearsal.datasets import find_shots
from lsst_commtools.rehearsal.injects.catalogue import CATALOGUE, fault_kind
from lsst_commtools.rehearsal.injects.ground import Ground
from lsst_commtools.rehearsal.lab_site import image_problems, lab_site
from lsst_commtools.rehearsal.line import Disturbance, Line, problem_kind
from lsst_commtools.rehearsal.quota import Quota
from lsst_commtools.simulate import simulate_night
from lsst_commtools.site import Site

DAYS = (20261120, 20261121)
FIRST_VISIT = "CC_O_20261121_000003"


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nights")
    for day in DAYS:
        simulate_night(
            folder / str(day), day_obs=day, visits=2, biases=1, flats=1, size=(256, 256),
            detectors=(0, 1, 2), processes=1,
        )  # fmt: skip
    return folder


@pytest.fixture
def ground(two_nights, tmp_path):
    """The second night of a rehearsal: its files at the summit, nothing transferred."""
    work = tmp_path / "work"
    for day in DAYS:
        shutil.copytree(two_nights / str(day) / "raw", work / "simulated" / str(day) / "raw")
        shutil.copytree(two_nights / str(day) / "raw", work / "summit" / str(day) / "raw")
    return Ground(
        site=Site.load("local"),
        work=work,
        night=2,
        day_obs=DAYS[1],
        instrument="LSSTComCam",
        sources=(work / "simulated" / str(DAYS[1]) / "raw", work / "summit" / str(DAYS[1]) / "raw"),
        storage=work / "storage" / str(DAYS[1]),
        repository=work / "repo",
        earlier=(work / "summit" / str(DAYS[0]) / "raw",),
    )


@pytest.fixture
def summit(ground):
    return ground.sources[1]


def strike(ground, name, **parameters):
    """Prepare a fault and apply it twice, as after a kill."""
    kind = fault_kind(name)
    plan = kind.prepare(
        ground, kind.parameters.model_validate(parameters), ground.work / ".sealed" / "kept" / name
    )
    kind.apply(ground, plan)
    kind.apply(ground, plan)
    return plan


def undo(ground, name, plan):
    kind = fault_kind(name)
    kind.undo(ground, plan)
    kind.undo(ground, plan)


def snapshot(work):
    """Content and time of change of all that is not the injects' own."""
    return {
        str(path.relative_to(work)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(work.rglob("*"))
        if path.is_file() and ".sealed" not in path.parts and path.suffix != ".lock"
        and path.name not in ("lock", "batch.json", "line.json")
    }  # fmt: skip


def image(folder, visit=1, detector=0):
    name = f"CC_O_20261121_{2 + visit:06d}_R22_S0{detector}.fits"
    return next(folder.rglob(name), None)


def send(ground, wanted=None):
    ground.storage.mkdir(parents=True, exist_ok=True)
    journal = ground.work / "transfers" / f"{ground.day_obs}.jsonl"
    return RsyncTransfer(ground.sources[1], ground.storage, journal=journal).send(wanted)


def names(folder):
    return [path.relative_to(folder).as_posix() for path in find_raw_files(folder)]


@pytest.mark.parametrize(
    "name", ["missing-detector", "truncated-file", "wrong-filter", "wrong-header", "wrong-calibration"]
)
def test_faults_of_files_strike_all_copies_and_are_undone(ground, name):
    before = snapshot(ground.work)
    plan = strike(ground, name)
    after = snapshot(ground.work)
    struck = {path for path in before if after.get(path) != before[path]}
    assert struck
    assert {p.split("/", 1)[1] for p in struck if p.startswith("simulated")} == {
        p.split("/", 1)[1] for p in struck if p.startswith("summit")
    }
    undo(ground, name, plan)
    assert snapshot(ground.work) == before
    assert {mark[0] for mark in plan.marks}


def test_nothing_outside_the_rehearsal_is_touched(ground, two_nights):
    from dataclasses import replace

    elsewhere = replace(ground, sources=(two_nights / str(DAYS[1]) / "raw",))
    before = snapshot(two_nights)
    for name in ("missing-detector", "wrong-filter", "wrong-calibration"):
        with pytest.raises(RefusedError, match="outside"):
            strike(elsewhere, name)
    assert snapshot(two_nights) == before


def test_a_missing_detector_is_missing_in_the_input(ground, summit):
    strike(ground, "missing-detector", visit=2, detector=1)
    assert image(summit, visit=2, detector=1) is None
    send(ground)
    assert lost_files(names(summit), [], names(ground.storage)) == [], "it was not lost on the way"


def test_a_truncated_file_is_refused_by_the_reader(ground, summit):
    strike(ground, "truncated-file")
    with pytest.raises(TableError, match="truncated"):
        inspect_raw(image(summit))


def test_a_wrong_filter_is_a_whole_file_that_lies(ground, summit):
    strike(ground, "wrong-filter", physical_filter="g_01")
    inspect_raw(image(summit))
    told = {
        (info.exposure_id, f"R22_S0{info.detector}"): info.physical_filter
        for path in find_raw_files(summit)
        if (info := translate(read_raw_header(path))).observation_type == "science"
    }
    assert [(p.kind, p.where) for p in wrong_filters(told)] == [
        ("wrong-filter", "visit 2026112100003, detector R22_S00")
    ]
    np.testing.assert_array_equal(
        assemble(read_raw(image(summit))),
        assemble(read_raw(ground.work / ".sealed/kept/wrong-filter" / f"001_{image(summit).name}")),
    )


def test_a_whole_visit_in_the_wrong_filter_is_seen_by_the_plan_only(ground, summit):
    plan = strike(ground, "wrong-filter", detector=None, physical_filter="g_01")
    told = {
        (info.exposure_id, str(info.detector)): info.physical_filter
        for path in find_raw_files(summit)
        if (info := translate(read_raw_header(path))).observation_type == "science"
    }
    assert wrong_filters(told) == []
    (problem,) = wrong_filters(told, {"r_03"})
    assert ("2026112100003",) in plan.marks
    assert "2026112100003" in problem.where
    assert "g_01" in problem.what
    with pytest.raises(RefusedError):
        strike(ground, "wrong-filter", physical_filter="nosuch")


def test_a_wrong_header_contradicts_its_file(ground, summit):
    strike(ground, "wrong-header")
    inspect_raw(image(summit))
    header = read_raw_header(image(summit))
    assert contradictions(header)
    assert header["OBSID"] != FIRST_VISIT


@pytest.mark.parametrize("image_type", ["flat", "bias"])
def test_a_wrong_calibration_has_a_gradient_and_right_checksums(ground, summit, image_type):
    path = next(
        p for p in find_raw_files(summit)
        if translate(read_raw_header(p)).observation_type == image_type and "S00" in p.name
    )  # fmt: skip
    before = read_raw(path)
    strike(ground, "wrong-calibration", image_type=image_type, slope=0.5)
    inspect_raw(path)
    after = read_raw(path)
    amplifier, old = after.amplifiers[0], before.amplifiers[0]
    overscan = slice(old.data_section[1].stop, None)
    np.testing.assert_array_equal(
        amplifier.data[:, -8:], old.data[:, -8:], err_msg="the overscan sees no light"
    )
    change = amplifier.data[amplifier.data_section].astype(float) - old.data[old.data_section]
    first, last = np.median(change[:4]), np.median(change[-4:])
    light = np.median(old.data[old.data_section]) - np.median(old.data[:, overscan])
    assert last - first == pytest.approx(-0.47 * light if image_type == "flat" else 470.0, rel=0.1)


def test_a_visit_that_is_late_is_held_by_the_line_and_told_of(ground, summit):
    line = Line(ground.work)
    plan = strike(ground, "late-transfer", visit=1)
    assert line.state().held == (FIRST_VISIT,)
    closed = {FIRST_VISIT: dt.datetime(2026, 11, 22, 1, tzinfo=dt.UTC)}
    limit, now = dt.timedelta(minutes=30), dt.datetime(2026, 11, 22, 1, 40, tzinfo=dt.UTC)
    (problem,) = late_exposures(closed, {}, now, limit)
    assert all(word in problem.where for word in plan.marks[1])
    assert late_exposures(closed, {}, now - dt.timedelta(minutes=15), limit) == []
    undo(ground, "late-transfer", plan)
    assert line.state().held == ()
    (problem,) = late_exposures(closed, {FIRST_VISIT: now}, now + dt.timedelta(hours=9), limit)
    assert "2400 s" in problem.what


def test_a_delay_that_was_left_in_is_a_slow_transfer(ground, summit):
    expected = Rate.parse("40 MB/s")
    report = send(ground, names(summit)[:3])
    assert slow_transfer(report.size_bytes, report.sending_s, expected, "science", allowance_s=5.0) == []
    plan = strike(ground, "slow-transfer", delay_per_file="5 s")
    delay_s = 3 * Line(ground.work).state().delay_per_file_s
    (problem,) = slow_transfer(
        report.size_bytes, report.sending_s + delay_s, expected, "science", allowance_s=5.0
    )
    assert problem.kind == "slow-transfer"
    undo(ground, "slow-transfer", plan)
    assert Line(ground.work).state() == Disturbance()


def test_disturbances_of_a_line_add_up_and_end_one_by_one(ground):
    limit = strike(ground, "slow-transfer", delay_per_file="0 s", limit="40 Mb/s")
    late = strike(ground, "late-transfer", visit=2)
    line = Line(ground.work)
    assert line.state().rate.bytes_per_s == 5e6
    assert line.state().held == ("CC_O_20261121_000004",)
    undo(ground, "slow-transfer", limit)
    assert line.state() == Disturbance(held=("CC_O_20261121_000004",))
    undo(ground, "late-transfer", late)
    assert line.state() == Disturbance()


def test_a_full_disk_has_no_room_for_what_is_to_come(ground, summit):
    send(ground, names(summit)[:3])
    quota = Quota(ground.work)
    free = quota.free_bytes
    plan = strike(ground, "disk-full", left_bytes=1000)
    assert quota.free_bytes == 1000
    assert [p.kind for p in room_problems(quota.free_bytes, 300_000, "storage")] == ["disk-full"]
    send(ground, names(summit)[3:5])
    assert quota.free_bytes == 0, "what is stored meanwhile counts"
    undo(ground, "disk-full", plan)
    assert quota.free_bytes == pytest.approx(free, rel=0.01)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("The destination's disk is full.", "disk-full"),
        ("The destination's disk quota is used up.", "disk-full"),
        ("The connection was cut.", "transfer-interrupted"),
    ],
)
def test_what_stops_a_transfer_has_a_name(message, kind):
    assert problem_kind(RejectedError(message)) == kind


def test_lost_files_and_lost_acknowledgements_are_told_apart(ground, summit):
    with pytest.raises(NotFoundError):
        strike(ground, "lost-file")
    with pytest.raises(NotFoundError):
        strike(ground, "unacknowledged-transfer")
    send(ground)
    record = ground.work / "transfers" / f"{DAYS[1]}.jsonl"

    def acknowledged():
        from lsst_commtools.ingest.transfer_journal import KnownCopy

        return [read[0] for line in record.read_text().splitlines() if (read := KnownCopy.read(line))]

    assert lost_files(names(summit), acknowledged(), names(ground.storage)) == []
    assert unacknowledged_files(acknowledged(), names(ground.storage)) == []
    lost = strike(ground, "lost-file", visit=1, detector=2)
    unsaid = strike(ground, "unacknowledged-transfer", visit=2)
    (problem,) = lost_files(names(summit), acknowledged(), names(ground.storage))
    assert (problem.kind, FileId.parse(problem.where).detector) == ("lost-in-transfer", "R22_S02")
    assert any(all(word in problem.where for word in mark) for mark in lost.marks)
    problems = unacknowledged_files(acknowledged(), names(ground.storage))
    assert len(problems) == 3
    assert all(any(all(w in p.where for w in mark) for mark in unsaid.marks) for p in problems)
    undo(ground, "unacknowledged-transfer", unsaid)
    undo(ground, "lost-file", lost)
    assert lost_files(names(summit), acknowledged(), names(ground.storage)) == []
    assert unacknowledged_files(acknowledged(), names(ground.storage)) == []


def test_replayed_ids_are_known_from_the_night_before(ground, summit):
    before = snapshot(ground.work)
    plan = strike(ground, "replayed-ids", visit=2)
    found = [FileId.parse(path.name).obs_id.exposure_id for path in find_raw_files(summit)]
    (problem,) = replayed_exposures(found, {2026112000004: DAYS[0], 2026112100003: DAYS[1]}, DAYS[1])
    assert any(all(word in problem.where for word in mark) for mark in plan.marks)
    undo(ground, "replayed-ids", plan)
    assert snapshot(ground.work) == before


def test_a_reservation_of_the_night_before_makes_jobs_wait(ground):
    queue = BatchQueue(ground.work / "batch")
    plan = strike(ground, "held-reservation")
    assert queue.free == 0
    seen = []
    with (
        pytest.raises(Exception, match="QA of night 1"),
        queue.reserve(
            2,
            owner="LDF",
            purpose="pipeline",
            wait_s=0.3,
            on_wait=lambda s, holders: seen.append((s, holders)),
        ),
    ):
        pass
    (problem,) = waiting_problems(*seen[-1], "The pipeline", limit_s=0.2)
    assert (problem.kind, problem.where) == ("jobs-wait", plan.marks[0][0])
    undo(ground, "held-reservation", plan)
    with queue.reserve(2, owner="LDF", purpose="pipeline"):
        assert queue.free == 0
    assert queue.free == 2


def test_a_flood_of_strangers_is_told_as_such(ground):
    queue = BatchQueue(ground.work / "batch")
    plan = strike(ground, "cluster-flood", owner="dev-usdf")
    (problem,) = waiting_problems(9.0, queue.reservations(), "The pipeline", limit_s=5.0)
    assert (problem.kind, problem.where) == ("foreign-load", "dev-usdf")
    assert len(queue.reservations()) == 4
    undo(ground, "cluster-flood", plan)
    assert queue.reservations() == ()


def test_one_group_is_not_submitted_and_the_others_are(ground):
    queue = BatchQueue(ground.work / "batch")
    plan = strike(ground, "group-not-submitted", group=3)
    planned = {group: f"visit {group}" for group in range(1, 11)}
    refused = {}
    for group in planned:
        try:
            queue.submit(group)
        except RejectedError as error:
            refused[group] = error.message
    (problem,) = unsubmitted_groups(planned, refused)
    assert (problem.kind, problem.where) == ("group-not-submitted", "group 3: visit 3")
    assert any(all(word in problem.where for word in mark) for mark in plan.marks)
    undo(ground, "group-not-submitted", plan)
    queue.submit(3)


def test_a_held_registry_keeps_writers_waiting_and_lets_go(ground):
    with pytest.raises(NotFoundError):
        strike(ground, "slow-registry")
    ground.repository.mkdir()
    registry = sqlite3.connect(ground.repository / "gen3.sqlite3", timeout=0.1, isolation_level=None)
    registry.execute("CREATE TABLE t (a)")
    plan = strike(ground, "slow-registry", held="30 s")

    def locked():
        try:
            registry.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        registry.execute("ROLLBACK")
        return False

    wait_for(locked)
    undo(ground, "slow-registry", plan)
    wait_for(lambda: not locked())
    registry.close()


def wait_for(condition, timeout_s=20.0):
    import time

    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_an_image_of_another_cycle_is_found_by_the_check_of_images(ground):
    from lsst_commtools.images import LabImages

    right = LabImages(lab_site(ground.site, ground.work)).recommended.target
    plan = strike(ground, "wrong-cycle-image")
    wrong = LabImages(lab_site(ground.site, ground.work)).recommended.target
    assert wrong.cycle < right.cycle
    assert LabImages(ground.site).recommended.target == right, "nobody else's registry is touched"
    undo(ground, "wrong-cycle-image", plan)
    assert LabImages(lab_site(ground.site, ground.work)).recommended.target == right


def test_an_old_image_cannot_read_the_data(ground, summit):
    from lsst_commtools.images import LabImages

    plan = strike(ground, "old-image")
    site = lab_site(ground.site, ground.work)
    tag = LabImages(site).recommended.target.tag
    (problem,) = image_problems(site, tag, image(summit))
    assert problem.kind == "image-cannot-read"
    assert "No module named" in problem.what
    undo(ground, "old-image", plan)
    assert image_problems(lab_site(ground.site, ground.work), tag, image(summit)) == []


@pytest.fixture
def night(ground):
    """The second night of a rehearsal on that ground, both nights transferred."""
    settings = RehearsalSettings(ground.work, "simulated", "LSSTComCam", DAYS, 2, 1, 60.0, unattended=True)
    rehearsal = Rehearsal.create(ground.site, settings)
    for number in (1, 2):
        there = rehearsal.night(number)
        journal = ground.work / "transfers" / f"{there.day_obs}.jsonl"
        there.storage.mkdir(parents=True)
        RsyncTransfer(there.summit, there.storage, journal=journal).send()
    return rehearsal.night(2)


def test_a_good_night_has_nothing_to_tell(night):
    shots = find_shots(night.source, night.settings.camera, night.day_obs)
    assert check_arrivals(night) == []
    assert check_headers(night) == []
    assert check_room(night, shots) == []
    assert check_lateness(night, shots) == []
    assert check_image(night, "w_2026_23_c0044.007") == []


@pytest.mark.parametrize(
    ("name", "parameters", "check"),
    [
        ("lost-file", {}, check_arrivals),
        ("unacknowledged-transfer", {}, check_arrivals),
        ("replayed-ids", {}, check_arrivals),
        ("wrong-filter", {"detector": 1}, check_headers),
        ("wrong-filter", {"detector": None}, check_headers),
    ],
)
def test_a_check_of_the_night_names_the_fault_at_its_place(ground, night, name, parameters, check):
    plan = strike(ground, name, **parameters)
    RsyncTransfer(
        night.summit, night.storage, journal=ground.work / "transfers" / f"{night.day_obs}.jsonl"
    ).send() if name in ("wrong-filter", "replayed-ids") else None
    found = [problem for problem in check(night) if problem.kind in fault_kind(name).notices]
    assert found
    for problem in found:
        assert any(all(word in f"{problem.where} {problem.what}" for word in mark) for mark in plan.marks)


def test_a_held_exposure_is_late_only_after_its_time(ground, night):
    shots = [s for s in find_shots(night.source, night.settings.camera, night.day_obs) if not s.calibration]
    publish(shots, night.source, night.summit, night.rehearsal.clock, paced=False)
    clock = night.rehearsal.clock
    clock.set(shots[0].appears_utc + dt.timedelta(minutes=20), 1.0)
    assert check_lateness(night, shots) == []
    clock.set(shots[0].appears_utc + dt.timedelta(minutes=31), 1.0)
    assert shots[0].obs_id in [p.where.removeprefix("exposure ") for p in check_lateness(night, shots)]


def test_every_fault_of_the_issue_and_of_real_rehearsals_has_its_inject():
    assert {
        "late-transfer", "disk-full", "wrong-calibration", "missing-detector", "wrong-filter", "csc-fault",
        "queue-paused", "service-down", "wrong-cycle-image",
    } <= set(CATALOGUE)  # fmt: skip
    assert {name for name, kind in CATALOGUE.items() if kind.seen} == {
        "slow-transfer", "missing-detector", "held-reservation", "unacknowledged-transfer", "old-image", "disk-full",
        "cluster-flood", "group-not-submitted", "slow-registry", "replayed-ids",
    }  # fmt: skip
    for kind in CATALOGUE.values():
        assert kind.notices
        assert kind.what.endswith(".")
