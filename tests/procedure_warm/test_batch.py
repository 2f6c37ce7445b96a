"""Notebooks in forks without kernels: the outputs of a kernel, and no way to command anything."""

from __future__ import annotations

import json

import nbformat
import pytest

from lsst_commtools.errors import ParameterError, RefusedError
from lsst_commtools.procedure.warm.batch import BatchNotebook, run_batch, run_in_fork

PRELOAD = ["numpy", "warm_example"]
pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture
def write(tmp_path):
    def make(*cells, name="qa.ipynb"):
        nb = nbformat.v4.new_notebook()
        for cell in cells:
            source, *tags = (cell,) if isinstance(cell, str) else cell
            nb.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
        nbformat.write(nb, tmp_path / name)
        return tmp_path / name

    return make


def run(path, tmp_path, **options):
    output = tmp_path / "out.ipynb"
    parameters = options.pop("parameters", {})
    result = run_in_fork(BatchNotebook(path, parameters, output), preload=PRELOAD, **options)
    if not output.exists():
        return result, None
    nb = nbformat.read(output, 4)
    nbformat.validate(nb)
    return result, nb


def test_outputs_are_those_of_a_kernel(write, tmp_path):
    path = write(
        "import sys\nprint('a'); print('b'); print('c', file=sys.stderr); print('d')\n2 + 2",
        "from IPython.display import display, HTML, clear_output\nh = display(HTML('<b>1</b>'), display_id=True)",
        "h.update(HTML('<b>2</b>'))",
        "print('gone'); clear_output(); print('stays')",
        "None",
        "x = _ if False else 5\nawait __import__('asyncio').sleep(0)\nx;",
    )
    result, nb = run(path, tmp_path)
    assert result.status == "done", result
    texts = [(o.get("name"), o.text) for o in nb.cells[0].outputs[:3]]
    assert texts == [("stdout", "a\nb\n"), ("stderr", "c\n"), ("stdout", "d\n")]
    assert nb.cells[0].outputs[3].data["text/plain"] == "4"
    assert nb.cells[0].outputs[3].execution_count == 1
    assert nb.cells[1].outputs[0].data["text/html"] == "<b>2</b>"
    assert [o.text for o in nb.cells[3].outputs] == ["stays\n"]
    assert nb.cells[4].outputs == []
    assert nb.cells[5].outputs == []


def test_a_failure_is_told_and_nothing_runs_after_it(write, tmp_path):
    path = write("1/0", "open('never', 'w')")
    result, nb = run(path, tmp_path)
    assert (result.status, result.cell) == ("failed", 0)
    assert "ZeroDivisionError" in result.reason
    assert nb.cells[0].outputs[0].ename == "ZeroDivisionError"
    assert nb.cells[1].execution_count is None
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("code", ["raise SystemExit", "exit()", "import sys; sys.exit(0)"])
def test_an_early_exit_is_not_done(write, tmp_path, code):
    assert run(write(code, "1"), tmp_path)[0].status != "done"


def test_expected_exceptions_do_not_stop_it(write, tmp_path):
    result, _ = run(write(("1/0", "raises-exception"), ("y = 3", "results")), tmp_path)
    assert (result.status, result.results) == ("done", {"y": 3})


def test_a_killed_process_is_aborted_with_its_signal(write, tmp_path):
    result, nb = run(write("import os; os.kill(os.getpid(), 9)"), tmp_path)
    assert (result.status, result.reason) == ("aborted", "killed by SIGKILL")
    assert nb is None


def test_too_long_is_aborted(write, tmp_path):
    result, _ = run(write("import time; time.sleep(60)"), tmp_path, timeout_s=1.0)
    assert result.status == "aborted"
    assert "over its time" in result.reason


def test_parameters_are_checked_and_results_keep_their_types(write, tmp_path):
    path = write(
        ("n: int = 1  # count", "parameters"),
        ("twice = 2 * n\nname = 'x' * 100_000\nlist_of = [1.5, None]\n_, kept = 1, True", "results"),
    )
    result, nb = run(path, tmp_path, parameters={"n": 4})
    assert result.results["twice"] == 8
    assert result.results["list_of"] == [1.5, None]
    assert result.results["kept"] is True
    assert "injected-parameters" in nb.cells[1].metadata.tags
    with pytest.raises(ParameterError):
        run(path, tmp_path, parameters={"n": "many"})


@pytest.mark.parametrize(
    "cell",
    [
        ("1", "closing"),
        ("1", "precondition"),
        "from lsst_commtools import Procedure, Site",
        "import lsst_commtools\nlsst_commtools.Procedure.here(None)",
    ],
)
def test_procedures_are_refused(write, tmp_path, cell):
    with pytest.raises(RefusedError, match="is of a procedure"):
        run(write(cell), tmp_path)


def test_clients_of_this_package_are_told_to_send_nothing(write, tmp_path):
    result, _ = run(write(("import os\ndry = os.environ['COMMTOOLS_DRY_RUN']", "results")), tmp_path)
    assert result.results == {"dry": "1"}


def test_a_batch_keeps_its_order(write, tmp_path):
    path = write(("n: int = 1  # count", "parameters"), ("m = n", "results"))
    notebooks = [BatchNotebook(path, {"n": n}, tmp_path / f"{n}.ipynb") for n in range(8)]
    results = run_batch(notebooks, workers=3, preload=PRELOAD)
    assert [(r.status, r.reason, r.results.get("m")) for r in results] == [("done", "", n) for n in range(8)]
    assert json.loads((tmp_path / "7.ipynb").read_text())["nbformat"] == 4


def test_threads_pools_and_exit_handlers_end_as_in_any_process(write, tmp_path):
    path = write(
        """
        import atexit, threading, time
        from concurrent.futures import ThreadPoolExecutor
        """.replace("        ", ""),
        "def leave(name):\n    open(name, 'w').close()",
        "atexit.register(leave, 'atexit')",
        "threading.Thread(target=lambda: (time.sleep(0.3), leave('thread'))).start()",
        "pool = ThreadPoolExecutor(1)\npool.submit(leave, 'pool').result()",
    )
    assert run(path, tmp_path)[0].status == "done"
    assert {"atexit", "thread", "pool"} <= {entry.name for entry in tmp_path.iterdir()}
