"""The conductor: each step in its turn, once, whatever fails; one conductor at a time."""

import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest

from lsst_commtools.errors import LeaseError
from lsst_commtools.procedure.campaign.work import WorkResult
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.rehearsal import (
    FINAL_STANDUP,
    OUTLINE,
    Kind,
    Rehearsal,
    RehearsalNight,
    RehearsalSettings,
)
from lsst_commtools.rehearsal.conductor import conduct, notebook_of
from lsst_commtools.rehearsal.states import StepStatus, all_steps, needs_of
from lsst_commtools.site import Site


class Hands:
    """An executor that does what a notebook would tell the journal, and fails where it is told to."""

    slots = 3

    def __init__(self, rehearsal, failing=()):
        self.rehearsal, self.failing = rehearsal, list(failing)
        self.orders, self.cancelled = [], []

    def submit(self, order):
        number, step = int(order.parameters["night"]), order.task.split("-", 2)[2]
        self.orders.append((number, step))
        journal, run = self.rehearsal.journal, f"run-{len(self.orders)}"
        journal.append(Kind.STEP_STARTED, number, step=step, run=run)
        future = Future()
        if (number, step) in self.failing:
            self.failing.remove((number, step))
            future.set_result(WorkResult(order.task, "failed", run, "the disk is full"))
            return future
        journal.append(Kind.STEP_ENDED, number, step=step, run=run, status="done", reason="")
        future.set_result(WorkResult(order.task, "done", run, executed=True))
        return future

    def cancel(self, campaign):
        self.cancelled.append(campaign)

    def close(self):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr(RehearsalNight, "prepare", lambda self, *_: [])
    monkeypatch.setattr("lsst_commtools.rehearsal.conductor._RETRY_S", 0.0)
    return Site.load("local")


def rehearsal_of(site, work, nights=2, *, unattended=True):
    days = (20261120, 20261121, 20261122)[:nights]
    return Rehearsal.create(
        site, RehearsalSettings(work, "simulated", "LATISS", days, 1, 1, 60.0, unattended=unattended)
    )


def run(rehearsal, hands, stop=None):
    lines = []
    states = conduct(rehearsal, hands, told=lines.append, stop=stop or threading.Event())
    return states, lines


def test_each_step_has_its_notebook():
    for step in (*OUTLINE, FINAL_STANDUP):
        assert notebook_of(step).is_file()


def test_all_steps_run_once_and_after_what_they_follow(site, tmp_path):
    rehearsal = rehearsal_of(site, tmp_path / "w")
    hands = Hands(rehearsal)
    states, _ = run(rehearsal, hands)
    assert {state.status for state in states.values()} == {StepStatus.DONE}
    assert sorted(hands.orders) == sorted((night, step.id) for night, step in all_steps(2))
    for night, step in all_steps(2):
        for need in needs_of(night, step):
            assert hands.orders.index(need) < hands.orders.index((night, step.id))
    assert rehearsal.clock.speed == 0.0
    assert run(rehearsal, Hands(rehearsal))[0] == states


def test_a_failed_step_is_tried_again_and_then_the_night_goes_on(site, tmp_path):
    rehearsal = rehearsal_of(site, tmp_path / "w", 1)
    hands = Hands(rehearsal, [(1, "generate-calibrations")] * 3 + [(1, "run-pipeline")])
    states, lines = run(rehearsal, hands)
    assert hands.orders.count((1, "generate-calibrations")) == 3
    assert states[1, "generate-calibrations"].status is StepStatus.FAILED
    assert states[1, "generate-calibrations"].reason == "the disk is full"
    assert [key for key, s in states.items() if s.status is not StepStatus.DONE] == [
        (1, "generate-calibrations")
    ]
    problems = [e.data for e in rehearsal.entries({Kind.PROBLEM})]
    assert [(p["kind"], p["where"]) for p in problems] == [("step-failed", "step generate-calibrations")]
    assert any("the disk is full" in line for line in lines)


def test_the_same_command_tries_what_failed_and_does_what_follows_anew(site, tmp_path):
    rehearsal = rehearsal_of(site, tmp_path / "w", 1)
    run(rehearsal, Hands(rehearsal, [(1, "qa-observations")] * 3))
    hands = Hands(rehearsal)
    states, _ = run(rehearsal, hands)
    assert {state.status for state in states.values()} == {StepStatus.DONE}
    assert hands.orders == [
        (1, "qa-observations"),
        (1, "monitor-campaign"),
        (1, "nightly-report"),
        (1, "final-standup"),
    ]


def test_with_people_a_step_is_theirs_to_try_again(site, tmp_path):
    rehearsal = rehearsal_of(site, tmp_path / "w", 1, unattended=False)
    hands = Hands(rehearsal, [(1, "standup")])
    states, _ = run(rehearsal, hands)
    assert hands.orders.count((1, "standup")) == 1
    assert states[1, "standup"].status is StepStatus.FAILED
    assert states[1, "final-standup"].status is StepStatus.DONE


def test_stopped_it_begins_nothing_more(site, tmp_path):
    rehearsal = rehearsal_of(site, tmp_path / "w")
    stop = threading.Event()
    stop.set()
    hands = Hands(rehearsal)
    states, _ = run(rehearsal, hands, stop)
    assert hands.orders == []
    assert hands.cancelled
    assert {state.status for state in states.values()} == {StepStatus.WAITING}


def test_a_second_conductor_is_told_of_the_first(site, tmp_path):
    rehearsal = rehearsal_of(site, tmp_path / "w")
    key = f"rehearsal:{rehearsal.settings.work}"
    leases.take(Ledger.at(site.procedure), key, "conductor-other", ProcessId.of())
    with pytest.raises(LeaseError, match="is held by"):
        run(rehearsal, Hands(rehearsal))


def test_a_conductor_whose_process_is_gone_holds_nobody_up(site, tmp_path):
    rehearsal = rehearsal_of(site, tmp_path / "w", 1)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    holder = ProcessId.of(process.pid)
    key = f"rehearsal:{rehearsal.settings.work}"
    leases.take(Ledger.at(site.procedure), key, "conductor-dead", holder)
    process.communicate(b"\n")
    states, _ = run(rehearsal, Hands(rehearsal))
    assert {state.status for state in states.values()} == {StepStatus.DONE}
