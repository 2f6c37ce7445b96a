from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.images import CalibratedImage, MaskPlane
from lsst_commtools.pipeline.isr import (
    IsrSettings,
    apply_calibrations,
    dark_time,
    read_out,
    subtract_overscan,
)


def gradient(shape=(60, 80)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return 500.0 + 3.0 * columns + 2.0 * rows


def test_amplifiers_come_back_in_place_with_flips_and_gains(make_raw):
    truth = gradient()
    image, amplifiers = read_out(make_raw(truth, noise=0.5))
    assert np.abs(image.image - truth).max() < 6.0
    assert np.median(image.image - truth) == pytest.approx(0, abs=0.5)
    assert [a.name for a in amplifiers] == ["C00", "C01"]
    assert not image.mask.any()


def test_read_noise_and_variance_are_those_put_in(make_raw):
    truth = np.full((200, 80), 900.0)
    image, amplifiers = read_out(make_raw(truth, noise=8.0))
    for amplifier in amplifiers:
        assert amplifier.read_noise_electron == pytest.approx(8.0, rel=0.06)
    assert np.median(image.variance) == pytest.approx(900 + 64, rel=0.02)


def test_rows_that_wander_are_followed(make_raw):
    truth = np.full((120, 80), 900.0)
    offsets = 30.0 * np.sin(np.arange(120) / 5.0)
    image, _ = read_out(make_raw(truth, noise=4.0, row_offsets=offsets))
    assert np.std(image.image.mean(axis=1)) < 2.0


def test_quiet_rows_get_one_level_and_no_noise_of_the_overscan(make_raw):
    raw = make_raw(np.full((120, 80), 900.0), noise=4.0)
    pixels, _, _ = subtract_overscan(raw.amplifiers[0])
    moved = pixels - raw.amplifiers[0].data[raw.amplifiers[0].data_section]
    assert np.ptp(moved) == 0


def test_a_dead_amplifier_is_masked_and_named(make_raw):
    image, amplifiers = read_out(make_raw(np.full((60, 80), 900.0), dead=1))
    assert not amplifiers[0].fault
    assert "no light" in amplifiers[1].fault
    bad = int(MaskPlane.BAD | MaskPlane.NO_DATA)
    assert (image.mask[:, 40:] & bad == bad).all()
    assert not image.mask[:, :40].any()


def test_a_bias_has_no_dead_amplifier(make_raw):
    _, amplifiers = read_out(make_raw(np.zeros((60, 80))))
    assert not any(a.fault for a in amplifiers)


def test_an_amplifier_with_one_value_is_named(make_raw):
    raw = make_raw(np.full((60, 80), 900.0))
    stuck = dataclasses.replace(raw.amplifiers[0], data=np.full_like(raw.amplifiers[0].data, 1234))
    _, amplifiers = read_out(dataclasses.replace(raw, amplifiers=(stuck, raw.amplifiers[1])))
    assert amplifiers[0].fault == "all pixels have one value"


def test_saturation_is_marked_and_grown(make_raw):
    truth = np.full((60, 80), 900.0)
    truth[30, 20] = 150_000.0
    image, _ = read_out(make_raw(truth), IsrSettings(saturation_growth_pixel=2))
    marked = (image.mask & int(MaskPlane.SAT)) != 0
    assert marked.sum() == 25
    assert marked[28:33, 18:23].all()


def test_amplifiers_without_overscan_use_the_prescan(make_raw):
    raw = make_raw(np.full((60, 80), 900.0))
    cut = [dataclasses.replace(a, data=a.data[:, : a.data_section[1].stop]) for a in raw.amplifiers]
    image, _ = read_out(dataclasses.replace(raw, amplifiers=tuple(cut)))
    assert np.median(image.image) == pytest.approx(900, abs=3)


def test_amplifiers_without_any_overscan_are_refused(make_raw):
    raw = make_raw(np.full((60, 80), 900.0))
    cut = [
        dataclasses.replace(a, data=a.data[a.data_section], data_section=(slice(0, 60), slice(0, 40)))
        for a in raw.amplifiers
    ]
    with pytest.raises(DataError, match="neither overscan nor prescan"):
        read_out(dataclasses.replace(raw, amplifiers=tuple(cut)))
    with pytest.raises(DataError, match="no amplifiers"):
        read_out(dataclasses.replace(raw, amplifiers=()))


def test_bias_and_flat_are_taken_out():
    shape = (20, 30)
    response = np.linspace(0.8, 1.2, 600, dtype=np.float32).reshape(shape)
    structure = np.linspace(-5, 5, 600, dtype=np.float32).reshape(shape)
    image = CalibratedImage(
        1000 * response + structure, np.full(shape, 1000, np.float32), np.zeros(shape, np.int32)
    )
    none = np.zeros(shape, np.float32)
    bias = CalibratedImage(structure, none + 4, np.zeros(shape, np.int32))
    flat = CalibratedImage(response.copy(), none, np.zeros(shape, np.int32))
    flat.image[3, 4] = 0.05
    result = apply_calibrations(image, bias, flat)
    good = (result.mask & int(MaskPlane.BAD)) == 0
    assert (~good).sum() == 1
    assert result.image[good] == pytest.approx(1000, rel=1e-5)
    assert result.variance[good] == pytest.approx((1004 / response**2)[good], rel=1e-5)
    assert image.image[0, 0] == pytest.approx(1000 * 0.8 - 5)


def test_calibrations_of_another_shape_are_refused():
    small = CalibratedImage(
        np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32), np.zeros((4, 4), np.int32)
    )
    large = CalibratedImage(
        np.zeros((4, 5), np.float32), np.zeros((4, 5), np.float32), np.zeros((4, 5), np.int32)
    )
    with pytest.raises(DataError, match="The bias has 5 x 4 pixels, the image 4 x 4"):
        apply_calibrations(small, large, None)


def test_the_dark_is_taken_out_as_often_as_there_were_seconds():
    shape = (20, 30)
    image = CalibratedImage(
        np.full(shape, 100.0, np.float32), np.full(shape, 4.0, np.float32), np.zeros(shape, np.int32)
    )
    dark = CalibratedImage(
        np.full(shape, 0.5, np.float32), np.full(shape, 0.01, np.float32), np.zeros(shape, np.int32)
    )
    dark.mask[3, 3] = int(MaskPlane.BAD)
    done = apply_calibrations(image, None, None, dark=dark, dark_time_s=30.0)
    assert done.image == pytest.approx(85.0)
    assert done.variance == pytest.approx(4.0 + 0.01 * 900)
    assert done.mask[3, 3] == int(MaskPlane.BAD)
    assert image.image == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"DARKTIME": 30.4, "EXPTIME": 30.0}, 30.4), ({"EXPTIME": 5}, 5.0), ({"DARKTIME": None, "EXPTIME": 1.0}, 1.0),
        ({"DARKTIME": "30"}, None), ({"DARKTIME": -1.0}, None), ({"DARKTIME": float("nan")}, None),
        ({"DARKTIME": True}, None), ({}, None),
    ],
)  # fmt: skip
def test_the_dark_time_is_read_from_hostile_headers(header, seconds):
    assert dark_time(header) == seconds
