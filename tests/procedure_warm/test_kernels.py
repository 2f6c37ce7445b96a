"""Warm kernels through Jupyter's own clients: what they share, and what they must not."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from lsst_commtools.procedure.warm import provisioner as provisioner_module

pytestmark = pytest.mark.usefixtures("warm")


def poll(manager):
    return asyncio.run(manager.provisioner.poll())


def wait_for(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def test_the_installed_kernelspec_names_the_provisioner(monkeypatch):
    monkeypatch.delenv("JUPYTER_PATH")
    spec = KernelSpecManager().get_kernel_spec("commtools-warm")
    assert spec.metadata["kernel_provisioner"]["provisioner_name"] == "commtools-warm"
    from jupyter_client.provisioning import KernelProvisionerFactory

    assert KernelProvisionerFactory.instance().is_provisioner_available(spec)


def test_papermill_gets_a_forked_kernel_with_the_imports_done(run_cells):
    code = "import sys, os\nprint('numpy' in sys.modules, 'warm_example' in sys.modules, os.getppid())"
    first, second = run_cells(code)[0].split(), run_cells(code)[0].split()
    assert first[:2] == ["True", "True"]
    assert first[2] == second[2]
    assert first[2] != str(os.getpid())


def test_random_states_are_never_shared(run_cells):
    code = """
        import random, uuid, numpy as np, warm_example as w, json
        print(json.dumps([np.random.rand(), w.LEGACY.rand(), w.MODERN.random(), w.PLAIN.random(), random.random(),
                          str(uuid.uuid1()), str(uuid.uuid4())]))
    """
    draws = [json.loads(run_cells(code)[0]) for _ in range(2)]
    assert all(one != other for one, other in zip(*draws, strict=True))


def test_environment_and_folder_are_those_of_the_runner(run_cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMMTOOLS_RUN_SECRET_X", "only now")
    code = """
        import os
        print(os.getcwd(), os.environ['COMMTOOLS_RUN_SECRET_X'], os.environ.get('OPENBLAS_NUM_THREADS'))
    """
    assert (
        run_cells(code)[0].split("\n")[0] == f"{tmp_path} only now {os.environ.get('OPENBLAS_NUM_THREADS')}"
    )


def test_a_killed_kernel_tells_its_signal(start_warm):
    manager, _ = start_warm()
    os.kill(manager.provisioner.pid, signal.SIGKILL)
    assert wait_for(lambda: poll(manager) is not None)
    assert poll(manager) == -signal.SIGKILL


def test_a_kernel_that_leaves_tells_its_status(start_warm):
    manager, client = start_warm()
    client.execute("import os; os._exit(7)")
    assert wait_for(lambda: poll(manager) is not None)
    assert poll(manager) == 7


def test_interrupt_raises_in_the_cell(start_warm):
    manager, client = start_warm()
    client.execute("import time; time.sleep(60)")
    time.sleep(0.5)
    begun = time.monotonic()
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=20)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert time.monotonic() - begun < 10


def test_restart_gives_a_fresh_kernel(start_warm):
    manager, client = start_warm()
    before = manager.provisioner.pid
    client.execute("x = 1", reply=True, timeout=20)
    manager.restart_kernel(now=False)
    client.wait_for_ready(timeout=30)
    assert manager.provisioner.pid != before
    assert client.execute("x", reply=True, timeout=20)["content"]["status"] == "error"


def test_kernels_die_with_their_runner_and_so_does_what_they_started(tmp_path):
    pids = tmp_path / "pids"
    code = f"""
import nbformat, papermill
spec = {{"name": "warm-test", "display_name": "x", "language": "python"}}
nb = nbformat.v4.new_notebook(metadata={{"kernelspec": spec}})
nb.cells = [nbformat.v4.new_code_cell('''
import os, subprocess, time
child = subprocess.Popen(["sleep", "300"])
open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{child.pid}} ")
time.sleep(300)
''')]
nbformat.write(nb, {str(tmp_path / "in.ipynb")!r})
papermill.execute_notebook({str(tmp_path / "in.ipynb")!r}, {str(tmp_path / "out.ipynb")!r}, progress_bar=False)
"""
    runner = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    assert wait_for(lambda: pids.exists() and pids.read_text().endswith(" "), 60)
    kernel, child = map(int, pids.read_text().split())
    assert alive(kernel)
    assert alive(child)
    runner.kill()
    runner.wait()
    assert wait_for(lambda: not alive(kernel) and not alive(child), 10)


def test_changed_code_is_seen_by_the_next_kernel(warm, run_cells):
    code = "import warm_example, os\nprint(warm_example.ANSWER, os.getppid())"
    module = warm / "lib/warm_example.py"
    before = run_cells(code)[0].split()
    module.write_text(module.read_text().replace("ANSWER = 41", "ANSWER = 42 "))
    after = run_cells(code)[0].split()
    assert (before[0], after[0]) == ("41", "42")
    assert before[1] != after[1]


def test_threads_in_the_preloaded_process_lead_to_ordinary_kernels_said_once(
    warm, add_kernel, run_cells, caplog
):
    (warm / "lib/warm_threads.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True, name='lurker').start()\n"
    )
    add_kernel("warm-threads", ["warm_threads"])
    provisioner_module._said.clear()
    with caplog.at_level(logging.WARNING):
        printed = [run_cells("import os; print(os.getppid())", kernel="warm-threads")[0] for _ in range(2)]
    assert [text.strip() for text in printed] == [str(os.getpid())] * 2
    said = [record.message for record in caplog.records if "Ordinary kernels" in record.message]
    assert len(said) == 1
    assert "lurker" in said[0]


def test_an_open_connection_in_the_preloaded_process_is_refused(warm, add_kernel, run_cells, caplog):
    (warm / "lib/warm_socket.py").write_text("import socket\nLIVE = socket.socketpair()\n")
    add_kernel("warm-socket", ["warm_socket"])
    provisioner_module._said.clear()
    with caplog.at_level(logging.WARNING):
        run_cells("1", kernel="warm-socket")
    assert any("opened the connection" in record.message for record in caplog.records)


def test_a_folder_that_others_can_enter_is_not_used(warm_folders, run_cells, monkeypatch, tmp_path, caplog):
    folder = tmp_path / f"commtools-warm-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    provisioner_module._said.clear()
    with caplog.at_level(logging.WARNING):
        assert run_cells("import os; print(os.getppid())")[0].strip() == str(os.getpid())
    assert any("open to others" in record.message for record in caplog.records)


def test_no_kernel_listens_on_a_port(start_warm):
    manager, _ = start_warm()
    assert manager.transport == "ipc"
    assert Path(manager.ip).parent.stat().st_mode & 0o077 == 0
