"""Bias, dark and flat against the last ones: the stable is good, a change is named, one alone is unknown."""

from __future__ import annotations

import numpy as np
import pytest

from lsst_commtools.errors import InputError
from lsst_commtools.instrument.images import CalibratedImage, MaskPlane
from lsst_commtools.qa.calibrations import (
    CALIBRATION_KINDS,
    CALIBRATION_LIMITS,
    judge_calibration,
    measure_calibration,
)
from lsst_commtools.qa.limits import Status

SHAPE = (256, 320)
NOISE = {"bias": 4.0, "dark": 0.2, "flat": 0.005}
LEVEL = {"bias": 1.5, "dark": 0.03, "flat": 1.0}


def frame(kind, seed, *, shape=SHAPE):
    """One frame with fixed structure and a noise of its own."""
    structure = np.random.default_rng(7).normal(0, 0.5 * NOISE[kind], shape)
    pixels = LEVEL[kind] + structure + np.random.default_rng(seed).normal(0, NOISE[kind], shape)
    variance = np.full(shape, NOISE[kind] ** 2, dtype=np.float32)
    return CalibratedImage(pixels.astype(np.float32), variance, np.zeros(shape, dtype=np.int32))


@pytest.mark.parametrize("kind", CALIBRATION_KINDS)
def test_a_stable_frame_is_good_and_one_alone_is_unknown(kind):
    verdict = judge_calibration(kind, frame(kind, 1), frame(kind, 2))
    assert verdict.status is Status.GOOD, verdict.reasons
    assert verdict.reasons == ()
    assert set(verdict.figures) == set(CALIBRATION_LIMITS[kind])
    assert verdict.figures["change_over_noise"] == pytest.approx(1.0, abs=0.03)

    alone = judge_calibration(kind, frame(kind, 1))
    assert alone.status is Status.UNKNOWN
    assert alone.reasons == (f"there is no certified {kind} to compare with",)
    assert alone.figures["change_over_noise"] is None


@pytest.mark.parametrize("kind", CALIBRATION_KINDS)
def test_a_dead_amplifier_is_bad(kind):
    new = frame(kind, 1)
    new.mask[:128, :40] |= int(MaskPlane.BAD)
    verdict = judge_calibration(kind, new, frame(kind, 2))
    assert verdict.status is Status.BAD
    assert verdict.figures["new_bad_pixel_percent"] == pytest.approx(6.25)
    assert any(reason.startswith("new_bad_pixel_percent 6.25 is more than 5") for reason in verdict.reasons)
    # The night after, it is no news, and only as much of a warning as it is large.
    again = judge_calibration(kind, new, new)
    assert again.statuses["new_bad_pixel_percent"] is Status.GOOD
    assert again.statuses["bad_pixel_percent"] is Status.WARNING


@pytest.mark.parametrize(
    ("kind", "change", "metric", "status"),
    [
        ("bias", lambda x: x + 2.0, "level_change_electron", Status.WARNING),
        ("bias", lambda x: x + 30.0, "level_change_electron", Status.BAD),
        ("bias", lambda x: x + np.linspace(0, 25, SHAPE[1]), "gradient_change_electron", Status.BAD),
        ("bias", lambda x: 6 * x, "noise_electron", Status.BAD),
        ("dark", lambda x: x + 0.5, "level_change_electron_per_s", Status.BAD),
        (
            "dark",
            lambda x: x + 3.0 * (np.arange(SHAPE[0])[:, None] > 128),
            "gradient_electron_per_s",
            Status.BAD,
        ),
        ("flat", lambda x: 1.2 * x, "level", Status.BAD),
        ("flat", lambda x: x * np.linspace(0.98, 1.02, SHAPE[1]), "ratio_gradient_percent", Status.BAD),
        ("flat", lambda x: x * np.linspace(0.995, 1.005, SHAPE[1]), "ratio_gradient_percent", Status.WARNING),
    ],
)
def test_what_changed_is_named(kind, change, metric, status):
    new = frame(kind, 1)
    new.image[:] = change(new.image)
    verdict = judge_calibration(kind, new, frame(kind, 2))
    assert verdict.statuses[metric] is status
    assert verdict.status in (status, Status.BAD)
    assert any(reason.startswith(metric) for reason in verdict.reasons)


def test_new_hot_pixels_and_dust_are_counted():
    dark = frame("dark", 1)
    dark.image[::10, ::10] = 20.0
    figures = measure_calibration("dark", dark, frame("dark", 2))
    share = 100 * 26 * 32 / dark.image.size
    assert figures["new_hot_pixel_percent"] == pytest.approx(share)
    assert figures["hot_pixel_percent"] == pytest.approx(share)
    flat = frame("flat", 1)
    flat.image[100:140, 100:140] *= 0.9
    figures = measure_calibration("flat", flat, frame("flat", 2))
    assert figures["ratio_outlier_percent"] == pytest.approx(100 * 1600 / flat.image.size, rel=0.02)


def test_a_flat_of_the_wrong_filter_is_bad():
    rows, columns = np.indices(SHAPE)
    other = frame("flat", 1)
    other.image *= (1 + 0.04 * np.sin(rows / 20) * np.cos(columns / 30)).astype(np.float32)
    assert judge_calibration("flat", other, frame("flat", 2)).status is Status.BAD


def test_what_cannot_be_compared_is_unknown_and_what_is_empty_is_never_good():
    verdict = judge_calibration("bias", frame("bias", 1), frame("bias", 2, shape=(64, 64)))
    assert verdict.status is Status.UNKNOWN
    assert verdict.reasons == ("the last bias has another shape: (64, 64) instead of (256, 320)",)
    empty = frame("bias", 1)
    empty.mask[:] = int(MaskPlane.BAD)
    verdict = judge_calibration("bias", empty, frame("bias", 2))
    assert verdict.status is Status.BAD
    assert verdict.figures["level_electron"] is None
    broken = frame("flat", 1)
    broken.image[:] = np.nan
    assert judge_calibration("flat", broken, frame("flat", 2)).status is Status.BAD
    with pytest.raises(InputError, match="'fringe' is no calibration"):
        judge_calibration("fringe", empty)


def test_the_verdict_is_plain_values():
    document = judge_calibration("flat", frame("flat", 1)).to_dict()
    assert document["status"] == "unknown"
    assert document["statuses"]["ratio_scatter_percent"] == "unknown"
    assert document["figures"]["ratio_scatter_percent"] is None
