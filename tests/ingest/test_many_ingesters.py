"""Several ingesters at once, and killed ones: real processes on one sqlite repository."""

import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lsst_commtools.ingest import Ingester, Outcome, create_repository, open_repository

# Ingests and writes the outcomes; says when it starts, so that it can be killed while it works.
PROGRAM = """
import json, sys
from lsst_commtools.ingest import Ingester
import lsst_commtools.ingest.ingester as module, lsst.daf.butler, lsst_commtools.ingest.dimensions
module.BATCH_FILES = int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
report = Ingester(sys.argv[1], "ComCam", work=sys.argv[1] + "-work", transfer=sys.argv[4]).ingest(sys.argv[5:])
json.dump([[str(f.path), f.outcome.value] for f in report.files], open(sys.argv[2], "w"))
"""


def start(repository, result, paths, *, batch=4, transfer="direct"):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(repository), str(result), str(batch), transfer, *map(str, paths)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def release(process):
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


def close(process):
    process.wait(120)
    process.stdin.close()
    process.stdout.close()
    return process.returncode


def check(repository, files):
    """The Butler holds each file once and reads it, and every visit is complete."""
    with open_repository(repository) as butler:
        refs = butler.query_datasets("raw", collections="LSSTComCam/raw/all", explain=False)
        stored = collections.Counter(
            (butler.getURI(ref).ospath, ref.dataId["exposure"], ref.dataId["detector"]) for ref in refs
        )
        assert len(stored) == len(files)
        assert set(stored.values()) == {1}
        for ref in refs:
            assert butler.get("raw.header", ref.dataId, collections="LSSTComCam/raw/all")["SEQNUM"]
        exposures = butler.query_dimension_records("exposure", instrument="LSSTComCam")
        visits = butler.query_dimension_records("visit", instrument="LSSTComCam")
        definitions = butler.query_dimension_records("visit_definition", instrument="LSSTComCam")
        regions = butler.query_dimension_records("visit_detector_region", instrument="LSSTComCam")
        science = {e.id for e in exposures if e.observation_type == "science"}
        assert {v.id for v in visits} == {d.visit for d in definitions} == science
        assert len(regions) == 9 * len(visits)
    return stored


def test_three_ingesters_at_once_lose_nothing(repository, raw_folder, rewrite, tmp_path):
    files = sorted(raw_folder.rglob("*.fits"))
    twin = tmp_path / "twin"
    shutil.copytree(raw_folder, twin)
    collided = rewrite(files[5], tmp_path / "other" / files[5].name, add_adu=1)
    shuffled = [list(files), list(files)[::-1], [collided, *sorted(twin.rglob("*.fits"))]]
    processes = [
        start(repository, tmp_path / f"{k}.json", paths, batch=2) for k, paths in enumerate(shuffled)
    ]
    for process in processes:
        release(process)
    assert [close(process) for process in processes] == [0, 0, 0]
    outcomes = [json.loads((tmp_path / f"{k}.json").read_text()) for k in range(3)]
    assert [len(o) for o in outcomes] == [16, 16, 17]
    stored = check(repository, files)
    held = {path for path, _, _ in stored}
    for path, outcome in (pair for report in outcomes for pair in report):
        assert (outcome == "ingested") == (path in held), path
    flat = collections.Counter(outcome for report in outcomes for _, outcome in report)
    assert set(flat) <= {"ingested", "identical-duplicate", "collision"}
    assert flat["collision"] in {1, 2, 3}  # one file, unless the odd one came first: then the others


def test_three_processes_may_make_the_repository_at_once(tmp_path):
    folder = tmp_path / "made.v1"
    code = "import sys; from lsst_commtools.ingest import create_repository; create_repository(sys.argv[1])"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(folder)]) for _ in range(3)]
    assert [p.wait(120) for p in processes] == [0, 0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["made.v1"]
    with open_repository(folder) as butler:
        assert butler.get_dataset_type("raw").storageClass_name == "CommtoolsRaw"


def _kill_once(repository, files, result, delay_s, transfer):
    process = start(repository, result, files, batch=2, transfer=transfer)
    release(process)
    time.sleep(delay_s)
    os.kill(process.pid, signal.SIGKILL)
    return close(process)


@pytest.mark.parametrize(
    ("seed", "kills"),
    [(1, 3), (2, 3), *(pytest.param(seed, 6, marks=pytest.mark.slow) for seed in range(10, 30))],
)
def test_a_killed_ingester_leaves_nothing_that_the_next_run_does_not_mend(
    repository, raw_folder, tmp_path, seed, kills
):
    files = sorted(raw_folder.rglob("*.fits"))
    rng = random.Random(seed)
    transfer = rng.choice(["direct", "copy", "symlink"])
    killed = [
        _kill_once(repository, files, tmp_path / "none.json", rng.uniform(0.05, 0.6), transfer)
        for _ in range(kills)
    ]
    assert -signal.SIGKILL in killed
    report = Ingester(repository, "ComCam", transfer=transfer).ingest(files)
    assert report.counts[Outcome.INGESTED] == 16
    check(repository, files)


@pytest.mark.parametrize("step", ["claim", "place", "transaction", "ingest", "note"])
def test_death_between_any_two_steps_is_mended(repository, raw_folder, rewrite, tmp_path, monkeypatch, step):
    """The first file stays the first, though its ingester died and another one comes first in the next run."""
    import lsst_commtools.ingest.ingester as module
    from lsst_commtools.ingest.ledger import IngestLedger

    class DeathError(BaseException):
        pass

    def die(*_, **__):
        raise DeathError

    path = max(raw_folder.rglob("*.fits"))
    other = rewrite(path, tmp_path / "other.fits", add_adu=1)
    with monkeypatch.context() as patch:
        if step == "claim":
            patch.setattr(module._Run, "_ingest", die)
        elif step == "place":
            patch.setattr(module, "_place", die)
        elif step == "transaction":
            patch.setattr("lsst_commtools.ingest.dimensions.insert_exposure", die)
        elif step == "ingest":
            patch.setattr("lsst.daf.butler.direct_butler.DirectButler.ingest", die)
        else:
            patch.setattr(IngestLedger, "note", die)
        with pytest.raises(DeathError):
            Ingester(repository, "ComCam", transfer="copy").ingest([path])
    report = Ingester(repository, "ComCam", transfer="copy").ingest([other])
    assert [f.outcome for f in report.files] == [Outcome.COLLISION]
    report = Ingester(repository, "ComCam", transfer="copy").ingest([path])
    assert [f.outcome for f in report.files] == [Outcome.INGESTED]
    check(repository, [path])


def test_a_claim_whose_file_is_gone_is_taken_over(repository, raw_folder, rewrite, tmp_path, monkeypatch):
    import lsst_commtools.ingest.ingester as module

    path = max(raw_folder.rglob("*.fits"))
    other = rewrite(path, tmp_path / "other.fits", add_adu=1)
    with monkeypatch.context() as patch:
        patch.setattr(module._Run, "_ingest", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Ingester(repository, "ComCam").ingest([path])
    path.unlink()
    report = Ingester(repository, "ComCam").ingest([other])
    assert [f.outcome for f in report.files] == [Outcome.INGESTED]
    check(repository, [other])


def test_a_folder_with_other_things_is_no_place_for_a_repository(tmp_path):
    from lsst_commtools.errors import NotFoundError, ServiceError

    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "precious.txt").write_text("keep me")
    with pytest.raises(ServiceError, match="not empty"):
        create_repository(folder)
    assert [p.name for p in folder.iterdir()] == ["precious.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["full"]
    with pytest.raises(NotFoundError):
        open_repository(folder)
