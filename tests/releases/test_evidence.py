"""Readiness by the evidence of runs."""

from __future__ import annotations

import datetime as dt

import pytest

from lsst_commtools.releases import (
    Entry,
    EvidenceRun,
    Readiness,
    ReleaseModel,
    Releases,
    SourceModel,
    Verdict,
)
from lsst_commtools.site import Site

NIGHT = dt.datetime(2026, 6, 1, 6, tzinfo=dt.UTC)


def run(entry_id, verdict="passed", days=0, notebook="qa/night_qa", **changes):
    values = {"image": "w_2026_22_c0044.006", "explanation": "", **changes}
    at = NIGHT + dt.timedelta(days=days)
    return EvidenceRun(
        f"run-{entry_id}-{days}-{notebook}",
        (entry_id,),
        at,
        verdict=Verdict(verdict),
        notebook=notebook,
        **values,
    )


def ready(runs, entry_id, model=None, **options):
    return Releases(Site(name="hilltop"), model=model, runs=runs, **options).ready(entry_id)


def features_of(entry_id):
    return [f["id"] for f in ready([], entry_id)["features"]]


def test_our_own_night_qa_verifies_its_feature():
    answer = ready([run("DM-NCSA-17")], "DM-NCSA-17")
    assert answer["status"] == "verified"
    [feature] = answer["features"]
    assert feature["evidence"] == [
        {
            "run": "run-DM-NCSA-17-0-qa/night_qa",
            "at_utc": "2026-06-01T06:00:00+00:00",
            "image": "w_2026_22_c0044.006",
            "result": "passed",
            "notebook": "qa/night_qa",
            "explanation": "",
        }
    ]


def test_without_evidence_nothing_is_verified():
    board = Releases(Site(name="hilltop"))
    for i in (*board.model.milestones, *board.model.features):
        assert board.status(i).value == "not-tested"


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        (["passed"], "verified"),
        (["failed"], "failed"),
        (["inconclusive"], "not-tested"),
        (["failed", "passed"], "verified"),
        (["passed", "failed"], "failed"),
        (["passed", "inconclusive"], "verified"),
        (["failed", "inconclusive"], "failed"),
    ],
)
def test_the_last_run_that_says_anything_counts(verdicts, status):
    runs = [run("DM-NCSA-17", verdict, days) for days, verdict in enumerate(verdicts)]
    assert ready(runs[::-1], "DM-NCSA-17")["status"] == status


def test_every_notebook_for_a_feature_must_pass():
    runs = [run("DM-NCSA-17", days=1), run("DM-NCSA-17", "failed", notebook="qa/trend")]
    assert ready(runs, "DM-NCSA-17")["status"] == "failed"


def test_evidence_older_than_the_image_is_stale():
    changed = NIGHT + dt.timedelta(days=1)
    assert ready([run("DM-NCSA-17")], "DM-NCSA-17", image_changed_utc=changed)["status"] == "stale"
    assert ready([run("DM-NCSA-17", days=2)], "DM-NCSA-17", image_changed_utc=changed)["status"] == "verified"
    both = [run("DM-NCSA-17", days=2), run("DM-NCSA-17", notebook="qa/trend")]
    assert ready(both, "DM-NCSA-17", image_changed_utc=changed)["status"] == "stale"


def test_a_run_after_a_failure_must_say_why_it_had_failed():
    runs = [run("DM-NCSA-17", "failed"), run("DM-NCSA-17", days=1)]
    answer = ready(runs, "DM-NCSA-17")
    assert answer["status"] == "verified"
    assert len(answer["problems"]) == 1
    runs[1] = run("DM-NCSA-17", days=1, explanation="the disk was full")
    assert ready(runs, "DM-NCSA-17")["problems"] == []


def test_a_milestone_is_verified_by_all_its_features():
    wanted = features_of("LDM-503-1")
    assert len(wanted) == 9
    runs = [run(i) for i in wanted]
    assert ready(runs, "LDM-503-1")["status"] == "verified"
    assert ready(runs[1:], "LDM-503-1")["status"] == "not-tested"
    assert ready([*runs, run(wanted[3], "failed", 1)], "LDM-503-1")["status"] == "failed"
    changed = NIGHT + dt.timedelta(days=1)
    assert ready(runs, "LDM-503-1", image_changed_utc=changed)["status"] == "stale"


def test_a_milestone_waits_for_those_that_it_needs():
    runs = [run(i) for i in features_of("LDM-503-4b")]
    answer = ready(runs, "LDM-503-4b")
    assert answer["status"] == "blocked"
    assert answer["requires"] == [{"id": "LDM-503-4", "status": "not-tested", "source": "both"}]
    runs += [run(i) for i in features_of("LDM-503-4")]
    assert ready(runs, "LDM-503-4b")["status"] == "verified"


def test_a_failure_blocks_all_that_is_built_on_it():
    runs = [run("DM-NCSA-10", "failed")]
    board = Releases(Site(name="hilltop"), runs=runs)
    assert board.status("LDM-503-6").value == "failed"
    assert board.status("LDM-503-10").value == "blocked"
    assert board.status("LDM-503-11a").value == "blocked"
    assert board.status("LDM-503-1").value == "not-tested"


def test_where_the_sources_ask_for_different_things_the_worse_answer_holds():
    runs = [run(i) for i in ("DM-NCSA-10", "DM-NCSA-11", "LSST-1160", "LSST-1190", "LSST-1200")]
    runs += [run(i) for i in ("DM-NCSA-27", "DM-NCSA-28", "DM-NCSA-29")]
    answer = ready(runs, "LDM-503-6")
    assert answer["by_source"] == {"text": "not-tested", "table": "verified"}
    assert answer["status"] == "not-tested"
    assert {f["id"]: f["source"] for f in answer["features"]} == {
        "DM-AP-7": "text", "DM-DRP-3": "text", "DM-DRP-4": "text", "DM-NCSA-10": "both", "DM-NCSA-11": "both"
    }  # fmt: skip


def test_the_form_of_the_answer():
    answer = ready([], "LDM-503-9")
    assert {"id", "status", "features", "requires", "sources_disagree"} <= set(answer)
    assert {"id", "title", "status", "evidence"} <= set(answer["features"][0])
    assert {"id", "status", "source"} == set(answer["requires"][0])
    assert ready([], "DM-NCSA-17")["free_requirements"] == [
        {"text": "QA algorithms?", "source": "table"},
        {"text": "Jupyter deployment?", "source": "table"},
    ]


def test_a_milestone_may_be_verified_by_runs_of_its_own():
    entry = Entry("LDM-503-98", "milestone", "Rehearsal", (1,))
    model = ReleaseModel((SourceModel("text", (entry,)),))
    assert ready([], "98", model)["status"] == "not-tested"
    assert ready([run("LDM-503-98")], "98", model)["status"] == "verified"
    assert ready([run("LDM-503-98", "failed")], "98", model)["status"] == "failed"


def test_what_needs_itself_is_blocked():
    entries = (
        Entry("LDM-503-98", "milestone", "", (1,), ("LDM-503-97",)),
        Entry("LDM-503-97", "milestone", "", (2,), ("LDM-503-98", "DM-X-1")),
        Entry("DM-X-1", "feature", "", (3,)),
    )
    readiness = Readiness(ReleaseModel((SourceModel("table", entries),)), [run("DM-X-1")])
    assert readiness.status("LDM-503-98").value == "blocked"
    assert readiness.status("LDM-503-97").value == "blocked"


def test_a_long_chain_is_judged():
    entries = tuple(Entry(f"DM-X-{i}", "feature", "", (i,), (f"DM-X-{i + 1}",)) for i in range(3000))
    readiness = Readiness(ReleaseModel((SourceModel("table", entries),)), [run("DM-X-2999", "failed")])
    assert readiness.status("DM-X-0").value == "blocked"


def test_burn_down():
    board = Releases(Site(name="hilltop"), runs=[run("DM-NCSA-17"), run("DM-AP-1", days=2)])
    rows = board.burn_down([dt.date(2017, 1, 1), dt.date(2026, 6, 1), dt.date(2026, 6, 3)])
    total = len(board.model.features)
    assert [row["open"] for row in rows] == [total, total - 1, total - 2]
    assert [row["planned_open"] for row in rows] == [125, 0, 0]


def test_text_for_the_meeting():
    text = Releases(Site(name="hilltop"), runs=[run("DM-NCSA-17")]).meeting_text(dt.date(2018, 12, 1))
    assert text.startswith("Milestones on 2018-12-01\n")
    [line] = [line for line in text.split("\n") if line.startswith("- LDM-503-9:")]
    assert (
        line
        == "- LDM-503-9: not-tested, 1 of 21 features verified (1 days late by the table; the sources disagree)"
    )
    assert len(text.split("\n")) == 25
