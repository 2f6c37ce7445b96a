"""Notebooks of QA, as a person sees and clicks them, with a processed night."""

from __future__ import annotations

import pytest

FOLDERS = ("qa",)
MODELS = "Bokeh.documents.flatMap(d => [...d._all_models.values()])"

pytestmark = pytest.mark.browser


def test_notebook(notebook, run_in_lab, keep_pictures):
    keep_pictures(run_in_lab(notebook), notebook)


def test_a_visit_of_the_night_is_chosen(run_in_lab):
    opened = run_in_lab("qa/night_qa.ipynb")
    opened.outputs.get_by_text("2026112000009: good").click()
    assert opened.page.evaluate(f"{MODELS}.find(m => m.type === 'Tabs').active") == 2


def test_stars_chosen_in_one_figure_are_chosen_in_the_others(run_in_lab):
    opened = run_in_lab("qa/visit_qa.ipynb")
    linked = f"{MODELS}.filter(m => m.type === 'GlyphRenderer' && m.data_source.data.ra_residual_mas)"
    shared = opened.page.evaluate(f"new Set({linked}.map(m => m.data_source.id)).size")
    assert opened.page.evaluate(f"{linked}.length") > shared, "figures share their source"
    assert opened.page.evaluate(f"{linked}[0].data_source.data.ra_residual_mas.length") > 50


def test_figures_stand_within_the_notebook(run_in_lab):
    opened = run_in_lab("qa/visit_qa.ipynb")
    for width in (1280, 1920):
        opened.page.set_viewport_size({"width": width, "height": 1000})
        opened.page.wait_for_timeout(300)
        beyond = opened.page.evaluate(
            "() => [...document.querySelectorAll('.jp-OutputArea-output')]"
            ".filter(o => o.querySelector('.bk-Row, .bk-Figure, [data-root-id]') && o.scrollWidth > o.clientWidth + 2)"
            ".map(o => `${o.scrollWidth} in ${o.clientWidth}`)"
        )
        assert beyond == [], f"at {width}"
