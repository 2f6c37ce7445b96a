from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lsst_commtools.qa.figures import write_visit_report
from lsst_commtools.qa.metrics import measure_visit
from lsst_commtools.qa.readers import RawTable
from lsst_commtools.qa.tables import make_star_table

pytestmark = pytest.mark.browser

PICTURES = Path(__file__).parents[2] / "artefacts" / "browser"


def test_report_shows_its_figures_links_them_and_asks_nobody(watched_page, star_columns, tmp_path):
    table = make_star_table(RawTable({k: np.asarray(v) for k, v in star_columns.items()}, n_rows=200))
    report = write_visit_report(measure_visit(table), tmp_path / "report.html", title="stars.fits")
    page, asked = watched_page.page, []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    watched_page.wait_for_figures()
    assert asked == [report.as_uri()]
    assert watched_page.blank_figures == []
    watched_page.shoot(PICTURES / "visit-report")
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
