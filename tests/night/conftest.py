"""Visit summaries as the pipeline writes them, without running it."""

import numpy as np
import pandas as pd
import pytest

from lsst_commtools.instrument import get_camera


def summary_rows(visit, **changes):
    """Rows of one good ComCam visit; `changes` are column values for all detectors."""
    row = {
        "visit": visit, "band": "r", "physical_filter": "r_03",
        "mid_exposure_mjd_tai": 61365.04 + (visit % 100) / 1440,
        "n_sources": 200, "n_stars": 90,
        "n_psf_used": 70, "n_matched": 150, "wcs_order": 3,
        "ra_mad_mas": 10.0, "dec_mad_mas": 11.0, "ra_offset_mas": 0.1, "dec_offset_mas": -0.1,
        "pixel_scale_arcsec": 0.2001, "field_pixel_scale_arcsec": 0.2,
        "rotation_deg": 1.0, "pointing_offset_ra_arcsec": 3.0,
        "pointing_offset_dec_arcsec": 4.0, "e1": 0.01, "e2": -0.02, "de1_median": 1e-3, "de1_mad": 0.01,
        "de2_median": -1e-3, "de2_mad": 0.01, "dt_over_t_median": 1e-3, "dt_over_t_mad": 0.01, "core_depth": 1.3,
        "de1_reserved_median": 2e-3, "de2_reserved_median": -2e-3, "dt_over_t_reserved_median": 2e-3,
        "dt_over_t_reserved_mad": 0.01, "bad_amplifiers": "", "failure": "",
    }  # fmt: skip
    rows = [
        row | {"detector": d.id, "detector_name": d.name, "fwhm_arcsec": 0.8 + 0.001 * d.id} | changes
        for d in get_camera("LSSTComCam").science_detectors
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def night_summaries():
    return pd.concat([summary_rows(2026112000001 + k) for k in range(4)], ignore_index=True)


@pytest.fixture
def lose_detector():
    """Make a detector of a visit one that was not measured."""

    def lose(summaries, visit, detector, reason):
        row = (summaries["visit"] == visit) & (summaries["detector"] == detector)
        figures = [c for c in summaries.columns if summaries[c].dtype == np.float64]
        summaries.loc[row, figures] = np.nan
        summaries.loc[row, ["n_matched", "n_stars"]] = 0
        summaries.loc[row, "failure"] = reason

    return lose
