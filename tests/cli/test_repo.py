"""``commtools repo``: answers, exit codes, and no trace of any command that reads."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
import warnings
from pathlib import Path

import pytest

from lsst_commtools.cli import main
from lsst_commtools.ids import ObsId
from lsst_commtools.simulate.teststand import make_teststand, write_raw


@pytest.fixture
def stand(tmp_path):
    return make_teststand(tmp_path / "stand")


@pytest.fixture
def run(capsys):
    def call(*words, as_json=True):
        with pytest.raises(SystemExit) as done:
            main(["repo", *map(str, words), *(["--format", "json"] if as_json else [])])
        out, err = capsys.readouterr()
        return done.value.code, json.loads(out) if as_json else out, err

    return call


def test_chain_has_exactly_the_documented_keys(run, stand, monkeypatch):
    code, document, _ = run("chain", stand.shared)
    assert code == 0
    production = str(stand.archiver / "gen2repo")
    assert document == {
        "roots": [str(stand.shared), production],
        "registry": f"{production}/registry.sqlite3",
        "calib": str(stand.shared / "CALIB"),
        "problems": [],
    }


def test_chain_names_the_traps(run, stand):
    (stand.shared / "_parent").unlink()
    (stand.shared / "_parent").symlink_to("../../../lsstdata/offline/teststand/auxTel/L1Archiver/gen2repo")
    code, document, _ = run("chain", stand.shared)
    assert code == 1
    assert set(document["problems"][0]) == {"kind", "where", "what", "old_stack"}
    assert document["problems"][0]["kind"] == "relative-link"
    assert len(document["roots"]) == 2
    code, text, _ = run("chain", stand.shared, as_json=False)
    assert "The old stack: Reads" in text


def test_chain_of_names_that_are_not_unicode(run, tmp_path):
    (tmp_path / "_parent").symlink_to(os.fsdecode(b"/\xff\x1b[31m"))
    code, document, _ = run("chain", tmp_path)
    assert code == 1
    assert "\\xff" in document["problems"][-1]["what"]
    _, text, _ = run("chain", tmp_path, as_json=False)
    assert "\x1b" not in text


def test_bad_input(run, tmp_path):
    for words in (
        ("chain", tmp_path / "nowhere"),
        ("locate", "no image"),
        ("find", "nothing"),
        ("audit", tmp_path),
        ("holdings", tmp_path, "20190529"),
        ("repoint", tmp_path),
        ("repoint", tmp_path, "--to", tmp_path),
        ("link", tmp_path, "--to", tmp_path),
        ("convert", tmp_path, "--to", tmp_path / "x"),
    ):
        code, document, err = run(*words)
        assert code == 2, words
        assert document["error"]["message"]
        assert "commtools:" in err


def test_list_find_and_locate_below_a_folder(run, stand):
    code, document, _ = run("list", "--below", stand.root)
    assert [item["label"] for item in document] == ["auxTel"]
    code, document, _ = run("find", "auxTel", "--below", stand.root)
    assert document["root"] == str(stand.shared)
    code, document, _ = run("find", stand.archiver / "gen2repo", "--below", stand.root)
    assert code == 2
    assert "auxTel" in document["error"]["advice"]
    code, document, _ = run("locate", "AT_O_20190529_000001", "--below", stand.root)
    assert (code, document["station"]) == (0, "found")
    assert document["locations"][0]["wins"]
    code, text, _ = run(
        "locate", "AT_O_20190529_000099", "--below", stand.root, "--repository", "auxTel", as_json=False
    )
    assert code == 1
    assert text.startswith("not-transferred: ")


def test_locate_takes_the_site(run, stand, tmp_path):
    site = tmp_path / "site.yaml"
    site.write_text(
        "extends: local\nrepos:\n  repositories:\n"
        f"    auxTel: {{path: {stand.shared}, instrument: LATISS, generation: 2, writable: true}}\n"
    )
    code, document, _ = run("locate", "AT_O_20190529_000001", "--site", site)
    assert (code, document["locations"][0]["repository"]) == (0, "auxTel")
    code, document, _ = run("check", "--site", site)
    assert {line["what"] for line in document} == {"mounted", "readable", "chain", "writable"}
    assert code == 0


def test_audit_in_order_and_not(run, stand):
    code, document, _ = run("audit", stand.shared)
    assert code == 0
    assert document == {"counts": {"storage": 8, "registered": 8, "linked": 8, "in_order": 8}, "problems": []}
    obs_id = ObsId("AT", "O", 20190531, 1)
    write_raw(stand.archiver / f"storage/2019-05-31/{obs_id}.fits", obs_id)
    code, document, _ = run("audit", stand.archiver)
    assert code == 1
    assert set(document["problems"][0]) >= {"kind", "path", "data_id", "log"}
    assert document["problems"][0]["kind"] == "not-ingested"
    code, text, _ = run("audit", stand.archiver, as_json=False)
    assert "not-ingested: 1" in text


def test_holdings(run, stand):
    code, document, _ = run("holdings", stand.shared, "20190529")
    assert (code, document["expected"], document["present"]) == (0, 4, 4)
    (stand.archiver / "storage/2019-05-29/AT_O_20190529_000002.fits").unlink()
    code, document, _ = run("holdings", stand.shared, "20190529")
    assert (code, document["missing"][0]["seq_num"]) == (1, 2)


def test_link_then_repoint_then_undo(run, stand, tmp_path):
    mine = tmp_path / "mine"
    code, document, _ = run(
        "link", mine, "--to", stand.archiver / "gen2repo", "--calib", stand.shared / "CALIB"
    )
    assert code == 0
    assert document["roots"] == [str(mine), str(stand.archiver / "gen2repo")]
    assert document["calib"] == str(mine / "CALIB")
    assert stat.S_IMODE((mine / "rerun").stat().st_mode) == 0o1777
    before = str((mine / "_parent").readlink())

    target = stand.temporary / "gen2repo"
    code, document, _ = run("repoint", mine, "--to", target, "--dry-run")
    assert (code, document["plan"]["vanish"], document["plan"]["appear"]) == (0, 4, 0)
    assert document["plan"]["nights"] == [
        {"night": "2019-05-30", "before": 4, "after": 0, "appear": 0, "vanish": 4}
    ]
    assert str((mine / "_parent").readlink()) == before

    code, document, _ = run("repoint", mine, "--to", target)
    assert code == 2
    assert "4 images of 1 nights would vanish" in document["error"]["message"]
    assert str((mine / "_parent").readlink()) == before

    code, document, _ = run("repoint", mine, "--to", target, "--accept-loss")
    assert (code, document["record"]["vanish"]) == (0, 4)
    assert str((mine / "_parent").readlink()) == str(target)
    assert run("chain", mine)[1]["roots"][1] == str(target)

    code, document, _ = run("repoint", mine, "--undo")
    assert (code, document["plan"]["appear"]) == (0, 4)
    assert str((mine / "_parent").readlink()) == before
    assert not list(mine.glob("._parent*"))


def test_convert(run, stand, tmp_path):
    target = tmp_path / "gen3"
    code, document, _ = run("convert", stand.shared, "--to", target, "--dry-run")
    assert code == 0
    assert not target.exists()
    assert [item["action"] for item in document["items"]] == ["ingest"] * 8
    assert document["items"][0]["exposure_id"] == 2019052900001
    code, document, _ = run("convert", stand.daq, "--to", target, "--dry-run")
    assert document["items"][0]["gen2_id"] == 2019052900001
    assert document["items"][0]["exposure_id"] == 3019052900001


def test_convert_for_real_then_again(run, stand, tmp_path):
    target = tmp_path / "gen3"
    code, document, _ = run("convert", stand.shared, "--to", target)
    assert code == 0
    assert {outcome["outcome"] for outcome in document["outcomes"]} == {"ingested"}
    code, document, _ = run("locate", "AT_O_20190529_000001", "--repository", target)
    assert (code, document["locations"][0]["collection"]) == (0, "LATISS/raw/all")
    code, document, _ = run("convert", stand.shared, "--to", target)
    assert code == 0
    assert [item["action"] for item in document["items"]] == ["present"] * 8
    code, document, _ = run("audit", target, "--storage", stand.archiver / "storage")
    assert (code, document["counts"]["in_order"]) == (0, 8)
    code, document, _ = run("chain", target)
    assert {node["name"] for node in document["collections"]} >= {"LATISS/defaults"}
    code, document, _ = run("holdings", target, "20190529")
    assert (code, document["present"]) == (0, 4)


def test_hostile_things_give_problem_lines(run, stand):
    production = stand.archiver / "gen2repo"
    (stand.shared / "repositoryCfg.yaml").write_text("!!python/object/apply:os.system ['touch pwned']")
    code, document, _ = run("chain", stand.shared)
    assert (code, document["problems"][0]["kind"]) == (1, "unreadable")
    (production / "registry.sqlite3").write_bytes(b"no database at all")
    link = production / "raw/2019-05-29/2019052900001-det000.fits"
    link.unlink()
    link.symlink_to("/etc/shadow")
    (stand.archiver / "storage/2019-05-29/x'; DROP TABLE raw; --\n.fits").touch()
    with (stand.archiver / "log/auto/ingest_output.log").open("ab") as log:
        log.truncate(10 << 30)
    code, document, _ = run("audit", stand.archiver)
    assert code == 1
    assert {problem["kind"] for problem in document["problems"]} == {
        "not-ingested", "link-without-row", "orphan-registry",
    }  # fmt: skip


def snapshot(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        seen = path.lstat()
        content = (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
        )
        found[str(path)] = (seen.st_mode, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, content)
    return found


def reading_commands(stand):
    return [
        ("list", "--below", stand.root),
        ("find", "auxTel", "--below", stand.root),
        ("chain", stand.shared),
        ("chain", stand.archiver / "gen2repo"),
        ("locate", "AT_O_20190529_000001", "--below", stand.root),
        ("locate", "AT_O_20190529_000077", "--below", stand.root),
        ("holdings", stand.shared, "20190529"),
        ("audit", stand.shared),
        ("audit", stand.archiver),
        ("check", "--below", stand.root),
        ("repoint", stand.shared, "--to", stand.temporary / "gen2repo", "--dry-run"),
        ("convert", stand.shared, "--to", "/nowhere/gen3", "--dry-run"),
    ]


def make_wal(registry):
    import sqlite3

    with sqlite3.connect(registry) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
    writer.close()


def test_commands_that_read_leave_no_trace(run, stand):
    make_wal(stand.archiver / "gen2repo/registry.sqlite3")
    before = snapshot(stand.root)
    for words in reading_commands(stand):
        code, _, _ = run(*words)
        assert code in (0, 1), words
        assert snapshot(stand.root) == before, words


def run_as_nobody(commands):
    """Run commands in a child that may not write; give those that failed. All modules are loaded before."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads: they are idle here
        child = os.fork()
    if child == 0:
        failed = []
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        for words in commands:
            try:
                main(["repo", *map(str, words), "--format", "json"])
            except SystemExit as done:
                failed += [] if done.code in (0, 1) else [[list(map(str, words)), done.code]]
            except BaseException as error:  # noqa: BLE001 - the child tells of everything
                failed.append([list(map(str, words)), repr(error)])
        os.write(writer, json.dumps(failed).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return json.loads(told)


def test_folders_that_may_not_be_entered(run, monkeypatch):
    """No command falls over what it may not see: it says so, or that it is not there."""
    folder = Path(tempfile.mkdtemp(prefix="locked-"))
    monkeypatch.setenv("COMMTOOLS_HOME", str(folder / "home"))
    try:
        folder.chmod(0o755)
        stand = make_teststand(folder / "stand")
        run(*reading_commands(stand)[0])
        commands = [c for c in reading_commands(stand) if c[0] != "convert"]
        for words in commands:
            run(*words)
        locked = [stand.archiver / "gen2repo", stand.archiver / "storage", stand.shared / "CALIB"]
        for path in locked:
            path.chmod(0)
        failed = run_as_nobody(commands)
        assert all(code == 2 for _, code in failed), failed
        assert ["chain", str(stand.shared)] not in [words for words, _ in failed]
    finally:
        subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)
        shutil.rmtree(folder)


def test_commands_that_read_work_on_a_read_only_tree(run, monkeypatch):
    """As somebody who may not write: root becomes nobody."""
    folder = Path(tempfile.mkdtemp(prefix="read-only-"))
    monkeypatch.setenv("COMMTOOLS_HOME", str(folder / "home"))
    try:
        folder.chmod(0o755)
        stand = make_teststand(folder / "stand")
        make_wal(stand.archiver / "gen2repo/registry.sqlite3")
        for path in [folder, *folder.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
        for words in reading_commands(stand):
            run(*words)
        assert run_as_nobody(reading_commands(stand)) == []
    finally:
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)
        shutil.rmtree(folder)
