"""Simulated teststands, and small Gen3 repositories of both databases."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lsst_commtools.ids import ObsId
from lsst_commtools.simulate.teststand import make_teststand

DAY = 20260320


@pytest.fixture
def teststand(tmp_path):
    return make_teststand(tmp_path / "stand")


class SmallRepository:
    """A Gen3 repository to which images are added one by one, each with a file of its own."""

    def __init__(self, folder: Path, registry: dict | None = None, *, checksum: bool = False):
        from lsst.daf.butler import Butler, Config

        from lsst_commtools.ingest.repository import _register_dataset_types, register_instrument
        from lsst_commtools.instrument.butler import seed_config

        self.folder = folder
        config = Config(seed_config())
        config["datastore", "checksum"] = checksum
        if registry:
            config["registry"] = registry
        self.storage = folder.parent / "storage"
        self.storage.mkdir(parents=True)
        Butler.makeRepo(str(folder), config=config)
        self.butler = Butler.from_config(str(folder), writeable=True)
        _register_dataset_types(self.butler)
        self.camera = register_instrument(self.butler, "LATISS")

    def add(
        self, seq_num, *, run="LATISS/raw/all", exposure_id=None, transfer="direct", content=None, folder=""
    ):
        from lsst.daf.butler import DataCoordinate, DatasetIdGenEnum, DatasetRef, FileDataset

        obs_id = ObsId("AT", "O", DAY, seq_num)
        number = exposure_id or obs_id.exposure_id
        self._records(obs_id, number)
        path = self.storage / folder / f"{obs_id}.fits"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content or f"image {obs_id}".encode())
        self.butler.collections.register(run)
        data_id = DataCoordinate.standardize(
            instrument="LATISS", exposure=number, detector=0, universe=self.butler.dimensions
        )
        ref = DatasetRef(
            self.butler.get_dataset_type("raw"),
            data_id,
            run,
            id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
        )
        self.butler.ingest(
            FileDataset(str(path), ref, formatter="lsst_commtools.instrument.formatters.RawFormatter"),
            transfer=transfer,
        )
        return path, Path(self.butler.getURI(ref).ospath)

    def _records(self, obs_id, number):
        from astropy.time import Time, TimeDelta
        from lsst.daf.butler import Timespan

        keep = {"skip_existing": True}
        begin = Time("2026-03-20T20:00:00", scale="tai") + TimeDelta(obs_id.seq_num * 30, format="sec")
        span = Timespan(begin, begin + TimeDelta(10, format="sec"))
        insert = self.butler.registry.insertDimensionData
        insert("physical_filter", {"instrument": "LATISS", "name": "empty", "band": "white"}, **keep)
        insert("day_obs", {"instrument": "LATISS", "id": DAY}, **keep)
        insert("group", {"instrument": "LATISS", "name": str(number)}, **keep)
        exposure = {
            "instrument": "LATISS", "id": number, "day_obs": DAY, "group": str(number), "physical_filter": "empty",
            "obs_id": str(obs_id), "seq_num": obs_id.seq_num, "timespan": span, "observation_type": "flat",
        }  # fmt: skip
        insert("exposure", exposure, **keep)


@pytest.fixture
def small_repository(tmp_path):
    made = []

    def make(name="gen3", **kwargs):
        made.append(SmallRepository(tmp_path / name / "repo", **kwargs))
        return made[-1]

    yield make
    for repository in made:
        repository.butler.close()


@pytest.fixture(scope="session")
def postgresql():
    """URL of an empty PostgreSQL server on a socket of its own; it refuses root, so it runs as nobody then."""
    programs = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
    if programs is None:
        pytest.skip("PostgreSQL is absent: apt-get install postgresql-15")
    import psycopg

    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    drop = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    if drop:
        shutil.chown(folder, "nobody", "nogroup")
    environment = {**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"}

    def run(*arguments):
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, cwd=folder, env=environment, **drop)

    data, options = (
        folder / "data",
        f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off",
    )
    run(programs / "initdb", "-D", data, "-U", "butler", "-A", "trust", "-E", "UTF8")
    run(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    try:
        with psycopg.connect(f"postgresql://butler@/postgres?host={folder}") as connection:
            connection.execute("CREATE EXTENSION btree_gist")
        yield f"postgresql+psycopg://butler@/postgres?host={folder}"
    finally:
        run(programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)
