"""``commtools csc test`` and ``restore`` from the command line, against a simulator in a process of its own."""

import json
from pathlib import Path

import pytest

from lsst_commtools.cli import csc_test, main
from lsst_commtools.errors import NotFoundError
from lsst_commtools.procedure import Ledger, Procedure
from lsst_commtools.simulate.observatory import simulator_truth, start_simulator, stop_simulator
from lsst_commtools.site import Site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client


@pytest.fixture
def simulated_place(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    yield start_simulator(speed=20.0)
    stop_simulator()


@pytest.fixture
def csc(capsys):
    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(["csc", *words])
        return ended.value.code, capsys.readouterr()

    return run


def test_a_dry_run_sends_nothing(simulated_place, csc):
    before = simulator_truth()
    words = (
        "test",
        "DIMM:1",
        "--branch",
        "tickets/DM-12345",
        "--dry-run",
        "--format",
        "json",
        "--site",
        "local",
    )
    code, printed = csc(*words)
    document = json.loads(printed.out)
    assert code == 0, printed.err
    assert {step["status"] for step in document["steps"]} == {"planned"}
    after = simulator_truth()
    assert (after["cscs"], after["jobs"], after["announced"]) == (before["cscs"], before["jobs"], [])


def test_nothing_to_restore_and_a_living_run_is_respected(simulated_place, csc):
    code, printed = csc("restore", "DIMM:2")
    assert code == 0, printed.out
    assert "Announce" not in printed.out

    procedure = Procedure.here(Site.load("local"))
    procedure.lease("csc:DIMM:2")
    procedure.owe("Start DIMM:2 in production again", {"what": "production", "csc": "DIMM:2"})
    try:
        code, printed = csc("restore", "DIMM:2")
        assert code == 3
        assert "LeaseError" in printed.out
        assert Ledger.at(Site.load("local").procedure).events(procedure.run)
    finally:
        procedure.finish()


@pytest.mark.parametrize(
    "words", [("test", "DIMM:1"), ("restore", "DIMM:*"), ("test", "DIMM:x", "--branch", "b")]
)
def test_bad_input_is_refused_before_anything(csc, words):
    assert csc(*words)[0] == 2


def test_the_notebooks_are_found():
    assert csc_test._find("test_csc.ipynb").is_file()
    with pytest.raises(NotFoundError, match="not installed"):
        csc_test._find("nothing.ipynb")
