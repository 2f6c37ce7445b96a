from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.images import CalibratedImage, MaskPlane
from lsst_commtools.pipeline.detect import find_sources
from lsst_commtools.pipeline.measure import measure_image


@pytest.fixture(scope="module")
def measured(star_field):
    measurement = measure_image(star_field.image, 2026112000012, 4)
    tree = cKDTree(np.column_stack([star_field.x, star_field.y]))
    distance, index = tree.query(np.column_stack([measurement.sources.x, measurement.sources.y]))
    return measurement, distance, index


def test_all_stars_are_found_and_nothing_else(measured, star_field):
    _, distance, index = measured
    assert (distance < 0.5).all()
    assert len(set(index)) == len(star_field.x)


def test_positions_and_fluxes_are_right_within_their_errors(measured, star_field):
    measurement, _, index = measured
    sources = measurement.sources
    clean = ~(sources.edge | sources.blended)
    for found, truth, error in (
        (sources.x, star_field.x[index], sources.x_err),
        (sources.y, star_field.y[index], sources.y_err),
    ):
        pull = (found - truth)[clean] / error[clean]
        assert abs(np.median(pull)) < 0.3
        assert 0.75 < 1.4826 * np.median(np.abs(pull)) < 1.3
    # An aperture of 1.5 FWHM radius holds all but 0.2 % of a Gaussian.
    ratio = (sources.flux / star_field.flux[index])[clean & (sources.snr > 100)]
    assert np.median(ratio) == pytest.approx(1, abs=0.01)


def test_the_psf_is_recovered_and_the_model_knows_it_everywhere(measured, star_field):
    measurement, _, _ = measured
    ixx, iyy, ixy = star_field.moments
    for found, truth in (
        (measurement.model_ixx, ixx),
        (measurement.model_iyy, iyy),
        (measurement.model_ixy, ixy),
    ):
        assert np.abs(found - truth).max() < 0.15
        assert np.median(found) == pytest.approx(truth, abs=0.03)


def test_reserved_stars_never_give_the_model(measured, star_field):
    measurement, _, _ = measured
    assert measurement.reserved.sum() == round(0.2 * measurement.candidate.sum())
    assert not (measurement.used & measurement.reserved).any()
    assert not (measurement.used & ~measurement.candidate).any()
    spoiled = CalibratedImage(star_field.image.image.copy(), star_field.image.variance, star_field.image.mask)
    for x, y in zip(
        measurement.sources.x[measurement.reserved], measurement.sources.y[measurement.reserved], strict=True
    ):
        row, column = round(y), round(x)
        # 2 % wider along x: still on the locus, so that the same stars are candidates.
        stamp = spoiled.image[row - 4 : row + 5, column - 4 : column + 5]
        stamp += 0.01 * (np.roll(stamp, 2, axis=1) - stamp)
    again = measure_image(spoiled, 2026112000012, 4)
    assert np.array_equal(again.reserved, measurement.reserved)
    assert np.allclose(again.model_ixx, measurement.model_ixx, rtol=1e-3)


def test_flags_follow_the_mask(star_field):
    image = CalibratedImage(star_field.image.image, star_field.image.variance, star_field.image.mask.copy())
    sources, _ = find_sources(image)
    for number, plane in ((10, MaskPlane.SAT), (20, MaskPlane.CR)):
        image.mask[round(sources.y[number]), round(sources.x[number])] = int(plane)
    again, _ = find_sources(image)
    assert again.saturated.sum() == 1
    assert again.cosmic_ray.sum() == 1
    image.mask[:, :256] = int(MaskPlane.NO_DATA)
    half, _ = find_sources(image)
    assert (half.x > 255).all()
    assert half.edge[half.x < 262].all()


def test_an_empty_field_is_a_failure_with_a_reason():
    random = np.random.default_rng(2)
    shape = (128, 128)
    blank = CalibratedImage(
        random.normal(400, 20, shape).astype(np.float32),
        np.full(shape, 400, np.float32),
        np.zeros(shape, np.int32),
    )
    measurement = measure_image(blank, 1, 1)
    assert len(measurement.sources) == 0
    assert measurement.failure == "no PSF star among 0 sources"


def test_an_image_without_pixels_is_refused():
    shape = (64, 64)
    none = np.zeros(shape, np.float32)
    with pytest.raises(DataError, match="No pixel"):
        measure_image(CalibratedImage(none, none, np.full(shape, int(MaskPlane.NO_DATA), np.int32)), 1, 1)


def test_pixels_that_are_not_numbers_do_not_spread(star_field):
    from lsst_commtools.pipeline.isr import apply_calibrations

    image = CalibratedImage(star_field.image.image.copy(), star_field.image.variance, star_field.image.mask)
    image.image[100:110, 100:110] = np.nan
    clean = apply_calibrations(image, None, None)
    assert (clean.mask[100:110, 100:110] == int(MaskPlane.BAD)).all()
    assert measure_image(clean, 1, 1).candidate.sum() > 80


def test_a_source_with_too_many_parts_is_kept_whole(star_field, monkeypatch):
    import sep

    extract = sep.extract

    def overflow(*args, deblend_cont, **more):
        if deblend_cont < 1:
            raise ValueError("object deblending overflow: limit of 1024 sub-objects reached")
        return extract(*args, deblend_cont=deblend_cont, **more)

    monkeypatch.setattr("lsst_commtools.pipeline.detect.sep.extract", overflow)
    assert len(find_sources(star_field.image)[0]) > 100
    monkeypatch.setattr("lsst_commtools.pipeline.detect.sep.extract", lambda *_, **__: 1 / 0)
    with pytest.raises(DataError, match="cannot be told apart: division by zero"):
        find_sources(star_field.image)
