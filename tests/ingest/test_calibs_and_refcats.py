import datetime as dt

import numpy as np
import pytest
from astropy.table import Table

from lsst_commtools.errors import DataError, NotFoundError, TableError
from lsst_commtools.ingest import (
    Ingester,
    calib_run,
    certify,
    ingest_refcat,
    open_repository,
)
from lsst_commtools.instrument import CalibratedImage, get_camera

CAMERA = get_camera("ComCam")
NOON = dt.datetime.fromisoformat("2026-11-20T12:00:00")
DAY = dt.timedelta(days=1)


@pytest.fixture
def calibrated(repository, raw_folder):
    """A repository with raws, and a way to make a bias whose pixels all have one value."""
    Ingester(repository, CAMERA).ingest([raw_folder])

    def make(stamp, level):
        with open_repository(repository, writeable=True) as butler:
            pixels = np.full((4, 4), level, np.float32)
            butler.collections.register(calib_run(CAMERA, stamp))
            image = CalibratedImage(pixels, pixels, np.zeros((4, 4), np.int32))
            for detector in (0, 1):
                butler.put(
                    image, "bias", instrument=CAMERA.name, detector=detector, run=calib_run(CAMERA, stamp)
                )
        return calib_run(CAMERA, stamp)

    return make


def _bias_level(repository):
    """Find the bias as the pipeline does: by the exposure that it is for."""
    with open_repository(repository) as butler:
        exposure = butler.query_dimension_records("exposure", instrument=CAMERA.name)[0]
        data_id = {"instrument": CAMERA.name, "detector": 0, "exposure": exposure.id}
        return float(butler.get("bias", data_id, collections=f"{CAMERA.name}/defaults").image[0, 0])


def test_a_certified_bias_is_found_by_the_exposure_and_replaced_by_a_later_one(repository, calibrated):
    for level, (begin, end) in enumerate([(None, None), (NOON, NOON + DAY), (NOON, NOON + DAY)], start=1):
        run = calibrated(str(level), level)
        with open_repository(repository, writeable=True) as butler:
            assert certify(butler, CAMERA, "bias", run, begin_tai=begin, end_tai=end) == 2
            assert certify(butler, CAMERA, "bias", run, begin_tai=begin, end_tai=end) == 2  # a resumed night
        assert _bias_level(repository) == level


def test_a_bias_is_not_found_outside_its_validity(repository, calibrated):
    run = calibrated("old", 7)
    with open_repository(repository, writeable=True) as butler:
        certify(butler, CAMERA, "bias", run, end_tai=NOON)
    with pytest.raises(LookupError):
        _bias_level(repository)


def test_nothing_to_certify_is_said(repository, calibrated):
    run = calibrated("x", 1)
    with open_repository(repository, writeable=True) as butler:
        for kind, where, span in (
            ("flat", run, {}),
            ("bias", "no/such/run", {}),
            ("bias", run, {"begin_tai": NOON, "end_tai": NOON}),
        ):
            with pytest.raises(DataError):
                certify(butler, CAMERA, kind, where, **span)


def test_shards_are_stored_once_and_found_by_the_sky(repository, small_night):
    shards = sorted(small_night.refcat.glob("*.fits"))
    with open_repository(repository, writeable=True) as butler:
        assert ingest_refcat(butler, [small_night.refcat]) == len(shards)
        assert ingest_refcat(butler, shards) == 0
        htm7 = int(shards[0].stem)
        table = butler.get("gaia_refcat", htm7=htm7, collections="refcats")
        assert {"id", "coord_ra", "coord_dec"} <= set(table.colnames)
        assert len(table) == len(Table.read(shards[0]))
        assert ingest_refcat(butler, shards, name="other_refcat") == len(shards)
        assert butler.collections.get_info("refcats").children == (
            "refcats/gaia_refcat",
            "refcats/other_refcat",
        )


@pytest.mark.data
def test_real_shards_are_taken(repository, test_data):
    with open_repository(repository, writeable=True) as butler:
        assert ingest_refcat(butler, sorted(test_data.glob("gaia_dr2_refcat_*.fits"))) == 2
        assert len(butler.get("gaia_refcat", htm7=189584, collections="refcats")) == 2762


def _shard(folder, name="189584.fits", ra=5.6, dec=-0.01, **columns):
    table = Table({"id": [1], "coord_ra": [ra], "coord_dec": [dec]} | columns)
    table.write(folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: _shard(folder, ra=320.9, dec=-0.3), "radians"),
        (lambda folder: _shard(folder, ra=float("nan")), "without position"),
        (lambda folder: _shard(folder, name="12.fits"), "no shard"),
        (lambda folder: _shard(folder, name="999999.fits"), "no shard"),
        (
            lambda folder: (folder / "189584.fits").write_text("x") and folder / "189584.fits",
            "cannot be read",
        ),
    ],
)
def test_broken_shards_are_refused(repository, tmp_path, make, words):
    path = make(tmp_path)
    with open_repository(repository, writeable=True) as butler:
        with pytest.raises(TableError, match=words):
            ingest_refcat(butler, [path])
        assert (
            butler.query_datasets("gaia_refcat", collections="refcats*", find_first=False, explain=False)
            == []
        )


def test_shards_need_columns_and_must_exist(repository, tmp_path):
    Table({"x": [1]}).write(tmp_path / "189584.fits")
    (tmp_path / "none").mkdir()
    with open_repository(repository, writeable=True) as butler:
        with pytest.raises(TableError, match="lacks"):
            ingest_refcat(butler, [tmp_path])
        with pytest.raises(NotFoundError):
            ingest_refcat(butler, [tmp_path / "none"])
