"""Detectors and optics: from light to numbers, and where and how stars fall."""

from __future__ import annotations

import galsim
import numpy as np
import pytest

from lsst_commtools.instrument.images import Amplifier, RawImage
from lsst_commtools.instrument.raws import assemble
from lsst_commtools.simulate.camera import (
    FULL_WELL_ELECTRONS,
    PRESCAN_COLUMNS,
    SensorModel,
    add_cosmic_rays,
    bloom,
    expose,
    read_out,
    segments_of,
    sensor_model,
)
from lsst_commtools.simulate.faults import Fault
from lsst_commtools.simulate.hsm import HSM_FWHM_PER_FWHM, hsm_fwhm_pixels
from lsst_commtools.simulate.optics import mean_pixel_scale_arcsec, pixel_scale_arcsec, visit_optics
from lsst_commtools.simulate.plan import make_plan
from lsst_commtools.simulate.scene import blur_kernel, draw_scene, place_stars, sky_electrons
from lsst_commtools.simulate.truth import centroid_error_mas, expected_mad


def plan_of(**changes):
    parameters = {
        "camera": "ComCam", "day_obs": 20261120, "visits": 2, "biases": 0, "flats": 0, "seed": 5,
        "size": (512, 512), "seeing_arcsec": 0.7, "jitter_mas": 10.0, "detectors": (0, 4, 8), "faults": (),
    }  # fmt: skip
    return make_plan(**(parameters | changes))


@pytest.fixture(scope="module")
def plan():
    return plan_of()


@pytest.fixture(scope="module")
def optics(plan):
    return visit_optics(plan, plan.exposures[0])


def test_sections_of_a_full_sensor_are_those_of_real_headers():
    segments = {segment.name: segment for segment in segments_of((4000, 4072))}
    assert segments["C10"].detsec == "[509:1,1:2000]"
    assert segments["C10"].datasec == "[4:512,1:2000]"
    assert segments["C07"].detsec == "[4072:3564,4000:2001]"
    assert list(segments)[:1] + list(segments)[7:9] + list(segments)[15:] == ["C10", "C17", "C07", "C00"]


@pytest.mark.parametrize("shape", [(512, 512), (128, 1024), (4000, 4072)])
def test_segments_tile_the_detector(shape):
    hits = np.zeros(shape, dtype=int)
    for segment in segments_of(shape):
        hits[segment.detector_section] += 1
    assert np.all(hits == 1)


def test_what_is_read_is_what_was_exposed():
    """A noiseless detector gives back each pixel at its place."""
    shape = (64, 64)
    electrons = np.arange(64 * 64, dtype=np.float32).reshape(shape)
    model = SensorModel(
        gain=np.ones(16),
        read_noise_electron=np.zeros(16),
        offset_adu=np.full(16, 1000.0),
        response=np.ones(shape, dtype=np.float32),
        bias_pattern_adu=np.zeros((16, 48, 43), dtype=np.float32),
    )

    class NoDrift:
        standard_normal = staticmethod(np.zeros)
        normal = staticmethod(lambda mean, sigma: 0.0)

    read = read_out(electrons, model, NoDrift())
    amplifiers = tuple(
        Amplifier(
            segment.name, data, (slice(0, 32), slice(PRESCAN_COLUMNS, PRESCAN_COLUMNS + 8)),
            segment.detector_section, flip_x=True, flip_y=segment.upper, gain=1.0,
        )
        for segment, data in zip(segments_of(shape), read, strict=True)
    )  # fmt: skip
    assert np.array_equal(assemble(RawImage({}, amplifiers, shape)), electrons + 1000.0)


def test_photon_noise_and_response(plan):
    detector = plan.detectors[2]
    model = sensor_model(plan, detector)
    flat = expose(10_000.0, model, np.random.default_rng(1)) / model.response
    assert np.mean(flat) == pytest.approx(10_000.0, rel=1e-3)
    assert np.std(flat) == pytest.approx(100.0, rel=0.06)
    grain = model.response / np.median(model.response)
    assert 0.004 < np.std(grain) < 0.02
    middle = sensor_model(plan, plan.detectors[1])
    assert np.median(middle.response) > np.median(model.response) + 0.01, "the corner is vignetted"


def test_overscan_gives_level_and_noise(plan):
    model = sensor_model(plan, plan.detectors[0])
    read = read_out(np.zeros(plan.shape, dtype=np.float32), model, np.random.default_rng(1))
    for data, gain, noise, offset in zip(
        read, model.gain, model.read_noise_electron, model.offset_adu, strict=True
    ):
        overscan = data[:, -28:].astype(float)
        assert np.median(overscan) == pytest.approx(offset, abs=15.0)
        rows = overscan - overscan.mean(axis=1, keepdims=True)
        assert np.std(rows) * gain == pytest.approx(noise, rel=0.06)


def test_a_dead_amplifier_sees_nothing(plan):
    model = sensor_model(plan, plan.detectors[0])
    light = np.full(plan.shape, 20_000.0, dtype=np.float32)
    read = read_out(light, model, np.random.default_rng(1), "C05")
    names = [segment.name for segment in segments_of(plan.shape)]
    for name, data, offset in zip(names, read, model.offset_adu, strict=True):
        signal = np.median(data[:100, 10:50]) - offset
        assert (signal < 20.0) == (name == "C05")


def test_bloom_keeps_the_charge_and_the_column():
    image = np.zeros((200, 20), dtype=np.float32)
    image[48:53, 7] = 3.0 * FULL_WELL_ELECTRONS
    total = float(image.sum())
    bloom(image)
    assert image.max() <= FULL_WELL_ELECTRONS
    assert float(image.sum()) == pytest.approx(total, rel=1e-5)
    assert np.flatnonzero(image.any(axis=0)).tolist() == [7]
    rows = np.flatnonzero(image[:, 7])
    assert rows.min() == 43
    assert rows.max() == 57


def test_bloom_stays_in_its_half():
    image = np.zeros((100, 8), dtype=np.float32)
    image[49, 3] = 10.0 * FULL_WELL_ELECTRONS
    bloom(image)
    assert np.all(image[50:] == 0.0)


def test_cosmic_rays_are_sharp_and_as_many_as_the_time():
    random = np.random.default_rng(1)
    hits = []
    for time_s in (0.0, 30.0, 3000.0):
        image = np.zeros((1024, 1024), dtype=np.float32)
        add_cosmic_rays(image, time_s, random)
        hits.append(np.count_nonzero(image))
    assert hits[0] == 0
    assert 0 < hits[1] < hits[2]
    assert hits[2] < 0.01 * 1024 * 1024


def test_the_true_wcs_turns_back_and_bends_by_pixels(plan, optics):
    for detector in plan.detectors:
        wcs = optics.true_wcs(detector)
        x, y = np.meshgrid(np.linspace(0, 511, 9), np.linspace(0, 511, 9))
        x, y = x.ravel(), y.ravel()
        ra, dec = wcs.all_pix2world(x, y, 0)
        back = wcs.all_world2pix(ra, dec, 0, tolerance=1e-7)
        assert np.allclose(back, (x, y), atol=1e-5)
        straight_x, straight_y = wcs.wcs_world2pix(ra, dec, 0)
        bend = np.hypot(straight_x - x, straight_y - y)
        assert 0.3 < bend.max() < 12.0
        assert pixel_scale_arcsec(wcs) == pytest.approx(0.2, rel=5e-4)


def test_the_mean_scale_is_that_of_the_sky_area(plan, optics):
    for detector in plan.detectors:
        wcs = optics.true_wcs(detector)
        middles = np.arange(64) * 8.0 + 3.5
        x, y = (part.ravel() for part in np.meshgrid(middles, middles))
        corners = [
            np.stack(wcs.wcs_world2pix(*wcs.all_pix2world(x + dx, y + dy, 0), 0))
            for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        (ax, ay), (bx, by) = corners[2] - corners[0], corners[3] - corners[1]
        ratio = np.sqrt(np.mean(np.abs(ax * by - ay * bx)) / 8.0)
        assert mean_pixel_scale_arcsec(wcs) == pytest.approx(pixel_scale_arcsec(wcs) * ratio, rel=2e-5)


def test_the_pointing_error_is_the_stated_one(plan, optics):
    """The middle of the field lies off the header's boresight by the truth's offset."""
    detector = plan.detectors[1]
    middle = [[255.5, 255.5]]
    promised = optics.nominal_wcs(detector).wcs_pix2world(middle, 0)[0]
    real = optics.true_wcs(detector).all_pix2world(middle, 0)[0]
    north = (real[1] - promised[1]) * 3600.0
    east = ((real[0] - promised[0] + 180) % 360 - 180) * 3600.0 * np.cos(np.radians(promised[1]))
    assert north == pytest.approx(optics.offset_dec_arcsec, abs=0.01)
    assert east == pytest.approx(optics.offset_ra_arcsec, abs=0.01)
    assert promised[0] == pytest.approx(plan.exposures[0].ra_deg, abs=1e-6)


def test_the_distortion_belongs_to_the_detector(plan):
    first, second = (visit_optics(plan, exposure) for exposure in plan.exposures)
    a, b = first.true_wcs(plan.detectors[0]), second.true_wcs(plan.detectors[0])
    assert np.array_equal(a.sip.a, b.sip.a)
    assert not np.array_equal(a.wcs.cd, b.wcs.cd)
    assert not np.array_equal(a.sip.a, first.true_wcs(plan.detectors[1]).sip.a)


def test_hsm_finds_ellipticity_unbiased_and_size_by_a_constant_factor():
    for fwhm, e1, e2 in ((3.0, 0.0, 0.0), (4.0, 0.1, -0.05), (7.0, -0.03, 0.08)):
        size, found1, found2 = hsm_fwhm_pixels(fwhm, e1, e2, None)
        # det(M) belongs to the profile, T grows with the ellipticity.
        expected = HSM_FWHM_PER_FWHM * fwhm / (1.0 - e1**2 - e2**2) ** 0.25
        assert size == pytest.approx(expected, rel=1e-3)
        assert found1 == pytest.approx(e1, abs=2e-4)
        assert found2 == pytest.approx(e2, abs=2e-4)


def test_drawn_stars_have_the_moments_and_places_of_the_truth(plan, optics):
    scene = place_stars(optics, plan.detectors[0])
    image = galsim.Image(draw_scene(scene, plan), xmin=0, ymin=0)
    distance = np.hypot(scene.x[:, None] - scene.x, scene.y[:, None] - scene.y) + 1e9 * np.eye(len(scene.x))
    clear = (distance.min(axis=1) > 45) & (np.abs(scene.x - 255.5) < 220) & (np.abs(scene.y - 255.5) < 220)
    clear &= scene.stars.mag < 20.5
    assert clear.sum() >= 5
    for k in np.flatnonzero(clear):
        x, y = round(scene.x[k]), round(scene.y[k])
        stamp = image[galsim.BoundsI(x - 20, x + 20, y - 20, y + 20)]
        found = galsim.hsm.FindAdaptiveMom(stamp, guess_centroid=galsim.PositionD(scene.x[k], scene.y[k]))
        assert found.moments_centroid.x == pytest.approx(scene.x[k], abs=0.02)
        assert found.moments_centroid.y == pytest.approx(scene.y[k], abs=0.02)
        assert found.observed_e1 == pytest.approx(scene.e1[k], abs=0.004)
        assert found.observed_e2 == pytest.approx(scene.e2[k], abs=0.004)
        fwhm = 2.3548 * found.moments_sigma * 0.2 / HSM_FWHM_PER_FWHM
        assert fwhm == pytest.approx(scene.fwhm_arcsec[k], rel=0.01)
        assert stamp.array.sum() == pytest.approx(scene.flux_electron[k], rel=0.03)


def test_star_positions_are_the_true_wcs_plus_jitter():
    plan = plan_of(size=(1024, 1024))
    optics = visit_optics(plan, plan.exposures[1])
    detector = plan.detectors[2]
    scene = place_stars(optics, detector)
    assert 200 < len(scene.x) < 400
    wcs = optics.true_wcs(detector)
    ra, dec = wcs.all_pix2world(scene.x, scene.y, 0)
    east = ((ra - scene.stars.ra_deg + 180) % 360 - 180) * np.cos(np.radians(dec)) * 3.6e6
    north = (dec - scene.stars.dec_deg) * 3.6e6
    # The distortion's derivative is not applied to the jitter: 3 % of 10 mas at the edge.
    assert np.allclose(east, scene.jitter_ra_mas, atol=1.0)
    assert np.allclose(north, scene.jitter_dec_mas, atol=1.0)
    assert np.std(scene.jitter_ra_mas) == pytest.approx(10.0, rel=0.2)


def test_no_jitter_leaves_the_stars_on_the_wcs():
    plan = plan_of(jitter_mas=0.0)
    scene = place_stars(visit_optics(plan, plan.exposures[0]), plan.detectors[0])
    ra, dec = (
        visit_optics(plan, plan.exposures[0]).true_wcs(plan.detectors[0]).all_pix2world(scene.x, scene.y, 0)
    )
    assert np.allclose(dec, scene.stars.dec_deg, atol=1e-9)
    assert np.allclose((ra - scene.stars.ra_deg + 180) % 360 - 180, 0.0, atol=1e-9)


def test_blur_kernels_keep_the_light_and_the_place():
    for fault in (Fault.TRAILED_VISIT, Fault.DEFOCUSED_VISIT):
        kernel = blur_kernel(fault, 30.0)
        y, x = np.indices(kernel.shape) - kernel.shape[0] // 2
        assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
        assert abs((kernel * x).sum()) < 0.02
        assert abs((kernel * y).sum()) < 0.02
    trail = blur_kernel(Fault.TRAILED_VISIT, 30.0)
    y, x = np.indices(trail.shape) - trail.shape[0] // 2
    angle = 0.5 * np.degrees(np.arctan2(2 * (trail * x * y).sum(), (trail * (x * x - y * y)).sum()))
    assert angle == pytest.approx(30.0, abs=1.0)
    assert blur_kernel(None, 30.0) is None
    assert blur_kernel(Fault.DUPLICATE, 30.0) is None


def test_photon_noise_of_centroids_is_as_predicted():
    """Adaptive moments of noisy stars scatter about their places as the truth says."""
    plan = plan_of(size=(1024, 1024), detectors=(4,))
    scene = place_stars(visit_optics(plan, plan.exposures[0]), plan.detectors[0])
    sky = sky_electrons(plan, 30.0)
    light = draw_scene(scene, plan) + sky
    predicted = centroid_error_mas(scene, plan)
    inside = (np.abs(scene.x - 511.5) < 480) & (np.abs(scene.y - 511.5) < 480) & (scene.stars.mag > 18.5)
    pulls = []
    for seed in range(3):
        noise = np.random.default_rng(seed).standard_normal(light.shape, dtype=np.float32)
        noisy = light - sky + noise * np.sqrt(light + 6.5**2)
        image = galsim.Image(noisy.astype(np.float32), xmin=0, ymin=0)
        clean = galsim.Image((light - sky).astype(np.float32), xmin=0, ymin=0)
        for k in np.flatnonzero(inside):
            x, y = round(scene.x[k]), round(scene.y[k])
            bounds = galsim.BoundsI(x - 15, x + 15, y - 15, y + 15)
            both = [galsim.hsm.FindAdaptiveMom(part[bounds], strict=False) for part in (image, clean)]
            if not any(found.error_message for found in both):
                shift = both[0].moments_centroid - both[1].moments_centroid
                pulls += [200.0 * shift.x / predicted[k], 200.0 * shift.y / predicted[k]]
    assert 1.4826 * np.median(np.abs(pulls)) == pytest.approx(1.0, abs=0.1)


def test_expected_mad_of_equal_and_mixed_errors():
    assert expected_mad(np.full(10, 10.0)) == pytest.approx(10.0, rel=1e-4)
    assert expected_mad(np.zeros(3)) == 0.0
    mixed = np.concatenate([np.full(50, 5.0), np.full(50, 20.0)])
    sample = np.random.default_rng(1).standard_normal((4000, 100)) * mixed
    assert expected_mad(mixed) == pytest.approx(1.4826 * np.median(np.abs(sample)), rel=0.02)
