from __future__ import annotations

import numpy as np
import pytest

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.images import CalibratedImage, MaskPlane
from lsst_commtools.pipeline.combine import combine_bias, combine_dark, combine_flat


def frames(level, noise, number=5, shape=(40, 50), seed=5):
    random = np.random.default_rng(seed)
    return [
        CalibratedImage(
            (level + random.normal(0, noise, shape)).astype(np.float32),
            np.full(shape, noise**2, np.float32),
            np.zeros(shape, np.int32),
        )
        for _ in range(number)
    ]


def test_the_noise_falls_and_a_hit_is_left_out():
    images = frames(3.0, 6.0)
    images[2].image[10, 10] += 5000
    bias = combine_bias(images)
    assert bias.image.mean() == pytest.approx(3.0, abs=0.3)
    assert bias.image.std() == pytest.approx(6.0 / np.sqrt(5), rel=0.06)
    assert bias.variance[0, 0] == pytest.approx(36 / 5, rel=1e-3)
    assert abs(bias.image[10, 10]) < 20
    assert bias.variance[10, 10] == pytest.approx(36 / 4, rel=1e-3)


def test_a_flat_has_a_median_of_one_whatever_the_lamp():
    response = np.linspace(0.7, 1.3, 2000).reshape(40, 50)
    images = [f for level in (10_000, 20_000, 40_000) for f in frames(level * response, 100.0, 1, seed=level)]
    flat = combine_flat(images)
    assert np.median(flat.image) == pytest.approx(1, abs=2e-3)
    assert flat.image == pytest.approx(response, abs=0.03)


def test_what_is_bad_in_most_frames_is_bad():
    images = frames(10_000, 100.0, 3)
    images[0].mask[5, 5] = images[1].mask[5, 5] = images[2].mask[6, 6] = int(MaskPlane.NO_DATA)
    flat = combine_flat(images)
    assert flat.mask[5, 5] == int(MaskPlane.BAD)
    assert flat.image[5, 5] == 1
    assert flat.mask[6, 6] == 0


def test_what_cannot_be_combined_is_refused():
    with pytest.raises(DataError, match="no image"):
        combine_bias([])
    with pytest.raises(DataError, match="different shapes"):
        combine_bias([*frames(0, 5, 1), *frames(0, 5, 1, (20, 20))])
    with pytest.raises(DataError, match="Flat number 1 of 2 has no light"):
        combine_flat(frames(-50, 5, 2))
    dark = frames(0, 5, 1)
    dark[0].mask[:] = int(MaskPlane.NO_DATA)
    with pytest.raises(DataError, match="No pixel"):
        combine_flat(dark)


def test_a_dark_is_a_rate_whatever_the_times():
    times = [10.0, 30.0, 60.0]
    images = [f for k, t in enumerate(times) for f in frames(0.5 * t, 1.0, 1, seed=k)]
    images[2].image[10, 10] += 5000
    dark = combine_dark(images, times)
    assert np.median(dark.image) == pytest.approx(0.5, abs=0.01)
    assert dark.image[10, 10] == pytest.approx(0.5, abs=0.3)
    expected = sum(1 / t**2 for t in times) / 9
    assert dark.variance[0, 0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_dark_needs_times(seconds):
    with pytest.raises(DataError, match="Dark number 1 of 1 has a dark time of"):
        combine_dark(frames(0, 5, 1), [seconds])
    with pytest.raises(DataError, match="2 darks have 1 dark times"):
        combine_dark(frames(0, 5, 2), [1.0])
