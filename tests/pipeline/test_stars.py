from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.pipeline.stars import StarSettings, choose_reserved, find_extended, select_psf_stars


def population(seed=1, stars=80, galaxies=60):
    random = np.random.default_rng(seed)
    snr = np.concatenate([10 ** random.uniform(1.2, 3.0, stars), 10 ** random.uniform(1.2, 2.5, galaxies)])
    size = np.concatenate([np.full(stars, 1.8), random.uniform(2.2, 6.0, galaxies)])
    size *= 1 + random.normal(0, 1, snr.size) / np.maximum(snr, 1)
    return size, snr, np.arange(snr.size) < stars


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_locus_is_found_among_galaxies(seed):
    size, snr, is_star = population(seed)
    chosen = select_psf_stars(size, snr, np.ones(size.size, bool))
    assert chosen.sum() >= 15
    assert is_star[chosen].mean() > 0.9
    assert (snr[chosen] >= 20).all()


def test_flagged_and_unmeasured_sources_are_never_chosen():
    size, snr, _ = population()
    clean = np.arange(size.size) % 2 == 0
    size[::4] = np.nan
    chosen = select_psf_stars(size, snr, clean)
    assert chosen.any()
    assert not chosen[~clean].any()
    assert not chosen[::4].any()


def test_few_bright_stars_are_completed_by_fainter_ones_but_not_by_noise():
    snr = np.array([80.0, 70.0, *np.linspace(45, 21, 30), *np.linspace(19, 5, 30)])
    chosen = select_psf_stars(np.full(snr.size, 2.0), snr, np.ones(snr.size, bool), StarSettings())
    assert chosen.sum() == 20
    assert snr[chosen].min() >= 20


def test_nothing_gives_nothing():
    empty = np.empty(0)
    assert not select_psf_stars(empty, empty, np.empty(0, bool)).any()
    assert np.isnan(find_extended(np.ones(3), np.ones(3), np.zeros(3, bool))).all()


def test_galaxies_are_extended():
    size, snr, is_star = population()
    bright = snr > 50
    extended = find_extended(size, snr, select_psf_stars(size, snr, np.ones(size.size, bool)))
    assert extended[bright & ~is_star].mean() > 0.95
    assert extended[bright & is_star].mean() < 0.05


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 300), st.integers(1, 2**40), st.integers(0, 188))
def test_a_fifth_is_reserved_by_data_id_alone(number, visit, detector):
    stars = np.ones(number, bool)
    reserved = choose_reserved(stars, visit, detector)
    assert reserved.sum() == (round(0.2 * number) if number >= 5 else 0)
    assert np.array_equal(reserved, choose_reserved(stars, visit, detector))


def test_other_images_reserve_other_stars():
    stars = np.ones(100, bool)
    assert not np.array_equal(choose_reserved(stars, 1, 0), choose_reserved(stars, 1, 1))
    assert not np.array_equal(choose_reserved(stars, 1, 0), choose_reserved(stars, 2, 0))
