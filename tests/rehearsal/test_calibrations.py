"""The night's calibrations: made, judged against the last ones that are not bad, certified, and recorded once."""

from __future__ import annotations

import datetime as dt

import pytest

from lsst_commtools.ingest import open_repository, raw_run
from lsst_commtools.instrument.cameras import get_camera
from lsst_commtools.night import stages
from lsst_commtools.night.settings import NightSettings
from lsst_commtools.qa.limits import Status
from lsst_commtools.rehearsal.calibrations import JudgedType, generate, judged_types
from lsst_commtools.rehearsal.choices import select
from lsst_commtools.rehearsal.journal import Journal, Kind
from lsst_commtools.site import Site

NIGHTS = (20261120, 20261121, 20261122, 20261123)
CAMERA = get_camera("LSSTComCam")


def quiet(_stage, _done, _total):
    pass


def dim(path):
    """Take light from a raw flat, more from one amplifier to the next."""
    from astropy.io import fits

    with fits.open(path, mode="update") as units:
        for number, unit in enumerate(units[1:17]):
            level = unit.data[:, -20:].mean()
            unit.data = (level + (unit.data - level) * (1 - 0.02 * number)).astype("uint16")
            unit.add_checksum()


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Four nights in one repository; the third's lamp fails on one side, and the fourth has no darks."""
    from lsst_commtools.simulate.night import simulate_night

    work = tmp_path_factory.mktemp("calibrations")
    journal = Journal(work / "journal.sqlite")
    found, results = [], []
    for number, day_obs in enumerate(NIGHTS, 1):
        simulated = simulate_night(
            work / "simulated" / str(day_obs), day_obs=day_obs, visits=0, biases=2, flats=2,
            darks=0 if number == 4 else 2, seed=number, observatory_seed=7, size=(256, 256),
            detectors=(3, 4), processes=1,
        )  # fmt: skip
        if number == 3:
            for path in simulated.raw.rglob("*_00000[34]_*.fits"):
                dim(path)
        settings = NightSettings(
            day_obs, "LSSTComCam", simulated.raw, work / "nights" / str(day_obs), None, "test", 1,
            shared_repository=work / "repo", shared_storage=work / "storage" / str(day_obs),
        )  # fmt: skip
        records = stages.bring_in(settings, stages.choose_files(settings), quiet)
        stages.ingest(settings, records, quiet)
        found.append(settings)
        results.append(generate(settings, journal, night=number))
    return work, journal, found, results


def test_the_first_has_nothing_to_be_compared_with(nights):
    _, _, _, results = nights
    first = results[0]
    assert first.status is Status.UNKNOWN
    assert [t.dataset_type for t in first.types] == ["bias", "dark", "flat"]
    assert {t.status for t in first.types} == {Status.UNKNOWN}
    assert first.problems == ()
    assert first.types[0].reasons == (
        "detector 3: there is no certified bias to compare with",
        "detector 4: there is no certified bias to compare with",
    )


def test_a_stable_camera_is_good_and_a_lamp_that_fails_bad(nights):
    _, _, _, results = nights
    second, third = results[1:3]
    assert second.status is Status.GOOD, [t.reasons for t in second.types]
    assert {t.compared_with for t in second.types} == {
        f"LSSTComCam/calib/20261120/{name}" for name in ("bias", "dark", "flat")
    }
    assert [t.status for t in third.types] == [Status.GOOD, Status.GOOD, Status.BAD]
    assert [problem.kind for problem in third.problems] == ["bad-calibration"]
    assert "detector 3: ratio_gradient_percent" in third.problems[0].what


def test_what_was_bad_is_not_the_measure_of_the_next(nights):
    _, _, _, results = nights
    fourth = {t.dataset_type: t for t in results[3].types}
    assert fourth["flat"].compared_with == "LSSTComCam/calib/20261121/flat"
    assert fourth["flat"].status is Status.GOOD
    assert "dark" not in fourth  # no dark exposures is fine
    assert results[3].problems == ()


def test_each_is_certified_with_its_validity_in_a_collection_of_its_own(nights):
    _, journal, settings, _ = nights
    with open_repository(settings[0].repository) as butler:
        from astropy.time import Time
        from lsst.daf.butler import Timespan

        def found(name, collection, moment):
            span = Timespan(Time(moment, scale="tai"), Time(moment + dt.timedelta(minutes=1), scale="tai"))
            return butler.find_dataset(
                name, instrument="LSSTComCam", detector=4, collections=collection, timespan=span
            )

        bias = "LSSTComCam/calib/20261120/bias"
        assert found("bias", bias, dt.datetime(2026, 11, 21, 3)) is not None  # noqa: DTZ001  TAI has no time zone
        assert found("bias", bias, dt.datetime(2026, 11, 27, 11)) is not None  # noqa: DTZ001
        assert found("bias", bias, dt.datetime(2026, 11, 27, 12)) is None  # noqa: DTZ001
        assert found("bias", bias, dt.datetime(2026, 11, 20, 11)) is None  # noqa: DTZ001
    judged = judged_types(journal.entries())
    assert len(judged) == 11
    assert judged[0].holds_for(dt.datetime.fromisoformat(judged[0].begin_tai))
    assert not judged[0].holds_for(dt.datetime.fromisoformat(judged[0].end_tai))


def test_again_it_does_nothing_new(nights):
    _, journal, settings, results = nights
    before = len(journal.entries({Kind.CALIBRATION}))
    again = generate(settings[1], journal, night=2)
    assert [t.to_dict() for t in again.types] == [t.to_dict() for t in results[1].types]
    assert len(journal.entries({Kind.CALIBRATION})) == before
    assert JudgedType.from_dict(again.types[0].to_dict()) == again.types[0]


def test_the_choice_passes_over_what_is_bad(nights):
    _, journal, settings, _ = nights
    choice = select(settings[2], Site.load("local"), journal, night=3)
    assert [c.collection for c in choice.calibrations] == [
        "LSSTComCam/calib/20261122/bias",
        "LSSTComCam/calib/20261122/dark",
        "LSSTComCam/calib/20261121/flat",
    ]
    assert set(choice.passed_over) == {"LSSTComCam/calib/20261122/flat"}
    assert choice.inputs[0] == raw_run(CAMERA)
    assert choice.inputs[-1] == "refcats"
