"""Bad input of ``commtools night``: one line, exit code 2, and the work folder stays usable."""

import json

import pytest

from lsst_commtools.cli import main


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main([*map(str, arguments)])
    out = capsys.readouterr()
    return left.value.code, out.out, out.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--day-obs", "20261399"), "not a day_obs"),
        (("--day-obs", "yesterday"), "not a day_obs"),
        (("--instrument", "Hubble"), "not a camera"),
        (("--fault", "gremlins"), "not a fault"),
        (("--visits", "0"), "--visits"),
        (("--visits", "many"), "--visits"),
        (("--raw", "/no/such/folder"), "no folder"),
        (("--site", "summit", "--instrument", "ComCam"), "real"),
    ],
)
def test_bad_input_is_one_line(capsys, tmp_path, arguments, says):
    work = tmp_path / "work"
    code, out, err = run(capsys, "night", "--work", work, *arguments)
    assert code == 2, err
    assert out == ""
    assert says in err
    assert err.count("\n") == 1
    assert not work.exists()


def test_empty_folder_of_raw_files(capsys, tmp_path):
    (tmp_path / "raw").mkdir()
    code, out, _ = run(
        capsys, "--format", "json", "night", "--raw", tmp_path / "raw", "--work", tmp_path / "work"
    )
    assert code == 2
    assert "no raw files" in json.loads(out)["error"]["message"]
    assert not (tmp_path / "work").exists()


def test_several_nights_want_a_choice(capsys, tmp_path):
    for day_obs in (20261119, 20261120):
        (tmp_path / f"CC_O_{day_obs}_000001_R22_S00.fits").write_text("x")
    code, _, err = run(capsys, "night", "--raw", tmp_path, "--work", tmp_path / "work")
    assert code == 2
    assert "20261119 (1 files), 20261120 (1 files)" in err


def test_simulation_options_do_not_go_with_raw_files(capsys, tmp_path):
    code, _, err = run(capsys, "night", "--raw", tmp_path, "--visits", 3)
    assert code == 2
    assert "--visits" in err
