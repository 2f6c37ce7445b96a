"""Stars, their motions, and the reference catalogue."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from astropy.table import Table
from hypothesis import strategies as st

from lsst_commtools.simulate.plan import MAX_VISITS
from lsst_commtools.simulate.schedule import horizontal, make_schedule, sidereal_time_deg
from lsst_commtools.simulate.sky import (
    FIELDS,
    MAS_PER_RADIAN,
    REFERENCE_EPOCH_MJD_TAI,
    StarField,
    make_star_field,
    reference_catalogue,
    tangent_to_sky,
    write_reference_shards,
)


@pytest.fixture(scope="module")
def stars():
    return make_star_field(1, 0, 20.0, 20.0, (14.0, 21.5))


def unit_vectors(ra_deg, dec_deg):
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def test_density_and_edge_are_as_asked(stars):
    expected = 20.0 * np.pi * 20.0**2
    assert abs(len(stars.id) - expected) < 5 * np.sqrt(expected)
    distance = np.degrees(np.arccos(unit_vectors(stars.ra_deg, stars.dec_deg) @ unit_vectors(*FIELDS[0])))
    assert distance.max() <= 20.0 / 60.0 + 1e-9
    # Uniform over the disc: half of the stars lie within 0.707 of the radius.
    assert abs(np.mean(distance < 20.0 / 60.0 * np.sqrt(0.5)) - 0.5) < 0.02


def test_counts_rise_with_magnitude_as_stated(stars):
    counts, edges = np.histogram(stars.mag, bins=np.arange(16.5, 21.6, 1.0))
    slope = np.polyfit(edges[:-1] + 0.5, np.log10(counts), 1, w=np.sqrt(counts))[0]
    assert slope == pytest.approx(0.22, abs=0.03)
    assert stars.mag.min() >= 14.0
    assert stars.mag.max() <= 21.5


def test_the_first_field_lies_across_ra_zero(stars):
    assert np.any(stars.ra_deg > 359.0)
    assert np.any(stars.ra_deg < 1.0)


@hypothesis.given(
    ra=st.floats(0.0, 359.99), dec=st.floats(-89.0, 89.0), pm=st.floats(-500, 500), years=st.floats(-30, 30)
)
@hypothesis.settings(deadline=None)
def test_proper_motion_moves_a_star_by_its_length_and_back(ra, dec, pm, years):
    one = np.array([1.0])
    star = StarField(np.array([1]), ra * one, dec * one, pm * one, -0.5 * pm * one, one, one, 60000.0)
    moved = star.at_epoch(60000.0 + 365.25 * years)
    step = unit_vectors(moved.ra_deg, moved.dec_deg) - unit_vectors(star.ra_deg, star.dec_deg)
    length_mas = np.linalg.norm(step) * MAS_PER_RADIAN
    assert length_mas == pytest.approx(abs(pm * years) * np.sqrt(1.25), abs=0.01)
    assert 0.0 <= moved.ra_deg[0] < 360.0
    if abs(dec) < 80:
        back = moved.at_epoch(60000.0)
        assert (back.ra_deg[0] - ra + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=3e-6)
        assert back.dec_deg[0] == pytest.approx(dec, abs=3e-6)


def test_motion_in_ra_has_the_cosine_in_it():
    ra, dec = tangent_to_sky(10.0, -60.0, np.array([1e-6]), np.array([0.0]))
    assert (ra[0] - 10.0) * np.cos(np.radians(-60.0)) == pytest.approx(np.degrees(1e-6), rel=1e-6)
    assert dec[0] == pytest.approx(-60.0, abs=1e-9)


def test_the_catalogue_keeps_its_errors(stars):
    columns = reference_catalogue(stars, 1, 0, 21.2)
    seen = stars.mag < 21.2
    assert len(columns["id"]) == seen.sum() < len(stars.id)
    north = (columns["coord_dec"] - np.radians(stars.dec_deg[seen])) / columns["coord_decErr"]
    assert np.std(north) == pytest.approx(1.0, abs=0.05)
    motion = (columns["pm_ra"] - stars.pm_ra_mas_yr[seen] / MAS_PER_RADIAN) / columns["pm_raErr"]
    assert np.std(motion) == pytest.approx(1.0, abs=0.05)
    # What the errors add over the ten years to the night is small against the atmosphere's 10 mas.
    assert np.max(columns["pm_raErr"]) * MAS_PER_RADIAN * 11.0 < 1.5


def test_shards_hold_each_star_once_in_its_trixel(stars, tmp_path):
    from lsst.sphgeom import HtmPixelization, LonLat, UnitVector3d

    columns = reference_catalogue(stars, 1, 0, 21.2)
    paths = write_reference_shards([columns], tmp_path / "refcat")
    tables = [Table.read(path) for path in paths]
    assert sorted(np.concatenate([t["id"] for t in tables])) == sorted(columns["id"])
    pixels = HtmPixelization(7)
    for path, table in zip(paths, tables, strict=True):
        assert str(table["coord_ra"].unit) == "rad"
        assert str(table["phot_g_mean_flux"].unit) == "nJy"
        assert np.all(table["epoch"] == REFERENCE_EPOCH_MJD_TAI)
        for row in table[:: max(len(table) // 20, 1)]:
            where = UnitVector3d(LonLat.fromRadians(row["coord_ra"], row["coord_dec"]))
            assert pixels.index(where) == int(path.stem)


def test_fluxes_are_ab_magnitudes(stars):
    columns = reference_catalogue(stars, 1, 0, 21.2)
    mag = -2.5 * np.log10(columns["phot_g_mean_flux"] * 1e-9 / 3630.78)
    assert np.allclose(mag, stars.mag[stars.mag < 21.2], atol=1e-4)


def test_sidereal_time_agrees_with_astropy():
    from astropy.time import Time

    time = Time(61365.04, format="mjd", scale="tai")
    time.delta_ut1_utc = 0.0  # no table of the Earth's rotation reaches so far
    expected = time.sidereal_time("mean", longitude=-70.749417).deg
    assert sidereal_time_deg(61365.04) == pytest.approx(expected, abs=0.01)


def test_a_star_at_the_zenith_has_airmass_one():
    _, elevation, airmass = horizontal(sidereal_time_deg(61365.0), -30.244639, 61365.0)
    assert elevation == pytest.approx(90.0, abs=1e-4)
    assert airmass == pytest.approx(1.0, abs=1e-9)
    azimuth, _, _ = horizontal(sidereal_time_deg(61365.0), -60.0, 61365.0)
    assert azimuth == pytest.approx(180.0, abs=1e-6)


@pytest.mark.parametrize("day_obs", [20260101, 20260401, 20260701, 20261001, 20261120])
def test_visits_stay_high_on_every_night_of_the_year(day_obs):
    visits = [e for e in make_schedule("CC", day_obs, 2, 2, 60, seed=1) if e.is_visit]
    assert len({e.field for e in visits}) == 3
    for exposure in visits:
        assert horizontal(exposure.ra_deg, exposure.dec_deg, exposure.begin_mjd_tai)[2] < 1.8
        assert 0.0 <= exposure.ra_deg < 360.0


def test_the_schedule_numbers_from_one_within_one_day():
    from astropy.time import Time

    from lsst_commtools.ids import day_obs_from_time

    schedule = make_schedule("CC", 20261120, 50, 50, MAX_VISITS, seed=1)
    assert [e.seq_num for e in schedule] == list(range(1, MAX_VISITS + 101))
    assert [e.image_type for e in schedule] == ["BIAS"] * 50 + ["FLAT"] * 50 + ["OBJECT"] * MAX_VISITS
    begins = [e.begin_mjd_tai for e in schedule]
    assert begins == sorted(begins)
    for begin in (begins[0], begins[-1]):
        assert day_obs_from_time(Time(begin, format="mjd", scale="tai")) == 20261120
