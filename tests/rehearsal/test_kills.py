"""Killed at any time, a rehearsal goes on with the same command: counts add up, nothing is lost or done twice."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lsst_commtools.ingest import open_repository
from lsst_commtools.instrument import get_camera
from lsst_commtools.rehearsal import Kind, Rehearsal
from lsst_commtools.rehearsal.feedback import judge_processing
from lsst_commtools.rehearsal.states import StepStatus, outline_states
from lsst_commtools.site import Site

VISITS, CALIBRATIONS = 2, 9
DEADLINE_S = 570.0
VICTIMS = ("conductor", "kernel", "rsync", "worker")


@pytest.fixture
def home(tmp_path, empty_home, monkeypatch):
    """A site with one small detector; everything that is started here is known by its home."""
    runtime = empty_home / "run"
    runtime.mkdir(mode=0o700)
    site = tmp_path / "site.yaml"
    site.write_text(
        "name: local\nextends: local\nreal: false\ndata: {instrument: LATISS}\n"
        f"rehearsal: {{visits: {VISITS}, image_rows: 512, image_columns: 512, settle_s: 0.2}}\n"
        "procedure: {html: false}\n"
    )
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("COMMTOOLS_SITE", str(site))
    yield Path(os.environ["COMMTOOLS_HOME"])
    for pid, _ in processes(Path(os.environ["COMMTOOLS_HOME"])):
        with_signal(pid, signal.SIGKILL)


def processes(home):
    """Process and command line of all that was started in this home, except this test."""
    mark = f"COMMTOOLS_HOME={home}\0".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if mark in (folder / "environ").read_bytes() + b"\0":
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.append((int(folder.name), line))
            except OSError:
                continue
    return found


def with_signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def kind_of(pid, line, conductor):
    if pid == conductor:
        return "conductor"
    if "observatory.server" in line:
        return "observatory"
    if "rsync" in line:
        return "rsync"
    if "warm" in line or "ipykernel" in line:
        return "kernel"
    return "worker"


def log_of(work):
    return work.with_suffix(".log")


def begin(work):
    command = [sys.executable, "-m", "lsst_commtools.cli", "rehearse", "--nights", "1", "--unattended"]
    with log_of(work).open("a") as log:
        return subprocess.Popen(
            [*command, "--work", str(work)], stdout=log, stderr=log, start_new_session=True
        )


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check(work):
    """Each image was transmitted, ingested, processed and counted exactly once."""
    rehearsal = Rehearsal.open(Site.load(), work)
    night = rehearsal.night(1)
    states = outline_states(rehearsal.entries({Kind.STEP_STARTED, Kind.STEP_ENDED}), 1)
    assert {key: state.reason for key, state in states.items() if state.status is not StepStatus.DONE} == {}
    planned = [name for shot in night.shots() for name in shot.files]
    assert len(planned) == VISITS + CALIBRATIONS
    for name in planned:
        assert sha256(night.storage / name) == sha256(night.source / name), name
    parts = [path for path in night.storage.rglob("*") if path.is_file() and path.suffix == ".fits"]
    assert len([path for path in parts if not path.name.startswith(".")]) == len(planned)
    with open_repository(night.settings.repository) as butler:
        raws = butler.query_datasets("raw", "LATISS/raw/all", find_first=False, limit=None)
        stars = butler.query_datasets(
            "star_table", night.settings.output_collection, find_first=False, limit=None
        )
    assert len(raws) == len({ref.dataId for ref in raws}) == len(planned)
    assert len(stars) == len({ref.dataId for ref in stars}) == VISITS
    counts = [e.data["counts"] for e in rehearsal.entries({Kind.COUNTS}) if "counts" in e.data][-1]
    assert set(counts.values()) == {VISITS * len(get_camera("LATISS").science_detectors)}
    assert set(judge_processing(night).counts.to_dict().values()) == {VISITS, 0}
    told = [entry.at_rehearsal_utc for entry in rehearsal.entries()]
    assert told == sorted(told)
    doubled = {"duplicate", "collision", "lost-in-transfer", "missing-detector", "not-processed"}
    assert [e.data for e in rehearsal.entries({Kind.PROBLEM}) if e.data["kind"] in doubled] == []


def campaign(work, home, kills, seed):
    """Run, kill, run again, until all kills are done and the rehearsal has ended."""
    dice = random.Random(seed)
    struck = []
    deadline_s = time.monotonic() + DEADLINE_S * max(1, kills // 2)
    process = begin(work)
    next_s = time.monotonic() + dice.uniform(4.0, 15.0)
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            if process.returncode in (0, 1):
                return struck
            process = begin(work)
        if len(struck) < kills and time.monotonic() >= next_s:
            wanted = dice.choice(VICTIMS)
            found = [pid for pid, line in processes(home) if kind_of(pid, line, process.pid) == wanted]
            if found and with_signal(dice.choice(found), signal.SIGKILL):
                struck.append(wanted)
                next_s = time.monotonic() + dice.uniform(2.0, 12.0)
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"not ended in time after kills of {struck}: {log_of(work).read_text()[-3000:]}")


def test_two_kills(home, tmp_path):
    struck = campaign(tmp_path / "w", home, 2, seed=20261120)
    assert struck
    check(tmp_path / "w")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_kills(home, tmp_path, seed):
    struck = campaign(tmp_path / "w", home, 20, seed)
    assert len(struck) >= 10
    check(tmp_path / "w")


def test_an_interrupt_ends_it_in_order_and_says_how_to_go_on(home, tmp_path):
    work = tmp_path / "w"
    process = begin(work)
    deadline_s = time.monotonic() + 120.0
    while "night 1:" not in log_of(work).read_text():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(240) == 130
    assert f"Go on with: commtools rehearse --work {work}" in log_of(work).read_text()
    assert [line for _, line in processes(home) if "observatory.server" in line] == []
