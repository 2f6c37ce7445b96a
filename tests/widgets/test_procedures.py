import threading
import time

import nbformat
import pytest

from lsst_commtools.errors import ParameterError, StepError
from lsst_commtools.procedure.by_hand import begin
from lsst_commtools.procedure.runs import waiting_holds
from lsst_commtools.site import Site
from lsst_commtools.widgets import ParameterForm, SignPanel

CELL = """day_obs: int = 20261120  # Night
exposure_s: float = 2.0  # Exposure <b>time</b> {min: 0.1, max: 30, unit: s}
mode: "Literal['fast', 'slow']" = "fast"
filters: list[str] = ["g", "r"]
verbose: bool = False
api_token: str = ""
night: "date | None" = None
"""


@pytest.fixture
def form(tmp_path):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL, metadata={"tags": ["parameters"]})])
    nbformat.write(nb, tmp_path / "nb.ipynb")
    return ParameterForm(tmp_path / "nb.ipynb")


def test_a_form_left_alone_gives_the_defaults(form):
    assert form.values == {}
    assert form.check()


def test_a_form_gives_values_of_their_types(form):
    import datetime as dt

    form.fill(
        {"day_obs": 20261119, "filters": ["i"], "verbose": True, "mode": "slow", "api_token": "x", "other": 1}
    )
    form._fields["night"].value = "2026-11-19"
    assert form.values == {
        "day_obs": 20261119,
        "filters": ["i"],
        "verbose": True,
        "mode": "slow",
        "api_token": "x",
        "night": dt.date(2026, 11, 19),
    }


def test_a_form_says_what_does_not_fit(form):
    form._fields["exposure_s"].value = "31"
    assert "exposure_s must lie in 0.1 to 30 s" in form.told.value
    with pytest.raises(ParameterError):
        _ = form.values
    assert "&lt;b&gt;" in form.children[3].children[1].value, "help is text, not markup"


@pytest.fixture
def waiting(monkeypatch):
    monkeypatch.setenv("COMMTOOLS_PROCEDURE_LEDGER_WAIT_S", "2")
    procedure = begin(Site.load())
    ended = []

    def wait():
        try:
            ended.append(
                procedure.hold("Go", roles=["lead"], timeout_s=20, observation={"wind": "<3>"}).status
            )
        except StepError as error:
            ended.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    while not waiting_holds(procedure._journal.ledger, procedure.run):
        time.sleep(0.05)
    yield procedure, thread, ended
    thread.join()
    procedure.finish()


def wait_for(condition, seconds=5.0):
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.02)
    assert condition()


@pytest.mark.parametrize("go", [True, False])
def test_a_hold_is_signed_in_a_panel(waiting, go):
    procedure, thread, ended = waiting
    panel = SignPanel(procedure.run)
    assert "&lt;3&gt;" in panel._shown.value
    assert panel._role.value == "lead"
    panel.sign(go=go)
    assert "needs a role and a name" in panel.told.value
    panel._name.value = "Ana"
    (panel._go if go else panel._no_go).click()
    thread.join()
    wait_for(lambda: "Ana (lead) signed" in panel.told.value)
    assert ("done" if go else "no-go") in str(ended[0])
    panel.refresh()
    assert panel._go.disabled
