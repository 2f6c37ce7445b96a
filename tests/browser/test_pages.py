"""Pages that stand alone: the panel of CSCs by Voila, the night's report, a campaign that is under way."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsst_commtools.procedure.campaign.progress import LivePage
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.values import Kind
from lsst_commtools.simulate.observatory import simulator_truth
from lsst_commtools.site import Site
from lsst_commtools.testing.lab import running_voila
from lsst_commtools.testing.world import copy_notebook

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "artefacts" / "browser"
# Voila's own: it asks a CDN for an icon font, and cannot load an extension of JupyterLab.
COSMETIC = ("cdn.jsdelivr.net", "cdnjs.cloudflare.com", "use.fontawesome.com", "pyviz", "jupyterlab_pyviz")

pytestmark = pytest.mark.browser


def test_a_change_by_the_panel_in_voila(browser_world, chromium, tmp_path, monkeypatch):
    pytest.importorskip("voila", reason="voila is not installed")
    monkeypatch.setenv("COMMTOOLS_HOME", str(browser_world.home))
    browser_world.provide("observatory")
    notebook = copy_notebook(
        ROOT / "notebooks/csc/summary.ipynb", tmp_path / "summary.ipynb", {"names": "DIMM:1,ATDome"}
    )
    with running_voila(notebook, browser_world.environment) as url:
        watched = chromium()
        page = watched.page
        page.goto(url, timeout=60_000)
        page.get_by_role("button", name="Show plan").click(timeout=60_000)
        page.get_by_text("start (STANDBY to DISABLED), enable").wait_for()
        assert simulator_truth()["cscs"]["DIMM:1"]["state"] == "STANDBY"
        page.get_by_role("button", name="Carry out").click()
        page.get_by_text("STANDBY -> DISABLED -> ENABLED").wait_for()
        assert simulator_truth()["cscs"]["DIMM:1"]["state"] == "ENABLED"
        watched.shoot(PICTURES / "voila-csc-panel")
        page.close()
    assert [wrong for wrong in watched.wrong if not any(part in wrong for part in COSMETIC)] == []


def test_report_of_a_night(browser_world, page):
    browser_world.provide("night")
    (report,) = Path(browser_world.fill({"night": "{night}"})["night"]).glob("night_*.html")
    page.page.goto(report.as_uri())
    page.wait_for_figures()
    assert page.blank_figures == []
    assert {len(visits) for visits in page.sources("ra_mad_mas")} == {3}
    page.shoot(PICTURES / "night-report-latiss")


def test_a_campaign_under_way(page):
    ledger = Ledger.at(Site.load().procedure)
    journal = Journal(ledger, "campaign-x")
    journal.note(Kind.NOTE, campaign="nightly QA", plan=["visits", "<b>night</b>", "trend"])
    journal.note(
        Kind.NOTE, campaign="nightly QA", task="visits", status="done", reason="", task_run="r1", tries=1
    )
    with LivePage(ledger, "campaign-x") as live:
        page.page.goto(live.url)
        page.page.get_by_role("heading", name="nightly QA").wait_for()
        page.page.get_by_text("1 done, 2 waiting").wait_for()
        told = {"status": "failed", "reason": "kernel <died>", "task_run": "r2", "tries": 2}
        journal.note(Kind.NOTE, campaign="nightly QA", task="<b>night</b>", **told)
        page.page.get_by_role("row", name="<b>night</b>").get_by_text("kernel <died>").wait_for()
        assert page.page.evaluate("document.getElementById('bar').value") == 2
        page.shoot(PICTURES / "campaign")
        page.page.goto("about:blank")  # it would go on asking
