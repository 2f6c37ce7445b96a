from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import DataError, InputError
from lsst_commtools.qa.projection import sky_to_tangent, tangent_to_sky
from lsst_commtools.qa.statistics import mad, rms
from lsst_commtools.qa.wcs import fit_tan_polynomial

# One micro-arcsecond: far below any catalogue, far above rounding.
TIGHT_MAS = 1e-3


def separation_mas(ra1, dec1, ra2, dec2):
    delta = (np.asarray(ra1) - np.asarray(ra2) + 180.0) % 360.0 - 180.0
    return np.hypot(delta * np.cos(np.radians(dec2)), np.asarray(dec1) - dec2) * 3.6e6


@pytest.mark.parametrize(
    "centre", [(150.0, -30.0), (0.0, -60.0), (359.999, 45.0), (12.0, -89.0), (200.0, 89.95)]
)
def test_fit_recovers_a_distorted_field_anywhere_on_the_sky(make_field, centre):
    x, y, ra, dec = make_field(centre)
    fit = fit_tan_polynomial(x, y, ra, dec, order=3)
    assert fit.n_used == 300
    assert rms([fit.ra_residual_mas, fit.dec_residual_mas]) < 0.05
    assert separation_mas(*fit.pixel_to_sky(x, y), ra, dec).max() < 0.5
    assert fit.pixel_scale_arcsec == pytest.approx(0.2, rel=1e-4)


@pytest.mark.parametrize("centre", [(150.0, -30.0), (0.0, -60.0), (12.0, -89.0)])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_header_is_the_same_solution_in_astropy(make_field, centre, order):
    x, y, ra, dec = make_field(centre)
    fit = fit_tan_polynomial(x, y, ra, dec, order=order)
    wcs = fit.to_wcs()
    assert separation_mas(*wcs.all_pix2world(x, y, 0), *fit.pixel_to_sky(x, y)).max() < TIGHT_MAS
    assert fit.header()["CTYPE1"] == ("RA---TAN-SIP" if order > 1 else "RA---TAN")
    back = np.array(wcs.all_world2pix(ra, dec, 0)) - np.array(wcs.all_world2pix(*fit.pixel_to_sky(x, y), 0))
    assert np.abs(back).max() < 5 * rms([fit.ra_residual_mas, fit.dec_residual_mas]) / 200 + 1e-3


def test_inverse_polynomial_brings_pixels_back(make_field):
    x, y, ra, dec = make_field()
    fit = fit_tan_polynomial(x, y, ra, dec, order=3)
    wcs, header = fit.to_wcs(), fit.header()
    linear = np.linalg.solve(fit.cd_deg * 3600, np.array(sky_to_tangent(*fit.pixel_to_sky(x, y), fit.crval)))
    correction = np.zeros_like(linear)
    for k, letter in enumerate(("AP", "BP")):
        for p in range(header[f"{letter}_ORDER"] + 1):
            for q in range(header[f"{letter}_ORDER"] + 1 - p):
                correction[k] += header.get(f"{letter}_{p}_{q}", 0.0) * linear[0] ** p * linear[1] ** q
    found = linear + correction + np.array(fit.crpix)[:, None]
    assert np.abs(found - [x, y]).max() < 1e-3
    assert wcs.sip.ap_order == 5


@given(
    st.floats(0.05, 0.5),
    st.floats(-179.0, 179.0),
    st.floats(0.0, 360.0),
    st.floats(-89.0, 89.0),
    st.booleans(),
)
@settings(deadline=None, max_examples=30)
def test_scale_and_rotation_are_those_of_the_field(scale, rotation, ra0, dec0, mirrored):
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, 2000, (2, 40))
    angle = np.radians(rotation)
    u, v = (x - 1000) * scale * (-1 if mirrored else 1), (y - 1000) * scale
    xi, eta = u * np.cos(angle) + v * np.sin(angle), -u * np.sin(angle) + v * np.cos(angle)
    fit = fit_tan_polynomial(x, y, *tangent_to_sky(xi, eta, (ra0, dec0)), order=1)
    assert fit.pixel_scale_arcsec == pytest.approx(scale, rel=1e-6)
    # Away from (1000, 1000) north turns, by up to the tangent of Dec times the offset.
    assert (fit.rotation_deg - rotation + 180) % 360 - 180 == pytest.approx(0.0, abs=20)
    at_centre = fit_tan_polynomial(
        x, y, *tangent_to_sky(xi, eta, (ra0, dec0)), order=1, crpix=(1000.0, 1000.0)
    )
    assert (at_centre.rotation_deg - rotation + 180) % 360 - 180 == pytest.approx(0.0, abs=1e-4)


def test_clipping_drops_wrong_stars_and_keeps_the_others(make_field):
    x, y, ra, dec = make_field(noise_mas=10.0)
    wrong = np.arange(0, 300, 20)
    dec[wrong] += 0.8 / 3600
    fit = fit_tan_polynomial(x, y, ra, dec, order=3, clip_sigma=4.0)
    assert not fit.used[wrong].any()
    assert fit.n_used >= 280
    assert mad(fit.ra_residual_mas[fit.used]) == pytest.approx(10.0, rel=0.15)
    assert fit.dec_residual_mas[wrong] == pytest.approx(-800.0, abs=60.0)
    unclipped = fit_tan_polynomial(x, y, ra, dec, order=3, clip_sigma=None)
    assert unclipped.n_used == 300


def test_clipped_fit_equals_the_fit_of_the_stars_that_are_left(make_field):
    x, y, ra, dec = make_field(noise_mas=10.0)
    dec[::20] += 0.8 / 3600
    fit = fit_tan_polynomial(x, y, ra, dec, order=3, crpix=(2000.0, 2000.0))
    alone = fit_tan_polynomial(
        *(v[fit.used] for v in (x, y, ra, dec)), order=3, crpix=(2000.0, 2000.0), clip_sigma=None
    )
    assert separation_mas(*fit.pixel_to_sky(x, y), *alone.pixel_to_sky(x, y)).max() < TIGHT_MAS


def test_rows_that_are_not_finite_are_left_out(make_field):
    x, y, ra, dec = make_field()
    x[3], ra[5], dec[7] = np.nan, np.nan, np.inf
    fit = fit_tan_polynomial(x, y, ra, dec, order=3)
    assert fit.n_used == 297
    assert np.isnan(fit.ra_residual_mas[[3, 5, 7]]).all()


def test_weights_decide_between_stars(make_field):
    x, y, ra, dec = make_field(noise_mas=1.0)
    bad = np.arange(300) % 3 == 0
    dec[bad] += 0.1 / 3600
    fit = fit_tan_polynomial(x, y, ra, dec, weights=np.where(bad, 1e-6, 1.0), clip_sigma=None)
    assert np.median(fit.dec_residual_mas[bad]) == pytest.approx(-100.0, abs=1.0)


@pytest.mark.parametrize("offset", [0.0, 1.5])
def test_given_tangent_point_stays(make_field, offset):
    x, y, ra, dec = make_field()
    fit = fit_tan_polynomial(x, y, ra, dec, order=4, crval=(150.0 + offset, -30.0 - offset))
    assert fit.crval == (150.0 + offset, -30.0 - offset)
    assert separation_mas(*fit.pixel_to_sky(x, y), ra, dec).max() < 0.5
    assert separation_mas(*fit.to_wcs().all_pix2world(x, y, 0), ra, dec).max() < 0.5


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"order": 0}, InputError),
        ({"order": 10}, InputError),
        ({"crval": (1, 1), "crpix": (1, 1)}, InputError),
    ],
)
def test_impossible_requests_are_refused(make_field, change, error):
    with pytest.raises(error):
        fit_tan_polynomial(*make_field(), **change)


def test_too_few_stars_and_stars_on_a_line_give_no_fit(make_field):
    x, y, ra, dec = make_field(n=9)
    with pytest.raises(DataError, match="at least 10 stars, but 9"):
        fit_tan_polynomial(x, y, ra, dec, order=3)
    line = np.arange(20.0)
    with pytest.raises(DataError, match="line"):
        fit_tan_polynomial(line, 2 * line, 10 + line / 1e4, line / 1e4, order=2)
    with pytest.raises(DataError):
        fit_tan_polynomial([], [], [], [], order=1)
