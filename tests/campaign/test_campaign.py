"""Campaigns on this machine, with threads and with Dask: what is run, what is skipped, what never runs twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time

import pytest

from lsst_commtools.errors import InputError, LeaseError
from lsst_commtools.procedure.campaign.conductor import run_campaign
from lsst_commtools.procedure.campaign.work import WorkOrder, claimed, do_work
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.procedure.runs import show_run

HEAD = "from lsst_commtools import Procedure, Site\nprocedure = Procedure.here(Site.load())"


def statuses(report):
    return {task.task: task.status for task in report.tasks}


def test_results_flow_and_what_is_done_is_skipped(executor, write_nb, write_campaign, deeds, tmp_path):
    write_nb(
        "one.ipynb",
        ("n: int = 1  # count", "parameters"),
        HEAD,
        deeds.code,
        "deed('one'); procedure.measure('w', 1.5 * n, 'arcsec')",
    )
    write_nb(
        "two.ipynb",
        ("w: float = 0.0  # width\nk: int = 0  # number", "parameters"),
        HEAD,
        deeds.code,
        "deed(f'two {w} {k}')",
    )
    (tmp_path / "table").write_text("1")
    one = {"id": "one", "notebook": "one.ipynb", "parameters": {"n": 2}}
    two = {
        "id": "two",
        "notebook": "two.ipynb",
        "matrix": {"k": [1, 2]},
        "inputs": ["table"],
        "idempotent": True,
    }
    two["parameters"] = {"w": {"from": "one", "result": "w"}}
    first = run_campaign(write_campaign(one, two), executor)
    assert first.good, first
    assert sorted(deeds()) == ["one", "two 3.0 1", "two 3.0 2"]
    again = run_campaign(write_campaign(one, two), executor)
    assert again.good
    assert not any(task.executed for task in again.tasks)
    assert [task.results for task in again.tasks] == [task.results for task in first.tasks]
    (tmp_path / "table").write_text("2")
    changed = run_campaign(write_campaign(one, two), executor)
    assert [task.executed for task in changed.tasks] == [False, True, True]
    assert len(deeds()) == 5


def test_only_idempotent_notebooks_are_tried_again(executor, write_nb, write_campaign, deeds):
    write_nb("fails.ipynb", deeds.code, "deed('commanding'); 1/0")
    write_nb(
        "flaky.ipynb",
        deeds.code,
        "deed('flaky'); import pathlib\nassert open('deeds').read().count('flaky') > 1",
    )
    write_nb("after.ipynb", deeds.code, "deed('after')")
    entries = [
        {"id": "fails", "notebook": "fails.ipynb"},
        {"id": "flaky", "notebook": "flaky.ipynb", "idempotent": True, "retries": 2},
        {"id": "after", "notebook": "after.ipynb", "needs": ["fails"]},
    ]
    report = run_campaign(write_campaign(*entries), executor)
    assert statuses(report) == {"fails": "failed", "flaky": "done", "after": "blocked"}
    again = run_campaign(write_campaign(*entries), executor)
    assert statuses(again) == {"fails": "aborted", "flaky": "done", "after": "blocked"}
    assert "runs resume" in again.tasks[0].reason
    assert deeds().count("commanding") == 1
    assert deeds().count("flaky") == 2
    assert "after" not in deeds()


def test_cancelling_kills_a_kernel_that_does_not_listen(
    executor, write_nb, write_campaign, deeds, campaign_site
):
    write_nb(
        "deaf.ipynb",
        deeds.code,
        """
        import os, signal, subprocess, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        child = subprocess.Popen(['sleep', '300'])
        deed(f'{os.getpid()} {child.pid}')
        time.sleep(300)
        """,
    )
    write_nb("later.ipynb", deeds.code, "deed('later')")
    stop = threading.Event()

    def press():
        while not deeds():
            time.sleep(0.05)
        stop.set()

    presser = threading.Thread(target=press)
    presser.start()
    entries = [
        {"id": "deaf", "notebook": "deaf.ipynb"},
        {"id": "later", "notebook": "later.ipynb", "needs": ["deaf"]},
    ]
    report = run_campaign(write_campaign(*entries), executor, stop=stop)
    presser.join()
    assert statuses(report) == {"deaf": "cancelled", "later": "cancelled"}
    pids = [int(pid) for pid in deeds()[0].split()]
    assert wait_until_gone(pids)
    ledger = Ledger.at(campaign_site.procedure)
    assert show_run(ledger, campaign_site.procedure, report.tasks[0].run).status == "aborted"


def wait_until_gone(pids, seconds=10.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(ProcessId.of(pid).started == 0 for pid in pids):
            return True
        time.sleep(0.05)
    return False


def order_of(campaign_site, path, **options):
    site = campaign_site
    values = {"idempotent": False, "kernel": "campaign-light", "parameters": {}, "content": "0" * 64}
    return WorkOrder(
        "alone", "task", str(path), output=str(path.with_name("out.ipynb")), site=site, **values | options
    )


def test_an_order_that_is_executed_twice_at_a_time_runs_once(campaign_site, write_nb, deeds):
    path = write_nb("slow.ipynb", deeds.code, "deed('slow'); import time; time.sleep(2)")
    order = order_of(campaign_site, path)
    results = []
    threads = [threading.Thread(target=lambda: results.append(do_work(order))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert deeds() == ["slow"], results
    assert sorted(result.executed for result in results) == [False, False, True]
    assert all(result.status in ("done", "unknown") for result in results)


def test_a_claim_of_the_dead_is_kept_if_the_run_had_begun(campaign_site, tmp_path, python):
    ledger = Ledger.at(campaign_site.procedure)
    process = subprocess.Popen([python, "-c", "import time; time.sleep(60)"])
    holder = ProcessId.of(process.pid)
    order = order_of(campaign_site, tmp_path / "n.ipynb")
    leases.take(ledger, order.lease_key, "claim-of-the-dead", holder)
    with pytest.raises(LeaseError), claimed(ledger, campaign_site, order):
        pass
    process.kill()
    process.wait()
    with claimed(ledger, campaign_site, order):  # dead, and no run was ever begun
        pass
    assert not leases.all_leases(ledger)


def test_parameters_are_known_before_anything_is_run(campaign_site, write_nb, write_campaign, deeds):
    from lsst_commtools.procedure.campaign.executors import LocalExecutor

    write_nb("a.ipynb", deeds.code, "deed('a')")
    write_nb("b.ipynb", ("n: int = 1  # count", "parameters"))
    entries = [
        {"id": "a", "notebook": "a.ipynb"},
        {"id": "b", "notebook": "b.ipynb", "parameters": {"m": 1}},
    ]
    executor = LocalExecutor(1)
    with pytest.raises(InputError, match="has no parameter 'm'"):
        run_campaign(write_campaign(*entries), executor)
    executor.close()
    assert deeds() == []


@pytest.fixture
def dask_module():
    pytest.importorskip("distributed")
    from lsst_commtools.procedure.campaign import dask

    return dask


def test_workers_that_were_lost_for_good_come_back(
    dask_module, write_nb, write_campaign, deeds, campaign_site
):
    write_nb("a.ipynb", deeds.code, "deed('a')")
    executor = dask_module.DaskExecutor(workers=1)
    try:
        for nanny in executor._cluster.workers.values():
            executor._cluster.sync(nanny.close)
        while executor._client.nthreads():
            time.sleep(0.1)
        report = run_campaign(write_campaign({"id": "a", "notebook": "a.ipynb"}), executor)
    finally:
        executor.close()
    assert statuses(report) == {"a": "done"}


def test_a_scheduler_without_workers_is_named(
    dask_module, write_nb, write_campaign, deeds, campaign_site, monkeypatch
):
    from distributed import LocalCluster

    monkeypatch.setattr(dask_module, "_WITHOUT_WORKERS_S", 0.5)
    write_nb("a.ipynb", deeds.code, "deed('a')")
    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as cluster:
        cluster.scheduler.allowed_failures = 0
        executor = dask_module.DaskExecutor(cluster.scheduler_address)
        report = run_campaign(write_campaign({"id": "a", "notebook": "a.ipynb"}), executor)
        executor.close()
    assert statuses(report) == {"a": "aborted"}
    assert "no worker for 0.5 s" in report.tasks[0].reason
    assert deeds() == []


def killing_campaign(write_nb, write_campaign, deeds, count, turn=0):
    code = f"""
        import os, time
        deed(f'{{kind}}-{turn} {{number}} begins {{os.getpid()}}')
        time.sleep(0.3)
        deed(f'{{kind}}-{turn} {{number}} ends {{os.getpid()}}')
    """
    cells = (("kind: str = ''  # kind\nnumber: int = 0  # number", "parameters"), deeds.code, code)
    write_nb("work.ipynb", *cells)
    half = list(range(count // 2))
    return write_campaign(
        {
            "id": "commands",
            "notebook": "work.ipynb",
            "parameters": {"kind": "command"},
            "matrix": {"number": half},
        },
        {
            "id": "checks",
            "notebook": "work.ipynb",
            "parameters": {"kind": "check"},
            "matrix": {"number": half},
            "idempotent": True,
            "retries": 20,
        },
    )


def kill_and_judge(executor, write_nb, write_campaign, deeds, campaign_site, *, count, kills, seed):
    """Run a campaign while kernels and workers are killed at random; then hold the report to what really happened."""
    chance = random.Random(seed)
    campaign = killing_campaign(write_nb, write_campaign, deeds, count, seed)
    over = threading.Event()
    killed = []

    def kill():
        while not over.is_set() and len(killed) < kills:
            over.wait(chance.uniform(0.1, 0.8))
            begun = {line.split()[3] for line in deeds() if "begins" in line}
            ended = {line.split()[3] for line in deeds() if "ends" in line}
            targets = sorted(int(pid) for pid in begun - ended if ProcessId.of(int(pid)).started)
            cluster = getattr(executor, "_cluster", None)
            if cluster is not None and chance.random() < 0.3:
                targets = [nanny.pid for nanny in cluster.workers.values() if nanny.pid]
            if targets:
                pid = chance.choice(targets)
                killed.append(pid)
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    killed.pop()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        report = run_campaign(campaign, executor, site=campaign_site)
    finally:
        over.set()
        killer.join()
    judge(report, deeds(), seed)
    return report, len(killed)


def judge(report, lines, turn=0):
    assert len({task.task for task in report.tasks}) == len(report.tasks)
    for task in report.tasks:
        kind = "command" if task.task.startswith("commands") else "check"
        number = task.task.split("=")[1].rstrip("]")
        begins = [line for line in lines if line.startswith(f"{kind}-{turn} {number} begins")]
        ends = [line for line in lines if line.startswith(f"{kind}-{turn} {number} ends")]
        assert task.status in ("done", "aborted", "unknown", "failed"), task
        if kind == "command":
            assert len(begins) <= 1, (task, begins)
        if task.status == "done":
            assert ends, task
        elif kind == "check":
            assert task.tries > 1, task


def test_after_random_kills_nothing_ran_twice_and_nothing_is_called_done_that_was_not(
    executor, write_nb, write_campaign, deeds, campaign_site
):
    seed = 20261121
    report, killed = kill_and_judge(
        executor, write_nb, write_campaign, deeds, campaign_site, count=12, kills=5, seed=seed
    )
    assert killed >= 1
    campaign = killing_campaign(write_nb, write_campaign, deeds, 12, seed)
    again = run_campaign(campaign, executor, site=campaign_site)
    judge(again, deeds(), seed)
    for first, second in zip(report.tasks, again.tasks, strict=True):
        assert second.status == "done" or first.status != "done"
        assert second.status == "done" or first.task.startswith("commands")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_random_kills(executor, write_nb, write_campaign, deeds, campaign_site):
    done, seed = 0, 1
    while done < 200:
        _, killed = kill_and_judge(
            executor, write_nb, write_campaign, deeds, campaign_site, count=50, kills=200 - done, seed=seed
        )
        done, seed = done + killed, seed + 1
        assert killed


def test_a_killed_campaign_goes_on_where_it_was(
    write_nb, write_campaign, deeds, campaign_site, tmp_path, python
):
    killing_campaign(write_nb, write_campaign, deeds, 8)
    command = [python, "-m", "lsst_commtools.cli.campaign"]
    code = "from lsst_commtools.cli import main; main()"
    command = [
        python,
        "-c",
        code,
        "campaign",
        str(tmp_path / "campaign.yaml"),
        "--workers",
        "2",
        "--format",
        "json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(deeds()) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    begun = [int(line.split()[3]) for line in deeds() if "begins" in line]
    assert wait_until_gone(begun)
    commanded = [line for line in deeds() if line.startswith("command") and "begins" in line]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    import json

    tasks = {task["task"]: task for task in json.loads(done.stdout)["tasks"]}
    numbers = [line.split()[1] for line in deeds() if line.startswith("command") and "begins" in line]
    assert len(numbers) == len(set(numbers))
    assert all(line in deeds() for line in commanded)
    cut = [task for task in tasks.values() if task["status"] != "done"]
    assert done.returncode == (3 if cut else 0)
    assert all(task["task"].startswith("commands") and "runs recover" in task["reason"] for task in cut)
    assert len(cut) <= 2
    assert {f"commands[number={n}]" for n in range(4) if str(n) not in numbers} <= {
        task["task"] for task in cut
    }
