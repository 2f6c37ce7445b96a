"""What the record says, and what was put back, after each thing that goes wrong."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import nbformat
import pytest

from lsst_commtools.errors import RefusedError
from lsst_commtools.procedure.ledger import leases
from lsst_commtools.procedure.ledger.engine import sqlite_path
from lsst_commtools.procedure.ledger.store import ledger_url
from lsst_commtools.procedure.recover import recover_run, recoverable
from lsst_commtools.procedure.runner import resume_run, run_notebook
from lsst_commtools.procedure.runs import list_runs, show_run

from .conftest import CLOSING, HEAD

PARAMETERS = ("fault: str = 'none'\nworld: str = ''", "parameters")
TAKE_DOWN = """import os, pathlib, signal, time
state = pathlib.Path(world)
with procedure.step("Take it OFFLINE", observe=state.read_text, expect="OFFLINE") as step:
    if step.needed:
        procedure.owe("it back to ENABLED", {"state": "ENABLED", "file": world})
        state.write_text("OFFLINE")
"""
FAULT = """with procedure.step("Work") as step:
    first_time = not pathlib.Path(world + ".tried").exists()
    pathlib.Path(world + ".tried").touch()
    if first_time and fault == "kernel":
        os.kill(os.getpid(), signal.SIGKILL)
    if first_time and fault == "stubborn":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if first_time and fault in ("slow", "stubborn"):
        time.sleep(60)
    if first_time and fault == "error":
        raise ValueError("no")
    step.observed = "worked"
"""
BACK = (
    HEAD
    + "\nimport pathlib\nfor step in procedure.closing:\n    with step:\n"
    + "        pathlib.Path(step.data['file']).write_text(step.data['state'])\n"
    + "        step.observed = step.data['state']",
    "closing",
)
CELLS = (PARAMETERS, HEAD, TAKE_DOWN, FAULT, "print('the end')", BACK)
WORK, LAST, CLOSED = 4, 5, 6  # with the injected cell


@pytest.fixture
def procedure(make_notebook, tmp_path):
    """A notebook that takes something down, and the file that stands for it."""
    world = tmp_path / "world"
    world.write_text("ENABLED")
    return make_notebook(*CELLS), world


def statuses(path):
    nb = nbformat.read(path, as_version=4)
    return nb, [cell.metadata.papermill["status"] for cell in nb.cells]


def resumed(record, site, world):
    again = resume_run(record.run, site=site)
    assert again.status == "done", again.reason
    assert again.attempt == 2
    assert again.owed == []
    assert world.read_text() == "ENABLED"
    assert {step.id: step.status.value for step in again.steps}["work"] == "done"


@pytest.mark.parametrize(
    ("fault", "status", "cell", "reason"),
    [
        ("kernel", "aborted", "interrupted", "kernel-died"),
        ("slow", "aborted", "interrupted", "timeout"),
        ("stubborn", "aborted", "interrupted", "timeout"),
        ("error", "failed", "failed", "error"),
    ],
)
def test_a_fault_in_a_cell(fault, status, cell, reason, procedure, fast_site, tmp_path):
    path, world = procedure
    record = run_notebook(
        path,
        {"fault": fault, "world": str(world)},
        site=fast_site,
        output=tmp_path / "out.ipynb",
        cell_timeout_s=2,
    )
    assert record.status == status
    cells = {c.index: (c.status.value, c.reason) for c in record.cells}
    assert cells[WORK] == (cell, reason)
    assert cells[LAST] == ("not-run", "")
    assert cells[CLOSED] == ("completed", "")
    assert world.read_text() == "ENABLED", "the closing cell has put it back"
    assert record.owed == []
    outcome = {step.id: step.status.value for step in record.steps}
    assert outcome["work"] == ("failed" if fault == "error" else "unknown")
    nb, shown = statuses(tmp_path / "out.ipynb")
    assert nb.metadata.papermill.exception is True
    assert (shown[WORK], shown[LAST], shown[CLOSED]) == (cell, "not-run", "completed")
    if fault in ("kernel", "error"):
        resumed(record, fast_site, world)


def start_run(path, world, output, fault, *wrap):
    command = [sys.executable, "-c", "from lsst_commtools.cli import main; main()", "run", str(path)]
    options = ["-p", f"fault={fault}", "-p", f"world={world}", "--output", str(output), "--format", "json"]
    return subprocess.Popen(
        [*wrap, *command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.1)


def test_a_runner_that_was_killed(procedure, fast_site, ledger, tmp_path):
    path, world = procedure
    output = tmp_path / "out.ipynb"
    runner = start_run(path, world, output, "slow")
    wait_for((tmp_path / "world.tried").exists)
    assert list_runs(ledger, fast_site.procedure)[0].status == "running"
    runner.kill()
    runner.communicate()
    record = list_runs(ledger, fast_site.procedure)[0]
    assert record.status == "aborted"
    assert record.owed == ["it back to ENABLED"]
    shown = {c.index: c.status.value for c in show_run(ledger, fast_site.procedure, record.run).cells}
    assert (shown[WORK], shown[LAST], shown[CLOSED]) == ("interrupted", "not-run", "not-run")
    assert world.read_text() == "OFFLINE"
    assert [r.run for r in recoverable(ledger, fast_site)[0]] == [record.run]
    recovered = recover_run(ledger, fast_site, record.run)
    assert (recovered.status, recovered.closed, recovered.owed) == ("aborted", True, [])
    assert world.read_text() == "ENABLED"
    found = show_run(ledger, fast_site.procedure, record.run)
    assert {c.index: c.status.value for c in found.cells}[CLOSED] == "completed"
    assert recoverable(ledger, fast_site)[0] == []
    nb, marks = statuses(output)
    assert nb.metadata.papermill.exception is True
    assert (marks[WORK], marks[LAST]) == ("interrupted", "not-run")
    resumed(record, fast_site, world)


def test_a_runner_that_is_asked_to_stop(procedure, fast_site, tmp_path):
    path, world = procedure
    runner = start_run(path, world, tmp_path / "out.ipynb", "slow")
    wait_for((tmp_path / "world.tried").exists)
    runner.send_signal(signal.SIGTERM)
    stdout, stderr = runner.communicate(timeout=60)
    assert runner.returncode == 130, stderr
    document = json.loads(stdout)
    assert document["status"] == "aborted"
    assert world.read_text() == "ENABLED"


def test_a_full_disk(make_notebook, fast_site, tmp_path):
    path = make_notebook(PARAMETERS, HEAD, TAKE_DOWN, "print('x' * 3_000_000)", "print('the end')", BACK)
    world = tmp_path / "world"
    world.write_text("ENABLED")
    # A limit on the size of files fails at the same place as a full disk: in the write.
    runner = start_run(
        path, world, tmp_path / "out.ipynb", "none", "bash", "-c", 'ulimit -f 2000; exec "$@"', "-"
    )
    stdout, stderr = runner.communicate(timeout=120)
    assert runner.returncode == 3, stderr
    document = json.loads(stdout)
    assert document["status"] == "aborted"
    assert "could not be written" in document["reason"]
    assert {c["index"]: c["status"] for c in document["cells"]}[LAST] == "not-run"
    assert world.read_text() == "ENABLED"
    assert document["owed"] == []
    statuses(tmp_path / "out.ipynb")  # the last whole file can be read
    again = resume_run(document["run"], site=fast_site)
    assert again.status == "done"


@pytest.mark.parametrize("how", ["locked", "gone"])
def test_a_ledger_that_is_away_for_a_while(how, procedure, fast_site, ledger, tmp_path):
    path, world = procedure
    ledger.prepare()
    file = sqlite_path(ledger_url(fast_site.procedure))
    done = threading.Event()
    away = tmp_path / "away"

    def disturb():
        wait_for((tmp_path / "world.tried").exists)
        if how == "locked":
            holder = sqlite3.connect(file, isolation_level=None)
            holder.execute("BEGIN EXCLUSIVE")
            done.wait(30)
            holder.close()
        else:
            shutil.move(file.parent, away)
            done.wait(30)
            shutil.rmtree(file.parent, ignore_errors=True)
            shutil.move(away, file.parent)

    thread = threading.Thread(target=disturb)
    thread.start()
    timer = threading.Timer(30, done.set)
    timer.start()
    try:
        run_notebook(
            path,
            {"fault": "slow", "world": str(world)},
            site=fast_site,
            output=tmp_path / "out.ipynb",
            cell_timeout_s=2,
        )
    finally:
        done.set()
        timer.cancel()
        thread.join()
    assert ledger.merge_spools(*tmp_path.glob("*.events.jsonl")) >= 0
    record = list_runs(ledger, fast_site.procedure)[0]
    assert record.status == "aborted"
    shown = show_run(ledger, fast_site.procedure, record.run)
    assert {c.index: c.status.value for c in shown.cells}[WORK] == "interrupted"
    if shown.owed:  # the kernel was lost too, and a fresh one could not read what is owed: then it is named
        assert how == "gone"
        assert world.read_text() == "OFFLINE"
        assert recover_run(ledger, fast_site, record.run).owed == []
    assert world.read_text() == "ENABLED"
    resumed(record, fast_site, world)


def test_closing_cells_work_from_the_ledger_alone(procedure, fast_site, ledger):
    path, world = procedure
    record = run_notebook(path, {"world": str(world)}, site=fast_site, closing_apart=True)
    assert (record.status, record.owed) == ("done", [])
    assert world.read_text() == "ENABLED"
    kernels = [e for e in ledger.events(record.run) if e.kind.value == "kernel-started"]
    assert [e.data["closing"] for e in kernels] == [False, True]


def test_of_two_who_resume_one_is_refused(procedure, fast_site, tmp_path):
    path, world = procedure
    record = run_notebook(path, {"fault": "error", "world": str(world)}, site=fast_site)
    results = []

    def again():
        try:
            results.append(resume_run(record.run, site=fast_site).status.value)
        except RefusedError as error:
            results.append(type(error).__name__)

    threads = [threading.Thread(target=again) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("done") == 1
    assert {"LeaseError", "RefusedError"} & set(results)


def test_a_run_over_its_time(procedure, fast_site):
    path, world = procedure
    begun = time.monotonic()
    record = run_notebook(path, {"fault": "slow", "world": str(world)}, site=fast_site, run_timeout_s=4)
    assert time.monotonic() - begun < 30
    assert record.status == "aborted"
    assert "the run was over its time" in record.reason
    assert world.read_text() == "ENABLED"


def test_a_kernel_that_does_not_start(make_notebook, fast_site):
    record = run_notebook(make_notebook("1"), site=fast_site, kernel_name="no-such-kernel")
    assert record.status == "aborted"
    assert "no-such-kernel" in record.reason
    assert [cell.status.value for cell in record.cells] == ["not-run"]


def test_a_closing_cell_that_fails_names_what_is_owed_and_keeps_the_lease(make_notebook, fast_site, ledger):
    bad = (
        HEAD + "\nfor step in procedure.closing:\n    with step:\n        raise OSError('no answer')",
        "closing",
    )
    path = make_notebook(HEAD, "procedure.lease('csc:DIMM:1')\nprocedure.owe('DIMM:1 back', {})", bad)
    record = run_notebook(path, site=fast_site)
    assert record.status == "failed"
    assert record.owed == ["DIMM:1 back"]
    assert [lease.key for lease in leases.all_leases(ledger)] == ["csc:DIMM:1"]
    assert recoverable(ledger, fast_site)[0][0].run == record.run
    recovered = recover_run(ledger, fast_site, record.run, taken_over_by="Ana")
    assert recovered.owed == ["DIMM:1 back"]
    assert leases.all_leases(ledger) == []


def test_two_closing_cells_each_have_their_turn(make_notebook, fast_site):
    one = (HEAD + "\nraise OSError('first closing cell fails')", "closing")
    path = make_notebook(HEAD, "procedure.owe('it back', {'state': 'ENABLED'})\n1/0", "2", one, CLOSING)
    record = run_notebook(path, site=fast_site)
    assert [cell.status.value for cell in record.cells] == [
        "completed",
        "failed",
        "not-run",
        "failed",
        "completed",
    ]
    assert record.status == "failed"
    assert record.owed == []
