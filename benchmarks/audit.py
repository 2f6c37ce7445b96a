"""Audit of 10^5 ingested files, against listing them and against asking the Butler dataset by dataset."""

from __future__ import annotations

import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import alternate, print_ratio

_NIGHTS = 100
_ASKED = 400
_MAX_RATIO_TO_LISTING = 6
_MAX_MEMORY_MB = 500


def make_gen2(folder: Path, number: int) -> Path:
    """Make a source with links and rows; the files are empty, for nothing here may open them."""
    repository, storage = folder / "gen2repo", folder / "storage"
    rows = []
    for night in range(_NIGHTS):
        day = f"2019-{night // 28 + 1:02d}-{night % 28 + 1:02d}"
        (storage / day).mkdir(parents=True)
        (repository / "raw" / day).mkdir(parents=True)
        for seq_num in range(1, number // _NIGHTS + 1):
            file = storage / day / f"AT_O_{day.replace('-', '')}_{seq_num:06d}.fits"
            visit = int(day.replace("-", "")) * 100_000 + seq_num
            os.close(os.open(file, os.O_CREAT))
            (repository / "raw" / day / f"{visit}-det000.fits").symlink_to(file)
            rows.append((day, seq_num, visit, 0))
    (repository / "_mapper").write_text("lsst.obs.lsst.auxTel.AuxTelMapper\n")
    with sqlite3.connect(repository / "registry.sqlite3") as registry:
        registry.execute(
            "CREATE TABLE raw (dayObs text, seqNum int, visit int, detector int, unique(visit, detector))"
        )
        registry.executemany("INSERT INTO raw VALUES (?, ?, ?, ?)", rows)
    registry.close()
    return folder


def list_all(folder: Path) -> int:
    """List both trees as cheaply as Python can."""
    number = 0
    for parent, _, names in os.walk(folder):
        number += len(names) if parent else 0
    return number


def make_gen3(folder: Path, number: int) -> str:
    """Make a Gen3 repository of LATISS raws, files and all."""
    from astropy.time import Time, TimeDelta
    from lsst.daf.butler import Butler, DataCoordinate, DatasetIdGenEnum, DatasetRef, FileDataset, Timespan

    from lsst_commtools.ingest import create_repository
    from lsst_commtools.ingest.repository import register_instrument

    path = create_repository(folder / "gen3")
    storage = folder / "raws"
    storage.mkdir()
    with Butler.from_config(str(path), writeable=True) as butler:
        register_instrument(butler, "LATISS")
        insert = butler.registry.insertDimensionData
        insert("physical_filter", {"instrument": "LATISS", "name": "empty", "band": "white"})
        insert("day_obs", {"instrument": "LATISS", "id": 20260320})
        numbers = [2026032000000 + k for k in range(number)]
        insert("group", *({"instrument": "LATISS", "name": str(n)} for n in numbers))
        start = Time("2026-03-20T20:00:00", scale="tai")
        span = Timespan(start, start + TimeDelta(10, format="sec"))
        common = {"instrument": "LATISS", "day_obs": 20260320, "physical_filter": "empty", "timespan": span}
        insert("exposure", *(
            {**common, "id": n, "group": str(n), "obs_id": f"AT_O_{n}", "seq_num": n % 100_000} for n in numbers
        ))  # fmt: skip
        raw = butler.get_dataset_type("raw")
        datasets = []
        for n in numbers:
            (storage / f"{n}.fits").touch()
            data_id = DataCoordinate.standardize(
                instrument="LATISS", exposure=n, detector=0, universe=butler.dimensions
            )
            ref = DatasetRef(
                raw, data_id, "LATISS/raw/all", id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN
            )
            formatter = "lsst_commtools.instrument.formatters.RawFormatter"
            datasets.append(FileDataset(str(storage / f"{n}.fits"), ref, formatter=formatter))
        butler.ingest(*datasets, transfer="direct")
    return str(path)


def peak_memory_mb(folder: Path) -> float:
    """Give the peak memory of a process that audits, in MB."""
    code = f"from lsst_commtools.repos import *; audit_gen2(find_teststand_paths({str(folder)!r}))"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    subprocess.run([sys.executable, "-c", code], check=True)
    return max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def ask_one_by_one(path: str, number: int) -> float:
    """Give the time to ask the Butler for each dataset, measured on some, in seconds for all."""
    from lsst.daf.butler import Butler

    with Butler.from_config(path) as butler:
        ids = random.Random(1).sample(range(number), min(_ASKED, number))
        start = time.perf_counter()
        for k in ids:
            data_id = {"instrument": "LATISS", "exposure": 2026032000000 + k, "detector": 0}
            ref = butler.find_dataset("raw", data_id, collections="LATISS/raw/all")
            assert butler.exists(ref, full_check=True)
        return (time.perf_counter() - start) * number / len(ids)


def main(number: int = 100_000, number_gen3: int = 20_000) -> int:
    from lsst_commtools.repos import Gen3Repository, Repository, audit_gen2, audit_gen3, find_teststand_paths

    good = True
    with tempfile.TemporaryDirectory(prefix="audit-") as name:
        source = make_gen2(Path(name) / "source", number)
        paths = find_teststand_paths(source)
        report = audit_gen2(paths)
        assert (report.in_order, report.problems) == (number, ())
        ours, listing = alternate(lambda: audit_gen2(paths), lambda: list_all(source), rounds=2)
        memory = peak_memory_mb(source)
        good &= ours / listing <= _MAX_RATIO_TO_LISTING and memory <= _MAX_MEMORY_MB
        print(
            f"audit of {number} Gen2 files: {ours:.2f} s, {ours / listing:.1f}x of listing them "
            f"(at most {_MAX_RATIO_TO_LISTING}x), peak memory {memory:.0f} MB (at most {_MAX_MEMORY_MB} MB)"
        )
        path = make_gen3(Path(name), number_gen3)
        repository = Gen3Repository(Repository("bench", path, 3, "LATISS"))
        assert audit_gen3(repository).problems == ()
        ours3, _ = alternate(lambda: audit_gen3(repository), lambda: None, rounds=2)
        repository.close()
        asked = ask_one_by_one(path, number_gen3)
        good &= print_ratio(
            f"audit of {number_gen3} Gen3 datasets", "Butler dataset by dataset", ours3, asked, 20
        )
        scaled = asked * number / number_gen3
        good &= print_ratio(f"audit of {number} Gen2 files", "Butler dataset by dataset", ours, scaled, 20)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
