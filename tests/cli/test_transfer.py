"""``commtools transfer``: what it prints, and the exit codes."""

import json
import shutil

import pytest

from lsst_commtools.cli import main

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(shutil.which("rsync") is None, reason="Debian's rsync is not installed"),
]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for k in range(3):
        (folder / f"f{k}.fits").write_bytes(bytes([k]) * 100_000)
    return folder


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["transfer", *map(str, arguments)])
    out = capsys.readouterr()
    return left.value.code, out.out, out.err


def test_files_are_sent_and_told(capsys, source, tmp_path):
    code, out, err = run(capsys, source, tmp_path / "far", "--expect", "1 kB/s")
    assert code == 0
    assert "sent                3 files" in out
    assert "expected 1 kB/s (8 kb/s): as expected" in out
    assert "300000 of 300000" in err
    code, out, _ = run(capsys, source, tmp_path / "far", "--format", "json")
    document = json.loads(out)
    assert (code, document["counts"]["already-there"], document["complete"]) == (0, 3, True)


def test_a_slow_line_is_a_problem(capsys, source, tmp_path):
    code, out, _ = run(capsys, source, tmp_path / "far", "--expect", "40 MB/s", "--limit", "150 kB/s")
    assert code == 1
    assert "slower than expected" in out


def test_the_sites_rate_is_expected(capsys, source, tmp_path, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_DATA_EXPECTED_RATE", "40")
    code, out, err = run(capsys, source, tmp_path / "far")
    assert (code, out) == (2, "")
    assert "factor of 8" in err
    assert not (tmp_path / "far").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{source}", "{far}", "--limit", "2 Mb"), "lacks '/s'"),
        (("{far}", "{source}"), "no folder"),
        (("{source}", "{source}/x"), "lies in the source"),
        (("{source}", "host::module"), "no destination"),
        (("{source}", "rsync://a:b@host/m"), "holds a password"),
    ],
)
def test_bad_input_is_one_line(capsys, source, tmp_path, arguments, says):
    words = [word.format(source=source, far=tmp_path / "far") for word in arguments]
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_service_that_is_away_is_exit_code_3(capsys, source):
    code, out, err = run(capsys, source, "rsync://127.0.0.1:1/ldf/night", "--format", "json")
    assert code == 3
    assert json.loads(out)["error"]["code"] == "unreachable"
    assert "does not answer" in err


def test_names_do_not_move_the_cursor(capsys, source, tmp_path):
    (source / "\x1b[2J.fits").symlink_to("nowhere")
    code, out, err = run(capsys, source, tmp_path / "far")
    assert code == 3
    assert "\x1b" not in out + err
