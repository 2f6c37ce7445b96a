"""Faults of services against the simulated observatory: seen through LOVE only, as people see them."""

import datetime as dt
import os

import pytest

from lsst_commtools.errors import NotFoundError, RefusedError, RejectedError
from lsst_commtools.rehearsal.injects.catalogue import fault_kind
from lsst_commtools.rehearsal.injects.ground import Ground
from lsst_commtools.rehearsal.injects.services import ask_simulator
from lsst_commtools.rehearsal.watch import ObservatoryWatch
from lsst_commtools.simulate.observatory import Pace, running_observatory
from lsst_commtools.site import Site
from lsst_commtools.site.control import LoveSection
from lsst_commtools.site.stand_ins import StandIns, stand_ins_file


@pytest.fixture
def observatory_ground(tmp_path):
    local = Site.load("local")
    quick = LoveSection(cscs=local.love.cscs, observe_timeout_s=1.5, reply_timeout_s=1.0)
    site = local.model_copy(update={"love": quick})
    return Ground(site, tmp_path, 1, 20261120, "LSSTComCam", (), tmp_path, tmp_path)


@pytest.fixture
def simulated(observatory_ground):
    with running_observatory(Pace().faster(20.0)) as running:
        told = StandIns(
            pid=os.getpid(), started_at=dt.datetime.now(dt.UTC).isoformat(), services=running.services
        )
        file = stand_ins_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(told.model_dump_json())
        yield running
        file.unlink()


@pytest.fixture
def watch(observatory_ground):
    with ObservatoryWatch(observatory_ground.site) as watch:
        yield watch


def strike(ground, name, **parameters):
    kind = fault_kind(name)
    plan = kind.prepare(ground, kind.parameters.model_validate(parameters), ground.work / name)
    kind.apply(ground, plan)
    kind.apply(ground, plan)
    return plan


def undo(ground, name, plan):
    fault_kind(name).undo(ground, plan)
    fault_kind(name).undo(ground, plan)


def look_until(watch, good, tries=20):
    for _ in range(tries):
        sight = watch.look()
        if good(sight):
            return sight
    raise AssertionError(sight)


def kinds(sight):
    return [problem.kind for problem in sight.problems]


def test_a_csc_that_faults_is_seen_and_brought_back(simulated, observatory_ground, watch):
    assert kinds(look_until(watch, lambda sight: len(sight.states) == 14)) == []
    plan = strike(observatory_ground, "csc-fault", csc="ATDome")
    (problem,) = look_until(watch, lambda sight: sight.problems).problems
    assert (problem.kind, problem.where) == ("csc-fault", "ATDome")
    assert plan.marks == (("ATDome",),)
    with pytest.raises(NotFoundError, match="already"):
        strike(observatory_ground, "csc-fault", csc="ATDome")
    undo(observatory_ground, "csc-fault", plan)
    look_until(watch, lambda sight: not sight.problems)
    assert ask_simulator()["cscs"]["ATDome"]["state"] == "STANDBY"
    with pytest.raises(RefusedError, match="no CSC"):
        strike(observatory_ground, "csc-fault", csc="Nosuch:3")


def test_a_queue_that_pauses_is_seen_and_runs_on(simulated, observatory_ground, watch):
    plan = strike(observatory_ground, "queue-paused", queue=2)
    (problem,) = look_until(watch, lambda sight: sight.problems).problems
    assert (problem.kind, problem.where) == ("queue-paused", "ScriptQueue:2")
    undo(observatory_ground, "queue-paused", plan)
    look_until(watch, lambda sight: not sight.problems)
    with pytest.raises(RefusedError):
        strike(observatory_ground, "queue-paused", queue=9)


@pytest.mark.parametrize("kind", ["drop", "http_500"])
def test_a_service_that_is_down_is_seen_and_comes_back(simulated, observatory_ground, kind):
    plan = strike(observatory_ground, "service-down", kind=kind)
    assert len(ask_simulator()["faults"]) == 1, "told twice, it fails once"
    ask_simulator({"do": "inject", "service": "slack", "kind": "drop", "times": -1})
    with ObservatoryWatch(observatory_ground.site) as watch:
        (problem,) = watch.look().problems
        assert (problem.kind, problem.where) == ("service-down", "love")
        undo(observatory_ground, "service-down", plan)
        look_until(watch, lambda sight: not sight.problems and sight.states)
    assert [f["service"] for f in ask_simulator()["faults"]] == ["slack"], "only its own fault is healed"


def test_without_a_simulator_nothing_is_observed_and_nothing_fails(observatory_ground, watch):
    sight = watch.look()
    assert (sight.states, sight.problems) == ((), ())
    assert "not running" in sight.not_observed
    with pytest.raises(NotFoundError):
        strike(observatory_ground, "queue-paused")
    kind = fault_kind("queue-paused")
    kind.undo(
        observatory_ground, type("P", (), {"details": {"undo": [{"do": "resume-queue", "queue": 1}]}})()
    )


def test_the_simulator_refuses_what_it_does_not_know(simulated):
    with pytest.raises(RejectedError):
        ask_simulator({"do": "explode"})
    with pytest.raises(RejectedError):
        ask_simulator({"do": "mend", "csc": "ATDome", "state": "HAPPY"})


def test_a_service_that_goes_down_under_a_watch_is_seen_though_its_websocket_still_tells(
    simulated, observatory_ground, watch
):
    assert not look_until(watch, lambda sight: sight.states).problems
    plan = strike(observatory_ground, "service-down")
    assert kinds(watch.look()) == ["service-down"]
    undo(observatory_ground, "service-down", plan)
    look_until(watch, lambda sight: not sight.problems and sight.states)
