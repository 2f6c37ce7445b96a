"""Layers of a site, and its secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsst_commtools.errors import SiteError
from lsst_commtools.site import Site, commtools_home


def write(name, text):
    folder = commtools_home() / "sites"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(text)


@pytest.mark.parametrize("name", ["local", "summit", "base", "tucson", "usdf"])
def test_builtin_sites_load_and_only_local_is_not_real(name):
    site = Site.load(name)
    assert site.name == name
    assert site.real is (name != "local")
    assert name in Site.names()


def test_user_file_lies_over_builtin_and_environment_over_both(monkeypatch):
    write("summit", "title: Mine\ndata: {processes: 3, raw_folder: /a}\n")
    monkeypatch.setenv("COMMTOOLS_DATA_PROCESSES", "5")
    site = Site.load("summit")
    assert (site.title, site.data.raw_folder, site.data.processes) == ("Mine", "/a", 5)
    assert site.data.instrument == "LSSTCam"


def test_environment_gives_lists_and_text_as_written(monkeypatch):
    monkeypatch.setenv("COMMTOOLS_DATA_STAR_TABLES", "[one, two]")
    monkeypatch.setenv("COMMTOOLS_TITLE", "yes: no")
    site = Site.load()
    assert site.data.star_tables == ("one", "two")
    assert site.title == "yes: no"


def test_file_may_extend_a_site(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: usdf\ntitle: Mine\n")
    site = Site.load(path)
    assert (site.name, site.title, site.data.instrument) == ("mine", "Mine", "LSSTCam")


def test_site_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("COMMTOOLS_SITE", "base")
    assert Site.load().name == "base"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("extends: odd", "extends itself"),
        ("nonsense: 1", "nonsense"),
        ("data: {processes: 0}", "data.processes"),
        ("data: [", "not YAML (line"),
        ("- a", "by name"),
        ("!!python/object/apply:os.system [true]", "not YAML"),
    ],
)
def test_bad_files_are_refused_in_one_line(text, says):
    write("odd", text)
    with pytest.raises(SiteError) as caught:
        Site.load("odd")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_site_names_the_known_ones():
    with pytest.raises(SiteError, match="local, summit, tucson, usdf"):
        Site.load("moon")


def test_a_refused_value_does_not_show():
    write("odd", "love_password: hunter2")
    with pytest.raises(SiteError) as caught:
        Site.load("odd")
    assert "hunter2" not in str(caught.value)


def test_secret_comes_from_the_environment_and_never_shows(monkeypatch):
    monkeypatch.setenv("COMMTOOLS_LOVE_PASSWORD", "hunter2")
    secret = Site.load().secret("love_password")
    assert secret.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(secret) + str(secret) + repr(Site.load())


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_secret_file_must_be_private(mode):
    folder = commtools_home() / "secrets" / "local"
    folder.mkdir(parents=True)
    path = folder / "love_token"
    path.write_text("abc\n")
    path.chmod(mode)
    with pytest.raises(SiteError, match="chmod 600"):
        Site.load().secret("love_token")
    path.chmod(0o600)
    assert Site.load().secret("love_token").get_secret_value() == "abc"


def test_absent_secret_is_none():
    assert Site.load().secret("nothing_here") is None


@given(st.text().filter(lambda t: not t.isascii() or "/" in t or "." in t or not t.islower()))
def test_secret_names_cannot_leave_their_folder(name):
    with pytest.raises(SiteError):
        Site.load().secret(name)


def test_loading_leaves_nothing_behind(empty_home):
    Site.load("summit")
    assert not any(empty_home.iterdir())
