"""The verbs of a night on images that were taken before: a sky of one detector, and a bench without any."""

import shutil

import pytest

from lsst_commtools.errors import LeaseError
from lsst_commtools.instrument.raws import read_raw_header
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.qa.limits import Status
from lsst_commtools.rehearsal import Kind, Rehearsal
from lsst_commtools.rehearsal.opening import Wish, settle
from lsst_commtools.simulate import simulate_night
from lsst_commtools.site import Site

VISITS, CALIBRATIONS = 1, 6


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_night(
        tmp_path_factory.mktemp("night"), camera="LATISS", day_obs=20261120, visits=VISITS, biases=2, darks=2,
        flats=2, size=(512, 512), processes=1,
    )  # fmt: skip


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("COMMTOOLS_DATA_PROCESSES", "1")
    monkeypatch.setenv("COMMTOOLS_REHEARSAL_SETTLE_S", "0.1")
    monkeypatch.setenv("COMMTOOLS_REHEARSAL_TRANSFER_PATIENCE_S", "1")
    return Site.load("local")


def open_night(site, folder, work):
    settings = settle(site, Wish(nights=1, dataset=str(folder), speed=600.0, work=work))
    return Rehearsal.create(site, settings).night(1)


def kinds(night):
    return sorted(entry.data["kind"] for entry in night.journal.entries({Kind.PROBLEM}))


def test_a_night_of_the_sky_goes_through_and_a_second_call_changes_nothing(site, simulated, tmp_path):
    night = open_night(site, simulated.raw, tmp_path / "w")
    assert night.expectations.name == "on-sky"
    first = night.transmit_calibrations()
    assert (first.summary()["arrived"], first.summary()["failed"]) == (CALIBRATIONS, [])
    made = night.generate_calibrations()
    assert [judged.dataset_type for judged in made.types] == ["bias", "dark", "flat"]
    choice = night.select_configuration()
    assert {c.dataset_type for c in choice.calibrations} == {"bias", "dark", "flat"}
    assert night.transmit_science().summary()["arrived"] == VISITS
    done = night.run_pipeline()
    assert done.to_dict()["failed"] == 0
    assert night.judge_processing().counts.to_dict() == {
        "expected": 1, "transferred": 1, "ingested": 1, "processed": 1, "measured": 0
    }  # fmt: skip
    assert night.examine_products().datasets["star_table"] == 1
    observed = night.judge_observations()
    assert observed.counts.measured == 1
    assert observed.report is not None
    assert kinds(night) == []
    again = night.transmit_science()
    assert again.size_bytes == 0
    assert again.summary() == {**again.summary(), "arrived": VISITS, "failed": []}
    assert night.run_pipeline().to_dict() == {**done.to_dict(), "visits": 0}
    assert night.judge_observations().to_dict() == observed.to_dict()


def test_an_image_that_the_summit_never_wrote_is_missing_and_named(site, simulated, tmp_path):
    raw = tmp_path / "raw"
    shutil.copytree(simulated.raw, raw)
    night = open_night(site, raw, tmp_path / "w")
    visit = next(shot for shot in night.prepare() if not shot.calibration)
    (raw / visit.files[0]).unlink()
    night.transmit_calibrations()
    night.generate_calibrations()
    night.select_configuration()
    night.transmit_science()
    assert night.run_pipeline().report is None
    assert night.judge_processing().counts.to_dict() == {
        "expected": 1, "transferred": 0, "ingested": 0, "processed": 0, "measured": 0
    }  # fmt: skip
    assert "missing-detector" in kinds(night)


def test_a_bench_is_asked_for_no_wcs(site, simulated, tmp_path):
    bench = tmp_path / "bench"
    for file in simulated.raw.rglob("*.fits"):
        if read_raw_header(file)["IMGTYPE"] != "OBJECT":
            target = bench / file.relative_to(simulated.raw)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    night = open_night(site, bench, tmp_path / "w")
    assert night.expectations.name == "bench"
    night.transmit_calibrations()
    assert len(night.generate_calibrations().types) == 3
    assert list(night.select_configuration().tasks) == ["isr"]
    assert night.transmit_science().summary()["files"] == 0
    assert night.run_pipeline().report is None
    assert night.judge_processing().failed_fraction is None
    night.examine_products()
    observed = night.judge_observations()
    assert (observed.status, observed.problems) == (Status.UNKNOWN, ())
    assert night.product_figures() == []
    assert kinds(night) == []


class Run:
    """What a night needs of the run of a notebook: its name, and a lease in its name."""

    def __init__(self, site, name):
        self.run, self._ledger = name, Ledger.at(site.procedure)

    def precondition(self, name, check, *, expect):
        assert check() == expect, name

    def lease(self, key, *, taken_over_by=None):
        held = leases.lease_of(self._ledger, key) if taken_over_by else None
        leases.take(self._ledger, key, self.run, ProcessId.of(), instead_of=held)

    def finish(self):
        return ""


def test_two_operators_cannot_do_a_step_at_once(site, simulated, tmp_path):
    night = open_night(site, simulated.raw, tmp_path / "w")
    night.begin("transmit-calibrations", Run(site, "of-ana"))
    with pytest.raises(LeaseError, match="for run of-ana since"):
        night.begin("transmit-calibrations", Run(site, "of-bo"))
    started = night.journal.entries({Kind.STEP_STARTED})
    assert [entry.data["run"] for entry in started] == ["of-ana"]


def test_a_step_waits_for_what_it_follows_and_sets_the_clock_to_its_hour(site, simulated, tmp_path):
    night = open_night(site, simulated.raw, tmp_path / "w")
    assert night.unfinished("generate-calibrations") == ["night 1: transmit-calibrations"]
    run = Run(site, "r")
    night.begin("transmit-calibrations", run)
    night.finish("transmit-calibrations", run)
    assert night.unfinished("generate-calibrations") == []
    night.begin("generate-calibrations", run)
    assert night.rehearsal.clock.now_utc() >= night.planned_utc("generate-calibrations")
