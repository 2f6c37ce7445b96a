from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource

from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.qa import figures
from lsst_commtools.qa.figures.export import html_page
from lsst_commtools.qa.figures.style import STATUS_COLOURS, star_source
from lsst_commtools.qa.limits import DEFAULT_LIMITS, Status
from lsst_commtools.qa.metrics import measure_visit
from lsst_commtools.qa.readers import RawTable
from lsst_commtools.qa.tables import make_star_table


@pytest.fixture
def metrics(star_columns):
    return measure_visit(
        make_star_table(RawTable({k: np.asarray(v) for k, v in star_columns.items()}, n_rows=200))
    )


def serialise(model):
    """A figure that bokeh cannot write is no figure."""
    document = Document()
    document.add_root(model)
    return document.to_json()


def titles(model):
    return model.title.text


def test_public_names_are_there():
    for name in figures.__all__:
        assert callable(getattr(figures, name))


def test_star_figures_share_their_selection(metrics):
    stars = figures.with_sky_plane(metrics.stars)
    source = star_source(stars)
    plots = [figures.residual_vectors(source), figures.whisker_plot(source), figures.residual_scatter(source),
             figures.ellipticity_plane(source)]  # fmt: skip
    for plot in plots:
        assert source in plot.select({"type": ColumnDataSource})
    serialise(gridplot(plots, ncols=2))
    assert all(v.dtype == np.float32 for v in source.data.values() if v.dtype.kind == "f")
    assert plots[0].x_range.flipped  # east is left
    assert "MAD RA*" in titles(plots[2])


def test_vectors_point_from_reference_to_measured():
    stars = pd.DataFrame({"xi_arcmin": [0.0, 1.0], "eta_arcmin": [0.0, 1.0], "ra_residual_mas": [10.0, 0.0],
                          "dec_residual_mas": [0.0, -10.0]})  # fmt: skip
    source = star_source(stars)
    figures.residual_vectors(source)
    assert source.data["vector_x"][0] > 0
    assert source.data["vector_y"][1] < 1
    assert source.data["vector_x"][1] == pytest.approx(1.0)


def test_whiskers_lie_along_the_major_axis():
    stars = pd.DataFrame({"x": [0.0, 100.0], "y": [0.0, 100.0], "e1": [-0.1, 0.0], "e2": [0.0, 0.1]})
    source = star_source(stars)
    figures.whisker_plot(source, x="x", y="y")
    assert source.data["whisker_x1"][0] == pytest.approx(0.0, abs=1e-5)  # e1 < 0: along y
    assert source.data["whisker_y1"][0] > 0.1
    dx, dy = (source.data[f"whisker_{a}1"][1] - 100 for a in "xy")
    assert dx == pytest.approx(dy, rel=1e-3)  # e2 > 0: along the diagonal


def test_many_stars_are_thinned_and_that_is_said():
    stars = pd.DataFrame({"x": np.arange(1e5), "y": np.arange(1e5), "id": np.arange(100_000) * 10**12})
    source = star_source(stars)
    assert len(source.data["x"]) <= 20_000
    assert source.name.endswith("of 100000 stars")
    assert source.data["id"].dtype.kind in "UO"  # identifiers do not fit JavaScript's numbers


def test_residual_map_has_the_mean_of_each_cell():
    x, y = np.meshgrid(np.arange(40.0), np.arange(20.0))
    plot = figures.residual_map(x.ravel(), y.ravel(), np.where(x < 20, -1.0, 3.0).ravel(), title="t", bins=2)
    image = plot.select({"type": ColumnDataSource})[0].data["image"][0]
    assert np.allclose(image, [[-1, 3], [-1, 3]])
    serialise(plot)
    serialise(figures.residual_map([], [], [], title="nothing"))
    serialise(figures.residual_map([1.0], [1.0], [np.nan], title="nothing", diverging=False))


@pytest.mark.parametrize(("camera", "count"), [("LATISS", 1), ("LSSTComCam", 9), ("LSSTCam", 189)])
def test_focal_plane_shows_all_detectors_also_those_without_data(camera, count):
    detectors = get_camera(camera).science_detectors
    plot = figures.focal_plane_mosaic(
        get_camera(camera), {detectors[0].id: 1.5}, title="FWHM", unit="arcsec", source_name="mosaic"
    )
    source = plot.select_one({"name": "mosaic"}) or plot.renderers[0].data_source
    assert len(source.data["x"]) == count
    assert list(source.data["text"]).count("no data") == count - 1
    serialise(plot)


def test_status_is_told_by_text_as_well_as_colour():
    camera = get_camera("LSSTComCam")
    plot = figures.focal_plane_mosaic(
        camera, {0: 1.0, 1: 9.0}, title="status", statuses={0: Status.GOOD, 1: Status.BAD}
    )
    data = plot.renderers[0].data_source.data
    assert data["label"][1] == "9\nbad"
    assert data["label"][2] == "no data\nunknown"
    assert data["colour"][1] == STATUS_COLOURS[Status.BAD]
    assert len(set(STATUS_COLOURS.values())) == 4


def test_night_series_has_limits_and_says_where_there_is_no_value():
    visits = pd.DataFrame({"visit": [2026112000001, 2026112000002, 2026112000003], "fwhm_arcsec": [0.7, np.nan, 2.0],
                           "band": ["g", "r", "r"], "status": ["good", "unknown", "bad"]})  # fmt: skip
    source = figures.night_source(visits)
    plot = figures.night_series(
        visits, "fwhm_arcsec", unit="arcsec", limit=DEFAULT_LIMITS["fwhm_arcsec"], source=source
    )
    json = str(serialise(plot))
    assert "no value" in json
    assert "2026112000002" in json
    assert set(source.data["marker"]) == {"triangle", "inverted_triangle"}
    timed = visits.assign(time=pd.to_datetime(["2026-11-20T01:00", "2026-11-20T02:00", "2026-11-20T03:00"]))
    serialise(figures.night_series(timed, "fwhm_arcsec", time="time"))
    serialise(figures.night_series(visits.iloc[:0], "fwhm_arcsec"))


def test_histograms_tell_their_medians():
    plot = figures.ellipticity_histogram({"e1": [0.1, 0.2, 0.3], "e2": [], "e3": [np.nan]})
    assert plot.legend.items[0].label.value.startswith("e1: 0.2")
    serialise(plot)


def test_focal_plane_positions_follow_the_camera():
    stars = pd.DataFrame({"detector": [0, 4, 99], "x": [511.5, 511.5, 1.0], "y": [511.5, 0.0, 1.0]})
    placed = figures.with_focal_plane(stars, get_camera("LSSTComCam"), (1024, 1024))
    assert list(placed["x_mm"])[:2] == pytest.approx([-42.25, 0.0])
    assert list(placed["y_mm"])[:2] == pytest.approx([-42.25, -5.115])
    assert np.isnan(placed["x_mm"].iloc[2])


def test_report_is_one_file_that_loads_nothing(metrics, tmp_path):
    path = figures.write_visit_report(
        metrics, tmp_path / "report.html", title="<script>alert(1)</script>.fits"
    )
    text = path.read_text()
    outside = re.sub(r"<script[^>]*>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", outside)
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)", text.split("<script", 1)[0] + outside)
    assert re.search(r"<script[^>]+src=", re.sub(r">.*?</script>", ">", text, flags=re.DOTALL)) is None
    assert "default-src 'none'" in text
    assert "<script>alert(1)" not in text
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_page_escapes_texts_and_tables():
    page = html_page("<b>", ["<i>", ("<h>", "<p>"), [("a<", "b"), ("<td>", 1)]])
    for raw in ("<b>", "<i>", "<h>", "a<<"):
        assert raw not in page
    assert "&lt;td&gt;" in page


def test_report_of_nothing_is_still_a_report(tmp_path):
    empty = measure_visit(make_star_table(RawTable({"x": np.empty(0), "y": np.empty(0)}, n_rows=0)))
    assert "no stars" in figures.write_visit_report(empty, tmp_path / "r.html", title="nothing").read_text()
