from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lsst_commtools.errors import DataError
from lsst_commtools.qa.projection import tangent_to_sky
from lsst_commtools.qa.wcs import fit_tan_polynomial
from lsst_commtools.qa.wcs_compare import corner_distances, night_drift, wcs_shift

CENTRE = (0.0, -60.0)


@pytest.fixture
def raft():
    """Three by three detectors of 40 mm with gaps of 2 mm, 20 arcsec to the mm."""
    square = np.array([[-20.0, -20.0], [20.0, -20.0], [20.0, 20.0], [-20.0, 20.0]])
    focal = {k: square + 42.0 * (np.array(divmod(k, 3)) - 1) for k in range(9)}
    sky = {k: np.stack(tangent_to_sky(20 * c[:, 0], 20 * c[:, 1], CENTRE), axis=1) for k, c in focal.items()}
    return sky, focal


def test_a_good_raft_has_the_distances_of_the_camera(raft):
    found = corner_distances(*raft)
    assert {(d.detector1, d.detector2) for d in found} >= {(0, 1), (0, 3), (4, 5), (4, 7)}
    assert max(abs(d.excess_arcsec) for d in found) < 1e-3


def test_a_detector_that_is_off_shows_against_its_neighbours(raft):
    sky, focal = raft
    sky[4] = sky[4] + [0.0, 3.0 / 3600]
    off = {
        d
        for c in corner_distances(sky, focal)
        if abs(c.excess_arcsec) > 1.0
        for d in (c.detector1, c.detector2)
    }
    assert 4 in off
    assert all(
        4 in (c.detector1, c.detector2) for c in corner_distances(sky, focal) if abs(c.excess_arcsec) > 0.1
    )


def test_detectors_without_a_wcs_are_left_out(raft):
    sky, focal = raft
    sky[4] = np.full((4, 2), np.nan)
    assert all(4 not in (c.detector1, c.detector2) for c in corner_distances(sky, focal))
    with pytest.raises(DataError):
        corner_distances({0: sky[0]}, focal)
    with pytest.raises(DataError):
        corner_distances({}, focal)


def test_shift_from_the_first_to_the_last_solution(make_field):
    x, y, ra, dec = make_field(centre=CENTRE)
    moved = ra + 2.0 / 3600 / np.cos(np.radians(-60)), dec - 1.0 / 3600
    shift = wcs_shift(fit_tan_polynomial(x, y, ra, dec), fit_tan_polynomial(x, y, *moved))
    assert shift.east_arcsec == pytest.approx(2.0, abs=0.02)
    assert shift.north_arcsec == pytest.approx(-1.0, abs=0.02)
    assert shift.largest_arcsec == pytest.approx(np.hypot(2, 1), abs=0.05)
    assert abs(shift.scale_ppm) < 20


def test_drift_over_a_night_is_right_across_180_degrees():
    summaries = pd.DataFrame({
        "visit": np.repeat([1, 2, 3], 2), "field_pixel_scale_arcsec": np.repeat([0.2, 0.2 * (1 + 5e-6), np.nan], 2),
        "field_rotation_deg": [179.999, 179.999, -179.999, -179.999, np.nan, np.nan],
    })  # fmt: skip
    drift = night_drift(summaries)
    assert np.ptp(drift["rotation_arcsec"][:2]) == pytest.approx(7.2, abs=1e-6)
    assert np.ptp(drift["scale_ppm"][:2]) == pytest.approx(5.0, abs=1e-3)
    assert drift["scale_ppm"].isna().tolist() == [False, False, True]
