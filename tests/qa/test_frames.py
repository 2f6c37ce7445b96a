from __future__ import annotations

import galsim
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import InputError
from lsst_commtools.qa.frames import (
    RUBIN_LATITUDE_DEG,
    RUBIN_LONGITUDE_DEG,
    airmass,
    altitude_deg,
    axes_of_detector,
    local_north_deg,
    local_sidereal_time_deg,
    parallactic_angle_deg,
    rotate_ellipticity,
    rotate_moments,
    zenith_seeing_arcsec,
)
from lsst_commtools.qa.higher_moments import measure_higher_moments
from lsst_commtools.qa.moments import moments_of_stamps
from lsst_commtools.qa.projection import sky_to_tangent
from lsst_commtools.qa.shape_kernel import shapes_of_moments
from lsst_commtools.qa.shapes import ellipticity, fwhm_from_trace, moments_from_ellipticity

angles = st.floats(-360, 360)
shapes = st.floats(-0.6, 0.6)


@given(shapes, shapes, angles)
@settings(deadline=None)
def test_turned_moments_and_turned_ellipticity_agree(e1, e2, angle):
    turn = np.radians(angle)
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    moments = rotate_moments(*moments_from_ellipticity(e1, e2, 2.0), axes)
    assert np.allclose(ellipticity(*moments), rotate_ellipticity(e1, e2, angle), atol=1e-9)


@given(shapes, shapes)
@settings(deadline=None)
def test_a_mirrored_detector_changes_the_sign_of_e2(e1, e2):
    axes = np.array([[-0.2, 0.0], [0.0, 0.2]])
    moments = moments_from_ellipticity(e1, e2, 2.0)
    assert np.allclose(ellipticity(*rotate_moments(*moments, axes)), (e1, -e2))
    assert np.allclose(rotate_moments(*moments, axes, scale=True)[0], 0.04 * moments[0])


def test_axes_are_found_in_spite_of_distortion_and_nan():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 4000, (2, 50))
    xi, eta = 0.2 * y + 1e-7 * x * x, -0.2 * x
    x[0] = np.nan
    assert axes_of_detector(x, y, xi, eta) == pytest.approx(np.array([[0, 0.2], [-0.2, 0]]), abs=1e-3)
    assert axes_of_detector(x[:3], y[:3], xi[:3], eta[:3]) is None
    assert axes_of_detector(np.ones(9), np.ones(9), xi[:9], eta[:9]) is None
    assert axes_of_detector(rng.uniform(0, 4000, 50), y, xi, eta) is None


@pytest.mark.parametrize("centre", [(0.0, -89.0), (10.0, -30.0), (359.9, 60.0)])
def test_local_north_is_where_dec_grows(centre):
    ra, dec = (centre[0] + np.array([-0.5, 0.3, 0.7])) % 360, centre[1] + np.array([0.2, -0.1, 0.4])
    one, other = sky_to_tangent(ra, dec - 1e-5, centre), sky_to_tangent(ra, dec + 1e-5, centre)
    north = np.degrees(np.arctan2(-(other[0] - one[0]), other[1] - one[1]))
    assert local_north_deg(ra, centre) == pytest.approx(north, abs=1e-4)


@pytest.mark.parametrize("mjd", [61000.1, 61100.35, 61200.2])
@pytest.mark.parametrize(("ra", "dec"), [(30.0, -20.0), (120.0, -60.0), (250.0, -35.0)])
def test_horizon_agrees_with_astropy(mjd, ra, dec):
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        site = EarthLocation(lat=RUBIN_LATITUDE_DEG * u.deg, lon=RUBIN_LONGITUDE_DEG * u.deg)
        frame = AltAz(obstime=Time(mjd, format="mjd"), location=site)
        star = SkyCoord(ra, dec, unit="deg")
        altitude = star.transform_to(frame).alt.deg
        zenith = SkyCoord(AltAz(alt=90 * u.deg, az=0 * u.deg, obstime=frame.obstime, location=site)).icrs
        angle = star.position_angle(zenith).wrap_at(180 * u.deg).deg
    lst = local_sidereal_time_deg(mjd)
    assert altitude_deg(ra, dec, lst, RUBIN_LATITUDE_DEG) == pytest.approx(altitude, abs=0.5)
    ours = float(parallactic_angle_deg(ra, dec, lst, RUBIN_LATITUDE_DEG))
    assert abs((ours - angle + 180) % 360 - 180) < 2.0


def test_a_star_that_is_drawn_out_to_the_zenith_is_upright_in_altaz():
    ra, dec, lst = 30.0, -20.0, 70.0
    q = float(parallactic_angle_deg(ra, dec, lst, RUBIN_LATITUDE_DEG))
    along = np.radians(90.0 - q)  # direction of the zenith from east towards north
    e1, e2 = rotate_ellipticity(0.1 * np.cos(2 * along), 0.1 * np.sin(2 * along), -q)
    assert (float(e1), float(e2)) == pytest.approx((-0.1, 0.0), abs=1e-9)


def test_seeing_at_the_zenith():
    assert airmass(90.0) == pytest.approx(1.0, abs=1e-3)
    assert airmass(30.0) == pytest.approx(1.994, abs=4e-3)
    assert np.isnan(airmass(-1.0))
    assert zenith_seeing_arcsec(1.0, 2.0, 500.0) == pytest.approx(2**-0.6)
    assert zenith_seeing_arcsec(1.0, 1.0, 1000.0) == pytest.approx(2**0.2)


def test_kernel_agrees_with_the_plain_formulas():
    rng = np.random.default_rng(1)
    ixx, iyy, ixy = rng.uniform(-1, 4, 999), rng.uniform(0, 4, 999), rng.normal(0, 0.5, 999)
    ixx[:3] = np.nan, np.inf, 1e300
    found = shapes_of_moments(ixx, iyy, ixy)
    expected = [
        *ellipticity(ixx, iyy, ixy),
        np.where(ixx + iyy > 0, ixx + iyy, np.nan),
        fwhm_from_trace(ixx + iyy),
    ]
    for ours, plain in zip(found, expected, strict=True):
        assert np.allclose(ours, np.where(np.isfinite(ixx + iyy), plain, np.nan), rtol=1e-12, equal_nan=True)
    out = np.empty((4, 999))
    assert shapes_of_moments(ixx, iyy, ixy, out) is out


def stamp(profile, size=41):
    return profile.drawImage(nx=size, ny=size, scale=1.0, method="no_pixel").array


def test_higher_moments_of_known_profiles():
    gauss = galsim.Gaussian(sigma=2.5)
    moffat = galsim.Moffat(beta=2.5, fwhm=5.0)
    skew = gauss + 0.1 * galsim.Gaussian(sigma=2.5).shift(4.0, 0)
    stamps = np.stack(
        [
            stamp(p)
            for p in (gauss, gauss.shear(e1=0.2, e2=0.1), moffat, skew, skew.rotate(90 * galsim.degrees))
        ]
    )
    found = measure_higher_moments(stamps, moments_of_stamps(stamps))
    assert found.kurtosis[:2] == pytest.approx([2.0, 2.0], abs=5e-3)
    assert found.kurtosis[2] > 2.05
    for values in (found.coma1, found.coma2, found.trefoil1, found.trefoil2):
        assert values[:3] == pytest.approx(np.zeros(3), abs=1e-4)
    assert found.coma1[3] > 1e-3
    assert found.coma2[3] == pytest.approx(0, abs=1e-4)
    assert found.coma2[4] == pytest.approx(found.coma1[3], rel=0.02)
    assert found.trefoil2[4] == pytest.approx(-found.trefoil1[3], rel=0.05)


def test_higher_moments_of_bad_stamps_are_nan_and_masked_pixels_pull_nothing():
    good = stamp(galsim.Gaussian(sigma=2.5))
    hole = good.copy()
    hole[22, 24] = np.nan
    stamps = np.stack([good, hole, np.zeros_like(good)])
    found = measure_higher_moments(stamps, moments_of_stamps(stamps))
    assert found.coma1[1] == pytest.approx(0.0, abs=8e-3)
    assert np.isnan(found.kurtosis[2])
    with pytest.raises(InputError):
        measure_higher_moments(stamps[:1], moments_of_stamps(stamps))
