"""From what a person asks for to the settings of a rehearsal."""

import dataclasses
import json
import os

import pytest

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.rehearsal import Kind, Rehearsal, RehearsalSettings, default_rehearsal
from lsst_commtools.rehearsal.datasets import BENCH, ON_SKY, SIMULATED, open_dataset
from lsst_commtools.rehearsal.opening import Wish, settle
from lsst_commtools.rehearsal.settings import rehearsals_folder
from lsst_commtools.rehearsal.states import all_steps
from lsst_commtools.simulate import simulate_night
from lsst_commtools.site import Site


@pytest.fixture
def site():
    return Site.load("local")


@pytest.fixture(scope="module")
def latiss_night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    return simulate_night(
        folder, camera="LATISS", day_obs=20261120, visits=1, biases=1, flats=1, size=(256, 256), processes=1
    )


def test_without_any_wish_three_simulated_nights(site, tmp_path):
    settings = settle(site, Wish(work=tmp_path / "w"))
    assert (settings.dataset, settings.nights) == ("simulated", (20261120, 20261121, 20261122))
    assert open_dataset(settings, site.rehearsal).expectations is SIMULATED


def test_the_same_command_goes_on_and_an_ended_rehearsal_is_left(site):
    first = settle(site, Wish(nights=1, unattended=True))
    rehearsal = Rehearsal.create(site, first)
    assert settle(site, Wish(nights=1, speed=5.0)) == dataclasses.replace(first, speed=5.0, unattended=False)
    assert settle(site, Wish(nights=2)).work != first.work
    for night, step in all_steps(1):
        rehearsal.journal.append(Kind.STEP_STARTED, night, step=step.id, run="r")
        rehearsal.journal.append(Kind.STEP_ENDED, night, step=step.id, run="r", status="done")
    assert settle(site, Wish(nights=1)).work != first.work
    assert default_rehearsal(site) == first.work


def test_a_folder_keeps_its_rehearsal(site, tmp_path):
    work = tmp_path / "w"
    settle(site, Wish(nights=1, work=work)).claim()
    assert settle(site, Wish(work=work)).nights == (20261120,)
    with pytest.raises(InputError, match="of 1 nights, not of 2"):
        settle(site, Wish(nights=2, work=work))
    with pytest.raises(InputError, match="not of"):
        settle(site, Wish(dataset=str(tmp_path), work=work))
    other = RehearsalSettings(work, "simulated", "LATISS", (20261120,), 1, 1, 1.0, unattended=False)
    with pytest.raises(InputError, match="holds another rehearsal: instrument LSSTComCam"):
        other.claim()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"nights": ["x"]}', "{\x00"])
def test_a_claim_that_cannot_be_read_is_no_rehearsal(tmp_path, content):
    (tmp_path / "rehearsal.json").write_text(content)
    with pytest.raises(NotFoundError):
        RehearsalSettings.read(tmp_path)


def test_a_real_site_simulates_nothing(tmp_path):
    with pytest.raises(InputError, match="is real"):
        settle(
            Site.load("summit").model_copy(update={"data": Site.load("local").data}),
            Wish(work=tmp_path / "w"),
        )


@pytest.mark.parametrize("speed", [0.0, -2.0, float("nan")])
def test_a_speed_that_is_none_is_refused(site, speed):
    with pytest.raises(InputError, match="speed"):
        settle(site, Wish(speed=speed))


def test_a_folder_is_known_by_its_files(site, latiss_night, tmp_path):
    wish = Wish(nights=1, dataset=str(latiss_night.raw), work=tmp_path / "w")
    settings = settle(site, wish)
    assert (settings.instrument, settings.nights, settings.visits) == ("LATISS", (20261120,), 0)
    assert settings.reference == latiss_night.refcat
    assert open_dataset(settings, site.rehearsal).expectations is ON_SKY
    with pytest.raises(InputError, match="holds 1 nights of LATISS, 2 are asked for"):
        settle(site, dataclasses.replace(wish, nights=2))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no raw files"):
        settle(site, Wish(nights=1, dataset=str(empty), work=tmp_path / "v"))


def test_images_without_any_sky_are_those_of_a_bench(site, latiss_night, tmp_path):
    bench = tmp_path / "bench"
    for file in latiss_night.raw.rglob("*.fits"):
        if not file.name.startswith("AT_O_20261120_000003"):
            target = bench / file.relative_to(latiss_night.raw)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    settings = settle(site, Wish(nights=1, dataset=str(bench), work=tmp_path / "w"))
    assert open_dataset(settings, site.rehearsal).expectations is BENCH


def test_what_is_written_is_read(site, tmp_path):
    settings = settle(site, Wish(nights=2, work=tmp_path / "w"))
    settings.claim()
    assert RehearsalSettings.read(tmp_path / "w") == settings
    assert json.loads((tmp_path / "w" / "rehearsal.json").read_text())["dataset"] == "simulated"


def test_the_newest_rehearsal_is_the_one_that_was_worked_at_last(site, tmp_path):
    with pytest.raises(NotFoundError, match="no rehearsal"):
        default_rehearsal(site)
    folder = rehearsals_folder(site)
    first, second = (
        Rehearsal.create(site, settle(site, Wish(nights=1, work=folder / name))) for name in ("a", "b")
    )
    os.utime(second.settings.journal, (1.0, 1.0))
    os.utime(second.settings.work / "rehearsal.json", (1.0, 1.0))
    assert Rehearsal.find(site).settings == first.settings
