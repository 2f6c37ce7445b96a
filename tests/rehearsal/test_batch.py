import os
import signal
import subprocess
import sys
import threading

import pytest

from lsst_commtools.errors import InputError, RejectedError, ServiceTimeoutError
from lsst_commtools.rehearsal.batch import BatchQueue, Reservation, waiting_problems


@pytest.fixture
def queue(tmp_path):
    return BatchQueue(tmp_path / "batch", 3)


def test_slots_are_held_while_the_context_lasts(queue):
    with queue.reserve(2, owner="LDF", purpose="pipeline"):
        assert queue.free == 1
        with queue.reserve(1, owner="SciOps", purpose="QA"):
            assert queue.free == 0
    assert queue.free == 3


def test_more_slots_than_there_are_are_all_of_them(queue):
    with queue.reserve(99, owner="LDF", purpose="pipeline") as mine:
        assert mine.slots == 3


def test_one_waits_until_slots_are_free(queue):
    queue.hold(Reservation("qa", "LDF", "QA of night 1", 3))
    told = []
    threading.Timer(0.5, lambda: queue.release("qa")).start()
    with queue.reserve(1, owner="LDF", purpose="x", on_wait=lambda s, h: told.append((s, h))):
        assert told[0][1][0].purpose == "QA of night 1"
        assert told[-1][0] < 10


def test_one_does_not_wait_for_ever_and_is_told_for_whom(queue):
    queue.hold(Reservation("qa", "LDF", "QA of night 1", 3))
    with (
        pytest.raises(ServiceTimeoutError, match="3 by LDF"),
        queue.reserve(1, owner="x", purpose="y", wait_s=0.2),
    ):
        pass
    assert [r.id for r in queue.reservations()] == ["qa"]


def test_what_a_killed_process_held_is_free(queue):
    code = (
        "import sys, time; from pathlib import Path; from lsst_commtools.rehearsal.batch import BatchQueue\n"
        "with BatchQueue(Path(sys.argv[1]), 3).reserve(3, owner='LDF', purpose='p'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(queue.folder)], stdout=subprocess.PIPE, env=os.environ
    )
    assert child.stdout.readline() == b"held\n"
    assert queue.free == 0
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert queue.free == 3
    with queue.reserve(3, owner="LDF", purpose="again", wait_s=1):
        pass


def test_refusals_are_for_one_group(queue):
    queue.refuse(2, "no answer")
    queue.submit(1)
    with pytest.raises(RejectedError, match="group 2: no answer"):
        queue.submit(2)
    queue.accept(2)
    queue.submit(2)


def test_waiting_becomes_a_problem_after_its_limit():
    mine = Reservation("a", "LDF", "QA of night 1", 1)
    theirs = [Reservation(str(n), "dev", f"job {n}", 2) for n in range(3)]
    assert waiting_problems(4.0, [mine, *theirs], "The pipeline", limit_s=5.0) == []
    found = waiting_problems(5.0, [mine, *theirs], "The pipeline", limit_s=5.0)
    assert [(p.kind, p.where) for p in found] == [("jobs-wait", "QA of night 1"), ("foreign-load", "dev")]
    assert "6 job slots" in found[1].what


def test_a_queue_without_slots_is_none(tmp_path):
    with pytest.raises(InputError):
        BatchQueue(tmp_path, 0)
