from __future__ import annotations

import numpy as np
import pytest

from lsst_commtools.qa.model_health import measure_model_health
from lsst_commtools.qa.tables import StarTable


@pytest.fixture
def make_table():
    """Stars with the noise of their SNR about the model, or more."""

    def make(n=2000, excess=1.0, seed=1, **columns):
        rng = np.random.default_rng(seed)
        snr = rng.uniform(50, 500, n)
        e1, e2, t = excess * rng.normal(0, 2 / snr, (3, n))
        t = 1.0 + t
        one = np.ones(n)
        return StarTable({
            "visit": 7 * one, "detector": rng.integers(0, 3, n).astype(float), "snr": snr, "ixx": t * (1 + e1) / 2,
            "iyy": t * (1 - e1) / 2, "ixy": t * e2 / 2, "ixx_psf": one / 2, "iyy_psf": one / 2, "ixy_psf": 0 * one,
            "psf_used": (rng.random(n) < 0.8).astype(float), **columns,
        }, "arcsec2")  # fmt: skip

    return make


@pytest.mark.parametrize(("excess", "chi2"), [(1.0, 1.0), (2.0, 4.0)])
def test_chi2_is_that_of_the_noise(make_table, excess, chi2):
    (health,) = measure_model_health(make_table(excess=excess))
    assert health.visit == 7
    assert health.figures["chi2_per_dof"] == pytest.approx(chi2, rel=0.08)
    assert health.n_failed == 0
    assert health.figures["trace_radius_delta"] == 0.0


def test_the_noise_of_a_gaussian_star_is_that_of_the_formula():
    """Moments of noisy images by HSM scatter by 2 / SNR in e1, e2 and T / T."""
    from lsst_commtools.qa.moments import moments_of_stamps

    rng = np.random.default_rng(1)
    y, x = np.mgrid[-20:21, -20:21]
    image = np.exp(-0.5 * (x**2 + y**2) / 3.0**2) / (2 * np.pi * 3.0**2)
    snr = 100.0
    noise = np.sqrt((image**2).sum()) / snr
    m = moments_of_stamps(image + rng.normal(0, noise, (400, *image.shape)))
    t = m.ixx + m.iyy
    for values in ((m.ixx - m.iyy) / t, 2 * m.ixy / t, t / np.median(t)):
        assert np.std(values) == pytest.approx(2.0 / snr, rel=0.15)


def test_reserved_stars_and_failures_are_counted(make_table):
    table = make_table()
    reserved = table["psf_used"] == 0
    lost = table["detector"] == 2
    broken = table.with_columns(
        reserved=reserved.astype(float), ixx_psf=np.where(lost, np.nan, 0.5),
        ixx=np.where(reserved & ~lost, table["ixx"] * 1.2, table["ixx"]),
    )  # fmt: skip
    (health,) = measure_model_health(broken)
    assert health.n_reserved == reserved.sum()
    assert health.n_used == (~reserved).sum()
    assert health.failed_detectors == (2,)
    assert health.n_failed == lost.sum()
    assert health.figures["chi2_per_dof_reserved"] > 5 * health.figures["chi2_per_dof_used"]
    assert health.figures["chi2_per_dof"] == health.figures["chi2_per_dof_reserved"]


def test_what_is_not_known_is_told(make_table):
    table = make_table()
    plain = StarTable({k: v for k, v in table.columns.items() if k not in ("snr", "psf_used")}, "arcsec2")
    (health,) = measure_model_health(plain)
    assert health.reasons["chi2_per_dof"] == "the table has no snr"
    assert health.n_used is None
    (health,) = measure_model_health(make_table(n=3))
    assert "5 are needed" in health.reasons["chi2_per_dof"]
    assert measure_model_health(StarTable({"visit": np.ones(3)}, "arcsec2")) == ()
