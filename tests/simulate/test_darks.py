"""Dark exposures, and nights that share one observatory."""

from __future__ import annotations

import numpy as np
import pytest

from lsst_commtools.errors import InputError
from lsst_commtools.simulate import simulate_night
from lsst_commtools.simulate.camera import dark_current, sensor_model
from lsst_commtools.simulate.plan import make_plan


def plan_of(**changes):
    parameters = {
        "camera": "ComCam", "day_obs": 20261120, "visits": 1, "biases": 2, "flats": 2, "seed": 5,
        "size": (256, 256), "seeing_arcsec": 0.7, "jitter_mas": 10.0, "detectors": (4,), "faults": (),
    }  # fmt: skip
    return make_plan(**(parameters | changes))


def test_darks_come_between_flats_and_visits():
    plan = plan_of(darks=3)
    kinds = [exposure.image_type for exposure in plan.exposures]
    assert kinds == ["BIAS"] * 2 + ["FLAT"] * 2 + ["DARK"] * 3 + ["OBJECT"]
    begins = [exposure.begin_mjd_tai for exposure in plan.exposures]
    assert begins == sorted(begins)
    assert plan_of(darks=3, faults=("trailed-visit",)).faults.visits.keys() == {8}
    with pytest.raises(InputError, match="darks is -1"):
        plan_of(darks=-1)


def test_nights_from_before_are_known_again():
    assert not {"darks", "observatory_seed"} & plan_of().to_dict().keys()
    assert (
        plan_of(darks=2, observatory_seed=1).to_dict() | {"darks": 2, "observatory_seed": 1}
        == plan_of(darks=2, observatory_seed=1).to_dict()
    )


def test_nights_of_one_observatory_share_sensors_and_sky(tmp_path):
    first, second = (plan_of(seed=seed, observatory_seed=9) for seed in (1, 2))
    detector = first.detectors[0]
    assert np.array_equal(sensor_model(first, detector).response, sensor_model(second, detector).response)
    assert np.array_equal(dark_current(first, detector), dark_current(second, detector))
    assert not np.array_equal(
        sensor_model(first, detector).response, sensor_model(plan_of(seed=1), detector).response
    )
    made = [
        simulate_night(
            tmp_path / str(seed), visits=1, biases=1, flats=0, seed=seed, observatory_seed=9, size=(128, 128),
            detectors=(4,), processes=1,
        )
        for seed in (1, 2)
    ]  # fmt: skip
    shards = [{path.name: path.read_bytes() for path in night.refcat.glob("*.fits")} for night in made]
    assert shards[0] == shards[1] != {}
    biases = [next(night.raw.rglob("*_000001_*.fits")).read_bytes() for night in made]
    assert biases[0] != biases[1]


def test_the_dark_current_has_hot_pixels():
    plan = plan_of(darks=1, size=(1024, 1024))
    rate = dark_current(plan, plan.detectors[0])
    assert np.median(rate) == pytest.approx(0.03, rel=0.05)
    assert (rate > 1.0).sum() == pytest.approx(2e-4 * rate.size, rel=0.1)
    assert rate.dtype == np.float32
