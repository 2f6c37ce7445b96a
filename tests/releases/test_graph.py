"""What needs what, what is late, what is blocked."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import NotFoundError
from lsst_commtools.releases import Entry, Releases, SourceModel
from lsst_commtools.releases.graph import (
    blocked_by,
    critical_path,
    disagreements,
    find_cycles,
    find_late,
    needs_all,
)
from lsst_commtools.site import Site


def made(**needs):
    return SourceModel(
        "table",
        tuple(
            Entry(f"DM-X-{i}", "feature", i, (1,), tuple(f"DM-X-{j}" for j in js.split()))
            for i, js in needs.items()
        ),
    )


def test_needs_directly_and_in_all(small_model):
    table = small_model.source("table")
    assert table.requires("LDM-503-4b") == ("LDM-503-1", "DM-NET-2")
    assert needs_all(table, "LDM-503-4b") == (
        "LDM-503-1",
        "DM-DAX-1",
        "DM-SUIT-2",
        "DM-NET-9",
        "DM-NET-2",
        "DLP-531",
    )
    assert needs_all(table, "DM-DAX-1") == ()


def test_blocked_directly_and_through_others(small_model):
    assert blocked_by(small_model.source("table"), "DM-DAX-1") == {
        "DM-SUIT-2": True, "LDM-503-1": True, "LDM-503-4b": False
    }  # fmt: skip
    assert blocked_by(small_model.source("table"), "DLP-531") == {"DM-NET-2": True, "LDM-503-4b": False}
    assert blocked_by(small_model.source("text"), "LDM-503-5") == {}


def test_critical_path(small_model):
    path = critical_path(small_model.source("table"), "LDM-503-1")
    assert [(step.id, step.slack_days) for step in path] == [
        ("DM-DAX-1", 19),
        ("DM-SUIT-2", 10),
        ("LDM-503-1", None),
    ]
    assert [s.id for s in critical_path(small_model.source("table"), "LDM-503-4b")] == [
        "DM-NET-2",
        "LDM-503-4b",
    ]
    assert critical_path(small_model.source("table"), "LDM-503-4b")[0].slack_days == -78
    assert [s.id for s in critical_path(small_model.source("text"), "LDM-503-4b")] == ["LDM-503-4b"]


def test_cycles():
    assert find_cycles(made(A="B", B="C", C="A D", D="", E="E", F="A")) == [
        ("DM-X-A", "DM-X-B", "DM-X-C"), ("DM-X-E",)
    ]  # fmt: skip
    assert find_cycles(made(A="B", B="C", C="")) == []


def test_a_long_chain_is_no_trouble():
    chain = SourceModel(
        "table",
        tuple(
            Entry(f"DM-X-{i}", "feature", "x", (i,), (f"DM-X-{i + 1}",), due=dt.date(2020, 1, 1))
            for i in range(5000)
        ),
    )
    assert find_cycles(chain) == []
    assert len(needs_all(chain, "DM-X-0")) == 5000
    assert len(blocked_by(chain, "DM-X-5000")) == 5000


nodes = st.integers(0, 6)


@settings(deadline=None, max_examples=100)
@given(st.sets(st.tuples(nodes, nodes)))
def test_cycles_are_what_needs_itself(edges):
    ids = {n for edge in edges for n in edge}
    source = made(**{str(n): " ".join(str(b) for a, b in sorted(edges) if a == n) for n in sorted(ids)})
    in_cycle = {i for group in find_cycles(source) for i in group}
    assert in_cycle == {e.id for e in source.entries if e.id in needs_all(source, e.id)}
    for entry in source.entries:
        users = set(blocked_by(source, entry.id))
        assert users == {e.id for e in source.entries if entry.id in needs_all(source, e.id)}


def test_what_is_late_names_its_source(small_model):
    late = find_late(small_model, dt.date(2017, 11, 25), {"DM-DAX-1"})
    assert [(entry.id, entry.days, entry.source) for entry in late] == [("DM-SUIT-2", 5, "table")]
    assert find_late(small_model, dt.date(2017, 11, 1), set()) == []


def test_where_the_sources_disagree(small_model):
    assert disagreements(small_model, "LDM-503-1") == [
        {"id": "LDM-503-1", "field": "title", "text": "Platform in PDAC", "table": "Platform in the PDAC"},
        {
            "id": "LDM-503-1", "field": "features", "text": ["DM-DAX-1", "DM-NET-3", "DM-SUIT-2"],
            "table": ["DM-DAX-1", "DM-NET-9", "DM-SUIT-2"],
        },
    ]  # fmt: skip
    assert disagreements(small_model, "LDM-503-5") == [
        {"id": "LDM-503-5", "field": "presence", "text": True, "table": False}
    ]
    assert disagreements(small_model, "DM-DAX-1") == []  # a full stop is no disagreement


@pytest.fixture
def board(small_model):
    return Releases(Site(name="hilltop"), model=small_model)


def test_each_answer_names_its_source(board):
    shown = board.show("4b")
    assert set(shown["by_source"]) == {"text", "table"}
    assert shown["by_source"]["text"]["needs"] != shown["by_source"]["table"]["needs"]
    assert shown["sources_disagree"]
    blocked = board.blocked_by("DM-SUIT-12")
    assert [row["id"] for row in blocked["by_source"]["text"]] == ["LDM-503-4b"]
    assert blocked["by_source"]["table"] == []
    assert blocked["sources_disagree"] == [
        {"id": "LDM-503-4b", "field": "blocked", "text": True, "table": False}
    ]


def test_the_overview_drops_nothing(board):
    overview = board.overview(dt.date(2017, 11, 25))
    assert [m["id"] for m in overview["milestones"]] == ["LDM-503-1", "LDM-503-4", "LDM-503-4b", "LDM-503-5"]
    assert len(overview["anomalies"]) == 13
    assert overview["cycles"] == {"text": [], "table": []}
    assert {entry["id"] for entry in overview["late"]} == {"DM-DAX-1", "DM-SUIT-2"}


def test_an_unknown_id(board):
    with pytest.raises(NotFoundError):
        board.ready("LDM-503-99")


def test_the_shipped_sources_disagree_where_they_do():
    board = Releases(Site(name="hilltop"))
    fields = [(d["field"]) for d in board.ready("LDM-503-6")["sources_disagree"] if d["id"] == "LDM-503-6"]
    assert fields == ["title", "features"]
    assert board.ready("LDM-503-12")["sources_disagree"][0] == {
        "id": "LDM-503-12", "field": "milestones", "text": [], "table": ["LDM-503-11"]
    }  # fmt: skip
