"""A small star field, drawn without the simulator, for tests of the algorithms."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lsst_commtools.instrument.images import Amplifier, CalibratedImage, RawImage

SKY = 400.0
READ_NOISE = 6.0


def gaussian(shape, x, y, flux, moments):
    """Samples of elliptical Gaussians."""
    image = np.zeros(shape)
    ixx, iyy, ixy = moments
    determinant = ixx * iyy - ixy**2
    reach = int(6 * np.sqrt(max(ixx, iyy)))
    for star_x, star_y, star_flux in zip(x, y, flux, strict=True):
        row, column = round(star_y), round(star_x)
        rows = np.arange(max(row - reach, 0), min(row + reach + 1, shape[0]))[:, None]
        columns = np.arange(max(column - reach, 0), min(column + reach + 1, shape[1]))[None, :]
        dx, dy = columns - star_x, rows - star_y
        exponent = (iyy * dx**2 - 2 * ixy * dx * dy + ixx * dy**2) / (2 * determinant)
        profile = np.exp(-exponent) / (2 * np.pi * np.sqrt(determinant))
        image[rows, columns] += star_flux * profile
    return image


@pytest.fixture(scope="session")
def star_field():
    """An image of 512 x 512 pixels with 120 stars on a jittered grid, and what is true of it."""
    random = np.random.default_rng(20261120)
    shape, side = (512, 512), 11
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    positions = 30 + grid * 45 + random.uniform(-10, 10, (side**2, 2))
    flux = 10 ** random.uniform(3.6, 5.0, side**2)
    moments = (2.6, 2.2, 0.15)
    light = gaussian(shape, positions[:, 0], positions[:, 1], flux, moments)
    pixels = random.poisson(light + SKY) + random.normal(0, READ_NOISE, shape)
    image = CalibratedImage(
        pixels.astype(np.float32),
        (np.maximum(pixels, 0) + READ_NOISE**2).astype(np.float32),
        np.zeros(shape, dtype=np.int32),
    )
    return SimpleNamespace(image=image, x=positions[:, 0], y=positions[:, 1], flux=flux, moments=moments)


@pytest.fixture
def make_raw():
    """Build a raw image of two amplifiers side by side, the right one read backwards, from an assembled one."""

    def build(electrons, *, gains=(1.5, 2.0), noise=6.0, seed=1, dead=None, row_offsets=None):
        random = np.random.default_rng(seed)
        rows, columns = electrons.shape
        half = columns // 2
        amplifiers = []
        for number, (flip, place) in enumerate(((False, slice(0, half)), (True, slice(half, columns)))):
            part = electrons[:, place][:, ::-1] if flip else electrons[:, place]
            read = np.zeros((rows, 4 + half + 24))
            read[:, 4 : 4 + half] = part / gains[number]
            read += 1000.0 + 100.0 * number + random.normal(0, noise / gains[number], read.shape)
            if row_offsets is not None:
                read += row_offsets[:, None]
            if number == dead:
                read[:, 4 : 4 + half] = 1000.0 + 100.0 * number + random.normal(0, 3.0, (rows, half))
            amplifiers.append(
                Amplifier(
                    f"C{number:02d}",
                    np.rint(read).astype(np.int32),
                    (slice(0, rows), slice(4, 4 + half)),
                    (slice(0, rows), place),
                    flip_x=flip,
                    flip_y=False,
                    gain=gains[number],
                )
            )
        return RawImage({"OBSID": "test"}, tuple(amplifiers), electrons.shape)

    return build


@pytest.fixture(scope="session")
def night(tmp_path_factory):
    """A night through simulator, ingest, calibrations and pipeline: a dead amplifier, a missing detector, a trailed
    visit, and a raw file that was damaged after its ingest."""
    from lsst_commtools.ingest import (
        Ingester,
        calib_run,
        certify,
        create_repository,
        ingest_refcat,
        open_repository,
    )
    from lsst_commtools.instrument.cameras import get_camera
    from lsst_commtools.pipeline import CALIBRATION_PIPELINE, run_pipeline
    from lsst_commtools.simulate.night import simulate_night

    folder = tmp_path_factory.mktemp("night")
    camera = get_camera("LSSTComCam")
    simulated = simulate_night(
        folder / "night",
        visits=3,
        biases=2,
        flats=2,
        seed=20261120,
        faults=("dead-amplifier", "missing-detector", "trailed-visit"),
    )
    repository = create_repository(folder / "repository")
    Ingester(repository, camera).ingest(sorted(simulated.raw.rglob("*.fits")))
    with open_repository(repository, writeable=True) as butler:
        ingest_refcat(butler, [simulated.refcat])
    truth = simulated.read_truth()
    sound = [visit for visit in truth["visits"] if not visit["fault"]]
    victim = next(d for d in sound[0]["detectors"] if d["detector"] != 4 and d["file"])
    damaged = simulated.folder / victim["file"]
    damaged.write_bytes(damaged.read_bytes()[:100_000])

    run = calib_run(camera, "test")
    calibrations = run_pipeline(
        repository,
        "instrument='LSSTComCam' AND exposure.observation_type IN ('bias', 'flat')",
        run,
        pipeline=str(CALIBRATION_PIPELINE),
    )
    with open_repository(repository, writeable=True) as butler:
        for name in ("bias", "flat"):
            certify(butler, camera, name, run)
    seen = []
    report = run_pipeline(
        repository,
        "instrument='LSSTComCam' AND exposure.observation_type='science'",
        "u/test/night",
        2,
        lambda done, total, outcome: seen.append((done, total, outcome)),
    )
    with open_repository(repository) as butler:
        summaries = {
            ref.dataId["visit"]: butler.get(ref).to_pandas()
            for ref in butler.query_datasets("visit_summary", "u/test/night", find_first=False)
        }
    return SimpleNamespace(
        repository=repository,
        truth={visit["visit"]: visit for visit in truth["visits"]},
        faults=truth["faults"],
        damaged=(sound[0]["visit"], victim["detector"]),
        calibrations=calibrations,
        report=report,
        progress=seen,
        summaries=summaries,
        folder=simulated.folder,
    )
