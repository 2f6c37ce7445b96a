"""The user's own site file and kernelspec: valid, commented, private, never overwritten, without secrets."""

import json
import re
import stat
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.cli import main
from lsst_commtools.errors import InputError, RefusedError
from lsst_commtools.site import Site
from lsst_commtools.site.begin import begin_site, kernelspec, site_file_text
from lsst_commtools.site.description import describe_settings


@pytest.fixture(autouse=True)
def jupyter_of_the_test(empty_home, monkeypatch):
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(empty_home / "jupyter"))


@pytest.mark.parametrize("name", ["local", "summit", "base", "tucson", "usdf"])
def test_the_file_changes_nothing(name):
    before = Site.load(name)
    begin_site(name)
    assert Site.load(name) == before


@pytest.mark.parametrize("name", ["local", "summit", "usdf"])
def test_every_setting_is_there_and_valid_when_its_comment_is_taken_away(name, tmp_path):
    text = site_file_text(name)
    bare = "\n".join(line[2:] for line in text.splitlines() if line.startswith("# "))
    for section in describe_settings(Site):
        for setting in section.settings:
            if setting.name != "name":
                assert re.search(rf"^# *{setting.name}:", text, re.MULTILINE), setting.name
    file = tmp_path / f"{name}.yaml"
    file.write_text(bare)
    assert Site.load(file).model_dump(exclude={"name"}) == Site.load(name).model_dump(exclude={"name"})


def test_files_are_private_and_are_never_overwritten():
    begun = begin_site("usdf")
    assert stat.S_IMODE(begun.site_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(begun.kernel_file.stat().st_mode) == 0o600
    begun.site_file.write_text("title: mine\n")
    with pytest.raises(RefusedError, match="already"):
        begin_site("usdf")
    assert begun.site_file.read_text() == "title: mine\n"
    begun.site_file.unlink()
    with pytest.raises(RefusedError, match="kernel"):
        begin_site("usdf")
    assert not begun.site_file.exists()


def test_a_new_site_says_on_which_it_stands():
    with pytest.raises(InputError, match="new"):
        begin_site("room12")
    begin_site("room12", extends="tucson")
    assert Site.load("room12").images == Site.load("tucson").images


@given(
    name=st.text(max_size=12).filter(lambda n: not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", n, re.ASCII))
)
@settings(deadline=None, max_examples=50)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(InputError):
        begin_site(name, extends="local")


def test_kernel_keeps_the_stack_and_no_secret():
    session = {
        "EUPS_DIR": "/opt/eups", "SETUP_DAF_BUTLER": "daf_butler 1", "DAF_BUTLER_DIR": "/opt/butler", "PATH": "/bin",
        "ACCESS_TOKEN": "gt-secret", "COMMTOOLS_LOVE_PASSWORD": "hush", "AWS_SECRET_ACCESS_KEY": "hush", "HOME": "/h",
    }  # fmt: skip
    assert set(kernelspec("usdf", session)["env"]) == {
        "COMMTOOLS_SITE", "DAF_BUTLER_DIR", "EUPS_DIR", "PATH", "SETUP_DAF_BUTLER",
    }  # fmt: skip
    assert kernelspec("usdf", {"PATH": "/bin", "TMP_DIR": "/x"})["env"] == {"COMMTOOLS_SITE": "usdf"}


def test_jupyter_knows_the_kernel(capsys, empty_home):
    with pytest.raises(SystemExit) as left:
        main(["--format", "json", "site", "init", "local"])
    assert left.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    listed = subprocess.run(
        [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    spec = json.loads(listed.stdout)["kernelspecs"][told["kernel"]]["spec"]
    assert spec["argv"][0] == sys.executable
    assert spec["env"]["COMMTOOLS_SITE"] == "local"


def test_without_kernel(capsys, empty_home):
    with pytest.raises(SystemExit):
        main(["site", "init", "base", "--no-kernel"])
    assert "Next: commtools --site base site check" in capsys.readouterr().out
    assert not (empty_home / "jupyter").exists()
