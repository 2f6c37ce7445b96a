from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lsst_commtools.cli import main
from lsst_commtools.errors import TableError
from lsst_commtools.instrument.cameras import PIXEL_MM, get_camera
from lsst_commtools.qa.figures.wcs import wcs_blocks
from lsst_commtools.qa.frames import (
    RUBIN_LATITUDE_DEG,
    altitude_deg,
    local_sidereal_time_deg,
    mjd_of_jyear,
    parallactic_angle_deg,
)
from lsst_commtools.qa.pointing import azimuth_deg, fit_pointing_model, to_horizon
from lsst_commtools.qa.projection import sky_to_tangent, tangent_to_sky
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.refraction import REFRACTIVITY, refraction_terms
from lsst_commtools.qa.survey import read_survey
from lsst_commtools.qa.wcs_night import FIGURES, measure_wcs, read_pointings

CAMERA = get_camera("LSSTComCam")
EPOCH = 2026.9
TERMS = {"IA": 12.0, "IE": -7.0, "AN": 5.0, "AW": -3.0}


def lst_deg():
    return float(local_sidereal_time_deg(mjd_of_jyear(EPOCH) - 37.0 / 86400.0))


@pytest.fixture
def make_night():
    """Visits of ComCam with a known pointing model, refraction, drift, shift, and one detector that lies off."""

    def make(n_visits=14, n_stars=60, seed=1, off=None, refraction=0.0):
        rng = np.random.default_rng(seed)
        parts, told, references = [], {}, []
        for visit in range(1, n_visits + 1):
            altitude, azimuth = rng.uniform(25, 80), rng.uniform(0, 360)
            ra, dec = _from_horizon(altitude, azimuth)
            turn = float(parallactic_angle_deg(ra, dec, lst_deg(), RUBIN_LATITUDE_DEG))
            a, e = np.radians([azimuth, altitude])
            along = TERMS["IA"] * np.cos(e) + (TERMS["AN"] * np.sin(a) + TERMS["AW"] * np.cos(a)) * np.sin(e)
            up = TERMS["IE"] + TERMS["AN"] * np.cos(a) - TERMS["AW"] * np.sin(a)
            q = np.radians(turn)
            east, north = up * np.sin(q) - along * np.cos(q), up * np.cos(q) + along * np.sin(q)
            told[visit] = tuple(float(v) for v in tangent_to_sky(-east, -north, (ra, dec)))
            scale = 20.0 * (1 + 1e-6 * visit)
            for d in CAMERA.science_detectors:
                x, y = rng.uniform(0, d.columns - 1, n_stars), rng.uniform(0, d.rows - 1, n_stars)
                xi = -scale * (d.x_mm + (x - (d.columns - 1) / 2) * PIXEL_MM)
                eta = scale * (d.y_mm + (y - (d.rows - 1) / 2) * PIXEL_MM)
                if off == d.id:
                    eta = eta + 2.0
                zenith, across = xi * np.sin(q) + eta * np.cos(q), xi * np.cos(q) - eta * np.sin(q)
                zenith = zenith * (1 + refraction * np.tan(np.radians(90 - altitude)) ** 2)
                xi, eta = zenith * np.sin(q) + across * np.cos(q), zenith * np.cos(q) - across * np.sin(q)
                sky = tangent_to_sky(xi, eta, (ra, dec))
                first = tangent_to_sky(xi - 0.3, eta + 0.1, (ra, dec))
                parts.append(pd.DataFrame({"visit": visit, "detector": d.id, "x": x, "y": y, "ra": first[0],
                                           "dec": first[1], "epoch": EPOCH}))  # fmt: skip
                references.append(np.stack(sky))
        ra, dec = np.concatenate(references, axis=1)
        still = np.zeros(ra.size)
        return (
            pd.concat(parts),
            told,
            ReferenceStars(ra, dec, still + 3.0, still - 4.0, still + EPOCH, still + 18),
        )

    return make


def _from_horizon(altitude, azimuth):
    a, e, latitude = np.radians([azimuth, altitude, RUBIN_LATITUDE_DEG])
    dec = np.arcsin(np.sin(e) * np.sin(latitude) + np.cos(e) * np.cos(latitude) * np.cos(a))
    hour = np.arctan2(
        -np.cos(e) * np.sin(a), np.sin(e) * np.cos(latitude) - np.cos(e) * np.cos(a) * np.sin(latitude)
    )
    return (lst_deg() - np.degrees(hour)) % 360.0, float(np.degrees(dec))


@pytest.fixture
def survey(tmp_path):
    def save(frame):
        frame.to_parquet(tmp_path / "stars.parquet")
        return read_survey([tmp_path / "stars.parquet"])

    return save


def test_azimuth_and_altitude_go_round():
    for altitude, azimuth in ((30.0, 10.0), (45.0, 100.0), (60.0, 190.0), (80.0, 350.0)):
        ra, dec = _from_horizon(altitude, azimuth)
        assert float(azimuth_deg(ra, dec, lst_deg())) == pytest.approx(azimuth, abs=1e-9)
        assert float(altitude_deg(ra, dec, lst_deg(), RUBIN_LATITUDE_DEG)) == pytest.approx(
            altitude, abs=1e-9
        )


@pytest.mark.parametrize(("azimuth", "altitude"), [(20.0, 40.0), (130.0, 60.0), (250.0, 33.0)])
def test_offsets_turn_as_positions_do(azimuth, altitude):
    """A step in azimuth or altitude on the sphere is what the turned offset says."""
    ra, dec = _from_horizon(altitude, azimuth)
    turn = parallactic_angle_deg(ra, dec, lst_deg(), RUBIN_LATITUDE_DEG)
    step = 10.0 / 3600.0
    up = sky_to_tangent(*_from_horizon(altitude + step, azimuth), (ra, dec))
    assert np.array(to_horizon(*up, turn)) == pytest.approx([0.0, 10.0], abs=1e-2)
    along = sky_to_tangent(*_from_horizon(altitude, azimuth + step), (ra, dec))
    want = [10.0 * np.cos(np.radians(altitude)), 0.0]
    assert np.array(to_horizon(*along, turn)) == pytest.approx(want, abs=1e-2)


def test_all_terms_of_the_night_are_found(make_night, survey):
    frame, told, references = make_night(refraction=REFRACTIVITY)
    measured = measure_wcs(survey(frame), references, camera=CAMERA, pointings=told)
    visits = measured.visits
    assert measured.problems == ()
    assert visits["stretch_ppm"].to_numpy() == pytest.approx(
        visits["refraction_stretch_ppm"].to_numpy(), rel=0.02
    )
    assert visits["shift_east_arcsec"].to_numpy() == pytest.approx(np.full(14, 0.3), abs=2e-3)
    assert visits["shift_north_arcsec"].to_numpy() == pytest.approx(np.full(14, -0.1), abs=2e-3)
    assert visits["corner_largest_arcsec"].max() < 0.2  # refraction stretches the gaps of 2.5 mm as well
    assert (visits["motion_ra_mas"].abs() < 1e-6).all()
    assert measured.model is not None
    assert measured.model.rms_arcsec < 0.1
    for name, value in TERMS.items():
        assert measured.model.terms_arcsec[name] == pytest.approx(value, abs=0.5)


def test_drift_is_that_of_the_scale(make_night, survey):
    frame, _, references = make_night(n_visits=5)
    visits = measure_wcs(survey(frame), references, camera=CAMERA).visits
    assert visits["scale_ppm"].to_numpy() == pytest.approx([-2, -1, 0, 1, 2], abs=0.02)
    assert np.abs(visits["rotation_arcsec"]).max() < 0.5


def test_a_detector_that_lies_off_shows_in_the_corners(make_night, survey):
    frame, _, references = make_night(n_visits=1, off=4)
    corners = measure_wcs(survey(frame), references, camera=CAMERA).corners
    large = corners[corners["excess_arcsec"].abs() > 0.5]
    assert len(large)
    assert ((large["detector1"] == 4) | (large["detector2"] == 4)).all()


def test_a_polynomial_is_not_asked_beyond_its_stars(make_night, survey):
    frame, told, references = make_night(n_visits=1, n_stars=500)
    corner = frame[(frame.x < 1500) & (frame.y < 1500)]
    found = measure_wcs(survey(corner[corner.detector == 4]), references, camera=CAMERA, pointings=told)
    assert found.visits["pixel_scale_arcsec"].to_numpy() == pytest.approx(0.2, rel=1e-4)
    assert "surround" in found.reasons[1]["pointing_az_arcsec"]
    assert "stars fill fewer" in found.reasons[1]["corner_excess_arcsec"]
    nine = measure_wcs(survey(corner), references, camera=CAMERA, pointings=told)
    assert nine.visits["pixel_scale_arcsec"].to_numpy() == pytest.approx(0.2, rel=1e-4)
    assert "stars fill fewer" in nine.reasons[1]["corner_excess_arcsec"]


def test_motion_is_that_of_the_years_between(make_night, survey):
    frame, _, references = make_night(n_visits=1)
    old = ReferenceStars(*[getattr(references, n) for n in ("ra_deg", "dec_deg", "pm_ra_mas_yr", "pm_dec_mas_yr")],
                         references.epoch_jyear - 10.0, references.mag)  # fmt: skip
    visit = measure_wcs(survey(frame), old, camera=CAMERA).visits.iloc[0]
    assert visit["motion_ra_mas"] == pytest.approx(30.0)
    assert visit["motion_dec_mas"] == pytest.approx(-40.0)
    assert visit["motion_rms_mas"] == pytest.approx(50.0)
    assert visit["shift_east_arcsec"] == pytest.approx(0.33, abs=2e-3)


def test_what_is_not_known_has_a_reason(make_night, survey):
    frame, _, _ = make_night(n_visits=2)
    document = measure_wcs(survey(frame.drop(columns="epoch"))).document()
    for visit in document["visits"]:
        assert visit["pixel_scale_arcsec"] == pytest.approx(0.2, rel=1e-4)
        for name in FIGURES:
            assert (visit[name] is None) == (name in visit["unknown"]), name
    assert document["visits"][0]["unknown"]["pointing_az_arcsec"] == "the table does not tell the time"
    assert document["visits"][0]["unknown"]["shift_east_arcsec"] == "no reference catalogue was given"
    assert document["pointing_model"] is None


@pytest.mark.parametrize("what", ["nan", "inf", "empty", "few", "no_pixels"])
def test_what_is_no_wcs_gives_no_number(make_night, survey, what):
    frame, told, references = make_night(n_visits=2)
    frame = {
        "nan": frame.assign(x=np.nan, ra=np.nan),
        "inf": frame.assign(x=np.inf),
        "empty": frame.iloc[:0],
        "few": frame.groupby(["visit", "detector"]).head(3),
        "no_pixels": frame.drop(columns=["x", "y"]),
    }[what]
    measured = measure_wcs(survey(frame), references, camera=CAMERA, pointings=told)
    assert measured.problems
    assert not measured.is_measured
    for visit in measured.document()["visits"]:
        for name in FIGURES:
            if not name.startswith("motion"):
                assert visit[name] is None, name
                assert visit["unknown"][name]
    assert wcs_blocks(measured, CAMERA)


def test_few_visits_give_no_model_and_one_sky_leaves_terms_out():
    rng = np.random.default_rng(1)
    assert fit_pointing_model(*rng.uniform(20, 60, (4, 5))) is None
    near = fit_pointing_model(np.full(20, 90.0), rng.uniform(50, 60, 20), *rng.normal(0, 1, (2, 20)))
    assert near is not None
    assert {"CA", "NPAE", "TF"} <= set(near.left_out)


def test_refraction_by_the_book():
    terms = refraction_terms(45.0, 2.8e-4)
    assert terms["refraction_arcsec"] == pytest.approx(57.75, abs=0.1)
    assert terms["refraction_along_ppm"] == pytest.approx(560.0)
    assert terms["refraction_across_ppm"] == pytest.approx(280.0)
    assert all(np.isnan(v) for v in refraction_terms(85.0).values())


def test_command(make_night, tmp_path, capsys):
    frame, told, _ = make_night(n_visits=7)
    frame.to_parquet(tmp_path / "stars.parquet")
    pd.DataFrame([{"visit": v, "ra": ra, "dec": dec} for v, (ra, dec) in told.items()]).to_parquet(
        tmp_path / "p.parquet"
    )
    options = [
        "--camera",
        "LSSTComCam",
        "--pointings",
        tmp_path / "p.parquet",
        "--report",
        tmp_path / "r.html",
    ]
    for form in (["--format", "json"], []):
        with pytest.raises(SystemExit) as left:
            main([*form, "qa", "wcs", str(tmp_path / "stars.parquet"), *map(str, options)])
        assert left.value.code == 0
        shown = capsys.readouterr().out
        if form:
            assert json.loads(shown)["pointing_model"]["n_visits"] == 7
        else:
            assert "pointing model [arcsec]: IA" in shown
    page = (tmp_path / "r.html").read_text()
    for word in (
        "Differential refraction",
        "proper motion",
        "Pointing against azimuth",
        "corner distance",
        "initial WCS",
    ):
        assert word in page
    frame.to_parquet(tmp_path / "none.parquet")
    with pytest.raises(TableError, match="no column visit"):
        read_pointings_of(tmp_path)


def read_pointings_of(folder):
    pd.DataFrame({"ra": [1.0]}).to_parquet(folder / "bad.parquet")
    return read_pointings(folder / "bad.parquet")
