"""Fixtures of the QA tests."""

from __future__ import annotations

import numpy as np
import pytest

from lsst_commtools.qa.projection import tangent_to_sky


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
