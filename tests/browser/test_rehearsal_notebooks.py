"""The steps of a rehearsal that was held, opened again in JupyterLab, and the page of its campaign."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsst_commtools.rehearsal import OUTLINE
from lsst_commtools.rehearsal.monitor import LivePage, write_page

FOLDERS = ("rehearsal",)
PICTURES = Path(__file__).parents[2] / "artefacts" / "browser"
# Notebooks that show a page, and its heading.
PAGES = {
    "rehearsal/03_standup.ipynb": "Standup before night 1",
    "rehearsal/12_final_standup.ipynb": "Final standup",
}
# Of those with pages and tables of their own; figures as in 08 are kept of the notebooks of QA.
KEPT = ("03", "10", "12")

pytestmark = pytest.mark.browser


def test_notebook(notebook, run_in_lab, keep_pictures):
    opened = run_in_lab(notebook)
    beside = opened.page.evaluate("getComputedStyle(document.body).padding")
    assert beside == "0px", "the style of a page that is shown in a cell must not reach JupyterLab's own"
    frames = opened.page.locator(".jp-OutputArea iframe")
    assert frames.count() == (notebook in PAGES)
    for frame in range(frames.count()):
        told = frames.nth(frame).content_frame
        told.get_by_role("heading", name=PAGES[notebook]).wait_for()
        told.get_by_text("Unattended: signed by stand-ins").wait_for()
    if notebook.removeprefix("rehearsal/").startswith(KEPT):
        keep_pictures(opened, notebook)


@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
def test_page_of_the_campaign(browser_world, page, live):
    browser_world.provide("rehearsal")
    rehearsal = browser_world.rehearsal
    with LivePage(rehearsal) as served:
        page.page.goto(served.url if live else write_page(rehearsal).as_uri())
        page.page.get_by_role("heading", name="Campaign of the rehearsal simulated_1").wait_for()
        page.page.get_by_text("12 done").wait_for()
        page.page.get_by_text("Unattended: signed by stand-ins").wait_for()
        for step in OUTLINE:
            page.page.get_by_role("row", name=step.title).get_by_text("done", exact=True).wait_for()
        page.page.get_by_text("0 of 2 detector images").wait_for()
        page.page.get_by_text("Visits (2)").click()
        page.page.get_by_role("row", name="2026112000010").get_by_text("done", exact=True).wait_for()
        for scheme in ("light", "dark"):
            page.page.emulate_media(color_scheme=scheme)
            page.shoot(PICTURES / f"rehearsal-campaign-{'live' if live else 'file'}-{scheme}")
