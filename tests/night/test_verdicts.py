"""Verdicts on visits: unknown is not pass, and nothing that is missing is good."""

import numpy as np
import pandas as pd
import pytest

from lsst_commtools.night import judge_night, judge_visit

VISIT = 2026112000001


def one(summaries):
    return judge_visit(summaries[summaries["visit"] == VISIT])


def test_good_night_is_good(night_summaries):
    verdicts = judge_night(night_summaries)
    assert [v.visit for v in verdicts] == [VISIT + k for k in range(4)]
    assert {str(v.status) for v in verdicts} == {"good"}
    first = verdicts[0].to_dict()
    assert first["wcs"]["n_matched"] == 9 * 150
    assert first["wcs"]["pointing_offset_arcsec"] == pytest.approx(5.0)
    assert first["psf"]["fwhm_arcsec"] == pytest.approx(0.804)
    assert first["wcs"]["pixel_scale_arcsec"] == pytest.approx(0.2)
    assert first["reasons"] == []


def test_without_a_field_the_scale_is_that_of_the_detectors(night_summaries):
    night_summaries["field_pixel_scale_arcsec"] = np.nan
    assert one(night_summaries).values["pixel_scale_arcsec"] == pytest.approx(0.2001)


def test_a_missing_detector_is_named_and_never_good(night_summaries, lose_detector):
    lose_detector(night_summaries, VISIT, 4, "no raw")
    verdict = one(night_summaries)
    assert str(verdict.status) == "warning"
    assert (verdict.n_measured, verdict.n_expected) == (8, 9)
    assert "R22_S11 (no raw)" in verdict.reasons[-1]


def test_a_visit_of_which_nothing_was_measured_is_unknown(night_summaries, lose_detector):
    for detector in range(9):
        lose_detector(night_summaries, VISIT, detector, "no WCS")
    verdict = one(night_summaries)
    assert str(verdict.status) == "unknown"
    assert verdict.n_measured == 0
    assert np.isnan(verdict.values["fwhm_arcsec"])


@pytest.mark.parametrize(
    ("column", "value", "status"),
    [("ra_mad_mas", 70.0, "warning"), ("dec_mad_mas", 150.0, "bad"), ("fwhm_arcsec", 2.0, "bad"), ("e1", 0.2, "bad"),
     ("e2", 0.07, "warning"), ("de1_median", -0.01, "bad"), ("pointing_offset_ra_arcsec", 20.0, "warning")],
)  # fmt: skip
def test_figures_beyond_their_limits_are_seen(night_summaries, column, value, status):
    night_summaries.loc[night_summaries["visit"] == VISIT, column] = value
    verdict = one(night_summaries)
    assert str(verdict.status) == status
    assert len(verdict.reasons) == 1


def test_masked_amplifiers_are_a_warning(night_summaries):
    night_summaries.loc[0, "bad_amplifiers"] = "C05 (dead)"
    assert str(one(night_summaries).status) == "warning"


def test_a_column_that_is_not_there_is_unknown(night_summaries):
    verdict = one(night_summaries.drop(columns=["de2_median"]))
    assert np.isnan(verdict.values["de2_median"])
    assert str(verdict.status) == "unknown"
    assert "de2_median is unknown" in verdict.reasons


def test_no_visits_no_verdicts():
    assert judge_night(pd.DataFrame(columns=["visit", "detector"])) == []
