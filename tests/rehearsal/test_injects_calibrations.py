"""A wrong calibration is judged against the last one, and named."""

import pytest

from lsst_commtools.night import stages
from lsst_commtools.night.settings import NightSettings
from lsst_commtools.rehearsal.calibrations import generate
from lsst_commtools.rehearsal.injects.catalogue import fault_kind
from lsst_commtools.rehearsal.injects.ground import Ground
from lsst_commtools.rehearsal.journal import Journal
from lsst_commtools.simulate import simulate_night
from lsst_commtools.site import Site

NIGHTS = (20261120, 20261121, 20261122, 20261123)
STRUCK = {20261121: "bias", 20261122: "flat", 20261123: "dark"}


def quiet(_stage, _done, _total):
    pass


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Four nights; from the second on another type of calibration is wrong in each."""
    work = tmp_path_factory.mktemp("calibrations")
    journal = Journal(work / "journal.sqlite")
    results = {}
    for number, day_obs in enumerate(NIGHTS, 1):
        night = simulate_night(
            work / "simulated" / str(day_obs), day_obs=day_obs, visits=0, biases=2, flats=2, darks=2,
            seed=number, observatory_seed=7, size=(256, 256), detectors=(3,), processes=1,
        )  # fmt: skip
        plan = None
        if day_obs in STRUCK:
            ground = Ground(Site.load("local"), work, number, day_obs, "LSSTComCam", (night.raw,), work, work)
            kind = fault_kind("wrong-calibration")
            parameters = kind.parameters(image_type=STRUCK[day_obs], detector=3)
            plan = kind.prepare(ground, parameters, work / "kept" / str(number))
            kind.apply(ground, plan)
        settings = NightSettings(
            day_obs, "LSSTComCam", night.raw, work / "nights" / str(day_obs), None, "test", 1,
            shared_repository=work / "repo", shared_storage=work / "storage" / str(day_obs),
        )  # fmt: skip
        records = stages.bring_in(settings, stages.choose_files(settings), quiet)
        stages.ingest(settings, records, quiet)
        results[day_obs] = (generate(settings, journal, night=number), plan)
    return results


@pytest.mark.parametrize("day_obs", NIGHTS[1:])
def test_a_wrong_calibration_is_named_at_its_place_and_the_others_are_not(judged, day_obs):
    made, plan = judged[day_obs]
    assert made.problems
    for problem in made.problems:
        assert problem.kind in fault_kind("wrong-calibration").notices
        assert any(all(word in f"{problem.where} {problem.what}" for word in mark) for mark in plan.marks)
    bad = [t.dataset_type for t in made.types if t.status == "bad"]
    assert bad[0] == STRUCK[day_obs]
    assert len(bad) == 1 or bad[0] == "bias", "only a bias makes the others wrong"


def test_a_night_without_the_fault_has_no_problem(judged):
    assert judged[NIGHTS[0]][0].problems == ()
