from __future__ import annotations

import numpy as np
import pytest

from lsst_commtools.qa.limits import Status
from lsst_commtools.qa.metrics import measure_detector, measure_visit
from lsst_commtools.qa.projection import tangent_to_sky
from lsst_commtools.qa.readers import RawTable
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.tables import make_star_table


def stars_of(columns):
    return make_star_table(RawTable({k: np.asarray(v) for k, v in columns.items()}, n_rows=len(columns["x"])))


def test_a_good_visit_is_good(star_columns):
    metrics = measure_visit(stars_of(star_columns))
    assert metrics.status is Status.GOOD
    assert metrics.problems == ()
    assert metrics.figures["ra_mad_mas"] == pytest.approx(5.0, rel=0.2)
    assert metrics.figures["fwhm_arcsec"] == pytest.approx(2.35482 * np.sqrt(2.95) * 0.2, rel=0.01)
    document = metrics.document()
    assert {"order", "n_used", "ra_mad_mas", "dec_mad_mas", "pixel_scale_arcsec"} <= set(document["wcs"])
    assert {"fwhm_arcsec", "e1", "e2"} <= set(document["psf"])
    assert document["detectors"][0]["detector"] == 4


@pytest.mark.parametrize("centre", [(150.0, -60.0), (0.0, 10.0), (359.9999, -85.0)])
def test_offsets_are_those_on_the_sky_at_any_declination(make_field, centre):
    x, y, ra, dec = make_field(centre, n=100)
    shifted = dec + 20.0 / 3.6e6
    references = ReferenceStars(ra, dec, *(np.full(100, np.nan) for _ in range(4)))
    figures = measure_visit(stars_of({"x": x, "y": y, "ra": ra, "dec": shifted}), references).figures
    assert figures["dec_offset_mas"] == pytest.approx(20.0, abs=0.01)
    # Only Dec is off: nothing may leak into RA.
    assert figures["ra_offset_mas"] == pytest.approx(0.0, abs=0.01)
    assert figures["n_matched"] == 100


def test_proper_motion_is_applied_to_the_epoch_of_the_exposure(make_field):
    x, y, ra, dec = make_field(n=100)
    pm = np.full(100, 30.0)
    references = ReferenceStars(
        ra, dec - 10 * 30.0 / 3.6e6, pm * 0, pm, np.full(100, 2010.0), np.full(100, 18.0)
    )
    moved = measure_visit(
        stars_of({"x": x, "y": y, "ra": ra, "dec": dec, "epoch": np.full(100, 2020.0)}), references
    )
    assert moved.figures["dec_offset_mas"] == pytest.approx(0.0, abs=0.01)
    still = measure_visit(stars_of({"x": x, "y": y, "ra": ra, "dec": dec}), references)
    assert still.figures["dec_offset_mas"] == pytest.approx(300.0, abs=0.01)
    assert any("proper motions were not applied" in p for p in still.problems)


def test_motion_without_an_epoch_of_the_reference_is_named(make_field):
    x, y, ra, dec = make_field(n=50)
    columns = {"x": x, "y": y, "ref_ra": ra, "ref_dec": dec, "epoch": np.full(50, 2020.0)}
    columns |= {"ref_pm_ra_mas_yr": np.full(50, 30.0), "ref_pm_dec_mas_yr": np.full(50, 30.0)}
    assert any("epoch of the reference is not known" in p for p in measure_visit(stars_of(columns)).problems)
    known = measure_visit(stars_of({**columns, "ref_epoch": np.full(50, 2010.0)}))
    assert not any("epoch" in p for p in known.problems)
    assert known.reference == "table"


def test_detectors_are_fitted_one_by_one(star_columns):
    second = dict(star_columns)
    u, v = second["x"] - 2000, second["y"] - 2000
    second["coord_ra"], second["coord_dec"] = tangent_to_sky(0.2 * u - 900, 0.2 * v, (150.0, -30.0))
    second["detector"] = np.full(200, 7)
    both = {k: np.concatenate([star_columns[k], second[k]]) for k in star_columns}
    metrics = measure_visit(stars_of(both))
    assert [d.detector for d in metrics.detectors] == [4, 7]
    assert metrics.figures["n_used"] > 390
    assert metrics.figures["pixel_scale_arcsec"] == pytest.approx(0.2, rel=1e-3)
    assert len(metrics.stars) == 400


def test_a_bad_detector_shows_in_the_visit(star_columns):
    bad = {**star_columns, "detector": np.full(200, 8), "ixx": np.asarray(star_columns["ixx"]) * 8}
    parts = [{**part, "x": part["x"] + k, "coord_ra": part["coord_ra"] + 1e-9 * k}
             for k, part in enumerate((star_columns, star_columns, bad))]  # fmt: skip
    both = {k: np.concatenate([part[k] for part in parts]) for k in star_columns}
    metrics = measure_visit(stars_of(both))
    assert metrics.status is not Status.GOOD
    assert "detector 8 is bad" in metrics.problems


def test_star_minus_model(star_columns):
    wide = {**star_columns, "ixxPSF": np.full(200, 3.0 * 0.98), "iyyPSF": np.full(200, 2.9 * 0.98)}
    figures = measure_detector(stars_of(wide)).figures
    assert figures["dt_over_t_median"] == pytest.approx(0.02, abs=0.005)
    assert figures["de1_median"] == pytest.approx(0.0, abs=0.003)
    assert figures["scaled_size_scatter"] == pytest.approx(0.5 * figures["dt_over_t_mad"], rel=0.05)


@pytest.mark.parametrize("missing", [("x", "y"), ("coord_ra", "coord_dec"), ("ixx", "iyy", "ixy")])
def test_a_part_without_its_columns_is_null_and_named(star_columns, missing):
    columns = {k: v for k, v in star_columns.items() if k not in missing}
    columns.setdefault("x", np.full(200, 0.0)) if missing != ("x", "y") else None
    table = make_star_table(RawTable({k: np.asarray(v) for k, v in columns.items()}, n_rows=200))
    document = measure_visit(table).document()
    part = "psf" if "ixx" in missing else "wcs"
    assert document[part] is None
    assert document["status"] == "unknown"
    assert any(p.startswith(f"no {part.upper()}") for p in document["problems"])


def test_nan_and_flags_are_left_out_and_counted(star_columns):
    columns = {k: np.array(v, dtype=float) for k, v in star_columns.items()}
    columns["x"][:10] = np.nan
    columns["ixx"][20:25] = np.nan
    metrics = measure_visit(stars_of(columns))
    assert metrics.figures["n_used"] == 190
    assert "10 of 200 stars have no finite pixel position" in metrics.problems
    assert any(p.startswith("5 of 200 PSF stars") for p in metrics.problems)
    assert metrics.status is Status.GOOD


@pytest.mark.parametrize("column", ["x", "coord_dec", "ixx", "detector"])
def test_a_column_of_nan_is_never_good(star_columns, column):
    metrics = measure_visit(stars_of({**star_columns, column: np.full(200, np.nan)}))
    assert metrics.problems
    if column != "detector":
        assert metrics.status is Status.UNKNOWN


def test_no_stars_and_few_stars_are_unknown(star_columns):
    empty = measure_visit(stars_of({k: np.asarray(v)[:0] for k, v in star_columns.items()}))
    assert empty.status is Status.UNKNOWN
    assert empty.problems[0] == "the table has no stars"
    assert empty.document()["wcs"] is None
    few = measure_visit(stars_of({k: np.asarray(v)[:4] for k, v in star_columns.items()}))
    assert few.status is Status.UNKNOWN
    assert few.document()["wcs"]["ra_mad_mas"] is None
    assert any("too few to judge" in p for p in few.problems)


def test_order_falls_with_the_stars_unless_it_was_asked_for(star_columns):
    twelve = stars_of({k: np.asarray(v)[:12] for k, v in star_columns.items()})
    assert measure_visit(twelve).figures["order"] == 2
    assert measure_visit(twelve, order=1).figures["order"] == 1
    asked = measure_visit(stars_of({k: np.asarray(v)[:8] for k, v in star_columns.items()}), order=3)
    assert "order" not in asked.figures
    assert any("needs at least 10 stars" in p for p in asked.problems)


def test_reserved_and_used_stars_give_the_psf(star_columns):
    columns = {k: np.array(v, dtype=float) for k, v in star_columns.items()}
    columns["calib_psf_used"][:50] = 0
    columns["ixx"][:50] *= 4
    metrics = measure_visit(stars_of(columns))
    assert metrics.figures["n_psf"] == 150
    assert metrics.psf_sample == "stars of the PSF model"
