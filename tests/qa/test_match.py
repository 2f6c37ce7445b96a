from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import DataError
from lsst_commtools.qa import match
from lsst_commtools.qa.match import match_pattern, match_sky
from lsst_commtools.qa.projection import tangent_to_sky, unit_vectors


def brute_force(ra1, dec1, ra2, dec2, radius_arcsec):
    chord = np.linalg.norm(unit_vectors(ra1, dec1)[:, None] - unit_vectors(ra2, dec2)[None], axis=2)
    separation = np.degrees(2 * np.arcsin(chord / 2)) * 3600
    first, second = separation.argmin(axis=1), separation.argmin(axis=0)
    return [(i, j) for i, j in enumerate(first) if second[j] == i and separation[i, j] <= radius_arcsec]


@pytest.mark.parametrize("grid", [False, True])
@given(
    st.integers(0, 2**31),
    st.floats(0, 360),
    st.floats(-90, 90),
    st.integers(1, 60),
    st.integers(1, 60),
    st.floats(1.0, 200.0),
)
@settings(deadline=None, max_examples=40)
def test_matching_equals_brute_force(grid, seed, ra0, dec0, n1, n2, radius):
    rng = np.random.default_rng(seed)
    sky1 = tangent_to_sky(*rng.uniform(-300, 300, (2, n1)), (ra0, dec0))
    sky2 = tangent_to_sky(*rng.uniform(-300, 300, (2, n2)), (ra0, dec0))
    original, match._GRID_FROM = match._GRID_FROM, 0 if grid else 10**9
    try:
        index1, index2, separation = match_sky(*sky1, *sky2, radius)
    finally:
        match._GRID_FROM = original
    assert list(zip(index1, index2, strict=True)) == brute_force(*sky1, *sky2, radius)
    assert (separation <= radius).all()


@pytest.mark.parametrize("grid_from", [0, 10**9])
def test_whole_sphere_matches(monkeypatch, grid_from):
    monkeypatch.setattr(match, "_GRID_FROM", grid_from)
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(4000, 3))
    ra = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360
    dec = np.degrees(np.arcsin(vectors[:, 2] / np.linalg.norm(vectors, axis=1)))
    order = rng.permutation(4000)
    index1, index2, separation = match_sky(ra, dec, ra[order] - 360, dec[order], 1.0)
    assert (order[index2] == index1).all()
    assert len(index1) == 4000
    assert separation.max() < 1e-6


@pytest.mark.parametrize("grid_from", [0, 10**9])
def test_nothing_and_nan_match_nothing(monkeypatch, grid_from):
    monkeypatch.setattr(match, "_GRID_FROM", grid_from)
    assert [len(v) for v in match_sky([], [], [1.0], [1.0], 5.0)] == [0, 0, 0]
    index1, index2, _ = match_sky([np.nan, 10.0], [0.0, 0.0], [10.0, np.nan, 10.0], [0.001, 0.0, 0.0], 5.0)
    assert (list(index1), list(index2)) == ([1], [2])


def test_separation_is_true_at_the_pole():
    index1, _, separation = match_sky([0.0], [89.9999], [180.0], [89.9999], 2.0)
    assert len(index1) == 1
    assert separation[0] == pytest.approx(0.72, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_pattern_finds_shift_and_rotation(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-400, 400, (2, 150))
    shift, angle = rng.uniform(-42, 42, 2), np.radians(rng.uniform(-0.4, 0.4))
    reference_x = np.cos(angle) * x - np.sin(angle) * y + shift[0]
    reference_y = np.sin(angle) * x + np.cos(angle) * y + shift[1]
    seen = rng.random(150) < 0.7
    measured = np.concatenate(
        [np.stack([x, y])[:, seen] + rng.normal(0, 0.05, (2, seen.sum())), rng.uniform(-400, 400, (2, 40))],
        axis=1,
    )
    found = match_pattern(measured[0], measured[1], reference_x, reference_y)
    assert (found.dx_arcsec, found.dy_arcsec) == pytest.approx(tuple(shift), abs=0.1)
    assert found.rotation_deg == pytest.approx(np.degrees(angle), abs=0.01)
    assert abs(len(found.index) - seen.sum()) <= 3
    moved = found.apply(measured[0], measured[1])
    assert (
        np.hypot(
            moved[0][found.index] - reference_x[found.reference_index],
            moved[1][found.index] - reference_y[found.reference_index],
        ).max()
        < 1.0
    )


@pytest.mark.parametrize("seed", range(5))
def test_pattern_does_not_find_what_is_not_there(seed):
    rng = np.random.default_rng(seed)
    with pytest.raises(DataError):
        match_pattern(*rng.uniform(-400, 400, (2, 150)), *rng.uniform(-400, 400, (2, 150)))
    with pytest.raises(DataError, match="three"):
        match_pattern([1.0], [1.0], [1.0], [1.0])
