"""The browser of repositories."""

from __future__ import annotations

import time

import pytest

from lsst_commtools.errors import InputError
from lsst_commtools.repos import Repositories
from lsst_commtools.simulate.teststand import make_teststand
from lsst_commtools.widgets import RepositoryBrowser
from lsst_commtools.widgets.repos import make_thumbnail


@pytest.fixture
def browsed(tmp_path):
    stand = make_teststand(tmp_path / "stand")
    browser = RepositoryBrowser(Repositories.at(stand.root), 20190529)
    ends = time.monotonic() + 20
    while not browser._pictures.children and time.monotonic() < ends:
        time.sleep(0.02)
    yield stand, browser
    browser.close()


def test_night_and_image_with_a_thumbnail(browsed):
    _, browser = browsed
    assert browser._repository.options == ("auxTel",)
    assert "4 of 4 images are there" in browser.told.value
    assert browser._night.value.count("</span> ok</span>") == 4
    assert browser._seq_num.options == (1, 2, 3, 4)
    assert "2019052900001-det000.fits" in browser._image.value
    picture = browser._pictures.children[0].children[0]
    assert bytes(picture.value).startswith(b"\x89PNG")


def test_what_is_gone_and_what_is_no_night(browsed):
    stand, browser = browsed
    (stand.archiver / "storage/2019-05-29/AT_O_20190529_000002.fits").unlink()
    browser.show_night()
    assert "3 of 4" in browser.told.value
    assert "file gone" in browser._night.value
    browser._seq_num.value = 2
    browser.show_image()
    assert "file-gone" in browser._image.value
    assert browser._pictures.children == ()
    browser._day_obs.value = "<script>"
    browser.show_night()
    assert browser._seq_num.options == ()
    assert "<script>" not in browser.told.value


def test_names_are_escaped(browsed):
    _, browser = browsed
    browser.tell("<img src=x onerror=alert(1)>")
    assert "<img" not in browser.told.value


@pytest.mark.parametrize("content", [b"", b"SIMPLE  =", b"\x89PNG" * 999])
def test_files_that_are_no_images(tmp_path, content):
    path = tmp_path / "x.fits"
    path.write_bytes(content)
    with pytest.raises(InputError):
        make_thumbnail(str(path))
    with pytest.raises(InputError):
        make_thumbnail(str(tmp_path / "gone"))
