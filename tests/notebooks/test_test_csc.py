"""The test of a CSC, as an engine runs it, with something going wrong at a random point.

Whatever goes wrong, the production CSC is back in STANDBY at the end; or the run says plainly that it is not, and
`commtools csc restore` finishes the job. Never do two processes run as the same CSC, never is a whole application
synced.
"""

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lsst_commtools import Control
from lsst_commtools.cli import main
from lsst_commtools.procedure import Ledger
from lsst_commtools.procedure.runner import run_notebook
from lsst_commtools.procedure.runs import list_runs
from lsst_commtools.procedure.values import Kind
from lsst_commtools.simulate.observatory import (
    simulator_act,
    simulator_truth,
    start_simulator,
    stop_simulator,
)
from lsst_commtools.site import Site, commtools_home

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "csc" / "test_csc.ipynb"
CSC = "DIMM:1"
QUICK = """
love: {observe_timeout_s: 4, gone_timeout_s: 6, transition_timeout_s: 8, script_timeout_s: 25, reply_timeout_s: 4}
deploy:
  argocd: {poll_s: 0.1, wait_timeout_s: 15, boot_timeout_s: 15, reply_timeout_s: 4}
  bench: {reply_timeout_s: 4, start_timeout_s: 15, stop_timeout_s: 4}
notices: {patience_s: 8, reply_timeout_s: 4}
procedure: {html: false, heartbeat_s: 1, interrupt_grace_s: 5}
"""
STEPS = 19
SAMPLE = (1, 4, 5)
CAMPAIGN = range(100)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client


@pytest.fixture
def observatory(empty_home, monkeypatch):
    folder = commtools_home() / "sites"
    folder.mkdir(parents=True)
    (folder / "local.yaml").write_text(QUICK)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield start_simulator(speed=10.0)
    stop_simulator()


@pytest.fixture
def commtools(capsys):
    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        return ended.value.code, capsys.readouterr()

    return run


@dataclasses.dataclass
class Trial:
    """One thing that goes wrong."""

    how: str
    told: dict
    at_step: int = 0

    def __str__(self):
        return f"{self.how} {self.told} at step {self.at_step}"


def request_faults(rng):
    """Faults that wait for a request or a command."""
    service = rng.choice(["love", "argocd", "docker", "slack", CSC])
    kinds = {
        "love": ["http_500", "http_504", "drop"],
        "argocd": ["http_403", "http_409", "http_500", "drop", "sync_fails"],
        "docker": ["http_500", "drop", "gone"],
        "slack": ["http_429", "http_500", "not_ok", "drop"],
        CSC: ["reject", "no_ack", "late", "fault", "die"],
    }
    places = {
        "love": ["", "cmd/", "get-token/", "salinfo/topic-data"],
        "argocd": ["", "GET applications", "GET eas", "GET resource-tree", "DELETE resource", "POST sync"],
        "docker": ["", "GET json", "POST exec", "POST start"],
        "slack": [""],
        CSC: ["", "start", "enable", "disable", "standby", "exitControl"],
    }
    kind = rng.choice(kinds[service])
    where = "POST sync" if kind == "sync_fails" else rng.choice(places[service])
    most = {"slack": 1, CSC: 3}.get(service, 12)
    return {
        "service": service,
        "kind": kind,
        "where": where,
        "skip": rng.randint(0, most),
        "times": rng.choice([1, 1, 2, 5]),
    }


def trial(seed):
    rng = random.Random(seed)
    how = rng.choice(
        ["inject"] * 6 + ["kernel", "kernel", "runner", "cut-websockets", "remove-container", "kill"]
    )
    told = {
        "inject": lambda: request_faults(rng),
        "kill": lambda: {"csc": CSC},
        "remove-container": lambda: {"name": "develop-env"},
    }.get(how, dict)()
    return Trial(how, told, rng.randint(1, STEPS))


def good(truth):
    csc = truth["cscs"][CSC]
    runs = csc["running"] and truth["jobs"]["jobs"].get("dimm1", {}).get("phase") == "Running"
    return runs and csc["state"] == "STANDBY" and not truth["bench"]["under_test"]


def harmless(truth):
    assert truth["two_at_once"] == []
    assert truth["jobs"]["whole_syncs"] == 0
    assert truth["jobs"]["deleted_applications"] == []


def when_step_begins(number, do, stop):
    """Do something when the run begins its step of that number."""

    def watch():
        ledger = Ledger.at(Site.load("local").procedure)
        while not stop.wait(0.05):
            events = ledger.events(kinds=[Kind.STEP_STARTED, Kind.KERNEL_STARTED])
            if sum(e.kind is Kind.STEP_STARTED for e in events) >= number:
                kernels = [e.data["process"]["pid"] for e in events if e.kind is Kind.KERNEL_STARTED]
                time.sleep(random.Random(number).uniform(0, 0.3))
                with contextlib.suppress(ProcessLookupError):
                    do(kernels[-1])
                return

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def run_with(fault):
    """Run the test of the CSC while a fault strikes; give its record."""
    stop = threading.Event()
    runner = None
    if fault.how == "inject":
        simulator_act("inject", **fault.told)
        thread = None
    elif fault.how == "kernel":
        thread = when_step_begins(fault.at_step, lambda pid: os.kill(pid, signal.SIGKILL), stop)
    elif fault.how == "runner":
        words = ["csc", "test", CSC, "--branch", "tickets/DM-1", "--watch", "0"]
        with (commtools_home() / "runner.log").open("wb") as log:
            runner = subprocess.Popen(
                [sys.executable, "-m", "lsst_commtools.cli", *words], stdout=log, stderr=log
            )
        thread = when_step_begins(fault.at_step, lambda _: runner.kill(), stop)
    else:
        thread = when_step_begins(fault.at_step, lambda _: simulator_act(fault.how, **fault.told), stop)
    try:
        if runner is not None:
            runner.wait(timeout=240)
            section = Site.load("local").procedure
            return list_runs(Ledger.at(section), section)[0]
        return run_notebook(
            NOTEBOOK, {"csc": CSC, "branch": "tickets/DM-1", "watch_s": 0.0}, site=Site.load("local")
        )
    finally:
        stop.set()
        if thread is not None:
            thread.join()


def strike(seed, commtools):
    fault = trial(seed)
    record = run_with(fault)
    truth = simulator_truth()
    harmless(truth)
    said = f"{fault}: {record.status} {record.reason}; owed {record.owed}"
    if record.status == "done":
        assert good(truth), f"said done, and it is not: {said}"
    if good(truth) and not record.owed and fault.how != "runner":
        return said
    assert good(truth) or record.owed, f"not restored, and not said: {said}"
    simulator_act("heal")
    ensure_container()
    code, printed = commtools("csc", "restore", CSC)
    truth = simulator_truth()
    harmless(truth)
    assert good(truth), f"not restored after restore (exit code {code}): {said}\n{printed.out}\n{printed.err}"
    assert code == 0, f"{said}\n{printed.out}\n{printed.err}"
    return f"{said}; restored"


def ensure_container():
    """Somebody makes the container again, as the run has asked."""
    simulator_act("make-container", name="develop-env")


def test_all_goes_well(observatory):
    record = run_with(Trial("none", {}, STEPS + 100))
    assert record.status == "done", record.reason
    truth = simulator_truth()
    harmless(truth)
    assert good(truth)
    (table,) = [step.observed for step in record.steps if step.name == "Observe the postconditions"]
    assert [row["met"] for row in table] == ["yes", "yes", "yes"]
    said = [message["text"] for message in truth["announced"]]
    assert [text.startswith("[REHEARSAL] DIMM:1: ") for text in said] == [True, True]
    assert "is as it was in production" in said[1]


def test_what_cannot_be_put_back_is_said_and_finished_later(observatory, commtools):
    simulator_act("inject", service="argocd", kind="http_403", where="POST sync", times=-1)
    record = run_with(Trial("none", {}, STEPS + 100))
    assert record.status == "failed"
    assert record.owed == ["Start DIMM:1 in production again"]
    truth = simulator_truth()
    harmless(truth)
    assert not truth["cscs"][CSC]["running"]
    assert "NOT everything is back: Start DIMM:1 in production again" in truth["announced"][-1]["text"]
    (table,) = [step.observed for step in record.steps if step.name == "Observe the postconditions"]
    assert [row["met"] for row in table] == ["yes", "yes", "no"]
    assert "commtools csc restore DIMM:1" in table[2]["by_hand"]

    code, printed = commtools("csc", "restore", CSC)  # it is still forbidden
    assert code == 3
    assert "forbids" in printed.out

    simulator_act("heal")
    code, printed = commtools("csc", "restore", CSC)
    assert code == 0, printed.err
    assert good(simulator_truth())
    assert commtools("runs", "recover")[1].out.strip() == "No run needs to be recovered."


def test_a_csc_that_does_not_run_in_production_is_not_started_there(observatory):
    control = Control(Site.load("local"))
    control.set_state("DIMM:2", "OFFLINE")
    control.close()
    record = run_notebook(
        NOTEBOOK,
        {"csc": "DIMM:2", "branch": "develop", "watch_s": 0.0, "iterations": 2},
        site=Site.load("local"),
    )
    assert record.status == "done", record.reason
    names = [step.name for step in record.steps]
    assert names.count("Enable the CSC under test") == 2
    assert "Take the production CSC OFFLINE" not in names
    truth = simulator_truth()
    assert (truth["cscs"]["DIMM:2"]["state"], truth["cscs"]["DIMM:2"]["running"]) == ("OFFLINE", False)


@pytest.mark.parametrize("act", [("sync-window", {"open": False}), ("remove-container", {"name": "kafka-daemon"}),
                                 ("pause-queue", {"queue": 1})])  # fmt: skip
def test_what_could_not_be_put_back_is_not_taken_down(act, observatory):
    name, told = act
    simulator_act(name, **told)
    before = simulator_truth()
    record = run_with(Trial("none", {}, STEPS + 100))
    assert record.status == "failed"
    assert record.owed == []
    after = simulator_truth()
    assert after["cscs"][CSC] == before["cscs"][CSC]
    assert after["jobs"] == before["jobs"]
    assert after["announced"] == []


def test_without_an_announcement_nothing_begins(observatory):
    simulator_act("inject", service="slack", kind="not_ok", times=-1)
    record = run_with(Trial("none", {}, STEPS + 100))
    assert record.status == "failed"
    assert good(simulator_truth())
    given = {"csc": CSC, "branch": "develop", "watch_s": 0.0, "announced_by": "Alma Mater"}
    record = run_notebook(NOTEBOOK, given, site=Site.load("local"))
    assert record.status == "done", record.reason
    (said,) = [step.observed for step in record.steps if step.name == "Announce the test"]
    assert (said["how"], said["taken_on_by"]) == ("person", "Alma Mater")


@pytest.mark.parametrize("seed", SAMPLE)
def test_something_goes_wrong(seed, observatory, commtools):
    sys.stderr.write(f"{seed}: {strike(seed, commtools)}\n")


@pytest.mark.slow
@pytest.mark.parametrize("seed", CAMPAIGN)
def test_campaign(seed, observatory, commtools):
    sys.stderr.write(f"{seed}: {strike(seed, commtools)}\n")
