"""``commtools releases``."""

from __future__ import annotations

import json

import nbformat
import pytest

from lsst_commtools.cli import main
from lsst_commtools.cli.evidence import image_changed_utc, ledger_runs
from lsst_commtools.images import Approval, LabImages, SqlApprovals
from lsst_commtools.images.approvals import state_of
from lsst_commtools.releases import Verdict
from lsst_commtools.site import Site
from lsst_commtools.site.images import ImagesSection


@pytest.fixture
def releases(capsys):
    """Runs ``commtools releases``; gives exit code and parsed JSON or text."""

    def run(*arguments, as_json=True):
        with pytest.raises(SystemExit) as end:
            main([*(["--format", "json"] if as_json else []), "releases", *map(str, arguments)])
        output = capsys.readouterr().out
        return end.value.code, json.loads(output) if as_json else output

    return run


def test_list(releases):
    code, document = releases("list", "--today", "2018-01-01")
    assert code == 0
    assert len(document["milestones"]) == 24
    assert document["milestones"][1]["id"] == "LDM-503-1"
    assert {entry["source"] for entry in document["late"]} == {"table"}
    assert {a["line"] for a in document["anomalies"] if a["source"] == "text"} == {
        52,
        161,
        186,
        224,
        246,
        255,
        307,
    }
    assert "LDM-503-11a" in releases("list", as_json=False)[1]
    assert releases("list", "--today", "later")[0] == 2


def test_show(releases):
    code, document = releases("show", "LDM-503-06")
    assert (code, document["id"]) == (0, "LDM-503-6")
    assert document["by_source"]["text"]["needs"] != document["by_source"]["table"]["needs"]
    assert [step["id"] for step in document["by_source"]["table"]["critical_path"]][-1] == "LDM-503-6"
    assert "Limited ComCam" in releases("show", "6", as_json=False)[1]
    assert releases("show", "nothing")[0] == 2


def test_ready(releases):
    code, document = releases("ready", "LDM-503-9")
    assert (code, document["status"]) == (1, "not-tested")
    assert {"id": "LDM-503-7", "status": "not-tested", "source": "both"} in document["requires"]
    assert "QA algorithms?" in releases("ready", "DM-NCSA-17", as_json=False)[1]


def test_blocked_by(releases):
    code, document = releases("blocked-by", "DM-NCSA-17")
    assert code == 0
    assert [row["id"] for row in document["by_source"]["text"]] == ["LDM-503-9"]
    assert document["sources_disagree"]
    assert "LDM-503-9" in releases("blocked-by", "DM-NCSA-17", as_json=False)[1]


def test_other_documents(releases, tmp_path):
    text = tmp_path / "document.txt"
    text.write_bytes("3.1 LDM-503-1: Title\r\n- Thing (DM-X-1)\r\n- odd \xff\r\n".encode("latin-1"))
    code, document = releases("list", "--text", text)
    assert code == 0
    assert [m["id"] for m in document["milestones"]] == ["LDM-503-1"]
    assert {a["kind"] for a in document["anomalies"]} == {"not-utf8", "no-id"}
    assert releases("ready", "1", "--text", text)[1]["features"][0]["title"] == "Thing"
    table = tmp_path / "table.csv"
    table.write_text("")
    assert releases("list", "--csv", table)[1]["anomalies"][0]["kind"] == "no-milestones"
    assert releases("list", "--text", tmp_path / "none")[0] == 2
    assert releases("list", "--text", tmp_path)[0] == 2


@pytest.fixture
def a_site():
    """A site whose approvals lie in the test's home."""
    return Site(name="hilltop", images=ImagesSection(approvers=("ana",)))


def test_the_image_changed_when_another_digest_was_first_approved(a_site):
    assert image_changed_utc(Site(name="valley")) is None
    assert image_changed_utc(a_site) is None
    LabImages(a_site).approve("ana")
    LabImages(a_site).approve("ana")
    approvals = SqlApprovals().approvals("hilltop")
    assert image_changed_utc(a_site) == approvals[0].at_utc
    other = state_of(a_site.images.model_copy(update={"cycle": 44}))
    SqlApprovals().append(Approval("hilltop", other, "ana", approvals[0].at_utc.replace(year=2031)))
    assert image_changed_utc(a_site).year == 2031


def test_runs_of_the_ledger_are_evidence(releases, tmp_path, capsys):
    folder = tmp_path / "notebooks" / "qa"
    folder.mkdir(parents=True)
    for name, source, verifies in (("good", "1 + 1", ["DM-AP-1", "DM-AP-2"]), ("bad", "1 / 0", ["DM-AP-3"])):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        notebook.metadata["commtools"] = {"verifies": verifies}
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, folder / f"{name}.ipynb")
    assert ledger_runs(Site.load("local")) == []
    for name in ("good", "bad"):
        with pytest.raises(SystemExit):
            main(["run", str(folder / f"{name}.ipynb"), "--output", str(tmp_path / f"{name}-out.ipynb")])
    capsys.readouterr()
    runs = {run.notebook.rsplit("/", 1)[1]: run for run in ledger_runs(Site.load("local"))}
    assert runs["good.ipynb"].verdict is Verdict.PASSED
    assert runs["bad.ipynb"].verdict is Verdict.FAILED
    assert releases("ready", "DM-AP-1")[:1] == (0,)
    code, document = releases("ready", "LDM-503-3")
    assert (code, document["status"]) == (1, "failed")
