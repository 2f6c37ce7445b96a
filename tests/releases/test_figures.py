"""Figures of releases."""

from __future__ import annotations

import datetime as dt

import pytest
from bokeh.embed import file_html
from bokeh.models import GlyphRenderer
from bokeh.resources import INLINE

from lsst_commtools.releases import Releases
from lsst_commtools.releases.figures import burn_down_figure, milestone_graph
from lsst_commtools.site import Site


@pytest.mark.parametrize("source", ["text", "table"])
def test_the_graph_shows_each_milestone_and_need(source):
    board = Releases(Site(name="hilltop"))
    plot = milestone_graph(board, source)
    data = [r.data_source.data for r in plot.select(GlyphRenderer)]
    told = board.model.source(source)
    assert sorted(i for d in data if "title" in d for i in d["y"]) == sorted(told.milestones)
    [edges] = [d for d in data if "x0" in d]
    needs = [(i, j) for i in told.milestones for j in told.requires(i) if j in told.milestones]
    assert len(edges["x0"]) == len(needs) > 10
    assert "LDM-503-11a" in file_html(plot, INLINE)


def test_the_burn_down():
    board = Releases(Site(name="hilltop"))
    plot = burn_down_figure(board, [dt.date(2017, 7, 1), dt.date(2018, 7, 1), dt.date(2022, 10, 1)])
    planned, still_open = (r.data_source.data["y"] for r in plot.renderers)
    assert list(planned) == sorted(planned, reverse=True)
    assert planned[-1] == 0
    assert set(still_open) == {len(board.model.features)}
