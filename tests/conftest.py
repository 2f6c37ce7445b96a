"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

TEST_DATA = os.environ.get(
    "COMMTOOLS_TEST_DATA"
)  # read once: a test that changes the environment hides it from none


@pytest.fixture(autouse=True)
def empty_home(tmp_path_factory, monkeypatch):
    """Each test has a home of its own and no settings of the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    for name in [n for n in os.environ if n.startswith("COMMTOOLS_") and n != "COMMTOOLS_TEST_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("COMMTOOLS_HOME", str(home / "commtools"))
    yield home
    for name in [n for n in os.environ if n.startswith("COMMTOOLS_") and n != "COMMTOOLS_TEST_DATA"]:
        monkeypatch.delenv(name)
        os.environ.pop(name, None)


@pytest.fixture
def watched_page():
    """A page of the system's chromium that must have no error, and ask no other computer, to the end of the test."""
    from lsst_commtools.errors import NotFoundError
    from lsst_commtools.testing.browser import open_browser

    try:
        with open_browser() as new_page:
            watched = new_page()
            yield watched
            assert watched.wrong == []
    except NotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def test_data():
    """Folder of the shared real data."""
    if not TEST_DATA or not Path(TEST_DATA).is_dir():
        pytest.skip("the shared real data is absent: set COMMTOOLS_TEST_DATA to its folder")
    return Path(TEST_DATA)


def pytest_configure(config):
    """A shell's background job ignores interrupts, and so would all that the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="run the tests marked slow, and whole campaigns")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--all"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if not item.get_closest_marker("slow")]
