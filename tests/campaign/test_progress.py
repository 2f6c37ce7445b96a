"""What people see of a campaign."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest
import requests

from lsst_commtools.procedure.campaign.conductor import TaskState
from lsst_commtools.procedure.campaign.progress import CampaignBar, LivePage, campaign_course
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.values import Kind


@pytest.fixture
def course(campaign_site):
    ledger = Ledger.at(campaign_site.procedure)
    journal = Journal(ledger, "campaign-x")
    journal.note(Kind.NOTE, campaign="x", plan=["a", "<b>"])
    journal.note(Kind.NOTE, campaign="x", task="a", status="done", reason="", task_run="r1", tries=1)
    return ledger


def test_the_course_is_read_from_the_ledger(course):
    tasks = campaign_course(course, "campaign-x")["tasks"]
    assert [(task["task"], task["status"], task["run"]) for task in tasks] == [
        ("a", "done", "r1"),
        ("<b>", "waiting", None),
    ]


def test_the_page_shows_it_to_those_who_know_its_address(course):
    with LivePage(course, "campaign-x") as page:
        answer = requests.get(page.url + "state.json", timeout=5)
        assert answer.json()["campaign"] == "x"
        shown = requests.get(page.url, timeout=5)
        assert "<h1" in shown.text
        assert "http" not in shown.text.split("<script>")[0]
        parts = urlsplit(page.url)
        assert parts.hostname == "127.0.0.1"
        assert requests.get(f"http://127.0.0.1:{parts.port}/state.json", timeout=5).status_code == 404
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=5)
        connection.request("GET", parts.path + "state.json", headers={"Host": "evil.example"})
        assert connection.getresponse().status == 403
        connection.close()


def test_each_task_is_told_once_where_there_is_no_terminal(capsys):
    states = {"a": TaskState("a", "done"), "b": TaskState("b", "running")}
    with CampaignBar("night") as bar:
        bar(states)
        bar(states)
        states["b"].status = "failed"
        bar(states)
    assert capsys.readouterr().err.splitlines() == ["night: 1 of 2: a done", "night: 2 of 2: b failed"]


def test_the_command_prints_json_and_tells_by_its_exit_code(
    campaign_site, write_nb, write_campaign, deeds, tmp_path, capsys
):
    from lsst_commtools.cli import main

    write_nb("good.ipynb", deeds.code, "deed('good')")
    write_nb("bad.ipynb", "1/0")
    write_campaign({"id": "good", "notebook": "good.ipynb"}, {"id": "bad", "notebook": "bad.ipynb"})
    with pytest.raises(SystemExit) as left:
        main(["campaign", str(tmp_path / "campaign.yaml"), "--workers", "2", "--format", "json"])
    assert left.value.code == 3
    printed = capsys.readouterr()
    assert {t["task"]: t["status"] for t in json.loads(printed.out)["tasks"]} == {
        "good": "done",
        "bad": "failed",
    }
    assert "Progress: http://127.0.0.1:" in printed.err
    with pytest.raises(SystemExit) as left:
        main(["campaign", str(tmp_path / "campaign.yaml"), "--scheduler", "tcp://x"])
    assert left.value.code == 2
