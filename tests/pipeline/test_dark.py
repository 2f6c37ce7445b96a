"""Darks from the simulator to the images that they are subtracted from."""

from __future__ import annotations

import numpy as np
import pytest

from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.instrument.images import MaskPlane
from lsst_commtools.pipeline import CALIBRATION_PIPELINE, run_pipeline


@pytest.fixture(scope="module")
def dark_night(tmp_path_factory):
    """One visit of one detector with darks, its hot pixels known, processed with and without the dark."""
    from lsst_commtools.ingest import Ingester, calib_run, certify, create_repository, open_repository
    from lsst_commtools.simulate.camera import dark_current
    from lsst_commtools.simulate.night import simulate_night
    from lsst_commtools.simulate.plan import make_plan

    folder = tmp_path_factory.mktemp("dark")
    camera = get_camera("LSSTComCam")
    parameters = {
        "visits": 1,
        "biases": 3,
        "flats": 2,
        "darks": 5,
        "seed": 3,
        "size": (256, 256),
        "detectors": (4,),
    }
    simulated = simulate_night(folder / "night", processes=1, **parameters)
    plan = make_plan(
        camera="LSSTComCam", day_obs=20261120, seeing_arcsec=0.7, jitter_mas=10.0, faults=(), **parameters
    )
    repository = create_repository(folder / "repo")
    Ingester(repository, camera).ingest(sorted(simulated.raw.rglob("*.fits")))
    where = "instrument='LSSTComCam' AND exposure.observation_type"
    run = calib_run(camera, "test")
    report = run_pipeline(
        repository, f"{where} IN ('bias', 'dark', 'flat')", run, 1, pipeline=str(CALIBRATION_PIPELINE)
    )
    with open_repository(repository, writeable=True) as butler:
        for name in ("bias", "flat"):
            certify(butler, camera, name, run)
    run_pipeline(repository, f"{where}='science'", "u/test/without", 1)
    with open_repository(repository, writeable=True) as butler:
        certify(butler, camera, "dark", run)
    run_pipeline(repository, f"{where}='science'", "u/test/with", 1)
    with open_repository(repository) as butler:
        images = {
            name: butler.get(butler.query_datasets("post_isr_image", f"u/test/{name}", find_first=False)[0])
            for name in ("with", "without")
        }
        dark = butler.get(butler.query_datasets("dark", run, find_first=False)[0])
    return report, dark, dark_current(plan, camera.detector(4)), images


def test_the_dark_is_the_current_that_was_put_in(dark_night):
    report, dark, true, _ = dark_night
    assert report.by_task() == {
        "combine_bias": {"succeeded": 1}, "combine_dark": {"succeeded": 1}, "combine_flat": {"succeeded": 1},
    }  # fmt: skip
    assert np.median(dark.image) == pytest.approx(np.median(true), abs=0.01)
    hot = true > 3.0
    assert hot.sum() >= 5
    assert dark.image[hot] == pytest.approx(true[hot], rel=0.25)
    scatter = 1.4826 * np.median(np.abs(dark.image - true))
    assert scatter == pytest.approx(np.sqrt(np.median(dark.variance)), rel=0.15)


def test_hot_pixels_do_not_reach_the_image(dark_night):
    _, _, true, images = dark_night
    assert images["with"].header["CALIBS"] == "bias, dark, flat"
    assert images["without"].header["CALIBS"] == "bias, flat"
    # Where the cosmic-ray finder has not repaired them anyway.
    left = ((images["without"].mask | images["with"].mask) & int(MaskPlane.CR)) == 0
    warm = (true > 2.0) & left
    difference = images["without"].image - images["with"].image
    if warm.any():
        assert difference[warm] == pytest.approx(30.43 * true[warm], rel=0.3)
    rest = (true < 0.1) & left
    assert np.median(difference[rest]) == pytest.approx(30.43 * 0.03, abs=0.3)
