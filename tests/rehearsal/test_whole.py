"""Three nights from nothing, unattended: every step of the outline is done and stands in the report."""

import json
import subprocess
import sys
import time

import pytest

from lsst_commtools.rehearsal import FINAL_STANDUP, OUTLINE

LIMIT_S = 600.0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_nights(tmp_path, empty_home, monkeypatch):
    runtime = empty_home / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    work = tmp_path / "w"
    command = [sys.executable, "-m", "lsst_commtools.cli", "--format", "json", "rehearse", "--nights", "3"]
    began_s = time.monotonic()
    run = subprocess.run(
        [*command, "--unattended", "--work", str(work)], capture_output=True, text=True, check=False
    )
    took_s = time.monotonic() - began_s
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["unattended"]
    assert {step["status"] for step in told["steps"]} == {"done"}
    assert len(told["steps"]) == 3 * len(OUTLINE) + 1
    page = (work / "report" / "index.html").read_text()
    for step in OUTLINE:
        assert page.count(step.title) >= 3, step.id
    assert FINAL_STANDUP.title in page
    pages = [*work.glob("report/*.html"), *work.glob("nights/*/*.html"), *work.glob("notebooks/*/*.html")]
    assert len(pages) > 40
    assert [p.name for p in pages if "signed by stand-ins" not in p.read_text()] == []
    assert took_s < LIMIT_S
