"""Failures by cause, and how many there may be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.pipeline.outcomes import ProcessingReport, QuantumOutcome, QuantumStatus
from lsst_commtools.rehearsal.failures import (
    Failure,
    cause_of,
    failure_rate,
    failures_of,
    group_failures,
    normalise_message,
)

MESSAGES = [
    ("Only 12 stars in visit 2026112000017", "Only 3 stars in visit 2026112000018"),
    ("No match in CC_O_20261120_000017_R22_S11", "No match in CC_O_20261120_000018_R22_S00"),
    (
        "[Errno 28] No space left on device: /data/a/b.fits",
        "[Errno 28] No space left on device: /tmp/x/y/c.fits",
    ),
    ("<Task object at 0x7f01ab>", "<Task object at 0x7fffff01>"),
    (
        "dataset 3fa85f64-5717-4562-b3fc-2c963f66afa6 is gone",
        "dataset 00000000-5717-4562-b3fc-2c963f66afa6 is gone",
    ),
    ("residual 1.5e-3 above -2.25", "residual 7 above 3e10"),
    ("at 12:00:01 on 2026-11-20", "at 23:59:59 on 2026-11-21"),
]


@pytest.mark.parametrize(("one", "other"), MESSAGES)
def test_messages_of_one_cause_read_the_same(one, other):
    assert normalise_message(one) == normalise_message(other)
    assert "#" in normalise_message(one)


def test_words_are_kept():
    assert normalise_message("No stars in band r2d2 at\n all") == "No stars in band r2d2 at all"
    assert normalise_message("full disk") != normalise_message("wrong filter")
    assert len(normalise_message("x" * 10_000)) == 300


@given(st.text(max_size=400))
@settings(deadline=None, max_examples=100)
def test_normalising_twice_changes_nothing_more(text):
    once = normalise_message(text)
    assert normalise_message(once) == once


def test_the_same_exception_in_the_same_place_is_one_cause():
    failures = [
        Failure("RuntimeError", "isr", "Only 3 stars", "visit 1", 1),
        Failure("RuntimeError", "isr", "quite another text", "visit 2", 2),
        Failure("RuntimeError", "astrometry", "Only 3 stars", "visit 3", 1),
        Failure("ValueError", "isr", "Only 3 stars", "visit 4", 1),
        Failure("", "astrometry", "no match with 12 stars", "visit 5", 1),
        Failure("", "astrometry", "no match with 13 stars", "visit 6", 1),
        Failure("", "astrometry", "no reference", "visit 7", 1),
    ]
    groups = group_failures(failures)
    assert [(g.exception, g.place, g.count) for g in groups] == [
        ("", "astrometry", 2),
        ("RuntimeError", "isr", 2),
        ("", "astrometry", 1),
        ("RuntimeError", "astrometry", 1),
        ("ValueError", "isr", 1),
    ]
    assert groups[1].messages == (("Only # stars", 1), ("quite another text", 1))
    assert groups[1].nights == (1, 2)
    assert groups[1].cause == cause_of("RuntimeError", "isr", "anything")


failure_strategy = st.builds(
    Failure,
    *(st.sampled_from(["", "A", "B"]),) * 2,
    st.sampled_from(["x 1", "x 2", "y"]),
    st.text(max_size=5),
)


@given(st.lists(failure_strategy, max_size=30), st.randoms())
@settings(deadline=None)
def test_each_failure_is_in_one_group_whatever_the_order(failures, random):
    groups = group_failures(failures)
    assert sorted(map(str, failures)) == sorted(str(f) for g in groups for f in g.failures)
    shuffled = list(failures)
    random.shuffle(shuffled)
    assert {g.cause: g.count for g in group_failures(shuffled)} == {g.cause: g.count for g in groups}


def test_tasks_without_work_are_failures_and_skipped_ones_are_not():
    def outcome(status, error=""):
        return QuantumOutcome("isr", {"exposure": 1, "detector": 2}, status, error, "why")

    report = ProcessingReport(
        "run",
        (
            outcome(QuantumStatus.SUCCEEDED),
            outcome(QuantumStatus.FAILED, "OSError"),
            outcome(QuantumStatus.NO_WORK),
            outcome(QuantumStatus.SKIPPED),
            outcome(QuantumStatus.EXISTING),
        ),
    )
    assert [(f.exception, f.where, f.night) for f in failures_of(report, 2)] == [
        ("OSError", "exposure 1, detector 2", 2),
        ("", "exposure 1, detector 2", 2),
    ]


@pytest.mark.parametrize(
    ("failed", "expected", "status"),
    [
        (0, 1997, "good"),
        (19, 1997, "good"),
        (20, 1997, "warning"),
        (39, 1997, "warning"),
        (87, 1997, "bad"),
        (0, 0, "unknown"),
    ],
)
def test_one_percent_seems_ok_two_starts_to_seem_a_lot(failed, expected, status):
    rate = failure_rate(failed, expected, "CCDs")
    assert rate.status == status
    assert "CCDs" in rate.text
    assert "one percent" in rate.to_dict()["limit"]["source"]


@pytest.mark.parametrize(("failed", "expected", "of"), [(2, 1, "x"), (-1, 1, "x"), (0, 1, "")])
def test_a_rate_that_cannot_be_is_none(failed, expected, of):
    with pytest.raises(ValueError, match="cannot have failed"):
        failure_rate(failed, expected, of)
