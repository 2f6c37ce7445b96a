from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lsst_commtools.cli import main
from lsst_commtools.qa.butler import own_summary_names
from lsst_commtools.qa.comparison import Change, beside_summary, compare_figures, figures_of_survey
from lsst_commtools.qa.projection import tangent_to_sky
from lsst_commtools.qa.readers import RawTable
from lsst_commtools.qa.survey import read_survey


def figures(n=40, seed=1, **columns):
    index = pd.MultiIndex.from_product([range(n // 4), range(4)], names=["visit", "detector"])
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: f(rng, n) for name, f in columns.items()}, index=index)


def test_better_worse_and_within_errors():
    base = figures(fwhm_arcsec=lambda r, n: 0.8 + r.normal(0, 0.1, n), ra_mad_mas=lambda r, n: 10 + r.normal(0, 1, n),
                   de1_median=lambda r, n: -0.002 + r.normal(0, 1e-4, n))  # fmt: skip
    rng = np.random.default_rng(9)
    other = base.assign(
        fwhm_arcsec=base["fwhm_arcsec"]
        - 0.02
        + rng.normal(0, 0.005, 40),  # far less than the scatter of the seeing
        ra_mad_mas=base["ra_mad_mas"] + rng.normal(0, 1, 40),
        de1_median=base["de1_median"] - 0.001 + rng.normal(0, 1e-4, 40),
    )
    found = {c.metric: c for c in compare_figures(base, other)}
    assert found["fwhm_arcsec"].change is Change.BETTER
    assert found["fwhm_arcsec"].difference == pytest.approx(-0.02, abs=0.004)
    assert found["ra_mad_mas"].change is Change.WITHIN_ERRORS
    assert found["de1_median"].change is Change.WORSE  # its magnitude grew
    swapped = {c.metric: c for c in compare_figures(other, base)}
    assert swapped["fwhm_arcsec"].change is Change.WORSE
    assert swapped["fwhm_arcsec"].significance == pytest.approx(-found["fwhm_arcsec"].significance)


def test_noise_is_rarely_a_change():
    changes = []
    for seed in range(100):
        a = figures(seed=seed, fwhm_arcsec=lambda r, n: r.normal(1, 0.1, n))
        b = figures(seed=seed + 1000, fwhm_arcsec=lambda r, n: r.normal(1, 0.1, n))
        changes.append(compare_figures(a, b)[0].change)
    assert changes.count(Change.WITHIN_ERRORS) >= 95


def test_the_same_is_within_errors_and_a_constant_shift_is_not():
    a = figures(fwhm_arcsec=lambda r, n: r.normal(1, 0.1, n))
    assert compare_figures(a, a)[0].change is Change.WITHIN_ERRORS
    assert compare_figures(a, a + 0.5)[0].change is Change.WORSE


def test_too_few_pairs_and_missing_metrics_are_unknown():
    a = figures(fwhm_arcsec=lambda r, n: r.normal(1, 0.1, n))
    few = compare_figures(a.iloc[:2], a)[0]
    assert few.change is Change.UNKNOWN
    assert "3 are needed" in few.reason
    gone = compare_figures(a, a.drop(columns="fwhm_arcsec"))[0]
    assert (gone.change, gone.reason) == (Change.UNKNOWN, "B does not have it")
    assert compare_figures(a * np.nan, a)[0].change is Change.UNKNOWN


@pytest.fixture
def make_file(tmp_path):
    """A star table of four visits of two detectors, its PSF model off by some de1."""

    def make(name, de1, visits=range(1, 5)):
        parts = []
        for visit in visits:
            rng = np.random.default_rng(visit)
            x, y = rng.uniform(0, 4000, (2, 240))
            detector = np.repeat([0, 1], 120)
            ra, dec = tangent_to_sky(0.2 * (x - 2000) + 900 * detector, 0.2 * (y - 2000), (10.0, -60.0))
            t = 0.4 + rng.normal(0, 0.004, 240)
            e1 = 0.01 + rng.normal(0, 0.001, 240)
            model = e1 - de1 + rng.normal(0, 0.0005, 240)
            parts.append(pd.DataFrame({
                "visit": visit, "detector": detector, "x": x, "y": y, "ra": ra, "dec": dec,
                "ixx": t * (1 + e1) / 2, "iyy": t * (1 - e1) / 2, "ixy": 0.0,
                "ixx_psf": t * (1 + model) / 2, "iyy_psf": t * (1 - model) / 2, "ixy_psf": 0.0,
            }))  # fmt: skip
        pd.concat(parts).to_parquet(tmp_path / name)
        return tmp_path / name

    return make


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments])
    return left.value.code


def test_command(make_file, capsys):
    a, b = make_file("a.parquet", 0.001), make_file("b.parquet", 0.004)
    assert run("--format", "json", "qa", "compare", a, b) == 1
    document = json.loads(capsys.readouterr().out)
    found = {c["metric"]: c for c in document["comparisons"]}
    assert document["n_pairs"] == 8
    assert found["de1_median"]["change"] == "worse"
    assert found["fwhm_arcsec"]["change"] == "within errors"
    assert run("qa", "compare", a, a) == 0
    assert "within errors" in capsys.readouterr().out
    assert run("qa", "compare", a, make_file("c.parquet", 0.0, visits=(9,))) == 2


def test_figures_of_survey_have_a_row_for_each_detector_of_each_visit(make_file):
    table = figures_of_survey(read_survey([make_file("a.parquet", 0.001)]))
    assert table.index.names == ["visit", "detector"]
    assert len(table) == 8
    assert table["de1_median"].to_numpy() == pytest.approx(np.full(8, 0.001), abs=2e-4)


def test_summary_of_the_pipeline_under_our_names():
    raw = RawTable({"id": np.array([4, 7]), "psfSigma": np.array([2.0, 1.0]), "pixelScale": np.array([0.2, 0.2]),
                    "psfStarDeltaE1Median": np.array([0.001, np.nan])}, n_rows=2)  # fmt: skip
    table = own_summary_names(raw)
    assert table.loc[4, "fwhm_arcsec"] == pytest.approx(0.4 * 2.35482, rel=1e-5)
    assert np.isnan(table.loc[7, "de1_median"])


def test_the_pipelines_figures_stand_beside_ours():
    ours = pd.DataFrame(
        {"fwhm_arcsec": [0.8, 0.9], "e1": [0.0, 0.1]}, index=pd.Index([0, 1], name="detector")
    )
    theirs = pd.DataFrame({"fwhm_arcsec": [0.7, 0.6]}, index=pd.Index([1, 2], name="detector"))
    table = beside_summary(ours, theirs)
    assert list(table.columns.get_level_values(0).unique()) == ["fwhm_arcsec"]
    assert table.loc[1, ("fwhm_arcsec", "difference")] == pytest.approx(0.2)
    assert np.isnan(table.loc[0, ("fwhm_arcsec", "pipeline")])
    assert np.isnan(table.loc[2, ("fwhm_arcsec", "ours")])
