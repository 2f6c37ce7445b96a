import hashlib
import shutil

import pytest

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.ingest import Ingester, IngestLedger, Outcome, open_repository
from lsst_commtools.instrument import assemble, read_raw


def counts(report):
    return {outcome.value: n for outcome, n in report.counts.items() if n}


def stored(repository):
    """Exposure and detector of each raw dataset, with the file that the Butler reads."""
    with open_repository(repository) as butler:
        refs = butler.query_datasets("raw", collections="LSSTComCam/raw/all", explain=False)
        return {(r.dataId["exposure"], r.dataId["detector"]): butler.getURI(r).ospath for r in refs}


def test_a_clean_night_is_ingested_whole(repository, ingest, raw_folder):
    report = ingest(raw_folder)
    assert counts(report) == {"ingested": 16}
    assert all(f.sha256 == hashlib.sha256(f.path.read_bytes()).hexdigest() for f in report.files)
    files = stored(repository)
    assert {str(f.path) for f in report.files} == set(files.values())
    with open_repository(repository) as butler:
        first = report.files[-1]
        data_id = {k: first.data_id[k] for k in ("instrument", "exposure", "detector")}
        raw = butler.get("raw", data_id, collections="LSSTComCam/defaults")
        assert (assemble(raw) == assemble(read_raw(first.path))).all()
        header = butler.get("raw.header", data_id, collections="LSSTComCam/defaults")
        assert header["SEQNUM"] == first.data_id["seq_num"]
        by_night = butler.query_datasets(
            "raw", collections="LSSTComCam/raw/all", instrument="LSSTComCam", day_obs=20261120,
            where="exposure.seq_num = 1", explain=False,
        )  # fmt: skip
        assert len(by_night) == 4


def test_exposures_and_visits_are_recorded_with_regions(repository, ingest, raw_folder, small_night):
    from lsst.sphgeom import LonLat, UnitVector3d

    ingest(raw_folder)
    with open_repository(repository) as butler:
        exposures = butler.query_dimension_records("exposure", instrument="LSSTComCam")
        visits = butler.query_dimension_records("visit", instrument="LSSTComCam")
        assert sorted(e.obs_id for e in exposures) == sorted(small_night.obs_ids)
        assert {v.id for v in visits} == {e.id for e in exposures if e.observation_type == "science"}
        assert {e.observation_type for e in exposures} == {"bias", "flat", "science"}
        assert all(e.day_obs == 20261120 and e.timespan.begin < e.timespan.end for e in exposures)
        regions = butler.query_dimension_records("visit_detector_region", instrument="LSSTComCam")
        assert len(regions) == 2 * 9  # those that did not arrive are expected too
        for visit in visits:
            exposure = next(e for e in exposures if e.id == visit.id)
            centre = UnitVector3d(LonLat.fromDegrees(exposure.tracking_ra, exposure.tracking_dec))
            assert visit.region.contains(centre)
            inside = [r.detector for r in regions if r.visit == visit.id and r.region.contains(centre)]
            assert inside == [4]
        with butler.query() as query:
            pairs = (
                query.join_dimensions(["visit", "htm7"])
                .where(instrument="LSSTComCam")
                .data_ids(["visit", "htm7"])
            )
            assert len({d["visit"] for d in pairs}) == 2


def test_every_kind_of_file_has_its_outcome(repository, ingest, raw_folder, rewrite, tmp_path):
    files = sorted(raw_folder.rglob("*.fits"))
    late = tmp_path / "raw" / "zz"
    late.mkdir()
    shutil.copy(files[0], late / "again.fits")
    rewrite(files[1], late / "other.fits", add_adu=1)
    (late / "text.fits").write_text("not FITS\n")
    (late / "empty.fits").touch()
    cut = late / "cut.fits"
    cut.write_bytes(files[2].read_bytes()[:-9000])
    rewrite(files[3], late / "contradiction.fits", SEQNUM=4711)
    rewrite(files[3], late / "elsewhere.fits", INSTRUME="LATISS")
    rewrite(files[3], late / "nobody.fits", RAFTBAY="R99")
    rewrite(files[4], late / "filter.fits", FILTER="y_04")
    report = ingest(raw_folder)
    assert counts(report) == {
        "ingested": 16, "identical-duplicate": 1, "collision": 1, "unreadable": 3, "header-refused": 4,
    }  # fmt: skip
    found = {f.path.name: f for f in report.files if f.path.parent == late}
    assert found["again.fits"].outcome is Outcome.IDENTICAL_DUPLICATE
    assert str(files[0]) in found["again.fits"].reason
    collision = found["other.fits"]
    assert collision.outcome is Outcome.COLLISION
    assert collision.kept_aside.parent == repository.parent / "aside"
    assert collision.kept_aside.read_bytes() == (late / "other.fits").read_bytes()
    assert "truncated" in found["cut.fits"].reason
    assert "SEQNUM 4711" in found["contradiction.fits"].reason
    assert "disagrees with its exposure" in found["filter.fits"].reason
    assert set(stored(repository).values()) == set(map(str, files))
    assert all(f.reason for f in report.files if f.outcome is not Outcome.INGESTED)


def test_the_second_run_gives_the_same_outcomes_without_reading(
    repository, ingest, raw_folder, rewrite, monkeypatch
):
    files = sorted(raw_folder.rglob("*.fits"))
    shutil.copy(files[0], raw_folder / "zz.fits")
    rewrite(files[1], raw_folder / "zzz.fits", add_adu=1)
    before = ingest(raw_folder)
    monkeypatch.setattr("lsst_commtools.ingest.ingester.examine", None)
    after = ingest(raw_folder)
    assert after.files == before.files
    assert counts(after) == {"ingested": 16, "identical-duplicate": 1, "collision": 1}


def test_what_the_butler_lost_is_ingested_again(repository, ingest, raw_folder):
    ingest(raw_folder)
    with open_repository(repository, writeable=True) as butler:
        refs = butler.query_datasets("raw", collections="LSSTComCam/raw/all", explain=False)
        butler.pruneDatasets(refs[:3], disassociate=True, unstore=True, purge=True)
    # A direct dataset's file belongs to the user: pruning leaves it.
    assert len(stored(repository)) == 13
    assert counts(ingest(raw_folder)) == {"ingested": 16}
    assert len(stored(repository)) == 16


def test_a_lost_ledger_is_made_again_from_the_butler(repository, ingest, raw_folder, rewrite):
    files = sorted(raw_folder.rglob("*.fits"))
    ingest(*files)
    (repository / "ingest.sqlite3").unlink()
    other = rewrite(files[0], raw_folder / "aa.fits", add_adu=1)
    same = raw_folder / "ab.fits"
    shutil.copy(files[1], same)
    report = ingest(other, same, *files)
    assert counts(report)["collision"] == 1
    assert report.files[0].outcome is Outcome.COLLISION
    assert set(stored(repository).values()) == set(map(str, files))


def test_a_file_that_changes_after_ingest_collides_with_itself(ingest, raw_folder, rewrite):
    path = min(raw_folder.rglob("*.fits"))
    ingest(path)
    rewrite(path, path, add_adu=1)
    report = ingest(path)
    assert counts(report) == {"collision": 1}
    assert "changed after it was ingested" in report.files[0].reason


@pytest.mark.parametrize("transfer", ["copy", "symlink"])
def test_files_are_taken_as_asked(repository, ingest, raw_folder, transfer):
    assert counts(ingest(raw_folder, transfer=transfer)) == {"ingested": 16}
    paths = stored(repository).values()
    assert all(path.startswith(str(repository / "LSSTComCam" / "raw" / "all")) for path in paths)
    if transfer == "copy":
        shutil.rmtree(raw_folder)
    with open_repository(repository) as butler:
        refs = butler.query_datasets("raw", collections="LSSTComCam/raw/all", explain=False)
        assert butler.get(refs[0]).shape == (256, 256)


def test_other_nights_are_refused_only_when_asked(ingest, raw_folder):
    report = ingest(raw_folder, only_day_obs=20261119)
    assert counts(report) == {"header-refused": 16}
    assert counts(ingest(raw_folder, only_day_obs=20261120)) == {"ingested": 16}
    assert counts(ingest(raw_folder)) == {"ingested": 16}


def test_dataset_ids_depend_on_nothing_but_the_data_id(
    repository, ingest, raw_folder, tmp_path, empty_repository
):
    ingest(raw_folder)
    other = tmp_path / "other"
    shutil.copytree(empty_repository, other)
    moved = tmp_path / "moved"
    raw_folder.rename(moved)
    Ingester(other, "ComCam").ingest([moved])
    ids = []
    for folder in (repository, other):
        with open_repository(folder) as butler:
            refs = butler.query_datasets("raw", collections="LSSTComCam/raw/all", explain=False)
            ids.append({ref.id for ref in refs})
    assert ids[0] == ids[1]


def test_a_new_filter_does_not_stop_the_night(repository, ingest, raw_folder, rewrite):
    for path in sorted(raw_folder.rglob("*.fits"))[-4:]:
        rewrite(path, path, FILTER="brand_new")
    assert counts(ingest(raw_folder)) == {"ingested": 16}
    with open_repository(repository) as butler:
        filters = butler.query_dimension_records("physical_filter", instrument="LSSTComCam")
        assert {f.name: f.band for f in filters}["brand_new"] == "unknown"


def test_progress_and_checksums_and_bad_requests(repository, raw_folder):
    calls = []
    files = sorted(raw_folder.rglob("*.fits"))
    report = Ingester(repository, "ComCam").ingest([*files, files[0]], lambda *call: calls.append(call))
    assert calls == [(16, 16)]
    ledger = IngestLedger(repository)
    checksums = ledger.checksums("LSSTComCam")
    ledger.close()
    assert checksums == {(f.data_id["exposure"], f.data_id["detector"]): f.sha256 for f in report.files}
    with pytest.raises(NotFoundError):
        Ingester(repository, "ComCam").ingest([raw_folder / "absent"])
    with pytest.raises(NotFoundError):
        Ingester(repository.parent / "absent", "ComCam").ingest([raw_folder])
    with pytest.raises(InputError):
        Ingester(repository, "ComCam", transfer="move")


def test_an_empty_folder_is_an_empty_report(ingest, tmp_path):
    (tmp_path / "nothing").mkdir()
    assert ingest(tmp_path / "nothing").files == ()
