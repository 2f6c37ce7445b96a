from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.cli import main
from lsst_commtools.errors import InputError, ServiceError
from lsst_commtools.qa.figures import night_series, trend_series, write_trend_report
from lsst_commtools.qa.figures.focal_plane import text_colour_on
from lsst_commtools.qa.figures.style import DIVERGING, SEQUENTIAL, STATUS_COLOURS
from lsst_commtools.qa.limits import DEFAULT_LIMITS, Status
from lsst_commtools.qa.trend import TrendRow, TrendStore, judge_history

NIGHTS = [20261101 + k for k in range(12)]


@pytest.fixture
def store(tmp_path):
    return TrendStore.in_folder(tmp_path / "home")


@pytest.fixture
def filled(store):
    """Twelve quiet nights of seeing about 0.8 arcsec."""
    rng = np.random.default_rng(1)
    store.add(
        TrendRow(
            night, "LSSTComCam", "fwhm_arcsec", 0.8 + rng.normal(0, 0.01), band="r_03", status=Status.GOOD
        )
        for night in NIGHTS
    )
    return store


def test_sudden_change_is_flagged_inside_the_limits(filled):
    where = {"day_obs": 20261120, "instrument": "LSSTComCam", "band": "r_03"}
    quiet = filled.judge("fwhm_arcsec", 0.8, **where)
    assert (quiet.limit_status, quiet.history_status, quiet.status) == ("good", "good", "good")
    assert quiet.n_nights == 12
    sudden = filled.judge("fwhm_arcsec", 1.2, **where)
    assert (sudden.limit_status, sudden.history_status, sudden.status) == ("good", "bad", "bad")
    assert "sigma from the 12 nights before" in sudden.reasons[0]
    assert filled.judge("fwhm_arcsec", 2.0, **where).limit_status is Status.BAD


def test_later_nights_and_other_bands_are_no_history(filled):
    early = filled.judge("fwhm_arcsec", 0.8, day_obs=20261104, instrument="LSSTComCam", band="r_03")
    assert (early.n_nights, early.history_status, early.status) == (3, "unknown", "good")
    assert "5 are needed" in early.reasons[0]
    other = filled.judge("fwhm_arcsec", 0.8, day_obs=20261120, instrument="LSSTComCam", band="g_01")
    assert other.n_nights == 0


@pytest.mark.parametrize("value", [None, np.nan, np.inf, -np.inf])
def test_what_was_not_measured_is_unknown(filled, value):
    verdict = filled.judge("fwhm_arcsec", value, day_obs=20261120, instrument="LSSTComCam", band="r_03")
    assert verdict.status is verdict.limit_status is verdict.history_status is Status.UNKNOWN
    assert verdict.value is None
    assert verdict.reasons


def test_nights_that_were_all_the_same_still_know_a_change():
    assert judge_history("pixel_scale_arcsec", 0.2, [0.2] * 6).status is Status.GOOD
    assert judge_history("pixel_scale_arcsec", 0.21, [0.2] * 6).status is Status.WARNING


def test_a_metric_without_limit_and_history_is_unknown():
    assert judge_history("something", 1.0, [1.0]).status is Status.UNKNOWN


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=12), st.floats(-1e6, 1e6))
@settings(deadline=None)
def test_order_of_the_nights_does_not_matter(nights, value):
    one, other = judge_history("x", value, nights), judge_history("x", value, nights[::-1])
    assert (one.status, one.n_nights) == (other.status, other.n_nights)
    assert one.n_nights == np.isfinite(nights).sum()


def test_adding_again_replaces_and_other_sources_stand_beside(filled):
    row = TrendRow(20261101, "LSSTComCam", "fwhm_arcsec", 5.0, band="r_03")
    assert filled.add([row, row]) == 1
    read = filled.read("fwhm_arcsec")
    assert len(read) == 12
    assert read["value"].iloc[0] == 5.0
    filled.add([TrendRow(20261101, "LSSTComCam", "fwhm_arcsec", 6.0, band="r_03", source="other")])
    assert len(filled.read("fwhm_arcsec")) == 13


def test_provenance_and_unknown_values_are_kept(store):
    store.add(
        [TrendRow(20261101, "LATISS", "e1", float("nan"), provenance={"git": "abc"}, status=Status.GOOD)]
    )
    row = store.read().iloc[0]
    assert np.isnan(row["value"])
    assert row["status"] == "unknown"
    assert json.loads(row["provenance"]) == {"git": "abc"}


def test_a_night_gives_each_visit_and_the_median_of_each_filter(store):
    visits = [SimpleNamespace(visit=v, physical_filter="r_03", values={"fwhm_arcsec": value, "e1": 0.01})
              for v, value in ((1, 0.7), (2, 0.9), (3, 2.5), (4, float("nan")))]  # fmt: skip
    assert store.add_night(20261101, "LSSTComCam", visits, source="run/1") == 10
    assert store.read("fwhm_arcsec")["value"].tolist() == [0.9]
    assert store.read("fwhm_arcsec", visits=True)["status"].tolist() == ["good", "good", "bad", "unknown"]


def test_nothing_is_made_by_reading(tmp_path):
    store = TrendStore.in_folder(tmp_path / "home")
    assert store.read().empty
    assert not (tmp_path / "home").exists()
    assert store.add([]) == 0


def test_bad_input(store, tmp_path):
    with pytest.raises(InputError):
        TrendStore("no url")
    with pytest.raises(InputError):
        store.add([TrendRow(2026, "LATISS", "e1", 1.0)])
    file = tmp_path / "broken.sqlite3"
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(ServiceError):
        TrendStore(f"sqlite:///{file}").read()


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments])
    return left.value.code


def test_command(tmp_path, capsys):
    home = tmp_path / "home"
    store = TrendStore.in_folder(home)
    assert run("qa", "trend", "--store", f"sqlite:///{home}/trend.sqlite3") == 2
    capsys.readouterr()
    store.add(TrendRow(n, "LATISS", "fwhm_arcsec", 0.8 + 0.01 * (n % 3), band="r") for n in NIGHTS)
    store.add([TrendRow(20261120, "LATISS", "fwhm_arcsec", 1.4, band="r")])
    url, report = f"sqlite:///{home}/trend.sqlite3", tmp_path / "trend.html"
    assert run("--format", "json", "qa", "trend", "--store", url, "--report", report) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["verdicts"][0]["history_status"] == "bad"
    assert document["verdicts"][0]["limit_status"] == "good"
    assert len(document["values"]) == 13
    assert "fwhm_arcsec" in report.read_text()
    assert run("qa", "trend", "nothing", "--store", url) == 2


def test_series_follow_the_data_and_tell_far_limits(filled):
    values = filled.read()
    plot = trend_series(values, "fwhm_arcsec", limit=DEFAULT_LIMITS["fwhm_arcsec"])
    assert plot.y_range.end < 0.95  # the limit of 1.8 would have squeezed the points
    texts = [layout.text for layout in plot.above if hasattr(layout, "text")]
    assert any("design 1.8" in text or "minimum 1.8" in text for text in texts)
    visits = pd.DataFrame({"visit": [1, 2], "fwhm_arcsec": [1.75, 1.9]})
    near = night_series(visits, "fwhm_arcsec", limit=DEFAULT_LIMITS["fwhm_arcsec"])
    assert [span.location for span in near.center if hasattr(span, "location")][:1] == [1.8]
    document = Document()
    document.add_root(plot)
    document.to_json()
    trend_series(values.iloc[:0], "fwhm_arcsec")


def test_bands_differ_in_colour_and_marker(store):
    store.add(
        TrendRow(n, "LSSTComCam", "e1", 0.1, band=band) for n in NIGHTS for band in ("r_03", "g_01", "other")
    )
    plot = trend_series(store.read(), "e1")
    dots = [r.glyph for r in plot.renderers if hasattr(r.glyph, "marker")]
    assert len({str(d.marker) for d in dots}) == len({str(d.fill_color) for d in dots}) == 3


def test_report_of_trends(filled, tmp_path):
    assert write_trend_report(filled.read(), tmp_path / "trend.html").stat().st_size > 10_000


@pytest.mark.parametrize("fill", [*SEQUENTIAL[::15], *DIVERGING, *STATUS_COLOURS.values()])
def test_text_is_legible_on_every_cell(fill):
    def luminance(colour):
        channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    low, high = sorted(luminance(c) for c in (fill, text_colour_on(fill)))
    assert (high + 0.05) / (low + 0.05) >= 4.5
