"""What trying the places of a site tells."""

import socket

import pytest
from pydantic import Field

from lsst_commtools.site import Reach, Section, check_site


class Places(Section):
    url: str = ""
    folder: str = ""
    several: dict[str, str] = Field(default_factory=dict)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_listener_is_reachable_and_closed_port_is_refused(listener, tmp_path):
    site = Places(
        url=f"http://127.0.0.1:{listener}/love",
        folder=str(tmp_path),
        several={"x": f"tcp://127.0.0.1:{free_port()}"},
    )
    found = {c.setting: c.reach for c in check_site(site)}
    assert found == {"url": Reach.REACHABLE, "folder": Reach.REACHABLE, "several.x": Reach.REFUSED}


@pytest.mark.parametrize(
    "target",
    [
        "/no/such/folder",
        "https://no-such-host.invalid/",
        "ftp://x",
        "http://[",
        "http://127.0.0.1:99999/",
        "unix:///no/such",
    ],
)
def test_what_cannot_be_told_is_unknown(target):
    (check,) = check_site(Places(url=target))
    assert check.reach is Reach.UNKNOWN
    assert check.reason


def test_a_file_that_can_be_read_is_reachable(tmp_path):
    path = tmp_path / "index.yaml"
    path.write_text("")
    (check,) = check_site(Places(url=str(path)))
    assert check.reach is Reach.REACHABLE


def test_site_without_places_has_nothing_to_check():
    assert check_site(Places()) == []
