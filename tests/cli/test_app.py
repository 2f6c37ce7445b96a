"""Global options, exit codes, and what reaches which stream."""

import json
import os

import pytest

from lsst_commtools.cli import main
from lsst_commtools.cli.app import _site_of_children
from lsst_commtools.cli.output import safe_text, to_json


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    out = capsys.readouterr()
    return left.value.code, out.out, out.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--format", "json", "site", "show"),
        ("site", "show", "--format", "json"),
        ("site", "--format=json", "show"),
    ],
)
def test_global_options_stand_anywhere(capsys, arguments):
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert json.loads(out)["name"] == "local"


def test_unknown_site_is_bad_input_with_a_json_document(capsys):
    code, out, err = run(capsys, "--site", "moon", "--format", "json", "site", "show")
    assert code == 2
    assert json.loads(out)["error"]["code"] == "site"
    assert err.startswith("commtools: There is no site 'moon'.")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("site", "nonsense"), ("--format", "xml"), ("site", "show", "x")]
)
def test_bad_usage_is_exit_code_2_without_a_traceback(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("commtools: ")
    assert "Traceback" not in err


def test_site_check_counts_what_cannot_be_reached(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COMMTOOLS_DATA_RAW_FOLDER", str(tmp_path))
    assert run(capsys, "site", "check")[0] == 0
    monkeypatch.setenv("COMMTOOLS_DATA_RAW_FOLDER", str(tmp_path / "absent"))
    code, out, _ = run(capsys, "site", "check", "--format", "json")
    assert code == 1
    assert {"unknown"} == {row["reach"] for row in json.loads(out) if row["setting"] == "data.raw_folder"}


def test_text_from_outside_cannot_move_the_cursor():
    assert safe_text("a\x1b[2Jb\u202ec\n") == "a\\x1b[2Jb\\u202ec\\n"


def test_json_keeps_controls_out_of_the_terminal():
    assert to_json({"a": "\x9b2J\x7f\x1b"}).isascii()
    assert json.loads(to_json(["\x9b2J\x7f\x1b"])) == ["\x9b2J\x7f\x1b"]


def test_json_is_strict_and_plain(tmp_path):
    import numpy as np

    document = {
        "a": float("nan"),
        "b": np.float32(1.5),
        "c": [np.int64(2), tmp_path],
        3: {"x"},
        "e": np.bool_(True),
    }
    assert json.loads(to_json(document)) == {
        "a": None,
        "b": 1.5,
        "c": [2, str(tmp_path)],
        "3": ["x"],
        "e": True,
    }


def test_what_a_command_starts_works_at_its_site(tmp_path, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text("title: Mine")
    monkeypatch.chdir(tmp_path)
    for name, told in (("mine.yaml", str(path)), ("base", "base")):
        with _site_of_children(name):
            assert os.environ["COMMTOOLS_SITE"] == told
        assert "COMMTOOLS_SITE" not in os.environ


def test_the_site_of_one_command_is_not_that_of_the_next(capsys):
    assert json.loads(run(capsys, "--site", "base", "--format", "json", "site", "show")[1])["name"] == "base"
    assert json.loads(run(capsys, "--format", "json", "site", "show")[1])["name"] == "local"
