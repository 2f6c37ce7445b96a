from __future__ import annotations

import numpy as np
import pytest
from bokeh.document import Document

from lsst_commtools.qa.correlations import Correlation
from lsst_commtools.qa.figures import rho_figure, significance_map
from lsst_commtools.qa.significance import map_residuals


def field(n=20_000, seed=1):
    rng = np.random.default_rng(seed)
    return *rng.uniform(0, 100, (2, n)), rng.normal(0, 0.01, n)


def test_noise_is_no_structure():
    probabilities = [map_residuals(*field(5000, seed), cells=10).probability for seed in range(60)]
    assert 0.35 < np.mean(probabilities) < 0.65
    assert min(probabilities) > 1e-4
    found = map_residuals(*field())
    assert np.std(found.significance) == pytest.approx(1.0, abs=0.1)
    assert found.count.sum() == 20_000


def test_structure_is_found_where_it_is():
    x, y, v = field()
    v = v + np.where((x > 50) & (y < 10), 0.02, 0.0)  # x unlike y
    found = map_residuals(x, y, v, cells=10)
    assert found.probability < 1e-10
    assert found.significance[0, 5:].min() > 5
    assert np.abs(found.significance[5:, :]).max() < 5
    assert found.mean[0, 7] == pytest.approx(0.02, abs=0.005)


def test_a_constant_residual_has_no_scatter_and_no_significance():
    x, y, _ = field(1000)
    found = map_residuals(x, y, np.full(1000, 0.5), cells=4)
    assert found.mean == pytest.approx(np.full((4, 4), 0.5))
    # A residual that is the same everywhere leaves rounding as its only scatter.
    assert found.dof == 0 or found.probability < 1e-10


@pytest.mark.parametrize("values", [[], [np.nan], [1.0]])
def test_too_few_stars_are_unknown(values):
    found = map_residuals(values, values, values)
    assert found.dof == 0
    assert np.isnan(found.probability)


def serialise(model):
    document = Document()
    document.add_root(model)
    return str(document.to_json())


def test_figures_tell_accuracy_and_sign():
    bins = np.array([1.0, 10.0, 100.0])
    correlation = Correlation(
        bins, np.array([1e-5, -1e-6, np.nan]), bins * 1e-7, np.array([10.0, 10.0, 0.0]), 0.05
    )
    plot = rho_figure({"rho1": correlation})
    assert "bin_slop 0.05" in plot.title.text
    assert plot.renderers[0].data_source.data["fill"] == ["#0072B2", "white"]
    serialise(plot)
    serialise(rho_figure({}))
    assert "chi2" in significance_map(*field(3000), title="de1").title.text
    assert "no cell" in serialise(significance_map([], [], [], title="de1"))
