"""Gen3 repositories: found, opened, asked, audited."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lsst_commtools.errors import NotFoundError, SiteError, UnreachableError
from lsst_commtools.repos.butlers import default_collections, open_butler, read_index
from lsst_commtools.repos.gen3 import Gen3Repository
from lsst_commtools.repos.gen3_audit import audit_gen3
from lsst_commtools.repos.image import ImageId
from lsst_commtools.repos.values import Repository

DAY = 20260320


def opened(small, **kwargs):
    return Gen3Repository(Repository("main", str(small.folder), 3, "LATISS", **kwargs))


@pytest.fixture
def two(small_repository):
    small = small_repository()
    small.add(1)
    small.add(2)
    return small


def found(report):
    return [(problem.kind, problem.path) for problem in report.problems]


class TestIndex:
    def test_inline_file_and_none(self, tmp_path, monkeypatch):
        monkeypatch.delenv("DAF_BUTLER_REPOSITORY_INDEX", raising=False)
        monkeypatch.delenv("DAF_BUTLER_REPOSITORIES", raising=False)
        assert read_index() == {}
        path = tmp_path / "index.yaml"
        path.write_text("/repo/main: /somewhere\nembargo: s3://bucket/butler.yaml\n")
        assert read_index(str(path))["/repo/main"] == "/somewhere"
        monkeypatch.setenv("DAF_BUTLER_REPOSITORIES", '{"LATISS": "/x"}')
        assert read_index(str(path)) == {"LATISS": "/x"}
        monkeypatch.setenv("DAF_BUTLER_REPOSITORY_INDEX", str(path))
        with pytest.raises(SiteError, match="Both"):
            read_index()

    @pytest.mark.parametrize(
        "content", ["- a", "a: [b]", "{", "a: !!python/object/apply:os.system ['touch x']", "1: 2"]
    )
    def test_crafted_index(self, tmp_path, content):
        path = tmp_path / "index.yaml"
        path.write_text(content)
        with pytest.raises(SiteError):
            read_index(str(path))

    def test_index_that_is_gone(self, tmp_path):
        with pytest.raises(UnreachableError):
            read_index(str(tmp_path / "gone.yaml"))

    def test_unknown_label_names_the_known_ones(self):
        with pytest.raises(NotFoundError, match="Known labels: LATISS, embargo"):
            open_butler("LSSTCam", index={"embargo": "/x", "LATISS": "/y"})

    def test_dead_label(self, tmp_path):
        with pytest.raises(UnreachableError, match="cannot be opened"):
            open_butler("LATISS", index={"LATISS": str(tmp_path)})

    def test_missing_collection_names_those_there_are(self, two):
        with pytest.raises(NotFoundError, match="LATISS/raw/all"):
            open_butler(str(two.folder), collections=["LATISS/runs/quickLook"])

    def test_collections_by_convention(self, two):
        assert default_collections("lsstCam", "runs/quickLook") == (
            "LSSTCam/defaults", "LSSTCam/runs/quickLook", "LSSTCam/raw/guider",
        )  # fmt: skip
        butler = open_butler(
            str(two.folder),
            instrument="LATISS",
            collections=["LATISS/defaults"],
            optional=["LATISS/runs/quickLook"],
        )
        assert tuple(butler.collections.defaults) == ("LATISS/defaults",)
        assert not butler.isWriteable()
        butler.close()


class TestLocate:
    @pytest.mark.parametrize("name", ["AT_O_20260320_000002", 2026032000002, (DAY, 2), "20260320/2"])
    def test_by_every_name(self, two, name):
        repository = opened(two)
        places = repository.locate(ImageId.parse(name))
        repository.close()
        assert [(p.collection, p.exposure_id, p.detector, p.exists, p.wins) for p in places] == [
            ("LATISS/raw/all", 2026032000002, 0, True, True)
        ]
        assert places[0].path == str(two.storage / "AT_O_20260320_000002.fits")

    def test_nowhere_and_other_cameras(self, two):
        repository = opened(two)
        assert repository.locate(ImageId.parse("AT_O_20260320_000009")) == []
        assert repository.locate(ImageId.parse("AT_C_20260320_000002")) == []
        repository.close()

    def test_two_runs_and_which_one_wins(self, two):
        two.add(2, run="LATISS/raw/ccs", folder="ccs", content=b"another")
        two.butler.collections.redefine_chain("LATISS/defaults", ["LATISS/raw/ccs", "LATISS/raw/all"])
        repository = opened(two)
        places = repository.locate(ImageId.parse((DAY, 2)))
        report = audit_gen3(repository)
        repository.close()
        assert [(p.collection, p.wins) for p in places] == [
            ("LATISS/raw/ccs", True),
            ("LATISS/raw/all", False),
        ]
        assert found(report) == [("shadowed", str(two.storage / "AT_O_20260320_000002.fits"))]
        assert "finds the one in LATISS/raw/ccs; the files differ" in report.problems[0].what

    def test_file_that_is_gone(self, two):
        (two.storage / "AT_O_20260320_000002.fits").unlink()
        repository = opened(two)
        assert [p.exists for p in repository.locate(ImageId.parse((DAY, 2)))] == [False]
        repository.close()

    def test_registered_under_another_id(self, two):
        two.add(3, exposure_id=2026032000099)
        repository = opened(two)
        image = ImageId.parse("AT_O_20260320_000003")
        assert repository.locate(image) == []
        assert repository.other_ids(image) == [2026032000099]
        repository.close()


def test_tree_says_what_each_member_holds(two):
    repository = opened(two)
    tree = {node.name: node for node in repository.tree().nodes}
    repository.close()
    chain = tree["LATISS/defaults"]
    assert chain.members[0].name == "LATISS/raw/all"
    assert chain.members[0].dataset_types == {"raw": 2}
    assert "    refcats" not in list(chain.lines())
    assert "  LATISS/raw/all  RUN  raw 2" in list(chain.lines())


def test_holdings(two):
    (two.storage / "AT_O_20260320_000002.fits").unlink()
    repository = opened(two)
    assert [(h.seq_num, h.registered, h.present) for h in repository.holdings(DAY)] == [
        (1, True, True),
        (2, True, False),
    ]
    assert repository.holdings(20260321) == []
    repository.close()


class TestAudit:
    def test_in_order(self, two):
        repository = opened(two)
        report = audit_gen3(repository, str(two.storage))
        repository.close()
        assert report.to_dict()["counts"] == {"storage": 2, "registered": 2, "linked": 2, "in_order": 2}
        assert report.problems == ()

    def test_missing_artifact_orphan_and_never_ingested(self, two):
        lost, _ = two.add(3)
        _, inside = two.add(4, transfer="copy")
        lost.unlink()
        orphan = inside.with_name("orphan.fits")
        orphan.touch()
        forgotten = two.storage / "AT_O_20260320_000010_RXX_S00.fits"
        forgotten.touch()
        repository = opened(two)
        report = audit_gen3(repository, str(two.storage))
        repository.close()
        assert found(report) == [
            ("not-ingested", str(forgotten)), ("link-without-row", str(orphan)), ("missing-artifact", str(lost)),
        ]  # fmt: skip
        assert report.to_dict()["counts"] == {"storage": 4, "registered": 4, "linked": 3, "in_order": 3}
        assert report.problems[2].data_id["exposure"] == 2026032000003

    def test_changed_after_ingest(self, small_repository):
        small = small_repository(checksum=True)
        same, _ = small.add(1)
        other, _ = small.add(2)
        long, _ = small.add(3)
        other.write_bytes(other.read_bytes().replace(b"image", b"IMAGE"))
        long.write_bytes(b"longer than it was before")
        soon = time.time() + 5
        os.utime(other, (soon, soon))
        os.utime(same, (soon, soon))
        repository = opened(small)
        assert found(audit_gen3(repository)) == [
            ("checksum-differs", str(other)),
            ("checksum-differs", str(long)),
        ]
        os.utime(other, (0, 0))
        assert found(audit_gen3(repository)) == [("checksum-differs", str(long))]
        assert found(audit_gen3(repository, verify=True)) == [
            ("checksum-differs", str(other)),
            ("checksum-differs", str(long)),
        ]
        repository.close()


def test_names_that_look_like_sql(small_repository):
    small = small_repository("it's; DROP TABLE")
    small.add(1)
    repository = opened(small)
    assert len(repository.locate(ImageId.parse((DAY, 1)))) == 1
    assert audit_gen3(repository, str(small.storage)).problems == ()
    repository.close()


def test_reading_leaves_no_trace(two):
    def listing():
        return {(str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in Path(two.folder).rglob("*")}

    two.butler.close()
    before = listing()
    repository = opened(two)
    repository.locate(ImageId.parse((DAY, 1)))
    repository.tree()
    repository.holdings(DAY)
    audit_gen3(repository)
    repository.close()
    assert listing() == before


@pytest.mark.debian
def test_on_postgresql(small_repository, postgresql):
    small = small_repository(registry={"db": postgresql, "namespace": "commtools"})
    small.add(1)
    small.add(2)
    small.add(2, run="LATISS/raw/ccs", folder="ccs", content=b"another")
    repository = opened(small)
    assert [p.wins for p in repository.locate(ImageId.parse("AT_O_20260320_000002"))] == [True, False]
    assert len(repository.holdings(DAY)) == 2
    assert [problem.kind for problem in audit_gen3(repository).problems] == ["shadowed"]
    assert {node.name for node in repository.tree().nodes} >= {"LATISS/defaults", "LATISS/raw/ccs"}
    repository.close()
