"""Links: made, moved with a plan first, put back; temporary copies retired."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lsst_commtools.errors import InputError, NotFoundError, RefusedError, ServiceError
from lsst_commtools.repos import (
    Repositories,
    count_images,
    last_repoint,
    make_linked_repository,
    plan_repoint,
    plan_retirement,
    repoint,
    resolve_chain,
    retire,
    settle_repoint,
)
from lsst_commtools.repos import links as links_module
from lsst_commtools.simulate.teststand import make_teststand


@pytest.fixture
def before_switch(tmp_path):
    return make_teststand(tmp_path / "stand", linked_to="temporary")


def text_of(repository):
    return str((Path(repository) / "_parent").readlink())


def test_plan_says_what_appears(before_switch):
    plan = plan_repoint(before_switch.shared, before_switch.archiver / "gen2repo")
    assert (plan.appear, plan.vanish, plan.unchanged) == (4, 0, 4)
    assert [(n.night, n.before, n.after) for n in plan.nights] == [("2019-05-30", 0, 4)]
    assert plan.same_mapper
    assert plan.open_by == ()


def test_plan_sees_who_has_it_open(before_switch):
    registry = before_switch.temporary / "gen2repo/registry.sqlite3"
    program = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, registry], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        plan = plan_repoint(before_switch.shared, before_switch.archiver / "gen2repo")
        process.stdin.close()
    assert len(plan.open_by) == 1
    assert f"process {process.pid}" in plan.open_by[0]


def test_swap_is_one_rename_and_recorded(before_switch, monkeypatch):
    shared, target = before_switch.shared, before_switch.archiver / "gen2repo"
    old = text_of(shared)
    record = repoint(plan_repoint(shared, target))
    assert text_of(shared) == str(target)
    assert record["before"] == old
    lines = (shared / ".commtools-links.jsonl").read_text().splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["begun", "done"]
    assert last_repoint(shared)["before"] == old


def test_stale_plan_other_mapper_and_loss_are_refused(before_switch, tmp_path):
    shared, target = before_switch.shared, before_switch.archiver / "gen2repo"
    plan = plan_repoint(shared, target)
    repoint(plan)
    with pytest.raises(RefusedError, match="has changed"):
        repoint(plan)
    with pytest.raises(RefusedError, match="4 images of 1 nights would vanish"):
        repoint(plan_repoint(shared, before_switch.temporary / "gen2repo"))
    (before_switch.temporary / "gen2repo/_mapper").write_text("lsst.obs.lsst.ts8.Ts8Mapper\n")
    with pytest.raises(RefusedError, match="Ts8Mapper"):
        repoint(plan_repoint(shared, before_switch.temporary / "gen2repo"), accept_loss=True)
    assert text_of(shared) == str(target)


def test_targets_that_cannot_be(before_switch, tmp_path):
    shared = before_switch.shared
    with pytest.raises(InputError, match="cycle"):
        plan_repoint(shared, make_linked_repository(tmp_path / "x", shared))
    with pytest.raises(InputError, match="no Gen2 repository"):
        plan_repoint(shared, tmp_path)
    with pytest.raises(NotFoundError):
        plan_repoint(before_switch.archiver / "gen2repo", shared)
    with pytest.raises(NotFoundError):
        last_repoint(shared)


def test_old_parent_that_is_gone(before_switch):
    shared = before_switch.shared
    (before_switch.temporary / "gen2repo").rename(before_switch.temporary / "deleted")
    plan = plan_repoint(shared, before_switch.archiver / "gen2repo")
    assert (plan.appear, plan.vanish) == (8, 0)
    assert any("is gone" in note for note in plan.notes)
    repoint(plan)
    assert len(resolve_chain(shared).roots) == 2


def test_failed_swap_leaves_the_old_link(before_switch, monkeypatch):
    shared = before_switch.shared
    old = text_of(shared)
    plan = plan_repoint(shared, before_switch.archiver / "gen2repo")

    def refuse(_path, _target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(ServiceError, match="was not moved"):
        repoint(plan)
    assert text_of(shared) == old
    assert not list(shared.glob("._parent-*"))


def test_a_broken_record_is_no_way_back(before_switch):
    shared = before_switch.shared
    repoint(plan_repoint(shared, before_switch.archiver / "gen2repo"))
    (shared / ".commtools-links.jsonl").write_text("{half a line")
    with pytest.raises(NotFoundError):
        last_repoint(shared)


def test_settle_keeps_or_puts_back(before_switch):
    shared, target = before_switch.shared, str(before_switch.archiver / "gen2repo")
    old = text_of(shared)
    assert settle_repoint(str(shared), old, target, 8) == "not moved"
    repoint(plan_repoint(shared, target))
    assert count_images(shared) == 8
    assert settle_repoint(str(shared), old, target, 8) == "kept"
    (before_switch.archiver / "storage/2019-05-30/AT_O_20190530_000001.fits").unlink()
    assert settle_repoint(str(shared), old, target, 8) == "put back"
    assert text_of(shared) == old
    with pytest.raises(RefusedError):
        settle_repoint(str(shared), "/a", "/b", 8)


def test_made_link_has_all_parts_or_is_not_there(before_switch, tmp_path):
    mine = make_linked_repository(tmp_path / "mine", before_switch.archiver / "gen2repo")
    assert sorted(p.name for p in mine.iterdir()) == ["CALIB", "_mapper", "_parent", "rerun"]
    assert text_of(mine) == str(before_switch.archiver / "gen2repo")
    assert resolve_chain(mine).problems == ()
    with pytest.raises(InputError, match="exists"):
        make_linked_repository(mine, before_switch.shared)
    with pytest.raises(InputError, match="calibRegistry"):
        make_linked_repository(tmp_path / "other", before_switch.shared, calib=str(tmp_path))
    with pytest.raises(ServiceError):
        make_linked_repository(tmp_path / "no/such/folder", before_switch.shared)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "stand"]


class TestRetirement:
    def test_in_use_then_free(self, before_switch):
        repos = Repositories.at(before_switch.root)
        copy, kept = before_switch.temporary, before_switch.archiver
        plan = plan_retirement(copy, kept, repos.known)
        assert plan.users == ("auxTel",)
        assert (plan.files, plan.only_here) == (4, ())
        with pytest.raises(RefusedError, match="auxTel"):
            retire(plan)
        repoint(plan_repoint(before_switch.shared, kept / "gen2repo"))
        retire(plan_retirement(copy, kept, repos.known))
        assert not copy.exists()
        assert list(copy.parent.iterdir()) == []
        assert count_images(before_switch.shared) == 8

    def test_files_that_only_the_copy_has(self, before_switch):
        repoint(plan_repoint(before_switch.shared, before_switch.archiver / "gen2repo"))
        (before_switch.archiver / "storage/2019-05-29/AT_O_20190529_000001.fits").write_bytes(b"short")
        plan = plan_retirement(before_switch.temporary, before_switch.archiver, ())
        assert plan.only_here == ("AT_O_20190529_000001.fits",)
        with pytest.raises(RefusedError, match="1 of 4"):
            retire(plan)
        retire(plan, accept_loss=True)

    def test_folders_that_hold_each_other(self, before_switch, tmp_path):
        for folder, kept in ((before_switch.root, before_switch.archiver), (tmp_path / "gone", tmp_path)):
            with pytest.raises(InputError):
                plan_retirement(folder, kept, ())


def test_nights_by_the_names_of_runs():
    assert links_module._night("raw/6006D/R10/3019032200001-R10-S11-det030-000.fits") == "2019-03-22"
    assert links_module._night("raw/6006D/R10/270095325-R10-S11-det030-000.fits") == "6006D"
