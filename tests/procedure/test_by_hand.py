"""Notebooks that a person runs cell by cell in JupyterLab."""

from __future__ import annotations

import pytest
from jupyter_client.manager import start_new_kernel

from lsst_commtools.procedure.approval import approve
from lsst_commtools.procedure.runs import list_runs, show_run
from lsst_commtools.procedure.values import Kind

from .conftest import HEAD


@pytest.fixture
def lab(tmp_path, fast_site, monkeypatch):
    """Run cells as JupyterLab does, which names the cell in each request."""
    kernels = []

    def start(notebook):
        monkeypatch.setenv("JPY_SESSION_NAME", f"some/folder/{notebook.name}")
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(notebook.parent))
        kernels.append((manager, client))

        def run(cell_id, source):
            message = client.session.msg(
                "execute_request",
                {
                    "code": source,
                    "silent": False,
                    "store_history": True,
                    "user_expressions": {},
                    "allow_stdin": False,
                },
                metadata={"cellId": cell_id},
            )
            client.shell_channel.send(message)
            while True:
                reply = client.get_shell_msg(timeout=30)
                if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                    content = reply["content"]
                    return content["status"], content.get("ename"), content.get("evalue", "")

        return run

    yield start
    for manager, client in kernels:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("ignore:.*TCP.*")
def test_a_cell_that_is_mended_and_run_again_is_the_same_step(
    lab, make_notebook, fast_site, ledger, monkeypatch
):
    parameters = "n: int = 1  # count\npassword: str = 'hidden'  # of the service"
    path = make_notebook((parameters, "parameters"), HEAD)
    monkeypatch.setenv("JUPYTER_IMAGE_SPEC", "registry.example/lab:w_2026_20@sha256:00")
    run = lab(path)
    assert run("c0", parameters.replace("1", "7"))[0] == "ok"
    assert run("c1", HEAD)[0] == "ok"
    status, name, _ = run(
        "c2", "for i in range(2):\n    with procedure.step('a', expect=i) as s: s.observed = 0"
    )
    assert (status, name) == ("error", "StepError")
    assert (
        run("c2", "for i in range(2):\n    with procedure.step('a', expect=i) as s: s.observed = i")[0]
        == "ok"
    )
    assert run("c3", "with procedure.step('a') as s: s.observed = 'other cell'")[0] == "ok"
    assert run("c4", "assert procedure.finish() == 'done'")[0] == "ok"
    record = list_runs(ledger, fast_site.procedure)[0]
    assert record.status == "done"
    assert record.notebook.endswith(path.name)
    found = show_run(ledger, fast_site.procedure, record.run)
    assert {s.id: s.observed for s in found.steps} == {"a": 0, "a-2": 1, "a-3": "other cell"}
    start = ledger.events(record.run, [Kind.RUN_STARTED])[0].data
    assert start["parameters"] == {"n": 7, "password": "[redacted]"}
    assert start["image"] == "registry.example/lab:w_2026_20@sha256:00"
    assert "ipython" in ledger.notebook(start["packages_sha256"])


def test_at_a_site_that_asks_for_approval_a_changed_cell_is_refused(lab, make_notebook, ledger, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_PROCEDURE_APPROVAL_REQUIRED", "true")
    step = "with procedure.step('a') as s: s.observed = 1"
    path = make_notebook(HEAD, step)
    run = lab(path)
    assert run("c1", HEAD)[1] == "RefusedError"
    approve(ledger, path, "Ana")
    assert run("c1", HEAD)[0] == "ok"
    assert run("c2", step)[0] == "ok"
    status, name, text = run("c2", step.replace("1", "2"))
    assert (status, name) == ("error", "RefusedError")
    assert "not part of the approved" in text
