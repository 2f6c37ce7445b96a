"""Notebooks that command CSCs, as a person runs and clicks them, against the simulated observatory."""

from __future__ import annotations

import re
import subprocess
import sys

import nbformat
import pytest

from lsst_commtools.simulate.observatory import simulator_truth

FOLDERS = ("csc",)
HOLD = """
from lsst_commtools.errors import StepError
from lsst_commtools.procedure.by_hand import begin
from lsst_commtools.site import Site

procedure = begin(Site.load())
print(procedure.run, flush=True)
hold = procedure.hold("Open the dome", roles=["lead"], timeout_s=240, observation={"wind_m_s": 4})
print("ended", hold.status, flush=True)
procedure.finish()
"""

pytestmark = pytest.mark.browser


def test_notebook(notebook, run_in_lab, keep_pictures):
    keep_pictures(run_in_lab(notebook), notebook)


def test_a_state_is_changed_by_clicks(run_in_lab):
    opened = run_in_lab("csc/summary.ipynb")
    panel = opened.outputs
    panel.get_by_label("CSC", exact=True).select_option("ATMCS")
    panel.get_by_label("to", exact=True).select_option("DISABLED")
    panel.get_by_role("button", name="Show plan").click()
    panel.get_by_text("ATMCS: start (STANDBY to DISABLED)").wait_for()
    assert simulator_truth()["cscs"]["ATMCS"]["state"] == "STANDBY", "a plan changes nothing"
    panel.get_by_role("button", name="Carry out").click()
    panel.get_by_text("STANDBY -> DISABLED").wait_for()
    assert simulator_truth()["cscs"]["ATMCS"]["state"] == "DISABLED"
    panel.get_by_role("row", name="ATMCS").get_by_text("DISABLED").wait_for()


def test_a_state_is_changed_by_keys_alone(run_in_lab):
    opened = run_in_lab("csc/summary.ipynb", names="ATAOS")
    panel, keyboard = opened.outputs, opened.page.keyboard
    panel.get_by_role("button", name="Show plan").wait_for()
    opened.page.wait_for_function("[...document.querySelectorAll('select')].some(s => s.value === 'ATAOS')")
    panel.get_by_label("CSC", exact=True).focus()
    keyboard.press("Tab")
    keyboard.press("ArrowDown")  # from ENABLED to DISABLED; JupyterLab would go to the next cell
    for _ in range(3):
        keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.innerText.trim()") == "Show plan"
    keyboard.press("Space")
    panel.get_by_text("ATAOS: start (STANDBY to DISABLED)").wait_for()
    keyboard.press("Tab")
    keyboard.press("Space")
    panel.get_by_text("STANDBY -> DISABLED").wait_for()
    assert simulator_truth()["cscs"]["ATAOS"]["state"] == "DISABLED"


@pytest.fixture
def waiting_run(browser_world):
    """A run that waits at a hold; its name, and a function that gives how the hold ended."""
    command = [sys.executable, "-c", HOLD]
    process = subprocess.Popen(command, env=browser_world.environment, stdout=subprocess.PIPE, text=True)
    run = process.stdout.readline().strip()
    yield run, lambda: next(line.strip() for line in process.stdout if line.startswith("ended"))
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def show_in_lab(lab, page):
    """Shows a widget in JupyterLab that no notebook of the package has."""
    shown = []

    def show(name, source):
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        nb.metadata.kernelspec = {"name": "commtools-warm", "display_name": "", "language": "python"}
        nbformat.write(nb, lab.folder / f"{name}.ipynb")
        shown.append(lab.open(page, f"{name}.ipynb"))
        shown[-1].run()
        return shown[-1]

    yield show
    for opened in shown:
        opened.end()


def test_a_hold_is_signed(waiting_run, show_in_lab, keep_pictures):
    run, ended = waiting_run
    source = f"from lsst_commtools.widgets import SignPanel\n\nSignPanel({run!r})"
    opened = show_in_lab("sign", source)
    panel = opened.outputs
    go = panel.get_by_role("button", name=re.compile(r"\bGo$"))  # before it stands its icon
    again = panel.get_by_role("button", name="Look again")
    for _ in range(50):
        if panel.get_by_text("Hold: Open the dome").count():
            break
        again.click()
        opened.page.wait_for_timeout(200)
    panel.get_by_text('"wind_m_s": 4').wait_for()
    keep_pictures(opened, "sign-panel")
    go.click()
    panel.get_by_text("needs a role and a name").wait_for()
    panel.get_by_label("name", exact=True).fill("Ana")
    go.click()
    panel.get_by_text("Ana (lead) signed: go").wait_for()
    assert ended() == "ended done"


def test_parameters_are_filled_in_and_checked(show_in_lab, browser_world, keep_pictures):
    notebook = browser_world.folder / "form.ipynb"
    cell = nbformat.v4.new_code_cell(
        'csc: "csc" = "DIMM:1"  # CSC that is tested\n'
        "watch_s: float = 5.0  # How long its log is followed {min: 0, max: 60, unit: s}\n"
        "verbose: bool = False  # Whether all is told",
        metadata={"tags": ["parameters"]},
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), notebook)
    source = f"from lsst_commtools.widgets import ParameterForm\n\nParameterForm({str(notebook)!r})"
    opened = show_in_lab("form", source)
    opened.outputs.get_by_text("Ready (all defaults).").wait_for()
    opened.outputs.get_by_label("watch_s").fill("61")
    opened.outputs.get_by_text("watch_s must lie in 0 to 60 s").wait_for()
    keep_pictures(opened, "parameter-form")
    opened.outputs.get_by_label("watch_s").fill("6")
    opened.outputs.get_by_text("Ready (watch_s).").wait_for()
