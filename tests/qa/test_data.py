"""Real data: goldens of the shared test data, with the tolerance that each figure was given with."""

from __future__ import annotations

import numpy as np
import pytest

from lsst_commtools.qa.columns import Entry
from lsst_commtools.qa.detect import read_image_stars
from lsst_commtools.qa.metrics import measure_visit
from lsst_commtools.qa.moments import moments_of_stamps
from lsst_commtools.qa.references import ReferenceStars, read_references
from lsst_commtools.qa.statistics import mad, median
from lsst_commtools.qa.tables import read_star_table, with_moments

pytestmark = pytest.mark.data


@pytest.mark.parametrize(
    ("order", "ra_rms", "dec_rms"),
    # The ground truth is a TPV solution: rms of what a polynomial cannot follow, to the digits it was given with.
    [(1, 68.5, 16.6), (2, 10.6, 8.0)],
)
def test_des_stars_leave_what_the_order_cannot_follow(test_data, order, ra_rms, dec_rms):
    figures = measure_visit(read_star_table(test_data / "des_use_stars.fits"), order=order).figures
    assert figures["n_used"] == 202
    assert figures["ra_rms_mas"] == pytest.approx(ra_rms, abs=0.06)
    assert figures["dec_rms_mas"] == pytest.approx(dec_rms, abs=0.06)


def test_des_stars_at_third_order_and_their_psf(test_data):
    metrics = measure_visit(read_star_table(test_data / "des_use_stars.fits"), order=3)
    assert metrics.figures["ra_rms_mas"] < 0.14
    assert metrics.figures["dec_rms_mas"] < 0.06
    assert metrics.figures["fwhm_arcsec"] == pytest.approx(0.812, abs=0.001)
    assert metrics.figures["e1"] == pytest.approx(-0.0258, abs=1e-4)
    assert metrics.figures["e2"] == pytest.approx(-0.0027, abs=1e-4)
    assert metrics.status == "good"


def test_decam_stamps_have_the_moments_of_hsm(test_data):
    table = read_star_table(test_data / "decam_star_stamps.fits", stamps="VIGNET")
    moments = moments_of_stamps(table.stamps)
    assert not moments.failed.any()
    figures = measure_visit(with_moments(table, moments)).figures
    assert figures["n_psf"] == 117
    assert figures["fwhm_arcsec"] == pytest.approx(1.148, rel=0.01)
    assert figures["fwhm_mad_arcsec"] == pytest.approx(0.020, abs=0.002)
    assert figures["e1"] == pytest.approx(-0.0422, abs=5e-4)
    assert figures["e2"] == pytest.approx(0.0305, abs=5e-4)
    assert table["epoch"][0] == pytest.approx(2013.757, abs=0.01)


def test_hsc_source_table_is_read_by_its_own_columns(test_data):
    table = read_star_table(test_data / "hsc_source_table_0034690.parq")
    assert table.map_name == "lsst"
    metrics = measure_visit(table)
    assert metrics.n_stars == 168
    assert {d.detector: d.n_stars for d in metrics.detectors} == {48: 48, 56: 56, 64: 64}
    assert metrics.figures["n_psf"] == 4
    assert metrics.figures["dt_over_t_median"] == pytest.approx(0.0022, abs=1e-4)
    assert metrics.figures["pixel_scale_arcsec"] == pytest.approx(0.166, abs=0.003)
    assert metrics.status == "unknown"  # four stars are no sample


def gaia(test_data, field, most=None):
    return read_references(
        sorted(test_data.glob(f"decam_{field}_gaia_*.fits")), None if most is None else Entry(maximum=most)
    )


def test_decam_r_cutout_against_gaia(test_data):
    stars = read_image_stars(test_data / "decam_tc8_r_N6_image.fits")
    everything = measure_visit(stars, gaia(test_data, "tc8")).figures
    assert everything["n_matched"] == 7
    assert everything["order"] == 1
    assert everything["pixel_scale_arcsec"] == pytest.approx(0.263, abs=0.001)
    bright = measure_visit(stars, gaia(test_data, "tc8", 19.0)).figures
    # The header's TPV solution against Gaia. Tolerance: how far centroids of other detection settings move it.
    assert bright["ra_offset_mas"] == pytest.approx(38.5, abs=4)
    assert bright["ra_offset_mad_mas"] == pytest.approx(17.6, abs=4)
    assert bright["dec_offset_mas"] == pytest.approx(19.9, abs=4)
    assert bright["dec_offset_mad_mas"] == pytest.approx(5.7, abs=2)


def test_proper_motion_lowers_the_scatter_of_the_z_cutout(test_data):
    stars, moving = read_image_stars(test_data / "decam_tc4_z_N2_image.fits"), gaia(test_data, "tc4", 19.0)
    none = np.zeros(len(moving))
    still = ReferenceStars(moving.ra_deg, moving.dec_deg, none, none, moving.epoch_jyear, moving.mag)
    assert measure_visit(stars, still).figures["ra_offset_mad_mas"] == pytest.approx(65, abs=4)
    # 9 mas with other centroids, of two stars: what counts is that the motion is gone.
    assert measure_visit(stars, moving).figures["ra_offset_mad_mas"] < 10
    assert measure_visit(stars, gaia(test_data, "tc4")).figures["n_matched"] == 3


def test_empty_gaia_tables_are_survived(test_data):
    assert len(read_references([test_data / "decam_tc4_gaia_03459.fits"])) == 0
    assert len(gaia(test_data, "tc8")) == 894
    nothing = measure_visit(
        read_image_stars(test_data / "decam_tc4_z_N2_image.fits"),
        read_references([test_data / "decam_tc4_gaia_03459.fits"]),
    )
    assert nothing.status == "unknown"
    assert nothing.document()["wcs"] is None


def test_lsst_reference_catalogue(test_data):
    references = read_references(sorted(test_data.glob("gaia_dr2_refcat_*.fits")))
    assert len(references) == 5739
    assert (references.ra_deg.min(), references.ra_deg.max()) == pytest.approx((320.47, 321.32), abs=0.005)
    assert median(references.mag) == pytest.approx(19.4, abs=0.05)
    assert median(np.abs(references.pm_ra_mas_yr)) == pytest.approx(3.0, abs=0.1)
    assert references.epoch_jyear[0] == pytest.approx(2015.5, abs=1e-4)
    assert mad(references.epoch_jyear) == 0
