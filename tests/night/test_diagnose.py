"""What went wrong gets its name."""

import pandas as pd
import pytest

from lsst_commtools.night.diagnose import diagnose_night

VISIT = 2026112000002


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"e1": 0.4}, "trailed-visit"),
        ({"e1": 0.1, "e2": -0.15, "fwhm_arcsec": 1.9}, "trailed-visit"),
        ({"core_depth": 0.5, "fwhm_arcsec": 2.0}, "defocused-visit"),
        ({"fwhm_arcsec": 1.5}, "defocused-visit"),
    ],
)
def test_a_bad_visit_stands_once(night_summaries, changes, kind):
    for column, value in changes.items():
        night_summaries.loc[night_summaries["visit"] == VISIT, column] = value
    problems = diagnose_night(night_summaries)
    assert [(p.kind, p.where) for p in problems] == [(kind, f"visit {VISIT}")]


def test_dead_amplifier_and_unmeasured_detector_name_their_detector(night_summaries, lose_detector):
    night_summaries.loc[2, "bad_amplifiers"] = "C05 (dead)"
    lose_detector(night_summaries, VISIT, 4, "no WCS: 3 stars")
    found = {p.kind: p for p in diagnose_night(night_summaries)}
    assert "detector 2 (R22_S02)" in found["dead-amplifier"].where
    assert "C05 (dead)" in found["dead-amplifier"].what
    assert "no WCS: 3 stars" in found["not-measured"].what


def test_a_good_night_has_no_problems(night_summaries):
    assert diagnose_night(night_summaries) == []


def test_nothing_measured_at_all_is_no_traceback(night_summaries, lose_detector):
    for visit in set(night_summaries["visit"]):
        for detector in range(9):
            lose_detector(night_summaries, visit, detector, "no WCS")
    assert {p.kind for p in diagnose_night(night_summaries)} == {"not-measured"}
    assert diagnose_night(pd.DataFrame(columns=["visit"])) == []
