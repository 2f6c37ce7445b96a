"""Inputs that are not what they should be, for every public metric: unknown with a reason, never a number."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import lsst_commtools.qa
import lsst_commtools.qa.repeatability
from lsst_commtools.errors import CommtoolsError
from lsst_commtools.qa.comparison import compare_figures, figures_of_survey
from lsst_commtools.qa.metrics import measure_detector, measure_visit
from lsst_commtools.qa.model_health import measure_model_health
from lsst_commtools.qa.projection import tangent_to_sky
from lsst_commtools.qa.psf_metrics import measure_ellipticity
from lsst_commtools.qa.readers import raw_table
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.repeatability import make_sources, measure_repeatability
from lsst_commtools.qa.survey import read_survey
from lsst_commtools.qa.wcs_night import measure_wcs

NUMBERS = ["ra", "dec", "x", "y", "ixx", "iyy", "ixy", "ixx_psf", "iyy_psf", "ixy_psf", "mag", "snr"]
KINDS = ["infinite", "nan", "masked", "empty", "duplicate object", "single visit"]
ALL = KINDS[:-1]


@pytest.fixture
def frame():
    """Three visits of one detector that every metric can be measured from."""
    rng = np.random.default_rng(1)
    x0, y0 = rng.uniform(0, 4000, (2, 400))
    parts = []
    for visit in (1, 2, 3):
        x, y = np.array([x0, y0]) + rng.normal(0, 0.05, (2, 400))
        ra, dec = tangent_to_sky(-0.2 * (x - 2000), 0.2 * (y - 2000), (0.0, -60.0))
        e1, e2 = rng.normal(0.01, 0.01, (2, 400))
        parts.append(pd.DataFrame({
            "visit": visit, "object_id": np.arange(400), "detector": 4, "x": x, "y": y, "ra": ra, "dec": dec,
            "mag": 19.0, "snr": 200.0, "ixx": 0.2 * (1 + e1), "iyy": 0.2 * (1 - e1), "ixy": 0.2 * e2,
            "ixx_psf": 0.2, "iyy_psf": 0.2, "ixy_psf": 0.0,
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def spoil(frame, kind):
    match kind:
        case "infinite":
            return frame.assign(**dict.fromkeys(NUMBERS, np.inf))
        case "nan":
            return frame.assign(**dict.fromkeys(NUMBERS, np.nan))
        case "masked":
            return frame.assign(**{name: pd.array([None] * len(frame), dtype="Float64") for name in NUMBERS})
        case "empty":
            return frame.iloc[:0]
        case "duplicate object":
            return pd.concat([frame, frame.groupby("visit").head(1)], ignore_index=True)
        case _:
            return frame[frame["visit"] == 1]


def of_repeatability(frame, folder):
    document = measure_repeatability([make_sources(raw_table(frame))]).document()
    return [(name, m["value"], m.get("reason")) for name, m in document.items()]


def of_ellipticity(frame, folder):
    document = measure_ellipticity(survey(frame, folder)).document()
    found = []
    for name, m in document.items():
        if isinstance(m, dict):
            keys = [key for key in ("value", "E1", "E2", "EX") if key in m]
            found += [(f"{name} {key}", m[key], m.get("reason")) for key in keys]
            if "xi" in m:
                found.append((name, m["xi"] or None, m.get("reason")))
    return found


def of_survey_te(frame, folder):
    return [row for row in of_ellipticity(frame, folder) if row[0][:3] in ("TE1", "TE2")]


def of_visit(frame, folder):
    measured = measure_visit(survey(frame, folder).table)
    why = "; ".join(measured.problems)
    return [(name, part, why) for name, part in measured.document().items() if name in ("wcs", "psf")]


def of_detector(frame, folder):
    measured = measure_detector(survey(frame[frame["visit"] == 1], folder).table)
    wanted = ("ra_mad_mas", "dec_mad_mas", "fwhm_arcsec", "ellipticity", "pixel_scale_arcsec")
    return [(name, measured.figures.get(name), "; ".join(measured.problems)) for name in wanted]


def of_wcs(frame, folder):
    still = np.zeros(10)
    references = ReferenceStars(still, still - 60.0, still, still, still + 2016.0, still + 18.0)
    measured = measure_wcs(survey(frame, folder), references)
    if not len(measured.visits):
        return [("visits", None, "; ".join(measured.problems))]
    return [
        (name, value, visit["unknown"].get(name))
        for visit in measured.document()["visits"]
        for name, value in visit.items()
        if name not in ("visit", "n_detectors", "n_stars", "unknown")
    ]


def of_health(frame, folder):
    wanted = ("chi2_per_dof", "chi2_per_dof_used", "chi2_per_dof_reserved")
    return [
        (name, h.figures.get(name), h.reasons.get(name))
        for h in measure_model_health(survey(frame, folder).table)
        for name in wanted
    ]


def of_comparison(frame, folder):
    figures = figures_of_survey(survey(frame, folder))
    return [(c.metric, c.difference, c.reason) for c in compare_figures(figures, figures)]


MEASURES = {
    "measure_repeatability": (of_repeatability, KINDS),
    "measure_ellipticity": (of_ellipticity, ALL),
    "rho_statistics": (of_ellipticity, ALL),
    "TE1 and TE2": (of_survey_te, ["single visit"]),
    "measure_visit": (of_visit, ALL),
    "measure_detector": (of_detector, ["infinite", "nan", "masked", "empty"]),
    "measure_wcs": (of_wcs, ALL),
    "measure_model_health": (of_health, ALL),
    "compare_figures": (of_comparison, KINDS),
    "figures_of_survey": (of_comparison, KINDS),
}
BY_ELEMENT = {"ellipticity", "fwhm_from_moments", "shapes_of_moments", "measure_moments", "moments_of_stamps",
              "measure_higher_moments", "apply_proper_motion"}  # fmt: skip
"""Element by element: what is not finite gives NaN; tested below and beside each."""
REFUSING = {"fit_tan_polynomial", "fit_moment_model", "fit_pointing_model", "corner_distances", "wcs_shift",
            "night_drift", "map_residuals", "match_pattern", "match_sky", "detect_stars"}  # fmt: skip
"""Parts that measures are made of: they raise, or give None or nothing; tested in their own files."""
NO_MEASURES = {"DEFAULT_LIMITS", "SRD_LIMITS", "beside_summary", "history_limit", "join_tables", "judge", "mad",
               "make_star_table", "read_column_map", "read_image_stars", "read_pointings", "read_references",
               "read_star_table", "read_survey", "read_visit", "read_visit_summary", "refraction_terms",
               "shapes_of_visits", "survey_of_collection", "worst", "make_objects", "make_sources", "pair_blocks",
               "read_sources"}  # fmt: skip
"""Readers, values, rules."""
ELSEWHERE = {"CALIBRATION_KINDS", "CALIBRATION_LIMITS", "judge_calibration", "measure_calibration"}
"""Images of calibrations are no star tables: tests/qa/test_calibrations.py."""


def survey(frame, folder):
    frame.to_parquet(folder / "stars.parquet")
    return read_survey([folder / "stars.parquet"])


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, (_, kinds) in MEASURES.items() for k in kinds])
def test_unknown_with_a_reason_never_a_number(frame, tmp_path, name, kind):
    found = MEASURES[name][0](spoil(frame, kind), tmp_path)
    if name in ("measure_model_health", "compare_figures", "figures_of_survey") and kind == "empty":
        assert found == []
        return
    assert found
    for figure, value, reason in found:
        assert value is None or (isinstance(value, float) and math.isnan(value)), (figure, value)
        assert reason, figure


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_the_same_table_unspoilt_gives_numbers(frame, tmp_path, name):
    """Or else the test above could not fail."""
    found = MEASURES[name][0](frame, tmp_path)
    assert any(
        value is not None and not (isinstance(value, float) and math.isnan(value)) for _, value, _ in found
    )


def test_no_public_metric_is_forgotten():
    """A new public name has to be put into one of the lists above."""
    public = {*lsst_commtools.qa.__all__, *lsst_commtools.qa.repeatability.__all__}
    functions = {name for name in public if not name[0].isupper() or name.isupper()}
    sorted_in = {*MEASURES, *BY_ELEMENT, *REFUSING, *NO_MEASURES, *ELSEWHERE}
    assert functions - sorted_in == set()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_moments_that_are_not_finite_give_no_shape(value):
    bad, good = np.array([value]), np.array([3.0])
    assert not np.isfinite(lsst_commtools.qa.fwhm_from_moments(bad, good))
    assert not np.isfinite(lsst_commtools.qa.ellipticity(bad, good, 0 * good)[1]) or value == np.inf
    assert not np.isfinite(lsst_commtools.qa.shapes_of_moments(bad, good, 0 * good)[2])


def test_a_fit_of_nothing_is_refused():
    nothing = np.full(20, np.nan)
    with pytest.raises(CommtoolsError):
        lsst_commtools.qa.fit_tan_polynomial(nothing, nothing, nothing, nothing)
    assert lsst_commtools.qa.fit_pointing_model(nothing, nothing, nothing, nothing) is None
