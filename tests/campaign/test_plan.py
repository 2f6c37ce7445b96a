"""Campaign files and plans: pure rules."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import InputError, NotFoundError, ParameterError
from lsst_commtools.procedure.campaign.model import Campaign, load_campaign
from lsst_commtools.procedure.campaign.plan import content_key, plan_tasks, resolve_parameters


def campaign(*entries):
    return Campaign(campaign="c", notebooks=[{"notebook": "n.ipynb", **entry} for entry in entries])


def test_a_matrix_gives_each_combination_once():
    tasks = plan_tasks(campaign({"id": "a", "matrix": {"x": [1, 2], "y": ["g", "r"]}}))
    assert [task.name for task in tasks] == ["a[x=1,y=g]", "a[x=1,y=r]", "a[x=2,y=g]", "a[x=2,y=r]"]


def test_points_need_the_points_that_agree_with_them():
    tasks = plan_tasks(
        campaign(
            {"id": "b", "matrix": {"x": [1, 2]}, "needs": ["a"]},
            {"id": "a", "matrix": {"x": [1, 2], "y": [3, 4]}},
        )
    )
    needs = {task.name: task.needs for task in tasks}
    assert needs["b[x=1]"] == ("a[x=1,y=3]", "a[x=1,y=4]")


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_each_task_comes_after_what_it_needs(data):
    names = [f"n{i}" for i in range(data.draw(st.integers(1, 8)))]
    entries = [
        {"id": name, "needs": data.draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else []}
        for i, name in enumerate(names)
    ]
    tasks = plan_tasks(campaign(*data.draw(st.permutations(entries))))
    place = {task.name: i for i, task in enumerate(tasks)}
    assert len(place) == len(names)
    assert all(place[need] < place[task.name] for task in tasks for need in task.needs)


def test_results_are_handed_on_with_their_types():
    tasks = plan_tasks(
        campaign(
            {"id": "one"},
            {"id": "many", "matrix": {"k": [1, 2]}},
            {
                "id": "last",
                "parameters": {"a": {"from": "one", "result": "r"}, "b": {"from": "many", "result": "r"}},
            },
        )
    )
    by_name = {task.name: task for task in tasks}
    results = {"one": {"r": 1.5}, "many[k=1]": {"r": 2}, "many[k=2]": {"r": None}}
    assert resolve_parameters(by_name["last"], by_name, results) == {"a": 1.5, "b": [2, None]}
    with pytest.raises(ParameterError, match="one has no result 'r'"):
        resolve_parameters(by_name["last"], by_name, {})


def test_content_changes_with_code_values_types_and_inputs():
    keys = [
        content_key("code", {"a": 1}, []),
        content_key("other", {"a": 1}, []),
        content_key("code", {"a": 1.0}, []),
        content_key("code", {"a": True}, []),
        content_key("code", {"a": "2026-11-20"}, []),
        content_key("code", {"a": dt.date(2026, 11, 20)}, []),
        content_key("code", {"a": 1}, [("f", "0")]),
        content_key("code", {"a": 1}, [("f", "1")]),
    ]
    assert len(set(keys)) == len(keys)
    assert content_key("code", {"a": 1, "b": 2}, []) == content_key("code", {"b": 2, "a": 1}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("campaign: [", "is not YAML"),
        ("- 1", "does not hold a campaign"),
        ("campaign: c\nnotebooks: []", "notebooks"),
        ("campaign: ../c\nnotebooks: [{id: a, notebook: n}]", "short name"),
        (
            "campaign: c\nnotebooks: [{id: a, notebook: n, retries: 1}]",
            "only an idempotent notebook may be retried",
        ),
        ("campaign: c\nnotebooks: [{id: a, notebook: n, batch: true}]", "only an idempotent notebook"),
        ("campaign: c\nnotebooks: [{id: a, notebook: n}, {id: a, notebook: n}]", "a is there twice"),
        ("campaign: c\nnotebooks: [{id: a, notebook: n, needs: [b]}]", "a needs b, which is not there"),
        ("campaign: c\nnotebooks: [{id: a, notebook: n, matrix: {x: []}}]", "matrix.x"),
        ("campaign: c\nnotebooks: [{id: a, notebook: n, idempotnet: true}]", "idempotnet"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_bad_files_are_told(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_campaign(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(NotFoundError):
        load_campaign(tmp_path / "c.yaml")


def test_circles_are_told():
    with pytest.raises(InputError, match="in a circle: "):
        plan_tasks(campaign({"id": "a", "needs": ["b"]}, {"id": "b", "needs": ["a"]}))


def test_too_many_tasks_are_told():
    axes = {name: list(range(100)) for name in "abcd"}
    with pytest.raises(InputError, match="more than"):
        plan_tasks(campaign({"id": "a", "matrix": axes}))
