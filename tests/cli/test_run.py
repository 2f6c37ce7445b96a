from __future__ import annotations

import json
import threading
import time

import jsonschema
import nbformat
import pytest

from lsst_commtools.cli import main
from lsst_commtools.procedure.ledger import Ledger
from lsst_commtools.procedure.runs import list_runs
from lsst_commtools.site import Site

HEAD = "from lsst_commtools import Procedure, Site\nprocedure = Procedure.here(Site.load())"


@pytest.fixture
def commtools(capsys, monkeypatch):
    """Run the command: exit code, what it printed, parsed where it is JSON."""
    monkeypatch.setenv("COMMTOOLS_PROCEDURE_HTML", "false")
    monkeypatch.setenv("COMMTOOLS_PROCEDURE_LEDGER_WAIT_S", "2")

    def run(*words):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(list(words))
        printed = capsys.readouterr()
        wants_json = "json" in words
        return left.value.code, json.loads(printed.out) if wants_json else printed.out, printed.err

    return run


@pytest.fixture
def notebook(tmp_path):
    """Write a notebook; the first cell is tagged parameters."""

    def write(*sources, name="nb.ipynb"):
        nb = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "P", "language": "python"}}
        )
        nb.cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nb.cells[0].metadata["tags"] = ["parameters"]
        path = tmp_path / name
        nbformat.write(nb, path)
        return path

    return write


def test_the_life_of_a_run(commtools, notebook, tmp_path):
    path = notebook(
        "n: int = 1  # How many {min: 0, max: 3}\nmode: \"Literal['a', 'b']\" = 'a'",
        HEAD,
        "with procedure.step('Count') as step:\n    step.observed = n",
        "import pathlib\nif not pathlib.Path('" + str(tmp_path / "mended") + "').exists():\n    1/0",
    )
    assert commtools("runs", "list", "--format", "json")[:2] == (0, [])
    code, text, _ = commtools("run", "--help-notebook", str(path))
    assert code == 0
    assert "How many" in text
    assert "int 0..3" in text
    code, schema, _ = commtools("run", "--help-notebook", str(path), "--format", "json")
    jsonschema.Draft202012Validator.check_schema(schema)
    for wrong in ("n=9", "n=x", "m=1", "mode=c", "n", "n=1.5"):
        code, document, _ = commtools("run", str(path), "-p", wrong, "--format", "json")
        assert (code, document["error"]["code"]) == (2, "parameter"), wrong
    output = tmp_path / "o.ipynb"
    code, shown, _ = commtools("run", str(path), "-p", "n=2", "--output", str(output), "--format", "json")
    assert code == 3
    assert output.is_file()
    assert shown["notebook"] == str(path)
    assert len(shown["sha256"]) == 64
    assert (shown["status"], shown["parameters"]) == ("failed", {"n": 2})
    assert [(s["id"], s["name"], s["status"], s["observed"]) for s in shown["steps"]] == [
        ("count", "Count", "done", 2)
    ]
    assert [set(c) for c in shown["cells"]] == [{"index", "status"}] * 5
    assert [c["status"] for c in shown["cells"]] == ["completed"] * 4 + ["failed"]
    code, listed, _ = commtools("runs", "list", "--format", "json")
    assert code == 0
    assert [set(row) for row in listed] == [{"run", "notebook", "status", "started"}]
    code, again, _ = commtools("runs", "show", shown["run"], "--format", "json")
    assert code == 0
    assert again == shown
    code, document, _ = commtools("runs", "resume", shown["run"], "-p", "n=3", "--format", "json")
    assert (code, document["error"]["code"]) == (2, "refused")
    (tmp_path / "mended").touch()
    code, resumed, _ = commtools("runs", "resume", shown["run"], "--format", "json")
    assert (code, resumed["status"], resumed["run"], resumed["attempt"]) == (0, "done", shown["run"], 2)
    assert commtools("runs", "resume", shown["run"])[0] == 2
    assert commtools("runs", "diff", shown["run"], shown["run"])[0] == 0
    assert commtools("runs", "recover", "--format", "json")[:2] == (
        0,
        {"recovered": [], "silent": [], "events_taken_in": 0},
    )
    assert commtools("runs", "show", "no-such-run")[0] == 2
    text = commtools("runs", "list")[1]
    assert "nb.ipynb" in text


def test_a_changed_notebook_refuses_to_resume(commtools, notebook):
    path = notebook("n: int = 1", "1/0")
    code, shown, _ = commtools("run", str(path), "--format", "json")
    assert code == 3
    notebook("n: int = 1", "'mended'")
    code, document, _ = commtools("runs", "resume", shown["run"], "--format", "json")
    assert (code, document["error"]["code"]) == (2, "refused")
    assert "+'mended'" in document["error"]["advice"]
    code, resumed, _ = commtools("runs", "resume", shown["run"], "--changed", "--format", "json")
    assert (code, resumed["status"]) == (0, "done")


def test_signing_from_another_terminal(commtools, notebook, capsys):
    path = notebook(
        "n: int = 1", HEAD, "procedure.hold('Go', roles=['lead'], timeout_s=30, observation={'wind': 3})"
    )
    ended = {}
    from lsst_commtools.procedure.runner import run_notebook

    thread = threading.Thread(target=lambda: ended.update(record=run_notebook(path)))
    thread.start()
    site = Site.load()
    end = time.monotonic() + 30
    while not any(r.status == "waiting" for r in list_runs(Ledger.at(site.procedure), site.procedure)):
        assert time.monotonic() < end
        time.sleep(0.1)
    run = list_runs(Ledger.at(site.procedure), site.procedure)[0].run
    code, signed, _ = commtools(
        "runs", "sign", run, "go", "--as", "lead", "--name", "Ana", "--format", "json"
    )
    thread.join()
    assert (code, signed["observation"], signed["go"]) == (0, {"wind": 3}, True)
    assert ended["record"].status == "done"
    shown = commtools("runs", "show", run, "--format", "json")[1]
    assert [(s["role"], s["name"], s["observation"]) for s in shown["signatures"]] == [
        ("lead", "Ana", {"wind": 3})
    ]


def test_approving(commtools, notebook, monkeypatch):
    path = notebook("n: int = 1", "n")
    monkeypatch.setenv("COMMTOOLS_PROCEDURE_APPROVAL_REQUIRED", "true")
    code, document, _ = commtools("run", str(path), "--format", "json")
    assert (code, document["error"]["code"]) == (2, "refused")
    code, approval, _ = commtools("approve", str(path), "--as", "Ana", "--format", "json")
    assert (code, approval["name"], len(approval["code_sha256"])) == (0, "Ana", 64)
    assert commtools("run", str(path))[0] == 0


def test_a_dry_run_says_so(commtools, notebook):
    path = notebook("n: int = 1", HEAD, "with procedure.step('a') as step:\n    step.observed = n")
    code, text, err = commtools("run", str(path), "--dry-run")
    assert code == 0
    assert "DRY RUN" in text
    assert "DRY RUN" in err
    assert "planned" in text
    assert commtools("runs", "list", "--format", "json")[1][0]["status"] == "planned"
