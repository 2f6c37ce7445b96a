from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.pipeline.cosmics import fill_pixels, find_cosmic_rays


def everywhere(image):
    return np.ones(image.shape, dtype=bool)


def test_stars_are_not_hit(star_field):
    image = star_field.image
    assert find_cosmic_rays(image.image, image.variance, everywhere(image.image)).sum() <= 2


def test_tracks_and_points_are_found(star_field):
    random = np.random.default_rng(3)
    pixels = star_field.image.image.copy()
    put = np.zeros(pixels.shape, dtype=bool)
    for _ in range(30):
        row, column = random.integers(5, 470, 2)
        angle, length = random.uniform(0, np.pi), random.integers(1, 25)
        steps = np.arange(length)
        put[
            row + np.rint(steps * np.sin(angle)).astype(int),
            column + np.rint(steps * abs(np.cos(angle))).astype(int),
        ] = True
    pixels[put] += 3000
    hit = find_cosmic_rays(pixels, star_field.image.variance, everywhere(pixels))
    assert hit[put].mean() > 0.97
    assert (hit & ~put).sum() <= 5


@settings(max_examples=25, deadline=None)
@given(fwhm=st.floats(2.8, 12.0), x=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5), peak=st.floats(1e3, 9e4))
def test_no_star_that_is_wide_enough_is_hit(fwhm, x, y, peak):
    rows, columns = np.mgrid[-20:21, -20:21]
    light = peak * np.exp(-4 * np.log(2) * ((columns - x) ** 2 + (rows - y) ** 2) / fwhm**2)
    image = (light + 400).astype(np.float32)
    assert not find_cosmic_rays(image, image + 36, everywhere(image)).any()


def test_pixels_that_may_not_be_judged_are_left_alone():
    image = np.full((20, 20), 400, np.float32)
    image[10, 10] = 5000
    usable = everywhere(image)
    usable[10, 10] = False
    assert not find_cosmic_rays(image, image, usable).any()
    assert not find_cosmic_rays(image[:2], image[:2], usable[:2]).any()
    assert not find_cosmic_rays(image, image, np.zeros_like(usable)).any()


def test_hits_are_filled_from_around():
    image = np.full((20, 20), 400, np.float32)
    image[10, 10:13] = 5000
    bad = image > 1000
    fill_pixels(image, bad, everywhere(image))
    assert image == pytest.approx(400)
