"""The notebooks of CSCs, as papermill runs them, against a simulator in a process of its own."""

from pathlib import Path

import papermill
import pytest

from lsst_commtools.simulate.observatory import simulator_truth, start_simulator, stop_simulator

NOTEBOOKS = Path(__file__).parents[2] / "notebooks" / "csc"


@pytest.fixture
def simulator():
    yield start_simulator(speed=20.0)
    stop_simulator()


@pytest.fixture
def execute(simulator, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def run(name, /, **parameters):
        return papermill.execute_notebook(
            NOTEBOOKS / name, tmp_path / name, parameters, progress_bar=False, kernel_name="python3"
        )

    return run


def texts(notebook):
    return "\n".join(
        str(output.get("text") or output.get("data", {}).get("text/plain", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client
def test_set_state(execute):
    shown = texts(execute("set_state.ipynb", name="ATDome", state="DISABLED"))
    assert "start (STANDBY to DISABLED)" in shown
    assert simulator_truth()["cscs"]["ATDome"]["state"] == "DISABLED"
    with pytest.raises(papermill.PapermillExecutionError, match="detour through STANDBY"):
        execute("set_state.ipynb", name="ATDome", state="DISABLED", override="summit.yaml")
    execute("set_state.ipynb", name="ATDome", state="DISABLED", override="summit.yaml", reload=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client
def test_summary(execute):
    shown = texts(execute("summary.ipynb", names="DIMM:1, ATDome"))
    assert "STANDBY" in shown
    assert "CscPanel" in shown
