"""A night that is killed or interrupted goes on where it was."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

NIGHT = ("night", "--instrument", "LATISS", "--visits", "2", "--seed", "5", "--work")


def start(work):
    return subprocess.Popen(
        [sys.executable, "-m", "lsst_commtools.cli", "--format", "json", *NIGHT, str(work)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(work):
    process = start(work)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    began = time.monotonic()
    answer = finish(tmp_path_factory.mktemp("undisturbed"))
    return answer, time.monotonic() - began


def comparable(answer):
    return {key: value for key, value in answer.items() if key != "report"}


def kill_and_finish(work, undisturbed, kills, seed):
    answer, seconds = undisturbed
    moments = random.Random(seed)
    for _ in range(kills):
        process = start(work)
        try:
            process.wait(timeout=moments.uniform(1.0, max(2.0, 0.9 * seconds)))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert comparable(finish(work)) == comparable(answer)


def test_a_good_latiss_night_is_good(undisturbed):
    answer, _ = undisturbed
    assert answer["counts"] == dict.fromkeys(
        ("expected", "transferred", "ingested", "processed", "measured"), 2
    )
    assert (answer["status"], answer["problems"]) == ("good", [])


def test_killed_nights_are_mended_by_the_next_run(tmp_path, undisturbed):
    kill_and_finish(tmp_path, undisturbed, kills=2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_killed_nights_are_mended_again_and_again(tmp_path, undisturbed, seed):
    kill_and_finish(tmp_path, undisturbed, kills=4, seed=seed)


@pytest.mark.parametrize("stage", ["transfer", "calibrations", "pipeline"])
def test_an_interrupt_leaves_with_130_and_a_usable_folder(tmp_path, undisturbed, stage):
    process = start(tmp_path)
    for line in process.stderr:
        if line.startswith(stage):
            break
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert out == ""
    assert err.rstrip().endswith("interrupted")
    if stage == "calibrations":
        assert comparable(finish(tmp_path)) == comparable(undisturbed[0])
