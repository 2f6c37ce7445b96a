import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import DataError
from lsst_commtools.instrument import detector_corners, get_camera, nominal_wcs

CAMERA = get_camera("ComCam")


def _tangent_plane(ra, dec, ra0, dec0):
    """Gnomonic coordinates in arcsec, written out (Calabretta and Greisen 2002, section 5.1.3)."""
    ra, dec, ra0, dec0 = np.radians([ra, dec, ra0, dec0])
    cosine = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(ra - ra0)
    xi = np.cos(dec) * np.sin(ra - ra0) / cosine
    eta = (np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(ra - ra0)) / cosine
    return np.degrees(xi) * 3600, np.degrees(eta) * 3600


@settings(deadline=None, max_examples=50)
@given(
    st.floats(0, 360),
    st.floats(-89, 89),
    st.floats(-180, 360),
    st.sampled_from(CAMERA.detectors),
    st.tuples(st.floats(0, 1023), st.floats(0, 511)),
)
def test_pixels_lie_where_the_formula_says(ra, dec, rotation, detector, pixel):
    shape = (512, 1024)
    wcs = nominal_wcs({"RA": ra, "DEC": dec, "ROTPA": rotation}, CAMERA, detector, shape)
    found = _tangent_plane(*wcs.wcs_pix2world([pixel], 0)[0], ra, dec)
    x = detector.x_mm / 0.01 + pixel[0] - 511.5
    y = detector.y_mm / 0.01 + pixel[1] - 255.5
    r = np.radians(rotation)
    expected = 0.2 * (-x * np.cos(r) + y * np.sin(r)), 0.2 * (x * np.sin(r) + y * np.cos(r))
    assert found == pytest.approx(expected, abs=1e-5)


def test_at_zero_rotation_up_is_north_and_right_is_west():
    wcs = nominal_wcs({"RA": 10.0, "DEC": 0.0, "ROTPA": 0.0}, CAMERA, CAMERA.detector("R22_S11"), (101, 101))
    centre, right, up = wcs.wcs_pix2world([(50, 50), (51, 50), (50, 51)], 0)
    assert centre == pytest.approx((10.0, 0.0))
    assert right == pytest.approx((10.0 - 0.2 / 3600, 0.0))
    assert up == pytest.approx((10.0, 0.2 / 3600))


def test_corners_enclose_the_pixels():
    header = {"RA": 0.0, "DEC": -60.0, "ROTPA": 33.0}
    corners = detector_corners(header, CAMERA, CAMERA.detectors[0], (100, 200))
    wcs = nominal_wcs(header, CAMERA, CAMERA.detectors[0], (100, 200))
    assert wcs.wcs_world2pix(corners, 0) == pytest.approx(
        np.array([(-0.5, -0.5), (199.5, -0.5), (199.5, 99.5), (-0.5, 99.5)]), abs=1e-6
    )


@pytest.mark.parametrize(
    "broken", [{"RA": None}, {"DEC": "x"}, {"ROTPA": float("nan")}, {"DEC": 91.0}, {"RA": True}]
)
def test_headers_without_pointing_are_refused(broken):
    with pytest.raises(DataError, match="gives no pointing"):
        nominal_wcs({"RA": 1.0, "DEC": 1.0, "ROTPA": 1.0} | broken, CAMERA, CAMERA.detectors[0], (10, 10))
