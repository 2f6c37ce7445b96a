"""The engine beside papermill's own: the same outputs, with a record that is true."""

from __future__ import annotations

import os

import nbformat
import papermill
import pytest
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from lsst_commtools.errors import ParameterError, RefusedError, StepError
from lsst_commtools.procedure.approval import approve
from lsst_commtools.procedure.runner import run_notebook
from lsst_commtools.procedure.runs import compare, list_runs, show_run

from .conftest import HEAD


def outputs(path):
    """Give what two engines must have in common of an output notebook."""
    nb = nbformat.read(path, as_version=4)
    found = []
    for cell in nb.cells:
        entry = {"source": cell.source, "type": cell.cell_type}
        if cell.cell_type == "code":
            entry["count"] = cell.execution_count
            entry["outputs"] = [
                {k: v for k, v in output.items() if k not in ("traceback", "metadata")}
                for output in cell.outputs
            ]
        found.append(entry)
    return nb, found


def both(path, tmp_path, parameters=None, **options):
    """Run a notebook with papermill's engine and with ours."""
    results = []
    for engine in (None, "commtools"):
        target = tmp_path / f"{engine}.ipynb"
        error = None
        try:
            papermill.execute_notebook(
                str(path), str(target), parameters, engine_name=engine, progress_bar=False, **options
            )
        except PapermillExecutionError as failure:
            error = (failure.ename, failure.evalue, failure.cell_index)
        results.append((outputs(target), error))
    return results


def test_a_plain_notebook_runs_unchanged_and_gets_an_entry(make_notebook, fast_site, ledger, tmp_path):
    path = make_notebook(
        ("msg = None\nn = 1", "parameters"),
        "print(msg, n)\n'result'",
        "import sys; print('err', file=sys.stderr)\nfrom IPython.display import HTML\ndisplay(HTML('<b>x</b>'))",
        "",
        metadata={"celltoolbar": "Tags"},
    )
    ((_, plain), error), ((nb, ours), our_error) = both(
        path, tmp_path, {"msg": "Hello", "foo": r"do\\ not\" crash"}
    )
    assert (error, our_error) == (None, None)
    assert ours == plain
    assert nb.metadata.papermill.parameters == {"msg": "Hello", "foo": r"do\\ not\" crash"}
    assert [cell.metadata.papermill.status for cell in nb.cells] == ["completed"] * 5
    record = list_runs(ledger, fast_site.procedure)[0]
    assert (record.status, record.notebook) == ("done", str(path))
    assert show_run(ledger, fast_site.procedure, record.run).parameters["msg"] == "Hello"
    assert nb.metadata.commtools["run"] == record.run


@pytest.mark.parametrize(
    ("cells", "error", "status"),
    [
        (("print('good')", "import IPython\nassert False", "print('not here')"), "AssertionError", "failed"),
        (("", "import sys\nsys.exit(0)", "print('not here')"), None, "aborted"),
        (("import sys\nsys.exit(1)", "print('not here')"), "SystemExit", "failed"),
        (("%undefined-line-magic", "print('not here')"), "CellExecutionError", "failed"),
    ],
)
def test_notebooks_that_end_early(cells, error, status, make_notebook, fast_site, ledger, tmp_path):
    ((_, plain), failed), ((nb, ours), our_failure) = both(make_notebook(*cells), tmp_path)
    assert ours == plain
    assert our_failure == failed
    assert (failed[0] if failed else None) == error
    assert list_runs(ledger, fast_site.procedure)[0].status == status
    last = [cell for cell in nb.cells if cell.cell_type == "code"][-1]
    assert last.metadata.papermill.status == "not-run"


def test_old_formats_and_other_shapes_of_papermill_are_kept(tmp_path, fast_site):
    old = {
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": []},
            {"cell_type": "code", "execution_count": 4, "metadata": {"tags": ["parameters"]}, "outputs": [],
             "source": ["# Parameters\n", "var = 1"]},
            {"cell_type": "code", "execution_count": 5, "metadata": {}, "source": ["print(var)"],
             "outputs": [{"name": "stdout", "output_type": "stream", "text": ["1\n"]}]},
            {"cell_type": "raw", "metadata": {}, "source": ["raw"]},
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "P", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 2,
    }  # fmt: skip
    path = tmp_path / "old.ipynb"
    import json

    path.write_text(json.dumps(old))
    ((_, plain), _), ((nb, ours), _) = both(path, tmp_path, {"var": 7}, report_mode=True)
    assert ours == plain
    assert all(cell.metadata.jupyter.source_hidden for cell in nb.cells if cell.cell_type == "code")


def test_a_working_directory_holds_for_the_kernel_but_not_for_the_output(
    make_notebook, fast_site, tmp_path, monkeypatch
):
    path = make_notebook("print(open('check.txt').read())")
    work = tmp_path / "work"
    work.mkdir()
    (work / "check.txt").write_text("exists")
    monkeypatch.chdir(tmp_path)
    nb = papermill.execute_notebook(
        path.name, "out.ipynb", engine_name="commtools", cwd=str(work), progress_bar=False
    )
    assert nb.cells[0].outputs[0].text == "exists\n"
    assert (tmp_path / "out.ipynb").is_file()
    assert not list(work.glob("*.ipynb"))


def test_what_papermill_calls_completed_is_not(make_notebook, fast_site, ledger, tmp_path):
    path = make_notebook("1", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "print('never')")
    with pytest.raises(DeadKernelError):
        papermill.execute_notebook(
            str(path), str(tmp_path / "o.ipynb"), engine_name="commtools", progress_bar=False
        )
    nb, _ = outputs(tmp_path / "o.ipynb")
    assert [cell.metadata.papermill.status for cell in nb.cells] == ["completed", "interrupted", "not-run"]
    assert nb.metadata.papermill.exception is True
    assert list_runs(ledger, fast_site.procedure)[0].status == "aborted"


def test_a_declared_type_is_checked_before_a_kernel_starts(make_notebook, fast_site, tmp_path):
    path = make_notebook(("n: int = 1", "parameters"), "n")
    with pytest.raises(ParameterError):
        papermill.execute_notebook(
            str(path),
            str(tmp_path / "o.ipynb"),
            {"n": "not an int"},
            engine_name="commtools",
            progress_bar=False,
        )


def test_a_step_that_failed_in_silence_is_told(make_notebook, fast_site, tmp_path):
    path = make_notebook(
        HEAD, "try:\n    with procedure.step('a'):\n        1/0\nexcept ZeroDivisionError:\n    pass"
    )
    with pytest.raises(StepError, match="'a' failed"):
        papermill.execute_notebook(
            str(path), str(tmp_path / "o.ipynb"), engine_name="commtools", progress_bar=False
        )


def test_secrets_are_nowhere(make_notebook, fast_site, ledger, tmp_path, monkeypatch):
    monkeypatch.setenv("LOVE_PASSWORD", "hunter2-and-more")
    path = make_notebook(
        ("api_token: str = ''\nn: int = 1", "parameters"),
        HEAD
        + "\nimport os\nprint('env', os.environ['LOVE_PASSWORD'])\nprint('tok', end='')\nprint(api_token[:3])",
        "{'shown': api_token, 'url': 'https://user:pa55word@host/'}",
        "with procedure.step('log in') as step:\n    step.observed = {'with': api_token}\nraise ValueError(api_token)",
    )
    record = run_notebook(
        path, {"api_token": "s3cr3t-value"}, site=fast_site, output=tmp_path / "o.ipynb", html=True
    )
    assert record.status == "failed"
    nb, _ = outputs(tmp_path / "o.ipynb")
    assert nb.cells[1].source == "# Parameters\napi_token = '[redacted]'\n"
    text = (tmp_path / "o.ipynb").read_text() + (tmp_path / "o.html").read_text()
    text += "".join(str(event) for event in ledger.events(record.run)) + str(record)
    for secret in ("s3cr3t-value", "hunter2-and-more", "pa55word"):
        assert secret not in text
    assert "[redacted]" in text
    assert "cdnjs" not in (tmp_path / "o.html").read_text(), "the page needs no network"


def test_a_dry_run_cannot_be_taken_for_a_real_one(make_notebook, fast_site, ledger, tmp_path):
    path = make_notebook(
        ("n: int = 1", "parameters"),
        HEAD + "\nimport os\nprint(os.environ['COMMTOOLS_DRY_RUN'])",
        "with procedure.step('a') as step:\n    step.observed = 'sent' if not procedure.dry_run else 'would send'",
    )
    record = run_notebook(
        path, {"n": 2}, site=fast_site, output=tmp_path / "o.ipynb", dry_run=True, html=True
    )
    assert record.status == "planned"
    assert record.run.startswith("dry-")
    assert {step.status.value for step in record.steps} == {"planned"}
    nb, _ = outputs(tmp_path / "o.ipynb")
    assert "DRY RUN" in nb.cells[0].source
    assert nb.metadata.commtools.dry_run is True
    assert "DRY RUN" in (tmp_path / "o.html").read_text()


def test_only_an_approved_notebook_commands_such_a_site(make_notebook, fast_site, ledger, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_PROCEDURE_APPROVAL_REQUIRED", "true")
    site = type(fast_site).load()
    path = make_notebook("print('one')")
    with pytest.raises(RefusedError, match="not approved"):
        run_notebook(path, site=site)
    approve(ledger, path, "Ana")
    assert run_notebook(path, site=site).status == "done"
    make_notebook("print('two')")
    with pytest.raises(RefusedError) as raised:
        run_notebook(path, site=site)
    for text in ("Ana", "-print('one')", "+print('two')"):
        assert text in str(raised.value)
    with pytest.raises(RefusedError):
        papermill.execute_notebook(str(path), None, engine_name="commtools", progress_bar=False)


def test_two_runs_are_compared(make_notebook, fast_site, ledger):
    path = make_notebook(
        ("n: int = 1", "parameters"), HEAD, "with procedure.step('m'):\n    procedure.measure('x', n, 'm')"
    )
    runs = [run_notebook(path, {"n": n}, site=fast_site).run for n in (1, 2)]
    found = compare(ledger, fast_site.procedure, *runs)
    assert found["parameters"] == {"n": [1, 2]}
    assert found["measurements"]["x"][1]["value"] == 2
    assert found["code"] == []
    assert os.environ.get("COMMTOOLS_RUN") is None


def test_outputs_are_logged_without_secrets_where_papermill_is_asked_to(
    make_notebook, fast_site, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("LOVE_PASSWORD", "hunter2-and-more")
    path = make_notebook("import os\nprint('says', os.environ['LOVE_PASSWORD'])")
    with caplog.at_level("INFO", logger="papermill"), (tmp_path / "out.txt").open("w") as stream:
        papermill.execute_notebook(
            str(path),
            str(tmp_path / "o.ipynb"),
            engine_name="commtools",
            log_output=True,
            stdout_file=stream,
            progress_bar=False,
        )
    assert "says [redacted]" in caplog.text
    assert (tmp_path / "out.txt").read_text() == "says [redacted]\n"
