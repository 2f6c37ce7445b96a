import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from lsst_commtools.ingest.rate import Rate
from lsst_commtools.night.expectations import (
    bottleneck,
    late_exposures,
    lost_files,
    replayed_exposures,
    room_problems,
    slow_transfer,
    unacknowledged_files,
    unprocessed_images,
    wrong_filters,
)

NAMES = st.sets(st.sampled_from([f"{k}.fits" for k in range(6)]))


@given(NAMES, NAMES, NAMES)
def test_each_file_that_is_not_there_is_lost_once_and_none_that_is(at_source, acknowledged, arrived):
    lost = lost_files(at_source, acknowledged, arrived)
    assert [p.where for p in lost] == sorted((at_source | acknowledged) - arrived)
    assert {p.where for p in unacknowledged_files(acknowledged, arrived)} == arrived - acknowledged


@given(st.dictionaries(st.tuples(st.integers(1, 3), st.sampled_from("abcde")), st.sampled_from(["g", "r"])))
def test_only_a_minority_disagrees(told):
    problems = wrong_filters(told)
    for exposure in {key[0] for key in told}:
        detectors = [name for (e, _), name in told.items() if e == exposure]
        blamed = sum(p.where.startswith(f"visit {exposure},") for p in problems)
        assert blamed <= len(detectors) / 2
        assert (blamed == 0) == (len(set(detectors)) == 1)


def test_a_plan_may_be_for_all_or_for_each():
    told = {(1, "a"): "g", (2, "a"): "r"}
    assert [p.where for p in wrong_filters(told, {"r"})] == ["visit 1"]
    assert [p.where for p in wrong_filters(told, {1: "g", 2: "g"})] == ["visit 2"]
    assert wrong_filters(told, {3: "g"}) == []
    assert wrong_filters(told) == []


def test_an_exposure_of_this_night_is_no_replay():
    assert replayed_exposures([5, 5, 6], {5: 20261120, 6: 20261121}, 20261121)[0].where == "exposure 5"
    assert len(replayed_exposures([5, 5, 6], {5: 20261120, 6: 20261121}, 20261121)) == 1
    assert replayed_exposures([7], {}, 20261121) == []


def test_late_is_what_took_too_long_or_takes():
    begin = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
    limit = dt.timedelta(seconds=60)
    closed = {"a": begin, "b": begin, "c": begin}
    arrived = {"a": begin + limit, "b": begin + 2 * limit}
    assert late_exposures(closed, arrived, begin + limit, limit)[0].where == "exposure b"
    assert [p.where for p in late_exposures(closed, arrived, begin + 3 * limit, limit)] == [
        "exposure b",
        "exposure c",
    ]


def test_bits_and_bytes_differ_when_a_transfer_is_judged():
    sent = 40_000_000
    assert slow_transfer(sent, 4.0, Rate.parse("40 Mb/s"), "night") == []
    assert slow_transfer(sent, 4.0, Rate.parse("40 MB/s"), "night")[0].kind == "slow-transfer"
    assert slow_transfer(0, 100.0, Rate.parse("40 MB/s"), "night") == []


def test_room_is_full_before_it_is_needed():
    assert [p.kind for p in room_problems(10, 11, "storage")] == ["disk-full"]
    assert [p.kind for p in room_problems(15, 11, "storage")] == ["disk-nearly-full"]
    assert room_problems(22, 11, "storage") == []
    assert room_problems(0, 0, "storage") == []


def test_the_slowest_stage_is_named_first():
    stages = {"ingest": [1.0, 7.0], "registry": [12.0], "transfer": [0.5], "empty": []}
    found = bottleneck(stages, dict.fromkeys(stages, 5.0), {"registry": "slow-registry"})
    assert [(p.kind, p.where) for p in found] == [("slow-registry", "registry"), ("slow-ingest", "ingest")]
    assert "1 of 2" in found[1].what


def test_images_that_nobody_tried_are_told_by_visit():
    (problem,) = unprocessed_images({(1, 0), (1, 1), (2, 0)}, {(2, 0)}, set())
    assert (problem.kind, problem.where) == ("not-processed", "visit 1")
    assert unprocessed_images({(1, 0)}, set(), {(1, 0)}) == []
