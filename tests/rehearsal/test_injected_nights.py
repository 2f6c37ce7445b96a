"""Three nights in which everything of the example goes wrong: noticed, named, survived, and the rest delivered."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lsst_commtools.rehearsal import Rehearsal
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.line import Line
from lsst_commtools.rehearsal.quota import Quota
from lsst_commtools.rehearsal.score import score
from lsst_commtools.site import Site

EXAMPLE = Path(__file__).parents[2] / "notebooks" / "rehearsal" / "example_injects.yaml"
INJECTS = {inject["id"]: inject for inject in yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["injects"]}
VISITS, DETECTORS = 4, 9

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """The rehearsal, its command's exit code and document."""
    folder = tmp_path_factory.mktemp("injected")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("COMMTOOLS_")},
        "COMMTOOLS_HOME": str(folder / "home"),
        "COMMTOOLS_REHEARSAL_VISITS": str(VISITS),
    }
    command = [
        sys.executable, "-m", "lsst_commtools.cli", "--format", "json", "rehearse", "--nights", "3", "--unattended",
        "--inject", str(EXAMPLE), "--speed", "60", "--work", str(folder / "work"),
    ]  # fmt: skip
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    return Rehearsal.open(Site.load("local"), folder / "work"), run.returncode, json.loads(run.stdout)


@pytest.fixture(scope="module")
def scored(held):
    return score(held[0].entries())


def test_every_step_of_every_night_was_done(held):
    _, code, document = held
    assert code == 1, "problems were noticed"
    assert [row for row in document["steps"] if row["status"] != "done"] == []


@pytest.mark.parametrize("name", INJECTS)
def test_each_fault_was_fired_noticed_in_time_and_named(scored, name):
    (found,) = [inject for inject in scored.injects if inject.inject == name]
    assert found.noticing == "noticed", found
    assert found.named
    assert found.by_expected_role in (None, True)
    assert found.reason == ""


def test_all_images_but_the_struck_ones_were_measured(held):
    rehearsal, _, _ = held
    # Night 1: one file was never written. Night 2: one header was refused. Night 3: one group was not submitted.
    struck = {1: 1, 2: 1, 3: DETECTORS}
    for night, lost in struck.items():
        told = [e.data["counts"] for e in rehearsal.entries({Kind.COUNTS}, night) if "counts" in e.data][-1]
        assert told["expected"] == VISITS * DETECTORS
        assert told["measured"] == VISITS * DETECTORS - lost, (night, told)


def test_nothing_of_the_faults_is_left(held):
    rehearsal, _, _ = held
    work = rehearsal.settings.work
    assert Quota(work).limit_bytes is None
    assert Line(work).state().held == ()
    assert not (work / "images" / "listing.json").exists()
    for entry in rehearsal.entries({Kind.INJECT_FIRED}):
        assert entry.data["undone_utc"], entry.data["inject"]


def test_nothing_was_told_before_the_end(held):
    rehearsal, _, _ = held
    entries = rehearsal.entries()
    last_step = max(e.number for e in entries if e.kind is Kind.STEP_ENDED)
    assert all(e.number > last_step for e in entries if e.kind in (Kind.INJECT_FIRED, Kind.INJECTS_REVEALED))
    night = rehearsal.settings.work / "notebooks"
    for path in night.rglob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert not [name for name in INJECTS if name in text], path


def test_the_report_tells_of_them_afterwards(held):
    page = (held[0].settings.report / "index.html").read_text(encoding="utf-8")
    assert "Prepared faults" in page
    assert "Sealed until" not in page
    assert "was never written at the summit" in page


def test_times_are_told_by_both_clocks(scored):
    for inject in scored.injects:
        fired, rehearsal = (
            dt.datetime.fromisoformat(text) for text in (inject.fired_utc, inject.fired_rehearsal_utc)
        )
        assert rehearsal.year == 2026
        assert fired.tzinfo is not None
