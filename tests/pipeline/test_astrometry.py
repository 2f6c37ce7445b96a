from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.instrument.pointing import nominal_wcs
from lsst_commtools.pipeline.astrometry import ReferenceStars, read_references, solve_astrometry

SHAPE = (1024, 1024)
CAMERA = get_camera("LSSTComCam")
MAS = np.radians(1.0) / 3600e3


def field(ra, dec, *, rotpa=40.0, detector=4, stars=150, noise_mas=5.0, seed=1):
    """Stars on a detector whose optics bend the field a little, and the reference catalogue around it."""
    random = np.random.default_rng(seed)
    nominal = nominal_wcs({"RA": ra, "DEC": dec, "ROTPA": rotpa}, CAMERA, CAMERA.detector(detector), SHAPE)
    x, y = random.uniform(15, 1009, (2, stars))
    u, v = (x - 511.5) / 512, (y - 511.5) / 512
    bent_x, bent_y = x + 0.6 * u * v - 0.3 * u**3, y + 0.5 * u**2 + 0.2 * v**3
    sky_ra, sky_dec = nominal.wcs_pix2world(bent_x, bent_y, 0)
    sky_ra = sky_ra + random.normal(0, noise_mas, stars) / 3600e3 / np.cos(np.radians(sky_dec))
    sky_dec = sky_dec + random.normal(0, noise_mas, stars) / 3600e3
    references = ReferenceStars(
        np.arange(1, stars + 1), np.mod(sky_ra, 360), sky_dec, np.linspace(15, 21, stars)
    )
    return x, y, references, nominal


def solve(x, y, references, nominal, **more):
    usable = np.ones(len(x), dtype=bool)
    return solve_astrometry(x, y, usable, nominal=nominal, shape=SHAPE, references=references, **more)


@settings(max_examples=15, deadline=None)
@given(
    ra=st.sampled_from([0.001, 53.0, 180.0, 359.999]),
    dec=st.sampled_from([-88.0, -60.0, 0.0, 30.0]),
    offset=st.tuples(st.floats(-38, 38), st.floats(-38, 38)),
    rotpa=st.floats(0, 359),
    detector=st.sampled_from([0, 4, 8]),
)
def test_the_pointing_error_is_found_anywhere_on_the_sky(ra, dec, offset, rotpa, detector):
    x, y, references, nominal = field(ra, dec, rotpa=rotpa, detector=detector)
    middle = [float(v) for v in nominal.wcs_pix2world(511.5, 511.5, 0)]
    moved = ReferenceStars(references.id, *shift(references, middle, offset), references.mag)
    solution = solve(x, y, moved, nominal)
    assert not solution.failure
    assert solution.fit.order == 3
    assert solution.fit.n_used > 135
    assert solution.pointing_offset_ra_arcsec == pytest.approx(offset[0], abs=0.02)
    assert solution.pointing_offset_dec_arcsec == pytest.approx(offset[1], abs=0.02)
    assert np.std(solution.fit.ra_residual_mas[solution.fit.used]) == pytest.approx(5.0, rel=0.25)


def shift(references, centre, offset):
    from lsst_commtools.qa.projection import sky_to_tangent, tangent_to_sky

    xi, eta = sky_to_tangent(references.ra_deg, references.dec_deg, tuple(centre))
    return tangent_to_sky(xi + offset[0], eta + offset[1], tuple(centre))


def test_rows_point_to_the_right_stars():
    x, y, references, nominal = field(120.0, -30.0)
    order = np.random.default_rng(4).permutation(len(references))
    shuffled = ReferenceStars(
        *(values[order] for values in (references.id, references.ra_deg, references.dec_deg, references.mag))
    )
    solution = solve(x, y, shuffled, nominal)
    assert np.array_equal(shuffled.id[solution.reference], solution.star + 1)


def test_stars_that_may_not_take_part_do_not():
    x, y, references, nominal = field(120.0, -30.0)
    usable = np.arange(len(x)) % 3 != 0
    solution = solve_astrometry(x, y, usable, nominal=nominal, shape=SHAPE, references=references)
    assert usable[solution.star].all()
    assert len(solution.star) == usable.sum()


@pytest.mark.parametrize(("stars", "order"), [(150, 3), (25, 2), (12, 1)])
def test_few_stars_lower_the_order(stars, order):
    solution = solve(*field(120.0, -30.0, stars=stars))
    assert solution.fit.order == order


def test_what_cannot_be_fitted_is_a_reason_and_no_exception():
    x, y, references, nominal = field(120.0, -30.0)
    none = ReferenceStars(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
    assert solve(x, y, none, nominal).failure == "no reference star near the pointing of the header"
    assert solve(x[:2], y[:2], references, nominal).failure == "only 2 usable stars"
    elsewhere = ReferenceStars(references.id, references.ra_deg + 3, references.dec_deg, references.mag)
    assert "no reference star" in solve(x, y, elsewhere, nominal).failure
    random = np.random.default_rng(8)
    noise = solve(*random.uniform(0, 1024, (2, 150)), references, nominal)
    assert noise.fit is None
    assert "150 stars, 150 reference stars" in noise.failure
    assert noise.n_reference == 150


def test_references_move_to_the_epoch_of_the_exposure():
    columns = {
        "id": np.array([7, 8, 9]),
        "coord_ra": np.radians([359.9999, 10.0, 20.0]),
        "coord_dec": np.radians([-60.0, 0.0, 0.0]),
        "pm_ra": np.array([1000.0, np.nan, 0.0]) * MAS,
        "pm_dec": np.array([-500.0, np.nan, 0.0]) * MAS,
        "epoch": np.full(3, 57388.0),
        "phot_g_mean_flux": np.array([3631e9, -1.0, np.nan]),
    }
    ten_years = 57388.0 + 3652.5
    stars = read_references(columns, ten_years)
    east_mas = (np.mod(stars.ra_deg[0] - 359.9999 + 180, 360) - 180) * 3600e3 * np.cos(np.radians(60))
    assert east_mas == pytest.approx(10_000, rel=1e-4)
    assert (stars.dec_deg[0] + 60) * 3600e3 == pytest.approx(-5_000, rel=1e-4)
    assert stars.ra_deg[1] == pytest.approx(10.0, abs=1e-12)
    assert stars.mag[0] == pytest.approx(0.0, abs=1e-3)
    assert np.isnan(stars.mag[1:]).all()


def test_references_without_motion_or_epoch_stay():
    columns = {"id": np.array([1]), "coord_ra": np.array([1.0]), "coord_dec": np.array([-0.5])}
    stars = read_references(columns, float("nan"))
    assert stars.ra_deg[0] == pytest.approx(np.degrees(1.0))
    assert np.isnan(stars.mag[0])
