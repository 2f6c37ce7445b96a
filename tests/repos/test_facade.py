"""Which repository holds an image, and if none, at which station it was lost."""

from __future__ import annotations

import pytest

from lsst_commtools.errors import IdentifierError, NotFoundError, RefusedError
from lsst_commtools.ids import ObsId
from lsst_commtools.repos import ImageId, Repositories, Station
from lsst_commtools.simulate.teststand import OldIngest, write_raw
from lsst_commtools.site.repos import ReposSection

DAY = "2019-05-31"


@pytest.fixture
def repos(teststand):
    return Repositories.at(teststand.root)


@pytest.fixture
def ingest(teststand):
    return OldIngest(
        teststand.archiver / "gen2repo", teststand.archiver / "log/auto/ingest_output.log", seed=7
    )


def new_file(teststand, seq_num, name="{}.fits", **kwargs):
    obs_id = ObsId("AT", "O", 20190531, seq_num)
    return write_raw(teststand.archiver / "storage" / DAY / name.format(obs_id), obs_id, **kwargs)


class TestFind:
    def test_people_get_the_linked_one(self, repos, teststand):
        repository = repos.find("auxTel")
        assert repository.root == str(teststand.shared)
        assert repository.writable
        assert not repository.internal
        assert repos.find("LATISS") == repos.find(str(teststand.shared)) == repository

    def test_the_internal_one_is_refused_with_the_one_to_use(self, repos, teststand):
        with pytest.raises(RefusedError, match="Use 'auxTel'"):
            repos.find(str(teststand.archiver / "gen2repo"))
        with pytest.raises(RefusedError, match="Use 'auxTel'"):
            repos.find("teststand/auxTel/L1Archiver")

    def test_unknown(self, repos, tmp_path):
        with pytest.raises(NotFoundError, match="'auxTel'"):
            repos.find("BOT")
        with pytest.raises(NotFoundError):
            repos.find(str(tmp_path))
        with pytest.raises(NotFoundError):
            Repositories.at(tmp_path / "nothing")

    def test_list_shows_internal_ones_only_when_asked(self, repos):
        assert list(repos.list().index) == ["auxTel"]
        assert len(repos.list(internal=True)) == 4
        assert repos.list().loc["auxTel", "instrument"] == "LATISS"

    def test_labels_of_the_index(self, monkeypatch):
        monkeypatch.setenv("DAF_BUTLER_REPOSITORIES", "{LATISS: /a, embargo: /b, /repo/main: /c}")
        repos = Repositories(section=ReposSection())
        assert repos.find("auxTel").root == "/a"
        assert list(repos.list().index) == ["LATISS", "embargo", "/repo/main"]


class TestStations:
    def test_found(self, repos, teststand):
        located = repos.locate("AT_O_20190529_000001")
        assert located.station is Station.FOUND
        place = located.winners[0]
        assert place.root == str(teststand.archiver / "gen2repo")
        assert place.target.endswith("storage/2019-05-29/AT_O_20190529_000001.fits")
        assert "It is in 1 repository; 'auxTel' finds" in located.reason
        assert len(located.to_frame()) == 1

    @pytest.mark.parametrize("name", [2019052900001, "20190529/1", (20190529, 1)])
    def test_found_by_other_names(self, repos, name):
        assert repos.locate(name, instrument="auxTel").station is Station.FOUND

    def test_shadowed_by_the_linked_repository(self, repos, teststand):
        raw = teststand.shared / "raw/2019-05-29"
        raw.mkdir(parents=True)
        (raw / "2019052900001-det000.fits").symlink_to(
            teststand.temporary / "storage/2019-05-29/AT_O_20190529_000001.fits"
        )
        located = repos.locate("AT_O_20190529_000001", "auxTel")
        assert [place.wins for place in located.locations] == [True, False]
        assert located.winners[0].root == str(teststand.shared)
        assert "1 further copy is shadowed" in located.reason

    def test_not_transferred(self, repos):
        located = repos.locate("AT_O_20190529_000099", "auxTel")
        assert located.station is Station.NOT_TRANSFERRED

    def test_transferred_but_not_ingested(self, repos, teststand, ingest):
        path = new_file(teststand, 1, without=("SEQNUM",))
        ingest.run([path])
        located = repos.locate("AT_O_20190531_000001", "auxTel")
        assert located.station is Station.NOT_INGESTED
        assert str(path) in located.reason
        assert "ingest_output.log:" in located.log
        assert "'visit'" in located.log

    def test_its_place_is_held_by_another(self, repos, teststand, ingest):
        first = new_file(teststand, 1)
        ingest.run([first])
        other = ObsId("AT", "C", 20190531, 1)
        write_raw(teststand.archiver / "storage" / DAY / f"{other}.fits", other)
        located = repos.locate(str(other), "auxTel")
        assert located.station is Station.NOT_INGESTED
        assert "held by another image" in located.reason
        assert repos.locate("AT_O_20190531_000001", "auxTel").station is Station.FOUND

    def test_under_another_id(self, repos, teststand, ingest):
        wrong = teststand.archiver / "storage" / DAY / "AT_O_20190531_000007.fits"
        write_raw(wrong, ObsId("AT", "O", 20190531, 8))
        ingest.run([wrong])
        located = repos.locate("AT_O_20190531_000007", "auxTel")
        assert located.station is Station.OTHER_ID
        assert "2019053100008-det000.fits" in located.reason

    def test_file_gone(self, repos, teststand):
        (teststand.archiver / "storage/2019-05-29/AT_O_20190529_000001.fits").unlink()
        assert repos.locate("AT_O_20190529_000001", "auxTel").station is Station.FILE_GONE
        (teststand.archiver / "gen2repo/raw/2019-05-29/2019052900001-det000.fits").unlink()
        located = repos.locate("AT_O_20190529_000001", "auxTel")
        assert located.station in (Station.FILE_GONE, Station.UNREACHED)

    def test_not_reached_by_this_chain(self, repos, teststand):
        (teststand.shared / "_parent").unlink()
        (teststand.shared / "_parent").symlink_to(teststand.temporary / "gen2repo")
        located = repos.locate("AT_O_20190530_000001", "auxTel")
        assert located.station is Station.UNREACHED
        assert "teststand/auxTel/L1Archiver" in located.reason
        assert not located.winners

    def test_unknown_is_not_not_transferred(self, repos, teststand):
        for source in (teststand.archiver, teststand.daq, teststand.temporary):
            (source / "storage").rename(source / "elsewhere")
        located = repos.locate("AT_O_20190529_000099", "auxTel")
        assert located.station is Station.UNKNOWN
        assert located.unread

    def test_no_name_at_all(self, repos):
        for name in ("", "x", "AT_X_20190529_000001", "'; DROP TABLE raw", "../../etc/passwd", 12):
            with pytest.raises(IdentifierError):
                repos.locate(name)

    def test_both_generations_at_once(self, teststand, small_repository):
        small = small_repository()
        small.add(3)
        section = ReposSection.model_validate(
            {
                "repositories": {
                    "main": {"path": str(small.folder), "instrument": "LATISS"},
                    "auxTel": {"path": str(teststand.shared), "instrument": "LATISS", "generation": 2},
                }
            }
        )
        repos = Repositories(section=section)
        assert repos.locate("AT_O_20260320_000003").winners[0].repository == "main"
        assert repos.locate("AT_O_20190529_000001").winners[0].repository == "auxTel"
        assert repos.holdings("main", 20260320).to_dict()["present"] == 1
        assert repos.chain("main").to_dict()["collections"]
        assert repos.audit("main").registered == 1
        butler = repos.butler("main", having=(20260320, 3))
        assert tuple(butler.collections.defaults) == ("LATISS/defaults",)
        butler.close()
        with pytest.raises(NotFoundError, match="Tried were main"):
            repos.butler("main", having=(20260320, 9))


def test_gen3_stations(small_repository, tmp_path):
    small = small_repository()
    small.add(1)
    small.add(2, exposure_id=2026032000099)
    (small.storage / "AT_O_20260320_000005.fits").touch()
    entry = {"path": str(small.folder), "instrument": "LATISS", "source": str(small.storage)}
    repos = Repositories(section=ReposSection.model_validate({"repositories": {"main": entry}}))
    stations = {n: repos.locate(f"AT_O_20260320_{n:06d}").station for n in (1, 2, 5, 6)}
    assert stations == {
        1: Station.FOUND, 2: Station.OTHER_ID, 5: Station.NOT_INGESTED, 6: Station.NOT_TRANSFERRED,
    }  # fmt: skip
    entry["path"] = str(tmp_path / "gone")
    repos = Repositories(section=ReposSection.model_validate({"repositories": {"main": entry}}))
    located = repos.locate("AT_O_20260320_000001")
    assert located.station is Station.UNKNOWN
    assert "cannot be opened" in located.unread[0] or "no Gen3 repository" in located.unread[0]


def test_an_index_that_cannot_be_read_does_not_hide_folders(teststand, monkeypatch):
    monkeypatch.setenv("DAF_BUTLER_REPOSITORY_INDEX", "/nowhere/index.yaml")
    entry = {"path": str(teststand.shared), "instrument": "LATISS", "generation": 2}
    repos = Repositories(section=ReposSection.model_validate({"repositories": {"auxTel": entry}}))
    located = repos.locate("AT_O_20190529_000001")
    assert located.station is Station.FOUND
    assert "cannot be read" in located.unread[0]
    assert repos.audit(str(teststand.shared)).in_order == 8


class TestHoldings:
    def test_expected_against_present(self, repos, teststand, ingest):
        lost = new_file(teststand, 1)
        kept = new_file(teststand, 2)
        new_file(teststand, 4, without=("SEQNUM",))
        ingest.run([lost, kept])
        lost.unlink()
        holdings = repos.holdings("auxTel", 20190531)
        assert holdings.to_frame()[0].to_dict() == {1: "file gone", 2: "ok", 4: "not ingested"}
        assert holdings.by_detector().loc[0].to_dict() == {"expected": 3, "present": 1, "missing": 2}
        assert holdings.gaps == (3,)
        assert [item.seq_num for item in holdings.missing] == [1, 4]

    def test_a_night_without_images(self, repos):
        holdings = repos.holdings("auxTel", 20200101)
        assert holdings.items == ()
        assert holdings.to_frame().empty
        assert holdings.by_detector().empty


def test_image_names():
    image = ImageId.parse("raw/CC_O_20241108_000266_R22_S00.fits.fz")
    assert (image.instrument, image.detector, image.text) == ("LSSTComCam", "R22_S00", "CC_O_20241108_000266")
    assert ImageId.parse("AT_C_20190529_000001").exposure_ids == (3019052900001, 2019052900001)
    assert ImageId.parse((20240624, 106)).text == "20240624/106"
