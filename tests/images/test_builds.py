"""Time budget of a night's images."""

from __future__ import annotations

import datetime as dt

import pytest

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.images import judge_builds, read_builds
from lsst_commtools.site.images import BuildsSection

BUDGET = BuildsSection()  # stack 100, ts 30, lab 50 minutes; under 3 h; by 20:00 UTC
HEADER = "day_obs,layer,started_utc,finished_utc\n"
GOOD = """20260601,stack,2026-06-01T16:30:00,2026-06-01T18:00:00
20260601,ts,2026-06-01T18:01:00,2026-06-01T18:25:00
20260601,lab,2026-06-01T18:26:00,2026-06-01T19:10:00
"""


@pytest.fixture
def judge(tmp_path):
    """Judges the night of 20260601 by a table."""

    def run(text):
        path = tmp_path / "builds.csv"
        path.write_text(HEADER + text)
        return judge_builds(read_builds(path), 20260601, BUDGET)

    return run


def statuses(report):
    return [report.status.value, *(layer.status.value for layer in report.layers)]


def test_on_time(judge):
    report = judge(GOOD + "20260602,stack,,\n")
    assert statuses(report) == ["on-time"] * 4
    assert report.chain == ()
    assert report.to_dict()["deadline_utc"] == "2026-06-01T20:00:00+00:00"


def test_a_slow_layer_makes_all_late_and_is_named(judge):
    report = judge(
        GOOD.replace("18:25:00", "19:25:00").replace("18:26:00", "19:25:00").replace("19:10:00", "20:06:00")
    )
    assert statuses(report) == ["late", "on-time", "late", "late"]
    assert report.chain == (
        "ts began 1 min after it could have.",
        "ts took 84 min, 54 min over its budget.",
        "The last image came 6 min after the deadline.",
        "All layers together took 216 min; under 180 are allowed.",
    )


def test_three_hours_are_too_long(judge):
    report = judge(GOOD.replace("16:30:00", "16:10:00"))
    assert report.status.value == "late"
    assert report.chain[-1] == "All layers together took 180 min; under 180 are allowed."


def test_a_wait_is_named(judge):
    report = judge(GOOD.replace("18:26:00", "19:20:00").replace("19:10:00", "20:05:00"))
    assert "lab began 55 min after it could have." in report.chain


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_layer_that_is_missing(judge, line):
    lines = GOOD.splitlines(keepends=True)
    del lines[line]
    report = judge("".join(lines))
    assert report.status.value == "missing"
    assert report.layers[line].status.value == "missing"
    assert any("was not built (0 attempts)" in sentence for sentence in report.chain)


def test_a_layer_on_an_older_one_is_not_the_image_of_the_night(judge):
    report = judge(GOOD.replace("18:26:00", "18:20:00"))
    assert statuses(report) == ["missing", "on-time", "on-time", "missing"]
    assert report.chain[-1] == "lab began before the layer below was there (1 attempts)."


def test_a_failed_attempt_and_a_second_one(judge):
    failed = "20260601,stack,2026-06-01T15:00:00,\n"
    assert statuses(judge(failed + GOOD)) == ["on-time"] * 4
    assert judge(failed + GOOD).layers[0].runs == 2
    assert statuses(judge(failed))[:2] == ["missing", "missing"]


def test_times_with_an_offset_are_utc(judge):
    assert judge(GOOD.replace("16:30:00", "12:30:00-04:00")).layers[0].started_utc == dt.datetime(
        2026, 6, 1, 16, 30, tzinfo=dt.UTC
    )


@pytest.mark.parametrize(
    "text",
    [
        "x,stack,,\n",
        "20260601,stack,soon,\n",
        "20260601,stack,2026-06-01T18:00,2026-06-01T17:00\n",
        "20260601\n",
    ],
)
def test_a_row_that_cannot_be_read(judge, text):
    with pytest.raises(TableError):
        judge(text)


def test_a_table_without_its_columns(tmp_path):
    path = tmp_path / "builds.csv"
    path.write_text("a,b\n")
    with pytest.raises(TableError):
        read_builds(path)
    with pytest.raises(NotFoundError):
        read_builds(tmp_path / "none.csv")
