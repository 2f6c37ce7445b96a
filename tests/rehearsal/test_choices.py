"""Choices: recorded with what differs, refused where they are bad, and taken back in one call."""

from __future__ import annotations

import pytest

from lsst_commtools.errors import InputError, NotFoundError, RefusedError
from lsst_commtools.night.settings import NightSettings
from lsst_commtools.rehearsal.choices import all_choices, back_to, current_choice, differences, select
from lsst_commtools.rehearsal.journal import Journal, Kind
from lsst_commtools.site import Site

KINDS = ("bias", "dark", "flat")


def settings_of(tmp_path, day_obs):
    return NightSettings(day_obs, "LSSTComCam", tmp_path / "raw", tmp_path / str(day_obs), None, "test")


def calibration(journal, night, day_obs, *, bad=(), begin="2026-11-20T12:00:00", end="2026-11-27T12:00:00"):
    """Record what a night gave."""
    for kind in KINDS:
        journal.append(
            Kind.CALIBRATION, night, dataset_type=kind, day_obs=day_obs, run="r",
            collection=f"LSSTComCam/calib/{day_obs}/{kind}", identity=f"{day_obs}{kind}", begin_tai=begin,
            end_tai=end, status="bad" if kind in bad else "good", compared_with="", members=[],
            reasons=["detector 4: the flat has stripes"] if kind in bad else [],
        )  # fmt: skip


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.sqlite")


@pytest.fixture(scope="module")
def site():
    return Site.load("local")


def chosen(choice):
    return {c.dataset_type: c.collection.split("/")[2] for c in choice.calibrations}


def test_a_choice_holds_all_and_tells_what_is_new(tmp_path, journal, site):
    calibration(journal, 1, 20261120)
    first = select(settings_of(tmp_path, 20261120), site, journal, night=1, who="Ada")
    assert chosen(first) == dict.fromkeys(KINDS, "20261120")
    assert first.configuration == first.pipeline.stem
    assert set(first.tasks) == {"isr", "measure", "astrometry", "visit_summary"}
    assert first.image.tag
    assert first.problems == ()
    entry = journal.entries({Kind.CHOICE})[0]
    assert (entry.who, entry.role, entry.night) == ("Ada", "SciOps", 1)

    calibration(journal, 2, 20261121)
    second = select(
        settings_of(tmp_path, 20261121), site, journal, night=2, configuration={"astrometry.order": 5}
    )
    told = {d.what: d for d in second.differences}
    assert set(told) == {
        "settings of astrometry", "calibration bias", "calibration dark", "calibration flat",
    }  # fmt: skip
    assert told["settings of astrometry"].new.startswith("order = 5 (")
    assert told["settings of astrometry"].old.startswith("as in the pipeline (")
    assert "20261120/flat" in told["calibration flat"].old
    assert "20261121/flat" in told["calibration flat"].new
    assert current_choice(journal.entries()) == second
    assert current_choice(journal.entries(), night=1) == first
    assert differences(second, second) == ()


def test_the_same_choice_is_recorded_once(tmp_path, journal, site):
    calibration(journal, 1, 20261120)
    night = settings_of(tmp_path, 20261120)
    assert select(night, site, journal, night=1) == select(night, site, journal, night=1)
    assert len(journal.entries({Kind.CHOICE})) == 1


def test_what_was_chosen_runs_as_it_was(tmp_path, journal, site):
    """The frozen file holds each setting, so that another default in the code changes nothing."""
    from lsst.pipe.base import Pipeline

    calibration(journal, 1, 20261120)
    choice = select(
        settings_of(tmp_path, 20261120),
        site,
        journal,
        night=1,
        configuration={"isr.saturation_electron": 7e4},
    )
    graph = Pipeline.fromFile(str(choice.pipeline)).to_graph()
    assert graph.tasks["isr"].config.saturation_electron == 7e4
    assert "config.narrowest_fwhm_pixel=2.2" in choice.pipeline.read_text()
    with pytest.raises(InputError, match="no attribute sizzle"):
        select(settings_of(tmp_path, 20261120), site, journal, night=1, configuration={"isr.sizzle": 1})
    with pytest.raises(InputError, match="names no setting"):
        select(settings_of(tmp_path, 20261120), site, journal, night=1, configuration={"isr": 1})
    with pytest.raises(NotFoundError, match="no pipeline"):
        select(settings_of(tmp_path, 20261120), site, journal, night=1, pipeline=tmp_path / "none.yaml")


def test_a_bad_calibration_needs_a_reason_by_name(tmp_path, journal, site):
    calibration(journal, 1, 20261120)
    calibration(journal, 2, 20261121, bad=("flat",))
    night = settings_of(tmp_path, 20261121)
    name = "LSSTComCam/calib/20261121/flat"

    unasked = select(night, site, journal, night=2)
    assert chosen(unasked) == {"bias": "20261121", "dark": "20261121", "flat": "20261120"}
    assert unasked.passed_over == {name: "bad: detector 4: the flat has stripes"}
    assert [problem.kind for problem in unasked.problems] == ["calibration-passed-over"]

    with pytest.raises(RefusedError, match="was judged bad: detector 4: the flat has stripes"):
        select(night, site, journal, night=2, calibrations={"flat": name})
    with pytest.raises(RefusedError, match="was judged bad"):
        select(night, site, journal, night=2, calibrations={"flat": name}, overrides={"flat": "  "})
    assert len(journal.entries({Kind.CHOICE})) == 1

    meant = select(night, site, journal, night=2, overrides={name: "the stripes are real"})
    assert chosen(meant)["flat"] == "20261121"
    assert [problem.kind for problem in meant.problems] == ["bad-calibration-chosen"]
    recorded = journal.entries({Kind.CHOICE})[-1].data["calibrations"][-1]
    assert (recorded["status"], recorded["override"]) == ("bad", "the stripes are real")
    assert "taken because: the stripes are real" in meant.differences[0].new


def test_what_is_not_there_or_not_valid_is_not_chosen(tmp_path, journal, site):
    night = settings_of(tmp_path, 20261121)
    empty = select(night, site, journal, night=2)
    assert empty.calibrations == ()
    assert empty.missing == dict.fromkeys(("bias", "flat"), "none is valid for the night")
    calibration(journal, 1, 20261110, begin="2026-11-10T12:00:00", end="2026-11-17T12:00:00")
    calibration(journal, 2, 20261121, bad=KINDS)
    bad = select(night, site, journal, night=2)
    assert bad.missing == dict.fromkeys(KINDS, "all that are valid for the night were judged bad")
    with pytest.raises(RefusedError, match="not for 20261121"):
        select(night, site, journal, night=2, calibrations={"flat": "LSSTComCam/calib/20261110/flat"})
    with pytest.raises(NotFoundError, match="was not made in this rehearsal"):
        select(night, site, journal, night=2, calibrations={"flat": "u/somebody/flat"})
    with pytest.raises(NotFoundError, match="no calibration 'fringe'"):
        select(night, site, journal, night=2, calibrations={"fringe": "x"})


def test_an_image_of_another_cycle_is_a_problem(tmp_path, journal, site):
    calibration(journal, 1, 20261120)
    strict = site.model_copy(update={"images": site.images.model_copy(update={"cycle": 12})})
    choice = select(settings_of(tmp_path, 20261120), strict, journal, night=1)
    assert choice.image.wrong_cycle
    assert [problem.kind for problem in choice.problems] == ["wrong-cycle"]
    assert "12" in choice.problems[0].what
    with pytest.raises(NotFoundError, match="no lab image 'w_1999_01'"):
        select(settings_of(tmp_path, 20261120), site, journal, night=1, image="w_1999_01")


def test_the_night_does_not_wait_for_a_registry(tmp_path, journal, site):
    calibration(journal, 1, 20261120)
    source = site.images.source.model_copy(update={"path": str(tmp_path / "none.json")})
    away = site.model_copy(update={"images": site.images.model_copy(update={"source": source})})
    choice = select(settings_of(tmp_path, 20261120), away, journal, night=1)
    assert choice.image.unknown
    assert [problem.kind for problem in choice.problems] == ["image-unknown"]


def test_going_back_is_one_call(tmp_path, journal, site):
    calibration(journal, 1, 20261120)
    first = select(settings_of(tmp_path, 20261120), site, journal, night=1)
    calibration(journal, 2, 20261121)
    night = settings_of(tmp_path, 20261121)
    second = select(night, site, journal, night=2, configuration={"astrometry.order": 7})
    back = back_to(night, journal, night=2, reason="The order is too high.", who="Ada")
    assert chosen(back) == chosen(first)
    assert (back.configuration, back.back_to) == (first.configuration, first.number)
    assert back.day_obs == 20261121
    assert back.pipeline.is_file()
    assert {d.what for d in back.differences} >= {"settings of astrometry", "calibration flat"}
    assert [c.number for c in all_choices(journal.entries())] == [first.number, second.number, back.number]
    forth = back_to(night, journal, second.number, night=2, reason="It was not the order.")
    assert forth.configuration == second.configuration


def test_going_back_has_its_rules(tmp_path, journal, site):
    calibration(journal, 1, 20261120)
    night = settings_of(tmp_path, 20261120)
    with pytest.raises(NotFoundError, match="no other choice"):
        back_to(night, journal, night=1, reason="x")
    first = select(night, site, journal, night=1)
    with pytest.raises(NotFoundError, match="no other choice"):
        back_to(night, journal, night=1, reason="x")
    with pytest.raises(RefusedError, match="needs a reason"):
        back_to(night, journal, first.number, night=1, reason=" ")
    with pytest.raises(NotFoundError, match="Entry 1 of the journal is no choice"):
        back_to(night, journal, 1, night=1, reason="x")
    calibration(journal, 1, 20261120, bad=("bias",))
    with pytest.raises(RefusedError, match="20261120/bias was judged bad since"):
        back_to(night, journal, first.number, night=1, reason="x")
    first.pipeline.unlink()
    calibration(journal, 1, 20261120)
    with pytest.raises(NotFoundError, match="is gone"):
        back_to(night, journal, first.number, night=1, reason="x")
