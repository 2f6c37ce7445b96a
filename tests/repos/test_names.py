"""Names of raw files, and cameras whose templates differ."""

from __future__ import annotations

import sqlite3

import pytest

from lsst_commtools.repos import audit_gen2, find_teststand_paths
from lsst_commtools.repos.names import instrument_of_mapper, parse_raw_name, parse_stored_name, raw_path


def test_templates():
    row = {"visit": 2019052900001, "detector": 0, "dayObs": "2019-05-29"}
    assert raw_path(row) == "raw/2019-05-29/2019052900001-det000.fits"
    assert raw_path({"expId": 2020010100001, "detector": 0, "dayObs": "2020-01-01"}) == (
        "raw/2020-01-01/2020010100001-det000.fits"
    )
    bot = {
        "visit": 3019032200001,
        "detector": 30,
        "run": "6006D",
        "raftName": "R10",
        "detectorName": "S11",
        "snap": 0,
    }
    assert raw_path(bot) == "raw/6006D/R10/3019032200001-R10-S11-det030-000.fits"
    for bad in (
        {},
        {"visit": "x", "detector": 0},
        {"visit": 1, "detector": 0},
        {"visit": 1, "detector": None},
    ):
        assert raw_path(bad) is None


def test_parsing():
    stored = parse_stored_name("MC_C_20190406_000001_R22_S11.fits")
    assert (str(stored.obs_id), stored.detector, stored.plain_id, stored.exposure_id) == (
        "MC_C_20190406_000001", 94, 2019040600001, 3019040600001,
    )  # fmt: skip
    assert parse_stored_name("AT_O_20190529_000001.fits").detector == 0
    assert parse_stored_name("MC_O_20190529_000001.fits").detector is None
    for bad in (
        "x.fits",
        "AT_O_20191329_000001.fits",
        "AT_O_20190529_100000.fits",
        "AT_O_2019052٩_000001.fits",
    ):
        assert parse_stored_name(bad) is None
    assert parse_raw_name("2019052900001-det000.fits") == (parse_raw_name("2019052900001-det000.fits.fz"))
    assert parse_raw_name("3019032200001-R10-S11-det030-000.fits").detector == 30
    assert parse_raw_name("2019052900001-det0000.fits") is None


@pytest.mark.parametrize(
    ("mapper", "instrument"),
    [
        ("lsst.obs.lsst.auxTel.AuxTelMapper", "LATISS"),
        ("lsst.obs.lsst.latiss.LatissMapper", "LATISS"),
        ("lsst.obs.lsst.LsstCamMapper", "LSSTCam"),
        ("lsst.obs.lsst.comCam.LsstComCamMapper", "LSSTComCam"),
        ("lsst.obs.lsst.ts8.Ts8Mapper", "LSST-TS8"),
        ("lsst.obs.subaru.HscMapper", None),
        (None, None),
    ],
)
def test_cameras_of_mappers(mapper, instrument):
    assert instrument_of_mapper(mapper) == instrument


@pytest.fixture
def bot(tmp_path):
    """A source of BOT data, by run and raft, with nine detectors of one exposure."""
    storage, repository = tmp_path / "storage/20190406", tmp_path / "gen2repo"
    storage.mkdir(parents=True)
    raw = repository / "raw/6006D/R22"
    raw.mkdir(parents=True)
    rows = []
    for number in range(9):
        sensor = f"S{number // 3}{number % 3}"
        file = storage / f"MC_C_20190406_000001_R22_{sensor}.fits"
        file.touch()
        detector = 90 + number
        (raw / f"3019040600001-R22-{sensor}-det{detector:03d}-000.fits").symlink_to(file)
        rows.append((3019040600001, detector, "6006D", "R22", sensor, 0, "2019-04-06", 1))
    (repository / "_mapper").write_text("lsst.obs.lsst.LsstCamMapper\n")
    with sqlite3.connect(repository / "registry.sqlite3") as registry:
        registry.execute(
            "CREATE TABLE raw (visit int, detector int, run text, raftName text, detectorName text, snap int, "
            "dayObs text, seqNum int)"
        )
        registry.executemany("INSERT INTO raw VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    registry.close()
    return tmp_path


def test_bot_audit_and_locate(bot):
    from lsst_commtools.repos import Repositories

    assert audit_gen2(find_teststand_paths(bot)).to_dict() == {
        "counts": {"storage": 9, "registered": 9, "linked": 9, "in_order": 9},
        "problems": [],
    }
    repos = Repositories.at(bot)
    located = repos.locate("MC_C_20190406_000001", str(bot / "gen2repo"))
    assert len(located.winners) == 9
    assert [
        p.detector for p in repos.locate("MC_C_20190406_000001_R22_S01", str(bot / "gen2repo")).winners
    ] == [91]
    frame = repos.holdings(str(bot / "gen2repo"), 20190406).by_detector()
    assert (frame["present"].sum(), frame["expected"].sum()) == (9, 189)


def test_a_template_that_is_not_known_is_matched_by_ids(bot):
    repository = bot / "gen2repo"
    (repository / "raw/6006D").rename(repository / "raw/other")
    assert audit_gen2(find_teststand_paths(bot)).in_order == 9
