"""The same pipeline by BPS as in process: the same account, nothing submitted twice, and what fails is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lsst_commtools.errors import InputError, LeaseError, RejectedError, ServiceTimeoutError
from lsst_commtools.pipeline.bps import prepare_bps, run_by_bps
from lsst_commtools.pipeline.bps.batches import Batch, GroupRecord, GroupState, locked
from lsst_commtools.pipeline.bps.clusters import Cluster, part_into_groups
from lsst_commtools.pipeline.bps.config import read_overlay
from lsst_commtools.pipeline.bps.marks import hold, is_held, jobs_at_work, working
from lsst_commtools.pipeline.bps.outcomes import read_outcomes, unfinished, write_outcome
from lsst_commtools.pipeline.outcomes import QuantumOutcome, QuantumStatus
from lsst_commtools.site.pipeline import PipelineSection

pytest.importorskip("lsst.ctrl.bps", reason="BPS is not installed")

WHERE = "instrument='LSSTComCam' AND exposure.observation_type='science'"
FIRST = f"{WHERE} AND exposure.seq_num=1"
QUEUE = PipelineSection(executor="bps", service="queue_wms.QueueService", groups=2, poll_s=0.1, timeout_s=300)
PARSL = PipelineSection(executor="bps", poll_s=0.2, timeout_s=300)


@given(
    parents=st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=30),
    number=st.integers(1, 12),
)
@settings(deadline=None)
def test_submissions_hold_each_job_once_and_wait_for_none_of_another(parents, number):
    clusters = []
    for k, wanted in enumerate(parents):
        waits = tuple(sorted({f"c{p}" for p in wanted if p < k}))
        clusters.append(Cluster(f"c{k}", "x", {}, (str(k),), ("x",), waits))
    groups = part_into_groups(clusters, number)
    assert sorted(c.name for group in groups for c in group) == sorted(c.name for c in clusters)
    assert 1 <= len(groups) <= number
    for group in groups:
        names = [cluster.name for cluster in group]
        for cluster in group:
            assert all(before in names[: names.index(cluster.name)] for before in cluster.waits_for)


def test_independent_jobs_are_spread_evenly():
    clusters = [Cluster(f"c{k}", "x", {}, (str(k),), ("x",), ()) for k in range(10)]
    assert [len(group) for group in part_into_groups(clusters, 3)] == [4, 3, 3]


def test_outcomes_survive_what_is_half_written(tmp_path):
    outcome = QuantumOutcome("isr", {"exposure": 1}, QuantumStatus.FAILED, "DataError", "no light", 0.5)
    write_outcome(tmp_path, "a", outcome)
    (tmp_path / "b.json").write_text('{"task": "is')
    assert read_outcomes(tmp_path, ["a", "b", "c"]) == {"a": outcome}
    assert unfinished(tmp_path, ["c", "a"]) == ["c"]


def test_a_mark_is_free_when_its_process_is_dead(tmp_path):
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom lsst_commtools.pipeline.bps.marks import working\n"
    )
    script += "with working(Path(sys.argv[1])):\n    print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as job:
        job.stdout.readline()
        assert jobs_at_work(tmp_path) == 1
        job.kill()
        job.wait()
    assert jobs_at_work(tmp_path) == 0
    assert not list(tmp_path.glob("*.running"))
    with working(tmp_path):
        assert list(tmp_path.glob("*.running"))
    file = hold(tmp_path / "x")
    assert is_held(tmp_path / "x")
    assert hold(tmp_path / "x") is None
    file.close()
    assert not is_held(tmp_path / "x")


def test_two_at_once_are_told_of_each_other(tmp_path):
    with locked(tmp_path), pytest.raises(LeaseError, match="Another process submits"), locked(tmp_path):
        pass


def test_the_sites_own_settings_may_not_decide_what_runs(tmp_path):
    path = tmp_path / "bps.yaml"
    path.write_text(yaml.safe_dump({"runQuantumCommand": "true", "requestMemory": 1}))
    with pytest.raises(InputError, match="runQuantumCommand"):
        read_overlay(PipelineSection(config=str(path)))
    path.write_text("- 1")
    with pytest.raises(InputError, match="by name"):
        read_overlay(PipelineSection(config=str(path)))
    with pytest.raises(ValidationError):
        PipelineSection(service="os.system('x')")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two visits of two detectors, of which one raw file was damaged after its ingest."""
    from lsst_commtools.ingest import Ingester, create_repository, ingest_refcat, open_repository
    from lsst_commtools.simulate.night import simulate_night

    folder = tmp_path_factory.mktemp("bps")
    simulated = simulate_night(
        folder / "night", visits=2, biases=0, flats=0, seed=4, size=(256, 256), detectors=(3, 4), processes=1
    )
    repository = create_repository(folder / "repo")
    Ingester(repository, "LSSTComCam").ingest(sorted(simulated.raw.rglob("*.fits")))
    with open_repository(repository, writeable=True) as butler:
        ingest_refcat(butler, [simulated.refcat])
    victim = min(simulated.raw.rglob("*.fits"))
    victim.write_bytes(victim.read_bytes()[:100_000])
    return SimpleNamespace(repository=repository, folder=folder)


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """The batch system for tests, empty."""
    root = tmp_path / "queue"
    root.mkdir()
    monkeypatch.setenv("QUEUE_WMS_ROOT", str(root))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return root


def essence(report):
    """What two ways of running must agree in."""
    return [(o.task, o.data_id, o.status.value, o.error, o.message) for o in report.outcomes]


def tables(repository, run):
    from lsst_commtools.ingest import open_repository

    with open_repository(repository) as butler:
        return {
            (ref.datasetType.name, str(ref.dataId)): butler.get(ref).to_pandas()
            for name in ("star_table", "visit_summary")
            for ref in butler.query_datasets(name, run, find_first=False)
        }


@pytest.fixture(scope="module")
def in_process(small):
    """The account of the same night in this process."""
    from lsst_commtools.pipeline import run_pipeline

    return run_pipeline(small.repository, WHERE, "u/test/process", 1)


def test_a_queue_gives_the_account_of_the_process(small, in_process, queue, tmp_path):
    seen = []
    report = run_by_bps(
        small.repository, WHERE, "u/test/queue", QUEUE, tmp_path / "bps", lambda *told: seen.append(told)
    )
    assert sorted(map(str, essence(report))) == sorted(map(str, essence(in_process)))
    assert report.expected == 14
    assert [o.error for o in report.failed] == [o.error for o in in_process.failed] != []
    assert [done for done, _, _ in seen] == list(range(1, 15))
    ours, theirs = (tables(small.repository, run) for run in ("u/test/queue", "u/test/process"))
    assert ours.keys() == theirs.keys()
    for key, table in ours.items():
        pd.testing.assert_frame_equal(table, theirs[key])
    batch = Batch.read(tmp_path / "bps" / "b001")
    assert [batch.record(name).run_id for name in ("g001", "g002")] == ["1.0", "2.0"]

    again = run_by_bps(small.repository, WHERE, "u/test/queue", QUEUE, tmp_path / "bps")
    redone = {o.task for o in again.outcomes if o.status is not QuantumStatus.EXISTING}
    assert again.by_task()["isr"] == {"failed": 1, "existing": 3}
    assert redone == {"isr", "measure", "astrometry", "visit_summary"}  # what failed, and what builds on it
    assert [o.where for o in again.failed] == [o.where for o in report.failed]


def test_one_group_that_is_refused_is_named_and_the_others_go_on(small, queue, tmp_path):
    (queue / "closed").write_text("g001")
    report = run_by_bps(small.repository, WHERE, "u/test/refused", QUEUE, tmp_path / "bps")
    assert list(report.not_submitted) == ["g001"]
    assert "the queue is closed for u_test_refused_g001" in report.not_submitted["g001"]
    assert {o.status.value for o in report.outcomes} == {"succeeded", "skipped"}
    assert report.succeeded == 7
    assert all("g001 was not submitted" in o.message for o in report.skipped)

    (queue / "closed").unlink()
    again = run_by_bps(small.repository, WHERE, "u/test/refused", QUEUE, tmp_path / "bps")
    assert not again.not_submitted
    assert len(again.failed) == 1
    assert len(list(queue.glob("*.0"))) == 2  # the group that went well was not submitted again


def test_what_is_raised_before_a_submission_is_the_reason_why_it_is_not_made(small, queue, tmp_path):
    def closed(name):
        raise RejectedError(f"The reservation has no room for {name}.")

    report = run_by_bps(
        small.repository, WHERE, "u/test/before", QUEUE, tmp_path / "bps", before_submit=closed
    )
    assert dict(report.not_submitted) == {
        name: f"The reservation has no room for {name}." for name in ("g001", "g002")
    }
    assert not list(queue.glob("*.0"))


def test_a_run_of_a_killed_conductor_is_found_again(small, queue, tmp_path):
    (queue / "wait").touch()  # jobs do not begin as long as it is there
    script = (
        "from pathlib import Path\nfrom lsst_commtools.pipeline.bps import run_by_bps\n"
        "from lsst_commtools.site.pipeline import PipelineSection\n"
        f"run_by_bps({str(small.repository)!r}, {FIRST!r}, 'u/test/killed', "
        f"PipelineSection.model_validate({QUEUE.model_dump()!r}), Path({str(tmp_path / 'bps')!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as conductor:
        deadline = time.monotonic() + 120
        while not list(queue.glob("*.0")) and time.monotonic() < deadline:
            assert conductor.poll() is None
            time.sleep(0.1)
        conductor.send_signal(signal.SIGKILL)
    (queue / "wait").unlink()
    report = run_by_bps(small.repository, FIRST, "u/test/killed", QUEUE, tmp_path / "bps")
    assert report.expected == 7
    assert len(report.failed) == 1
    assert [path.name for path in queue.glob("*.0")] == ["1.0"]
    record = Batch.read(tmp_path / "bps" / "b001").record("g001")
    assert (record.state, record.attempts, record.run_id) == (GroupState.ENDED, 1, "1.0")


@pytest.mark.slow
def test_more_visits_wait_for_those_that_run(small, queue, tmp_path):
    """The first call is given up while its run goes on; the second one has a visit more, and repeats nothing."""
    (queue / "wait").touch()
    hurried = QUEUE.model_copy(update={"timeout_s": 8.0})
    with pytest.raises(ServiceTimeoutError):
        run_by_bps(small.repository, FIRST, "u/test/more", hurried, tmp_path / "bps")
    (queue / "wait").unlink()
    report = run_by_bps(small.repository, WHERE, "u/test/more", QUEUE, tmp_path / "bps")
    assert report.expected == 14
    assert report.by_task()["isr"] == {"failed": 1, "existing": 1, "succeeded": 2}
    assert Batch.read(tmp_path / "bps" / "b001").ended


@pytest.mark.slow
def test_a_run_that_takes_too_long_goes_on(small, queue, tmp_path):
    (queue / "wait").touch()
    hurried = QUEUE.model_copy(update={"timeout_s": 8.0, "groups": 1})
    with pytest.raises(ServiceTimeoutError, match="has not ended"):
        run_by_bps(small.repository, WHERE, "u/test/late", hurried, tmp_path / "bps")
    (queue / "wait").unlink()
    patient = QUEUE.model_copy(update={"groups": 1})
    report = run_by_bps(small.repository, WHERE, "u/test/late", patient, tmp_path / "bps")
    assert report.succeeded == 11
    assert len(list(queue.glob("*.0"))) == 1


@pytest.mark.slow
def test_a_lost_job_is_a_failure_and_the_visit_is_still_summed_up(small, queue, tmp_path, monkeypatch):
    from lsst_commtools.pipeline.bps import run as bps_run

    # The job of detector 3 of the second visit dies at once, as one does that needs too much memory.
    original = bps_run.write_config

    def with_a_deadly_job(batch, name, attempt, *rest):
        path = original(batch, name, attempt, *rest)
        config = yaml.safe_load(path.read_text())
        command = config["runQuantumCommand"]
        victim = next(c for c in batch.groups[name] if c.tags.get("detector") == 3).quanta[0]
        config["runQuantumCommand"] = f"{sys.executable} {dying} {victim} {command}"
        path.write_text(yaml.safe_dump(config))
        return path

    dying = tmp_path / "dying.py"
    dying.write_text(
        "import os, signal, sys\n"
        "outcome = f'{sys.argv[sys.argv.index(\"--outcomes\") + 1]}/{sys.argv[1]}.json'\n"
        "if sys.argv[1] in sys.argv[-1] and not os.path.exists(outcome): os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.execv(sys.argv[2], sys.argv[2:])\n"
    )
    monkeypatch.setattr(bps_run, "write_config", with_a_deadly_job)
    where = f"{WHERE} AND exposure.seq_num=2"
    one = QUEUE.model_copy(update={"groups": 1})
    report = run_by_bps(small.repository, where, "u/test/lost", one, tmp_path / "bps")
    assert [(o.task, o.data_id["detector"], o.error) for o in report.failed] == [("isr", 3, "JobLost")]
    assert {o.task for o in report.skipped} == {"measure", "astrometry"}
    assert [o.status.value for o in report.outcomes if o.task == "visit_summary"] == ["succeeded"]


def test_a_batch_system_that_is_not_there_is_named_before_anything_is_done(small, tmp_path):
    section = PipelineSection(executor="bps", service="lsst.ctrl.bps.nowhere.Service")
    with pytest.raises(InputError, match=r"lsst\.ctrl\.bps\.nowhere\.Service cannot be used"):
        run_by_bps(small.repository, WHERE, "u/test/nowhere", section, tmp_path / "bps")
    assert not (tmp_path / "bps").exists()


@pytest.mark.parametrize(
    "service",
    [
        "lsst.ctrl.bps.parsl.ParslService",
        "lsst.ctrl.bps.panda.PanDAService",
        "lsst.ctrl.bps.htcondor.HTCondorService",
    ],
)
def test_submissions_can_be_looked_at_before(small, service, tmp_path):
    overlay = tmp_path / "site.yaml"
    overlay.write_text(
        yaml.safe_dump({"requestMemory": 4096, "site": {"s3df": {"profile": {"condor": {"x": "y"}}}}})
    )
    section = PipelineSection(executor="bps", service=service, compute_site="s3df", config=str(overlay))
    prepared = prepare_bps(small.repository, WHERE, "u/test/prepared", section, tmp_path / "bps")
    names = {path.name for path in prepared.files["g001"]}
    assert {"bps-1.yaml", "jobs.txt"} <= names
    jobs = (tmp_path / "bps" / prepared.folder.name / "g001" / "jobs.txt").read_text()
    assert jobs.count("lsst_commtools.pipeline.bps.job") == 6
    assert "4096 MB" in jobs
    config = yaml.safe_load((prepared.folder / "g001" / "bps-1.yaml").read_text())
    assert config["wmsServiceClass"] == service
    assert config["computeSite"] == "s3df"
    told = " ".join(prepared.not_checked)
    if "parsl_workflow.pickle" in names or any(name.endswith(".dag") for name in names):
        assert "own files" not in told
    else:
        assert f"{service} cannot be used" in told
    assert "accepts" in told


def test_parsl_gives_the_account_of_the_process(small, in_process, tmp_path):
    pytest.importorskip("lsst.ctrl.bps.parsl", reason="BPS's Parsl plugin is not installed")
    report = run_by_bps(small.repository, FIRST, "u/test/parsl", PARSL, tmp_path / "bps")
    alone = [e for e in essence(in_process) if str(e[1].get("exposure", e[1].get("visit"))).endswith("00001")]
    assert report.expected == 7
    assert len(alone) == 7
    assert sorted(map(str, essence(report))) == sorted(map(str, alone))
    record = Batch.read(tmp_path / "bps" / "b001").record("g001")
    assert record == GroupRecord("g001", GroupState.ENDED, attempts=1, pid=record.pid)


@pytest.mark.slow
def test_parsl_is_found_again_or_done_again(small, tmp_path):
    """The conductor is killed, and then BPS too: what is done is not repeated, what is not is submitted again."""
    pytest.importorskip("lsst.ctrl.bps.parsl", reason="BPS's Parsl plugin is not installed")
    script = (
        "from pathlib import Path\nfrom lsst_commtools.pipeline.bps import run_by_bps\n"
        "from lsst_commtools.site.pipeline import PipelineSection\n"
        f"run_by_bps({str(small.repository)!r}, {WHERE!r}, 'u/test/parsl-killed', "
        f"PipelineSection.model_validate({PARSL.model_dump()!r}), Path({str(tmp_path / 'bps')!r}))"
    )
    outcomes = tmp_path / "bps" / "b001" / "outcomes"
    with subprocess.Popen([sys.executable, "-c", script]) as conductor:
        deadline = time.monotonic() + 200
        while not list(outcomes.glob("*.json")) and time.monotonic() < deadline:
            assert conductor.poll() is None
            time.sleep(0.1)
        conductor.kill()
    batch = Batch.read(tmp_path / "bps" / "b001")
    pid = batch.record("g001").pid
    assert is_held(batch.group_folder("g001") / "bps-1.lock")  # it lives on
    os.kill(pid, signal.SIGKILL)
    early = {path.name: path.stat().st_mtime_ns for path in outcomes.glob("*.json")}
    report = run_by_bps(small.repository, WHERE, "u/test/parsl-killed", PARSL, tmp_path / "bps")
    assert report.expected == 14
    assert report.succeeded == 11
    assert len(report.failed) == 1
    assert batch.record("g001").attempts == 2
    assert early.items() <= {path.name: path.stat().st_mtime_ns for path in outcomes.glob("*.json")}.items()


def test_records_are_read_as_they_were_written(tmp_path):
    batch = Batch(
        tmp_path,
        "key",
        "/repo",
        ("x",),
        "u/run",
        (("a", "isr", {"exposure": 1}),),
        frozenset({"a"}),
        {"g001": ()},
    )
    batch.write()
    assert Batch.read(tmp_path) == batch
    record = GroupRecord("g001", GroupState.SUBMITTED, 1, 0, "7.0", 12)
    batch.note(record)
    assert batch.record("g001") == record
    assert batch.record("g002") == GroupRecord("g002")
    assert Batch.read(tmp_path / "no") is None
    assert replace(record, state=GroupState.ENDED) != record
