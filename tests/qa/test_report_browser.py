from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from lsst_commtools.qa.figures import write_visit_report
from lsst_commtools.qa.metrics import measure_visit
from lsst_commtools.qa.readers import RawTable
from lsst_commtools.qa.tables import make_star_table

pytestmark = pytest.mark.browser


@pytest.fixture
def page():
    """A page of the system's chromium, with what it asked for and what went wrong."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        page = browser.new_page()
        page.asked, page.wrong = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on(
            "console", lambda message: page.wrong.append(message.text) if message.type == "error" else None
        )
        yield page
        browser.close()


def test_report_shows_its_figures_links_them_and_asks_nobody(page, star_columns, tmp_path):
    table = make_star_table(RawTable({k: np.asarray(v) for k, v in star_columns.items()}, n_rows=200))
    report = write_visit_report(measure_visit(table), tmp_path / "report.html", title="stars.fits")
    page.goto(report.as_uri())
    page.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
    assert page.asked == [report.as_uri()]
    assert page.wrong == []
    figures = page.evaluate(
        "[...Bokeh.documents[0]._all_models.values()].filter(m => m.type === 'Figure').length"
    )
    assert figures >= 6
    # One source serves several figures: a selection in one is a selection in all.
    shared = page.evaluate(
        "(() => { const n = {}; for (const m of Bokeh.documents[0]._all_models.values())"
        " if (m.type === 'GlyphRenderer') n[m.data_source.id] = (n[m.data_source.id] || 0) + 1;"
        " return Math.max(...Object.values(n)); })()"
    )
    assert shared >= 5
