"""The broken states of a Gen2 repository, made by an ingest that behaves like the old one."""

from __future__ import annotations

import os
import sqlite3

import pytest

from lsst_commtools.errors import NotFoundError
from lsst_commtools.ids import ObsId
from lsst_commtools.repos.audit import audit_gen2, find_teststand_paths
from lsst_commtools.simulate.teststand import IngestFault, OldIngest, write_raw

DAY = "2019-05-31"


@pytest.fixture
def source(teststand):
    return teststand.archiver


@pytest.fixture
def ingest(source):
    return OldIngest(source / "gen2repo", source / "log/auto/ingest_output.log", seed=7)


def new_file(source, name, *, seq_num, controller="O", folder=DAY, **kwargs):
    obs_id = ObsId("AT", controller, 20190531, seq_num)
    return write_raw(source / "storage" / folder / name.format(obs_id), obs_id, **kwargs)


def audit(source):
    return audit_gen2(find_teststand_paths(source))


def found(report):
    return [(problem.kind, problem.path) for problem in report.problems]


def test_everything_in_order(source, teststand):
    report = audit(source)
    assert (report.storage, report.registered, report.linked, report.in_order) == (8, 8, 8, 8)
    assert report.problems == ()
    assert audit_gen2(find_teststand_paths(teststand.shared)) == report
    assert audit_gen2(find_teststand_paths(source / "gen2repo")) == report


def test_never_ingested_with_the_line_of_the_log(source, ingest):
    bad = new_file(source, "{}.fits", seq_num=1, without=("SEQNUM",))
    unseen = new_file(source, "{}.fits", seq_num=2)
    ingest.run([bad])
    report = audit(source)
    assert found(report) == [("not-ingested", str(bad)), ("not-ingested", str(unseen))]
    assert "Failed to ingest file" in report.problems[0].log
    assert report.problems[0].data_id["visit"] == 2019053100001
    assert report.problems[1].log is None
    assert (report.storage, report.in_order) == (10, 8)


def test_state_1_collision_and_duplicate(source, ingest):
    first = new_file(source, "{}.fits", seq_num=1)
    ingest.run([first])
    second = new_file(source, "{}.fits", seq_num=1, controller="C")
    again = write_raw(source / "storage/resent" / first.name, ObsId("AT", "O", 20190531, 1))
    ingest.run([second, again])
    report = audit(source)
    assert found(report) == [("collision", str(second)), ("duplicate", str(again))]
    assert f"{first} came first" in report.problems[0].what
    assert "pixels differ" in report.problems[0].what
    assert "already exists" in report.problems[0].log


def test_state_1_re_ingest_of_the_same_file_is_no_collision(source, ingest):
    first = new_file(source, "{}.fits", seq_num=1)
    ingest.run([first])
    ingest.run([first])
    report = audit(source)
    assert found(report) == [("duplicate", str(first))]
    assert report.in_order == 9


def test_same_pixels_under_two_headers(source, ingest):
    first = new_file(source, "{}.fits", seq_num=1)
    ingest.run([first])
    other = source / "storage" / DAY / "AT_C_20190531_000001.fits"
    other.write_bytes(first.read_bytes().replace(b"CONTRLLR= 'O", b"CONTRLLR= 'C"))
    assert "the pixels are the same" in audit(source).problems[0].what


def test_state_2_collision_without_a_line_in_the_log(source, ingest):
    first = new_file(source, "{}.fits", seq_num=1)
    ingest.run([first])
    second = new_file(source, "{}.fits", seq_num=1, controller="C")
    ingest.run([second], ignore_ingested=True)
    report = audit(source)
    assert found(report) == [("collision", str(second))]
    assert report.problems[0].log is None


def test_state_3_broken_ingest(source, ingest):
    good = new_file(source, "{}.fits", seq_num=1)
    bad = new_file(source, "{}.fits", seq_num=2, without=("EXPTIME",))
    with pytest.raises(IngestFault):
        ingest.run([good, bad])
    report = audit(source)
    raw = source / "gen2repo/raw" / DAY
    orphan = next(p for p in (source / "gen2repo").iterdir() if len(p.name) == len("registry.sqlite3") + 8)
    assert found(report) == [
        ("link-without-row", str(raw / "2019053100001-det000.fits")),
        ("link-without-row", str(raw / "2019053100002-det000.fits")),
        ("orphan-registry", str(orphan)),
    ]
    assert all("KeyError: 'expTime'" in problem.log for problem in report.problems)


def test_state_4_clobber_moves_the_link_but_not_the_row(source, ingest):
    first = new_file(source, "{}.fits", seq_num=1)
    ingest.run([first])
    second = new_file(source, "{}.fits", seq_num=1, controller="C", exposure_s=7.0)
    with pytest.raises(IngestFault):
        ingest.run([second], clobber=True)
    report = audit(source)
    link = source / "gen2repo/raw" / DAY / "2019053100001-det000.fits"
    assert ("wrong-target", str(link)) in found(report)
    problem = next(p for p in report.problems if p.kind == "wrong-target")
    assert f"describes {first}" in problem.what
    assert str(second) in problem.log


def test_state_4_told_by_the_log_alone(source, ingest):
    first, second = (source / "storage" / DAY / f"AT_{c}_20190531_000001.fits" for c in "OC")
    for path in (
        new_file(source, "{}.fits", seq_num=1),
        new_file(source, "{}.fits", seq_num=1, controller="C"),
    ):
        assert path in (first, second)
    ingest.run([first])
    with pytest.raises(IngestFault):
        ingest.run([second], clobber=True)
    first.write_bytes(b"lost")
    second.write_bytes(b"no header")
    kinds = dict(found(audit(source)))
    assert kinds["wrong-target"].endswith("2019053100001-det000.fits")


def test_state_5_two_ingests_at_once_lose_rows(source, ingest):
    before = ingest.registry.read_bytes()
    one, two = new_file(source, "{}.fits", seq_num=1), new_file(source, "{}.fits", seq_num=2)
    ingest.run([one])
    ingest.run([two], started=before)
    report = audit(source)
    assert found(report) == [
        ("link-without-row", str(source / "gen2repo/raw" / DAY / "2019053100001-det000.fits"))
    ]
    assert report.problems[0].log is None


def test_row_without_file_in_both_forms(source, teststand):
    raw = source / "gen2repo/raw/2019-05-29"
    (raw / "2019052900001-det000.fits").unlink()
    (source / "storage/2019-05-29" / f"{teststand.obs_ids[1]}.fits").unlink()
    report = audit(source)
    kinds = [problem.kind for problem in report.problems]
    assert kinds == ["not-ingested", "row-without-file", "row-without-file"]
    assert "is gone" in report.problems[2].what
    assert (report.storage, report.registered, report.linked, report.in_order) == (7, 8, 7, 6)


def test_link_named_for_another_image(source, teststand):
    raw = source / "gen2repo/raw/2019-05-29"
    link = raw / "2019052900001-det000.fits"
    link.unlink()
    link.symlink_to(source / "storage/2019-05-29" / f"{teststand.obs_ids[1]}.fits")
    assert ("wrong-target", str(link)) in found(audit(source))


def test_link_out_of_the_storage_is_named_and_never_opened(source):
    link = source / "gen2repo/raw/2019-05-29/2019052900001-det000.fits"
    link.unlink()
    link.symlink_to("/etc/passwd")
    problem = next(p for p in audit(source).problems if p.kind == "wrong-target")
    assert "leads out of the storage, to /etc/passwd" in problem.what


def test_copies_instead_of_links(source):
    raw = source / "gen2repo/raw/2019-05-29"
    for link in list(raw.iterdir()):
        content = link.read_bytes()
        link.unlink()
        link.write_bytes(content)
    report = audit(source)
    assert report.in_order == 8
    assert report.problems == ()


def test_another_spelling_of_the_storage(source, tmp_path):
    mount = tmp_path / "mount"
    mount.symlink_to(source)
    raw = source / "gen2repo/raw/2019-05-29"
    for link in list(raw.iterdir()):
        target = mount / "storage" / link.resolve().relative_to(source / "storage")
        link.unlink()
        link.symlink_to(target)
    assert audit(source).in_order == 8


def test_hostile_names_and_rows(source, ingest):
    name = "AT_O_20190531_000009'; DROP TABLE raw; --.fits"
    (source / "storage" / DAY).mkdir()
    (source / "storage" / DAY / name).touch()
    (source / "gen2repo/raw" / DAY).mkdir()
    (source / "gen2repo/raw" / DAY / "x'); DROP TABLE raw; --.fits").touch()
    with sqlite3.connect(ingest.registry) as registry:
        registry.execute(
            "INSERT INTO raw (dayObs, visit, detector, object) VALUES (?, ?, ?, ?)",
            ("../../../../etc", 2019053100009, 0, b"\xff\xfe"),
        )
        registry.execute("INSERT INTO raw (dayObs, visit, detector) VALUES ('x', 'no number', 0)")
    registry.close()
    kinds = [kind for kind, _ in found(audit(source))]
    assert kinds == ["not-ingested", "link-without-row", "row-without-file"]
    assert audit(source).registered == 9


@pytest.mark.parametrize("content", [b"<html>", b"SQLite format 3\0" + b"\xff" * 4096, b""])
def test_registry_that_is_none(source, ingest, content):
    ingest.registry.write_bytes(content)
    report = audit(source)
    assert found(report)[-1] == ("orphan-registry", str(ingest.registry))
    assert report.registered == 0
    assert {kind for kind, _ in found(report)} == {"link-without-row", "orphan-registry"}


def test_a_view_is_no_registry(source, ingest):
    ingest.registry.unlink()
    with sqlite3.connect(ingest.registry) as registry:
        registry.execute(
            "CREATE VIEW raw AS WITH RECURSIVE t(visit) AS (SELECT 1 UNION ALL SELECT visit + 1 FROM t) "
            "SELECT visit FROM t"
        )
    registry.close()
    assert audit(source).problems[-1].kind == "orphan-registry"


def test_missing_parts_are_notes(source, tmp_path):
    (source / "log").rename(tmp_path / "log")
    (source / "storage").rename(tmp_path / "storage")
    report = audit(source)
    assert len(report.notes) == 2
    assert report.storage == 0
    whole = audit_gen2(find_teststand_paths(source, str(tmp_path / "storage"), str(tmp_path / "log")))
    assert whole.storage == 8
    with pytest.raises(NotFoundError):
        find_teststand_paths(tmp_path)


def test_a_linked_repository_with_raws_of_its_own_leads_to_the_registry(source, teststand):
    raw = teststand.shared / "raw/2019-05-29"
    raw.mkdir(parents=True)
    (raw / "2019052900001-det000.fits").touch()
    assert audit(teststand.shared).root == str(source / "gen2repo")


def test_links_to_folders_are_not_followed_and_noted(source):
    loop = source / "gen2repo/raw/loop"
    loop.symlink_to("..")
    report = audit(source)
    assert report.in_order == 8
    assert f"{loop} is a link to a folder, which is not followed." in report.notes


def test_unfinished_transfers_are_left_out(source):
    (source / "storage" / ".AT_O_20190531_000001.fits.Xy12Ab").touch()
    (source / "storage" / ".AT_O_20190531_000001.fits").touch()
    assert audit(source).storage == 8


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_folder_without_permission_is_a_note(source):
    folder = source / "storage/2019-05-29"
    folder.chmod(0)
    try:
        assert any("Permission denied" in note for note in audit(source).notes)
    finally:
        folder.chmod(0o755)
