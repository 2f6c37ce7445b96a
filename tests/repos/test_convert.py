"""Plans of a conversion from Gen2 to Gen3."""

from __future__ import annotations

from lsst_commtools.ids import ObsId
from lsst_commtools.repos import ConversionAction, Gen3Repository, Repository, plan_conversion
from lsst_commtools.simulate.teststand import OldIngest, write_raw

DAY = 20260320


def test_ids_that_change_and_stay(teststand):
    items = plan_conversion(str(teststand.daq / "gen2repo"), None, "LATISS")
    assert {item.action for item in items} == {ConversionAction.INGEST}
    assert items[0].reason == "id 2019052900001 becomes 3019052900001, by its name"
    items = plan_conversion(str(teststand.shared), None, "LATISS")
    assert items[0].reason == "the id stays, by its name"
    assert len(items) == 8


def test_by_header_where_the_name_does_not_tell(teststand, tmp_path):
    source = tmp_path / "x"
    path = write_raw(source / "storage/some.fits", ObsId("AT", "C", 20190531, 5))
    OldIngest(source / "gen2repo", source / "log").run([path])
    (item,) = plan_conversion(str(source / "gen2repo"), None, "LATISS")
    assert (item.exposure_id, item.reason) == (
        3019053100005,
        "id 2019053100005 becomes 3019053100005, by its header",
    )
    path.write_bytes(b"no header")
    (item,) = plan_conversion(str(source / "gen2repo"), None, "LATISS")
    assert item.action is ConversionAction.UNREADABLE
    path.unlink()
    (item,) = plan_conversion(str(source / "gen2repo"), None, "LATISS")
    assert item.action is ConversionAction.FILE_GONE


def test_what_the_repository_has(small_repository, tmp_path):
    small = small_repository()
    source = tmp_path / "x"
    paths = [
        write_raw(source / f"storage/AT_O_{DAY}_00000{n}.fits", ObsId("AT", "O", DAY, n)) for n in (1, 2, 3)
    ]
    OldIngest(source / "gen2repo", source / "log").run(paths)
    small.add(1, content=paths[0].read_bytes())
    small.add(2, content=b"another")
    gen3 = Gen3Repository(Repository("main", str(small.folder), 3, "LATISS"))
    items = plan_conversion(str(source / "gen2repo"), gen3, "LATISS")
    gen3.close()
    assert [item.action.value for item in items] == ["present", "collision", "ingest"]
    assert "the files differ" in items[1].reason


def test_two_files_for_one_id(tmp_path):
    source = tmp_path / "x"
    first = write_raw(source / "storage/first.fits", ObsId("AT", "O", DAY, 1))
    OldIngest(source / "gen2repo", source / "log").run([first])
    raw = next((source / "gen2repo/raw").iterdir())
    other = write_raw(source / "storage/other.fits", ObsId("AT", "O", DAY, 1), exposure_s=9.0)
    (raw / "9999-odd.fits").symlink_to(other)
    items = plan_conversion(str(source / "gen2repo"), None, "LATISS")
    assert [item.action.value for item in items] == ["ingest", "unreadable"]
    (raw / "9999-odd.fits").unlink()
    (raw / "2026032099999-det000.fits").symlink_to(other)
    items = plan_conversion(str(source / "gen2repo"), None, "LATISS")
    assert [item.action.value for item in items] == ["ingest", "collision"]
