from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.qa import shapes
from lsst_commtools.qa.moments import measure_moments, moments_of_stamps

ellipticities = st.tuples(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6))


@given(ellipticities, st.floats(0.1, 50))
@settings(deadline=None)
def test_moments_and_ellipticity_are_inverse(e, t):
    ixx, iyy, ixy = shapes.moments_from_ellipticity(*e, t)
    assert np.allclose(shapes.ellipticity(ixx, iyy, ixy), e)
    assert ixx + iyy == pytest.approx(t)
    sigma = shapes.determinant_radius(ixx, iyy, ixy)
    assert np.allclose(shapes.moments_from_hsm(sigma, *e), (ixx, iyy, ixy))


@given(ellipticities)
@settings(deadline=None)
def test_shear_is_about_half_of_the_distortion(e):
    g1, g2 = shapes.shear_from_ellipticity(*e)
    size = np.hypot(g1, g2)
    assert 2 * size / (1 + size**2) == pytest.approx(np.hypot(*e), abs=1e-12)


def test_signs_of_e1_and_e2_differ_between_axes():
    assert shapes.ellipticity(2.0, 1.0, 0.0)[0] == pytest.approx(1 / 3)
    assert shapes.ellipticity(1.0, 1.0, 0.25)[1] == pytest.approx(0.25)
    assert np.isnan(shapes.ellipticity(0.0, 0.0, 0.0)[0])
    assert np.isnan(shapes.fwhm_from_trace(-1.0))
    assert shapes.fwhm_from_moments(4.0, 4.0, 0.2) == pytest.approx(0.2 * 2 * 2.35482, rel=1e-5)


def elliptical_star(ixx, iyy, ixy, size=41, x=20.3, y=19.8):
    rows, columns = np.mgrid[:size, :size]
    inverse = np.linalg.inv([[ixx, ixy], [ixy, iyy]])
    dx, dy = columns - x, rows - y
    return 1e4 * np.exp(-0.5 * (inverse[0, 0] * dx**2 + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy**2))


@pytest.mark.parametrize("true", [(4.0, 3.0, 0.5), (3.0, 4.0, -0.5), (6.0, 6.0, 0.0)])
def test_hsm_recovers_the_moments_of_a_gaussian(true):
    star = elliptical_star(*true)
    found = moments_of_stamps(star[None])
    assert not found.failed.any()
    assert np.allclose([found.ixx[0], found.iyy[0], found.ixy[0]], true, rtol=1e-3, atol=1e-3)
    assert (found.x[0], found.y[0]) == pytest.approx((20.3, 19.8), abs=1e-3)


def test_stars_of_an_image_are_found_where_they_are_also_at_the_edge_and_with_sky():
    image = np.full((100, 120), 500.0)
    image[30:71, 50:91] += elliptical_star(4.0, 3.0, 0.5)
    found = measure_moments(
        image, [70.0, 119.9, np.nan, -50.0], [50.0, 99.9, 5.0, 5.0], sky=500.0, stamp_size=31
    )
    assert (found.x[0], found.y[0]) == pytest.approx((70.3, 49.8), abs=1e-3)
    assert found.ixx[0] == pytest.approx(4.0, rel=1e-3)
    assert list(found.failed) == [False, True, True, True]


def test_masked_pixels_do_not_count():
    star = elliptical_star(4.0, 3.0, 0.5)
    star[10:13, 5:9] = -1e30
    assert moments_of_stamps(star[None]).ixx[0] == pytest.approx(4.0, rel=1e-2)
    assert moments_of_stamps(np.full((1, 21, 21), np.nan)).failed.all()
    assert len(moments_of_stamps(np.empty((0, 21, 21))).ixx) == 0


def test_hsm_is_not_the_true_fwhm_of_a_moffat():
    rows, columns = np.mgrid[:61, :61]
    alpha = 4.0 / (2 * np.sqrt(2 ** (1 / 2.5) - 1))
    moffat = 1e4 * (1 + ((columns - 30) ** 2 + (rows - 30) ** 2) / alpha**2) ** -2.5
    found = moments_of_stamps(moffat[None])
    assert 4.4 < shapes.fwhm_from_moments(found.ixx, found.iyy)[0] < 4.8
