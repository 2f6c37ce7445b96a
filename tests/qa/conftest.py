"""Fixtures of the QA tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lsst_commtools.qa.projection import tangent_to_sky
from lsst_commtools.qa.references import ReferenceStars


@pytest.fixture
def make_field():
    """Stars of one detector with a known distortion: x, y, ra, dec."""

    def make(centre=(150.0, -30.0), n=300, noise_mas=0.0, seed=1):
        rng = np.random.default_rng(seed)
        x, y = rng.uniform(0, 4000, (2, n))
        u, v = x - 2000, y - 2000
        xi = -0.2 * u + 0.001 * v + 1e-6 * u * v + 2e-10 * u**3
        eta = 0.2 * v + 0.001 * u + 2e-6 * u * u - 1e-10 * v * v * u
        noise = rng.normal(0, noise_mas / 1e3, (2, n)) if noise_mas else np.zeros((2, n))
        return x, y, *tangent_to_sky(xi + noise[0], eta + noise[1], centre)

    return make


@pytest.fixture
def star_columns(make_field):
    """Columns of a good star table under LSST's names."""
    x, y, ra, dec = make_field(n=200, noise_mas=5.0)
    rng = np.random.default_rng(2)
    ixx, iyy, ixy = 3.0 + rng.normal(0, 0.05, 200), 2.9 + rng.normal(0, 0.05, 200), rng.normal(0, 0.05, 200)
    return {
        "x": x, "y": y, "detector": np.full(200, 4), "coord_ra": ra, "coord_dec": dec,
        "psfFlux": np.full(200, 1e4), "psfFluxErr": np.full(200, 100.0),
        "ixx": ixx, "iyy": iyy, "ixy": ixy, "ixxPSF": np.full(200, 3.0), "iyyPSF": np.full(200, 2.9),
        "ixyPSF": np.zeros(200), "calib_psf_used": np.ones(200, bool), "extendedness": np.zeros(200),
    }  # fmt: skip


@pytest.fixture
def simulate_visits():
    """Stars seen in several visits, with a known scatter to the east and north: a table as the command reads it."""

    def make(centre, n_objects=500, n_visits=10, scatter_mas=10.0, *, width_arcmin=24.0, seen=0.8, outliers=0.0,
             motion_mas_yr=0.0, with_reference=False, seed=1):  # fmt: skip
        rng = np.random.default_rng(seed)
        half = 30.0 * width_arcmin
        ra0, dec0 = tangent_to_sky(*rng.uniform(-half, half, (2, n_objects)), centre)
        motion = rng.normal(0, 1, (2, n_objects)) * motion_mas_yr
        there = rng.random((n_objects, n_visits)) < seen
        star, visit = np.nonzero(there)
        years = np.linspace(0.0, 3.0, n_visits)[visit]
        step = motion[:, star] * years + rng.normal(0, 1, (2, len(star))) * np.reshape(scatter_mas, (-1, 1))
        step = step + (rng.random(len(star)) < outliers) * rng.normal(0, 2000, (2, len(star)))
        ra, dec = np.empty(len(star)), np.empty(len(star))
        for k in range(n_objects):
            rows = star == k
            ra[rows], dec[rows] = tangent_to_sky(*(step[:, rows] / 1e3), (ra0[k], dec0[k]))
        frame = pd.DataFrame({"visit": visit + 2026112100001, "object_id": star, "ra": ra, "dec": dec, "mag": 19.0,
                              "snr": 200.0, "epoch": 2026.0 + years})  # fmt: skip
        if not with_reference:
            return frame
        nothing = np.full(n_objects, 18.0)
        return frame, ReferenceStars(ra0, dec0, motion[0], motion[1], np.full(n_objects, 2026.0), nothing)

    return make
