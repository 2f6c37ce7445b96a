from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lsst_commtools.errors import TableError
from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.instrument.pointing import nominal_wcs
from lsst_commtools.pipeline.astrometry import ReferenceStars, failed_solution, solve_astrometry
from lsst_commtools.pipeline.measure import measure_image
from lsst_commtools.pipeline.schema import (
    STAR_COLUMNS,
    SUMMARY_COLUMNS,
    Column,
    make_table,
    table_arrays,
    table_notes,
)
from lsst_commtools.pipeline.summary import gather_visit, summarise_detector
from lsst_commtools.pipeline.tables import add_astrometry, empty_star_table, make_initial_table

CAMERA = get_camera("LSSTComCam")
VISIT = 2026112000012
NO_REFERENCES = ReferenceStars(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))


def identity(detector):
    return {
        "visit": VISIT,
        "detector": detector,
        "detector_name": CAMERA.detector(detector).name,
        "band": "r",
        "physical_filter": "r_03",
    }


@pytest.fixture(scope="module")
def processed(star_field):
    """Initial table, reference stars, and a function that processes the field as any detector."""
    measurement = measure_image(star_field.image, VISIT, 4)
    shape = star_field.image.image.shape
    initial = make_initial_table(
        measurement, visit=VISIT, detector=4, band="r", physical_filter="r_03", notes={"shape": list(shape)}
    )
    columns = table_arrays(initial)

    def process(detector):
        place = CAMERA.detector(detector)
        nominal = nominal_wcs({"RA": 10.0, "DEC": -30.0, "ROTPA": 20.0}, CAMERA, place, shape)
        ra, dec = nominal.wcs_pix2world(star_field.x, star_field.y, 0)
        references = ReferenceStars(np.arange(1, len(ra) + 1), ra, dec, np.full(len(ra), 18.0))
        solution = solve_astrometry(
            columns["x"],
            columns["y"],
            columns["calib_psf_candidate"],
            nominal=nominal,
            shape=shape,
            references=references,
        )
        stars = add_astrometry(initial, solution, references)
        return stars, summarise_detector(stars, solution, identity(detector), 0.2)

    return initial, process


def test_columns_carry_units_and_descriptions(processed):
    stars, summary = processed[1](4)
    assert stars.column_names == [column.name for column in STAR_COLUMNS]
    assert summary.column_names == [column.name for column in SUMMARY_COLUMNS]
    assert stars.schema.field("ixx").metadata[b"unit"] == b"pixel2"
    assert all(stars.schema.field(name).metadata[b"description"] for name in stars.column_names)


def test_units_are_units_to_astropy():
    from astropy.units import Unit

    assert all(Unit(column.unit) for column in (*STAR_COLUMNS, *SUMMARY_COLUMNS) if column.unit)


def test_matched_stars_carry_their_reference(processed):
    columns = table_arrays(processed[1](4)[0])
    matched = columns["ref_id"] > 0
    assert matched.sum() > 80
    assert np.isfinite(columns["ra_residual_mas"][matched]).all()
    assert np.isnan(columns["ra_residual_mas"][~matched]).all()
    east = (columns["coord_ra"] - columns["ref_ra"]) * np.cos(np.radians(columns["ref_dec"])) * 3600e3
    assert east[matched] == pytest.approx(columns["ra_residual_mas"][matched], abs=0.05)
    assert np.isfinite(columns["coord_ra"]).all()
    assert len(set(columns["sourceId"])) == len(columns["sourceId"])


def test_the_summary_has_the_figures_of_the_field(processed, star_field):
    row = processed[1](4)[1].to_pylist()[0]
    ixx, iyy, ixy = star_field.moments
    assert row["failure"] == ""
    assert row["fwhm_arcsec"] == pytest.approx(2.3548 * np.sqrt((ixx + iyy) / 2) * 0.2, rel=0.01)
    assert row["e1"] == pytest.approx((ixx - iyy) / (ixx + iyy), abs=0.005)
    assert row["e2"] == pytest.approx(2 * ixy / (ixx + iyy), abs=0.005)
    assert abs(row["de1_median"]) < 0.01
    assert abs(row["dt_over_t_median"]) < 0.01
    assert row["pixel_scale_arcsec"] == pytest.approx(0.2, rel=1e-3)
    assert row["core_depth"] > 1.1
    assert row["sky_background"] == pytest.approx(400, rel=0.01)
    assert len(row["corners"]) == 8
    assert np.isnan(row["field_pixel_scale_arcsec"])


def test_the_field_gives_the_plate_scale(processed):
    summaries = [processed[1](detector)[1] for detector in range(9)]
    rows = gather_visit(summaries, CAMERA, VISIT).to_pylist()
    assert [row["detector"] for row in rows] == list(range(9))
    found = np.array([row["field_pixel_scale_arcsec"] for row in rows])
    # Exactly 0.2 arcsec in the middle; in the corners, 845 arcsec times sqrt(2) away, 2.5e-5 less.
    assert found[4] == pytest.approx(0.2, rel=1e-6)
    assert found[0] / found[4] - 1 == pytest.approx(-0.75 * 2 * (844.9 / 206265) ** 2, rel=0.02)
    assert rows[0]["field_rotation_deg"] == pytest.approx(20.0, abs=1e-4)


def test_missing_detectors_have_rows_with_reasons(processed):
    summaries = [processed[1](detector)[1] for detector in (0, 4)]
    rows = gather_visit(summaries, CAMERA, VISIT, {3: "no raw"}, band="r", physical_filter="r_03").to_pylist()
    assert len(rows) == 9
    assert rows[3]["failure"] == "no raw"
    assert rows[8]["failure"] == "not processed"
    assert rows[8]["detector_name"] == "R22_S22"
    assert rows[8]["band"] == "r"
    assert np.isnan(rows[8]["fwhm_arcsec"])
    assert rows[8]["n_matched"] == 0
    assert np.isnan(rows[4]["field_pixel_scale_arcsec"])


def test_a_failed_fit_keeps_the_psf_and_says_why(processed):
    stars = add_astrometry(processed[0], failed_solution("no stars", 12), NO_REFERENCES)
    row = summarise_detector(stars, failed_solution("no stars", 12), identity(4), 0.2).to_pylist()[0]
    assert row["failure"] == "no WCS: no stars"
    assert row["n_reference"] == 12
    assert row["fwhm_arcsec"] == pytest.approx(0.73, abs=0.02)
    assert np.isnan(row["ra_mad_mas"])
    assert np.isnan(table_arrays(stars)["coord_ra"]).all()


def test_a_detector_without_sources_is_told(processed):
    stars = add_astrometry(
        empty_star_table({"failure": "dark", "shape": [4, 4]}), failed_solution("no stars"), NO_REFERENCES
    )
    row = summarise_detector(stars, failed_solution("no stars"), identity(4), 0.2).to_pylist()[0]
    assert row["failure"] == "dark; no WCS: no stars"
    assert row["n_sources"] == 0


def test_notes_travel_with_the_table():
    table = make_table((Column("x", STAR_COLUMNS[3].kind, "", "X"),), {"x": [1.0]}, {"shape": [2, 3]})
    assert table_notes(table) == {"shape": [2, 3]}
    assert table_notes(table.replace_schema_metadata(None)) == {}


def test_wrong_columns_are_refused():
    column = STAR_COLUMNS[3]
    with pytest.raises(TableError, match="do not agree: y"):
        make_table((column,), {"x": [1.0], "y": [2.0]})
    with pytest.raises(TableError, match="cannot be built"):
        make_table((column, dataclasses.replace(column, name="y")), {"x": [1.0], "y": [1.0, 2.0]})
