from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from lsst_commtools.errors import InputError, LeaseError, StepError, UnknownOutcomeError
from lsst_commtools.procedure.closing import outstanding
from lsst_commtools.procedure.ledger import leases
from lsst_commtools.procedure.procedure import Procedure
from lsst_commtools.procedure.record import record_of
from lsst_commtools.procedure.runs import show_run
from lsst_commtools.procedure.values import Kind


def record(procedure):
    return record_of(procedure._journal.events(), alive=True)


def outcomes(procedure):
    return {step.id: step.status.value for step in record(procedure).steps}


def test_importing_procedure_is_light():
    code = (
        "import sys; import lsst_commtools.procedure; from lsst_commtools import Procedure, Site; "
        "heavy = {'papermill', 'nbclient', 'sqlalchemy', 'nbformat', 'jupyter_client'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_here_gives_the_same_run_until_it_is_finished(fast_site):
    one = Procedure.here(fast_site)
    assert Procedure.here(fast_site) is one
    assert one.finish() == "done"
    two = Procedure.here(fast_site)
    assert two.run != one.run
    two.finish()


def test_a_step_is_done_only_when_something_was_observed(by_hand):
    with by_hand.step("Take it OFFLINE") as step:
        step.observed = "OFFLINE"
    with by_hand.step("Look away"):
        pass
    with by_hand.step("Take it OFFLINE") as step:
        step.observed = "OFFLINE"
    assert outcomes(by_hand) == {
        "take-it-offline": "done",
        "look-away": "unknown",
        "take-it-offline-2": "done",
    }
    assert by_hand._finish("") == "unknown"


def test_a_step_that_raises_failed_and_one_that_is_interrupted_is_unknown(by_hand):
    for name, error in (("a", ValueError("x")), ("b", KeyboardInterrupt()), ("c", TimeoutError("late"))):
        with pytest.raises(type(error)), by_hand.step(name) as step:  # noqa: PT012 - the body of a step
            step.observed = "half"
            raise error
    assert outcomes(by_hand) == {"a": "failed", "b": "unknown", "c": "unknown"}
    assert by_hand._finish("") == "failed"


def test_a_step_that_observes_something_else_stops_the_procedure(by_hand):
    with pytest.raises(StepError, match="ENABLED"), by_hand.step("off", expect="OFFLINE") as step:
        step.observed = "ENABLED"
    with pytest.raises(UnknownOutcomeError), by_hand.step("look", observe=lambda: 1 / 0):
        pass
    with pytest.raises(UnknownOutcomeError), by_hand.step("state") as step:
        step.observed = "UNKNOWN"
    with pytest.raises(UnknownOutcomeError), by_hand.step("expects", expect="OFFLINE"):
        pass
    with pytest.raises(UnknownOutcomeError), by_hand.step("said") as step:
        step.unknown("the camera was off")
    with by_hand.step("not today") as step:
        step.skip("no rain")
    assert list(outcomes(by_hand).values()) == [
        "failed",
        "unknown",
        "unknown",
        "unknown",
        "unknown",
        "skipped",
    ]


def test_what_is_measured_or_attached_is_an_observation(by_hand, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a\n1\n")
    with by_hand.step("measure"):
        by_hand.measure("fwhm", np.float32(0.5), "arcsec")
        by_hand.measure("bad", float("nan"), "arcsec")
        kept = by_hand.attach(table, "../../escape")
    assert kept.parent == by_hand._binding.files
    assert kept.read_text() == "a\n1\n"
    observed = record(by_hand).steps[0].observed
    assert observed["fwhm"] == {"value": 0.5, "unit": "arcsec"}
    assert observed["bad"]["value"] == "nan"
    assert observed["attached"] == ["escape.csv"]
    with pytest.raises(InputError):
        by_hand.attach(object())


def test_tables_and_figures_are_kept(by_hand):
    import pandas as pd
    from astropy.table import Table
    from bokeh.plotting import figure

    plot = figure()
    plot.line([1, 2], [3, 4])
    names = [by_hand.attach(t, "x").name for t in (pd.DataFrame({"a": [1]}), Table({"a": [1]}), plot, plot)]
    assert names == ["x.csv", "x.ecsv", "x.html", "x-2.html"]
    page = (by_hand._binding.files / "x.html").read_text()
    assert "cdn.bokeh.org" not in page


def test_preconditions_are_observed(by_hand):
    assert by_hand.precondition("on", lambda: "ENABLED", expect="ENABLED") == "ENABLED"
    with pytest.raises(StepError):
        by_hand.precondition("off", lambda: "ENABLED", expect="OFFLINE")
    with pytest.raises(UnknownOutcomeError):
        by_hand.precondition("nothing", lambda: None)
    with pytest.raises(UnknownOutcomeError):
        by_hand.precondition("no answer", lambda: 1 / 0)
    assert list(outcomes(by_hand).values()) == ["done", "failed", "unknown", "unknown"]


def test_debts_are_settled_newest_first_and_one_failure_does_not_keep_the_others(by_hand):
    by_hand.owe("first", {"state": "ENABLED"})
    by_hand.owe("second", {"state": "STANDBY"})
    by_hand.owe("third", {"state": "DISABLED"})
    by_hand.owe("first", {"state": "OFFLINE"})
    order = []
    with pytest.raises(StepError, match="second"):  # noqa: PT012 - what a closing cell looks like
        for step in by_hand.closing:
            with step:
                order.append((step.name, step.data["state"]))
                if step.name == "second":
                    raise OSError("no answer")
                step.observed = step.data["state"]
    assert order == [("third", "DISABLED"), ("second", "STANDBY"), ("first", "ENABLED")]
    assert [debt.name for debt in by_hand.closing.owed] == ["second"]
    assert by_hand._finish("") == "failed"


def test_a_closing_step_that_observed_nothing_settles_nothing(by_hand):
    by_hand.owe("it", {})
    with pytest.raises(StepError):  # noqa: PT012 - the same
        for step in by_hand.closing:
            with step:
                pass
    assert [debt.name for debt in by_hand.closing.owed] == ["it"]
    with by_hand.closing("it") as step:
        step.observed = "back"
    assert by_hand.closing.owed == []


def test_what_is_owed_keeps_its_leases(by_hand, fast_site):
    by_hand.lease("csc:DIMM:1")
    by_hand.owe("DIMM:1 back", {})
    assert by_hand._finish("") == "failed"
    held = [lease.key for lease in leases.all_leases(by_hand._journal.ledger)]
    assert held == ["csc:DIMM:1"]
    other = Procedure.here(fast_site)
    with pytest.raises(LeaseError, match=by_hand.run):
        other.lease("csc:DIMM:1")
    other.lease("csc:DIMM:1", taken_over_by="Ana")
    event = next(e for e in other._journal.events() if e.kind is Kind.LEASE_TAKEN)
    assert event.data["taken_over_by"] == "Ana"
    assert by_hand.run in event.data["taken_from"]
    other.finish()
    assert leases.all_leases(by_hand._journal.ledger) == []


def test_a_resumed_step_that_still_holds_is_skipped_and_one_that_does_not_is_done_again(attempt_of):
    world = {"a": "OFFLINE", "b": "OFFLINE"}
    first = attempt_of("run-1", 1)
    first._journal.note(Kind.RUN_STARTED, notebook="x", cells=[])
    for name in "ab":
        with first.step(name, observe=lambda name=name: world[name]):
            pass
    world["b"] = "ENABLED"
    second = attempt_of("run-1", 2)
    done = []
    for name in "ab":
        with second.step(name, observe=lambda name=name: world[name]) as step:
            if step.needed:
                done.append(name)
                world[name] = "OFFLINE"
    assert done == ["b"]
    assert outcomes(second) == {"a": "skipped", "b": "done"}


def test_a_resumed_step_whose_body_did_not_ask_is_not_called_skipped(attempt_of):
    first = attempt_of("run-1", 1)
    first._journal.note(Kind.RUN_STARTED, notebook="x", cells=[])
    with first.step("a", observe=lambda: 1):
        pass
    second = attempt_of("run-1", 2)
    with second.step("a", observe=lambda: 1) as step:
        step.observed = 1
    assert outcomes(second) == {"a": "done"}


def test_do_leaves_out_what_holds_and_never_does_a_thing_twice_that_must_be_done_once(attempt_of):
    calls, world = [], {"sent": 0}

    def send():
        calls.append(1)
        world["sent"] += 1

    first = attempt_of("run-1", 1)
    first._journal.note(Kind.RUN_STARTED, notebook="x", cells=[])
    first.do("go", lambda: calls.append(0) or "went", idempotent=False)
    with pytest.raises(KeyboardInterrupt):
        first.do("cut", lambda: (_ for _ in ()).throw(KeyboardInterrupt), idempotent=False)
    first.do("send", send, observe=lambda: world["sent"], expect=1)
    second = attempt_of("run-1", 2)
    assert second.do("go", send, idempotent=False).status == "skipped"
    with pytest.raises(UnknownOutcomeError):
        second.do("cut", send, idempotent=False)
    assert second.do("send", send, observe=lambda: world["sent"], expect=1).status == "skipped"
    assert calls == [0, 1]


def test_a_step_that_began_and_did_not_end_is_unknown_when_its_runner_is_gone(attempt_of):
    first = attempt_of("run-1", 1)
    first._journal.note(Kind.RUN_STARTED, notebook="x", cells=[{"index": 0}, {"index": 1}])
    first._journal.note(Kind.CELL_STARTED, cell=0)
    first.step("cut").__enter__()
    dead = record_of(first._journal.events(), alive=False)
    assert dead.status == "aborted"
    assert [step.status.value for step in dead.steps] == ["unknown"]
    assert [(cell.status.value, cell.reason) for cell in dead.cells] == [
        ("interrupted", "runner-died"),
        ("not-run", ""),
    ]
    assert record_of(first._journal.events(), alive=None).status == "unknown"
    assert record_of(first._journal.events(), alive=True).status == "running"


def test_in_a_dry_run_every_outcome_is_planned_and_nothing_is_done(attempt_of):
    dry = attempt_of("dry-1", 1, dry_run=True)
    dry._journal.note(Kind.RUN_STARTED, notebook="x", cells=[], dry_run=True)
    sent = []
    dry.precondition("is on", lambda: "OFFLINE", expect="ENABLED")
    dry.owe("back", {})
    dry.lease("csc:DIMM:1")
    with dry.step("a") as step:
        if not dry.dry_run:
            sent.append("a")
        step.observed = "would send"
    with dry.step("b"):
        pass
    dry.do("c", lambda: sent.append("c"), observe=lambda: "ENABLED", expect="OFFLINE")
    dry.hold("go?", roles=["lead"], observation={"x": 1})
    for step in dry.closing:
        with step:
            step.observed = "would restore"
    assert sent == []
    assert set(outcomes(dry).values()) == {"planned"}
    assert leases.all_leases(dry._journal.ledger) == []
    assert outstanding(dry._journal.events()) == []


def test_a_run_by_hand_whose_kernel_ends_without_finish_is_aborted(fast_site, ledger):
    code = (
        "from lsst_commtools import Procedure, Site\n"
        "p = Procedure.here(Site.load())\n"
        "with p.step('a') as s: s.observed = 1\n"
        "print(p.run)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found = show_run(ledger, fast_site.procedure, done.stdout.strip())
    assert found.status == "aborted"
    assert "finish" in found.reason
