from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.procedure.judge import judge, same
from lsst_commtools.procedure.values import StepStatus, plain, slug


class State(enum.IntEnum):
    UNKNOWN = 0
    ENABLED = 2


@dataclasses.dataclass
class Pair:
    a: int
    b: object


class Broken:
    def __str__(self):
        raise RuntimeError("no text")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(json_values)
def test_plain_values_are_strict_json_and_stay_as_they_are(value):
    once = plain(value)
    assert plain(json.loads(json.dumps(once, allow_nan=False))) == once


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (State.ENABLED, "ENABLED"),
        (np.float64(1.5), 1.5),
        (np.arange(3), [0, 1, 2]),
        (float("nan"), "nan"),
        (dt.datetime(2026, 11, 20, tzinfo=dt.UTC), "2026-11-20T00:00:00+00:00"),
        (Path("/a/b"), "/a/b"),
        (Pair(1, {2}), {"a": 1, "b": [2]}),
        ({1: "x"}, {"1": "x"}),
    ],
)
def test_plain_knows_the_types_that_procedures_observe(value, expected):
    assert plain(value) == expected


def test_plain_never_fails():
    assert "Broken" in plain(Broken())
    cycle = []
    cycle.append(cycle)
    json.dumps(plain(cycle))
    assert len(plain("x" * 1_000_000)) < 100_000


@settings(deadline=None)
@given(st.text())
def test_slug_is_stable_and_safe(name):
    once = slug(name)
    assert slug(once) == once
    assert once
    assert set(once) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize(
    ("observed", "expect", "error", "status"),
    [
        (None, None, None, StepStatus.UNKNOWN),
        (0, None, None, StepStatus.DONE),
        ("", None, None, StepStatus.DONE),
        (False, None, None, StepStatus.FAILED),
        (False, False, None, StepStatus.DONE),
        (1, True, None, StepStatus.FAILED),
        ("OFFLINE", "OFFLINE", None, StepStatus.DONE),
        ("ENABLED", "OFFLINE", None, StepStatus.FAILED),
        (5, lambda value: value > 3, None, StepStatus.DONE),
        (2, lambda value: value > 3, None, StepStatus.FAILED),
        (None, None, ValueError("no"), StepStatus.FAILED),
        ("seen", None, KeyboardInterrupt(), StepStatus.UNKNOWN),
        ("seen", None, TimeoutError("late"), StepStatus.UNKNOWN),
        (None, "OFFLINE", None, StepStatus.UNKNOWN),
        ("UNKNOWN", None, None, StepStatus.UNKNOWN),
        (State.UNKNOWN, "ENABLED", None, StepStatus.UNKNOWN),
        ({"csc": "DIMM:1", "state": State.UNKNOWN}, None, None, StepStatus.UNKNOWN),
        ("UNKNOWN", "UNKNOWN", None, StepStatus.DONE),
        ("x", lambda value: value.y, None, StepStatus.UNKNOWN),
    ],
)
def test_outcomes(observed, expect, error, status):
    assert judge(observed, expect, error=error).status is status


@settings(deadline=None)
@given(json_values, st.sampled_from([None, ValueError("x"), KeyboardInterrupt(), TimeoutError("x")]))
def test_nothing_is_done_in_a_dry_run_or_after_an_error(observed, error):
    assert judge(observed, error=error, dry_run=True).status is not StepStatus.DONE
    if error is not None or observed is None:
        assert judge(observed, error=error).status is not StepStatus.DONE


def test_same_tells_a_truth_from_a_number():
    assert same({"a": np.int64(1)}, {"a": 1})
    assert not same(1, True)
