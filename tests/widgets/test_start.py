"""The start page: what is looked at, what does not answer, and the tasks that it offers."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from lsst_commtools.cli import main
from lsst_commtools.errors import UnreachableError
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.values import Kind
from lsst_commtools.qa.limits import Status
from lsst_commtools.site import Site
from lsst_commtools.widgets import StartPage, overview

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def looks(monkeypatch):
    """Sets what is looked at."""

    def set_(**given):
        monkeypatch.setattr(overview, "LOOKS", given)
        monkeypatch.setattr("lsst_commtools.widgets.start.LOOKS", given)

    return set_


def fail(site):
    raise UnreachableError("LOVE is <away>.", advice="Wait.")


def break_(site):
    raise RuntimeError("odd")


def test_each_look_is_told_and_none_takes_the_others_with_it(looks):
    stop = threading.Event()
    looks(
        good=lambda site: (Status.GOOD, f"{site.name} is well.", ""),
        away=fail,
        broken=break_,
        hangs=lambda site: stop.wait(30),
    )
    begun = time.monotonic()
    facts = {fact.topic: fact for fact in overview.look_around(Site.load(), patience_s=0.5)}
    assert time.monotonic() - begun < 10
    stop.set()
    assert facts["good"].text == "local is well."
    assert (facts["away"].status, facts["away"].advice) == (Status.UNKNOWN, "Wait.")
    assert facts["broken"].text == "It cannot be seen: RuntimeError: odd."
    assert facts["hangs"].text == "No answer within 0.5 s."
    assert facts["hangs"].to_dict()["status"] == "unknown"


def test_page_shows_what_it_knows_and_looks_again(looks):
    answers = iter([(Status.BAD, "<b>ill</b>", ""), (Status.GOOD, "well", "")])
    looks(one=lambda site: next(answers))
    page = StartPage()
    page.in_background(lambda: None).join(20)  # after the looking
    assert "&lt;b&gt;ill&lt;/b&gt;" in page._table.value
    assert page._start.layout.display is None, "the simulated observatory is not running"
    page._again.click()
    page.in_background(lambda: None).join(20)
    assert [fact.text for fact in page.facts] == ["well"]


def test_site_without_anything_is_told_honestly():
    facts = {fact.topic: fact for fact in overview.look_around(Site.load())}
    assert facts["Places"].status is Status.GOOD
    assert facts["CSCs"].status is facts["Last night"].status is Status.UNKNOWN
    assert "commtools sim up" in facts["CSCs"].advice
    assert facts["Runs"].text == "No run yet."
    assert "w_2026_22" in facts["Lab image"].text


@pytest.fixture
def runs():
    """Notes runs that have ended; gives the row of runs."""
    site = Site.load()

    def note(*statuses, **started):
        for status in statuses:
            number = len({event.run for event in Ledger.at(site.procedure).events()})
            journal = Journal(Ledger.at(site.procedure), f"20261120T00000{number}Z-x-{number:06x}")
            journal.note(Kind.RUN_STARTED, notebook="x.ipynb", cells=[], **started)
            journal.note(Kind.RUN_ENDED, status=status, reason="")
        return overview._runs(site)

    return note


def test_one_run_is_one_run(runs):
    assert runs("done") == (Status.GOOD, "1 run: 1 done.", "")
    assert runs("done")[1] == "2 runs: 2 done."


@pytest.mark.parametrize("status", ["aborted", "failed"])
def test_a_run_that_came_to_no_good_end_is_worth_a_look_until_it_is_run_again(runs, status):
    assert runs("done", parameters={"csc": "DIMM:1"})[0] is Status.GOOD
    how, text, advice = runs(status, parameters={"csc": "DIMM:2"})
    assert how is Status.WARNING
    assert text.endswith(f"Not done, and not run again since: 20261120T000001Z-x-000001 ({status}).")
    assert "commtools runs show" in advice
    assert runs("done", parameters={"csc": "DIMM:1"})[0] is Status.WARNING, "another one is no excuse"
    assert runs("planned", parameters={"csc": "DIMM:2"}, dry_run=True)[0] is Status.WARNING
    assert runs("done", parameters={"csc": "DIMM:2"})[0] is Status.GOOD
    assert runs(status, parameters={"csc": "DIMM:2"}, dry_run=True)[0] is Status.GOOD, "it changed nothing"


def test_every_notebook_is_a_task_and_a_link_of_the_start_page():
    kept = {
        p.relative_to(NOTEBOOKS).as_posix()
        for p in NOTEBOOKS.rglob("*.ipynb")
        if ".ipynb_checkpoints" not in p.parts
    }
    kept.discard("index.ipynb")
    assert {task.notebook for task in overview.TASKS} == kept
    cells = json.loads((NOTEBOOKS / "index.ipynb").read_text())["cells"]
    text = "".join("".join(cell["source"]) for cell in cells)
    for task in overview.TASKS:
        assert f"| [{task.what}]({task.notebook}) | `{task.command}` |" in text
    assert overview.notebooks_folder() == NOTEBOOKS


@pytest.mark.parametrize("command", sorted({task.command for task in overview.TASKS}))
def test_every_command_of_a_task_is_there(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command.split()[1:], "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"Usage: {command} ")


def test_command_alone_tells_the_state_and_the_tasks(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith("This computer, with stand-ins for the observatory (site local)")
    assert "The simulated observatory is not running." in told
    assert "commtools csc states" in told
    assert "index.ipynb" in told


def test_command_alone_as_json_fails_on_what_is_bad(capsys, looks):
    looks(one=lambda site: (Status.BAD, "ill", ""))
    with pytest.raises(SystemExit) as ended:
        main(["--format", "json"])
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out)["facts"] == [
        {"topic": "one", "status": "bad", "text": "ill", "advice": ""}
    ]
