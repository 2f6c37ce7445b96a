"""The panel of CSCs as people meet it: in a browser, served by Voila."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lsst_commtools.simulate.observatory import simulator_truth, start_simulator, stop_simulator

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]


@pytest.fixture
def simulator():
    yield start_simulator(speed=10.0)
    stop_simulator()


@pytest.fixture
def voila(simulator, tmp_path):
    pytest.importorskip("voila", reason="voila is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    notebook = ROOT / "notebooks" / "csc" / "summary.ipynb"
    command = [sys.executable, "-m", "voila", "--no-browser", f"--port={port}", str(notebook)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "voila.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    ends = time.monotonic() + 60
    while time.monotonic() < ends and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            break
        except OSError:
            time.sleep(0.2)
    yield f"http://127.0.0.1:{port}/"
    process.terminate()
    process.wait(timeout=20)


@pytest.fixture
def browser_page():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser.new_page()
        browser.close()


def test_a_change_by_the_panel(voila, browser_page):
    browser_page.goto(voila, timeout=60_000)
    browser_page.get_by_text("Show plan").click(timeout=60_000)
    browser_page.get_by_text("start (STANDBY to DISABLED), enable").wait_for(timeout=20_000)
    assert simulator_truth()["cscs"]["DIMM:1"]["state"] == "STANDBY"
    browser_page.get_by_text("Carry out").click()
    browser_page.get_by_text("STANDBY -> DISABLED -> ENABLED").wait_for(timeout=20_000)
    assert simulator_truth()["cscs"]["DIMM:1"]["state"] == "ENABLED"
