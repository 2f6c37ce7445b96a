"""Statistics, proper motion, PSF model, limits."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import DataError, InputError
from lsst_commtools.qa.limits import (
    DEFAULT_LIMITS,
    SRD_LIMITS,
    Limit,
    Status,
    history_limit,
    judge,
    worst,
)
from lsst_commtools.qa.motion import apply_proper_motion, jyear_from_mjd
from lsst_commtools.qa.psf import fit_moment_model
from lsst_commtools.qa.statistics import mad, median, rms


def test_mad_is_the_standard_deviation_of_a_normal_sample():
    sample = np.random.default_rng(1).normal(7.0, 3.0, 100_000)
    assert mad(sample) == pytest.approx(3.0, rel=0.01)
    assert mad([1.0, 2.0, 3.0, 4.0, 1000.0]) == pytest.approx(1.482602)
    assert rms([3.0, 4.0, np.nan]) == pytest.approx(np.sqrt(12.5))


@pytest.mark.parametrize("function", [mad, median, rms])
def test_nothing_finite_gives_nan_without_a_warning(function):
    assert np.isnan(function([]))
    assert np.isnan(function([np.nan, np.inf]))


@pytest.mark.parametrize(
    "position", [(10.0, -30.0), (0.00001, 60.0), (359.99999, -60.0), (200.0, 89.9), (5.0, -89.99)]
)
def test_proper_motion_equals_astropy(position):
    moved = apply_proper_motion([position[0]], [position[1]], [3000.0], [-2000.0], 2015.5, 2026.9)
    # Motion in a straight line without radial velocity: the direction does not depend on the distance.
    star = SkyCoord(
        position[0] * u.deg,
        position[1] * u.deg,
        pm_ra_cosdec=3000 * u.mas / u.yr,
        pm_dec=-2000 * u.mas / u.yr,
        distance=100 * u.pc,
        radial_velocity=0 * u.km / u.s,
        obstime=Time(2015.5, format="jyear"),
    )
    true = star.apply_space_motion(new_obstime=Time(2026.9, format="jyear"))
    found = SkyCoord(moved[0][0], moved[1][0], unit="deg")
    assert found.separation(SkyCoord(true.ra, true.dec)).mas < 0.1
    assert 0 <= moved[0][0] < 360


def test_stars_without_motion_stay():
    ra, dec = apply_proper_motion([10.0, 20.0], [5.0, 6.0], [np.nan, 1000.0], [np.nan, 0.0], 2000.0, 2010.0)
    assert ra[0] == pytest.approx(10.0, abs=1e-12)
    assert (ra[1] - 20.0) * 3.6e6 * np.cos(np.radians(6.0)) == pytest.approx(1e4, rel=1e-6)
    assert dec[0] == pytest.approx(5.0, abs=1e-12)
    assert jyear_from_mjd(57205.875) == pytest.approx(2015.5)


def test_psf_model_recovers_a_polynomial_and_drops_outliers():
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 4000, (2, 200))
    u_, v = x / 4000, y / 4000
    ixx, iyy, ixy = 3 + u_ - v * u_, 3 - v**2, 0.1 * u_
    ixx[::25] += 5.0
    used = np.arange(200) % 5 != 1
    model = fit_moment_model(x, y, ixx + rng.normal(0, 1e-3, 200), iyy, ixy, used, 2)
    clean = np.arange(200) % 25 != 0
    assert not model.used[~clean].any()
    assert not model.used[~used].any()
    found = model.evaluate(x, y)
    assert np.abs(found[0] - ixx)[clean].max() < 3e-3
    assert np.abs(found[1] - iyy).max() < 1e-6
    assert [v.shape for v in model.evaluate(10.0, 20.0)] == [(1,)] * 3


def test_psf_model_of_one_star_is_constant_and_of_none_is_refused():
    model = fit_moment_model([5.0], [5.0], [3.0], [2.0], [0.1], [True], 0)
    assert [float(v[0]) for v in model.evaluate(1000.0, 7.0)] == pytest.approx([3.0, 2.0, 0.1])
    with pytest.raises(DataError):
        fit_moment_model([5.0], [5.0], [np.nan], [2.0], [0.1], [True], 0)


@given(st.floats(allow_nan=True, allow_infinity=True))
@settings(deadline=None)
def test_what_is_not_measured_is_unknown_and_never_good(value):
    status = Limit("m", 1.0, 2.0, 3.0, "test").judge(value)
    if not np.isfinite(value):
        assert status is Status.UNKNOWN
    else:
        assert status is (
            Status.GOOD if abs(value) <= 2 else Status.WARNING if abs(value) <= 3 else Status.BAD
        )


def test_limits_are_in_order_and_those_of_the_requirements():
    for limit in (*SRD_LIMITS.values(), *DEFAULT_LIMITS.values()):
        assert limit.stretch <= limit.design <= limit.minimum
        assert limit.source
    te2 = SRD_LIMITS["TE2"]
    assert (te2.stretch, te2.design, te2.minimum) == (5e-8, 1e-7, 3e-7)
    with pytest.raises(InputError, match="stretch <= design <= minimum"):
        Limit("TE2", 1e-5, 5e-5, 3e-5, "verify_metrics' mistake")


def test_unknown_beats_good_and_bad_beats_unknown():
    assert worst([]) is Status.UNKNOWN
    assert worst([Status.GOOD, Status.UNKNOWN, Status.WARNING]) is Status.UNKNOWN
    assert worst([Status.BAD, Status.UNKNOWN]) is Status.BAD
    verdict = judge({"fwhm_arcsec": 1.0, "anything": 5.0}, required=("fwhm_arcsec", "ra_mad_mas"))
    assert verdict.status is Status.UNKNOWN
    assert verdict.reasons == ("ra_mad_mas is unknown",)
    assert "more than 1.8" in judge({"fwhm_arcsec": 2.5}).reasons[0]


def test_history_gives_three_and_five_sigma():
    nights = np.random.default_rng(5).normal(100.0, 2.0, 500)
    limit = history_limit("m", nights)
    assert limit.judge(104.0) is Status.GOOD
    assert limit.judge(92.0) is Status.WARNING
    assert limit.judge(120.0) is Status.BAD
    assert history_limit("m", [1.0, 2.0]) is None
    assert history_limit("m", [1.0] * 10) is None


SRD = {  # LPM-17, tables.tex: design, minimum, stretch
    "AM1_mas": (10, 20, 5), "AM2_mas": (10, 20, 5), "AM3_mas": (15, 30, 10), "AF1_percent": (10, 20, 5),
    "AF2_percent": (10, 20, 5), "AF3_percent": (10, 20, 5), "AD1_mas": (20, 40, 10), "AD2_mas": (20, 40, 10),
    "AD3_mas": (30, 50, 20), "AB1_mas": (10, 20, 5), "ABF1_percent": (10, 20, 5), "AB2_mas": (20, 40, 10),
    "AA1_mas": (50, 100, 20), "SE1": (0.04, 0.05, 0.03), "EF1_percent": (5, 10, 5), "SE2": (0.07, 0.1, 0.05),
    "SR1_arcsec": (0.74, 0.80, 0.70), "SR2_arcsec": (1.20, 1.31, 1.14), "SR3_arcsec": (1.66, 1.81, 1.59),
    "TE1": (2e-5, 3e-5, 1e-5), "TE2": (1e-7, 3e-7, 5e-8), "TEF_percent": (15, 15, 10), "TE3": (4e-5, 6e-5, 2e-5),
    "TE4": (2e-7, 5e-7, 1e-7), "pixSize_arcsec": (0.22, 0.22, 0.22),
}  # fmt: skip


def test_every_threshold_is_that_of_the_document():
    from lsst_commtools.qa.limits import SRD_LIMITS

    assert {n: (m.design, m.minimum, m.stretch) for n, m in SRD_LIMITS.items()} == SRD
