"""A small simulated night and repositories to ingest it into."""

from __future__ import annotations

import shutil

import pytest
from astropy.io import fits

pytest.importorskip("lsst.daf.butler", reason="needs the extra butler")

from lsst_commtools.ingest import Ingester, create_repository
from lsst_commtools.simulate import simulate_night


@pytest.fixture(scope="session")
def small_night(tmp_path_factory):
    """A bias, a flat and two visits of four detectors, without faults; not to be changed."""
    return simulate_night(
        tmp_path_factory.mktemp("night"),
        visits=2,
        biases=1,
        flats=1,
        size=(256, 256),
        detectors=[0, 1, 4, 8],
        processes=1,
    )


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory):
    """A repository that nobody writes to: made once, copied for each test."""
    return create_repository(tmp_path_factory.mktemp("repository") / "repo")


@pytest.fixture
def repository(empty_repository, tmp_path):
    """A repository of the test's own."""
    folder = tmp_path / "work" / "repo"
    shutil.copytree(empty_repository, folder)
    return folder


@pytest.fixture
def raw_folder(small_night, tmp_path):
    """The night's raw files, to be changed at will."""
    folder = tmp_path / "raw"
    shutil.copytree(small_night.raw, folder)
    return folder


@pytest.fixture
def ingest(repository):
    """Ingest files of ComCam into the test's repository."""

    def call(*paths, **options):
        only = options.pop("only_day_obs", None)
        return Ingester(repository, "LSSTComCam", **options).ingest(paths, only_day_obs=only)

    return call


@pytest.fixture
def rewrite():
    """Write a raw file again with other cards or pixels."""

    def call(source, target, *, add_adu=0, **cards):
        with fits.open(source) as units:
            for key, value in cards.items():
                units[0].header[key] = value
            for unit in units[1:] if add_adu else ():
                unit.data = unit.data + add_adu
            target.parent.mkdir(parents=True, exist_ok=True)
            units.writeto(target, checksum=True, overwrite=True)
        return target

    return call
