"""Services of the night's records on loopback."""

import contextlib
import shutil
import socket
import subprocess
import time

import pytest
import requests

from lsst_commtools.simulate.log_services import LogServices
from lsst_commtools.site.notices import NoticesSection


@pytest.fixture
def start_log_service():
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(LogServices(**options))


@pytest.fixture
def log_service(start_log_service):
    return start_log_service()


@pytest.fixture
def log_section(log_service):
    return NoticesSection(
        narrative_log_url=f"{log_service.url}/narrativelog",
        night_report_url=f"{log_service.url}/nightreport",
        reply_timeout_s=5.0,
        log_page_size=3,
    )


@pytest.fixture(scope="module")
def influxdb(tmp_path_factory):
    """URL of Debian's InfluxDB with an empty database efd, and a function that writes lines to it."""
    program = shutil.which("influxd")
    if program is None:
        pytest.skip("Debian's influxdb is not installed")
    folder = tmp_path_factory.mktemp("influxdb")
    with socket.socket() as http, socket.socket() as rpc:
        for probe in (http, rpc):
            probe.bind(("127.0.0.1", 0))
        port, rpc_port = http.getsockname()[1], rpc.getsockname()[1]
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc_port}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'index-version = "inmem"\n[http]\nbind-address = "127.0.0.1:{port}"\nauth-enabled = false\n'
    )
    url = f"http://127.0.0.1:{port}"
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([program, "-config", str(config)], stdout=log, stderr=log) as server,
    ):
        try:
            _wait_for(f"{url}/ping")
            requests.post(f"{url}/query", params={"q": "CREATE DATABASE efd"}, timeout=10).raise_for_status()

            def write(*lines):
                text = "\n".join(lines)
                answer = requests.post(f"{url}/write?db=efd&precision=ns", data=text, timeout=10)
                answer.raise_for_status()

            yield url, write
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait_for(url):
    ends_s = time.monotonic() + 20
    while True:
        try:
            if requests.get(url, timeout=2).status_code == 204:
                return
        except requests.RequestException:
            pass
        if time.monotonic() > ends_s:
            raise TimeoutError(url)
        time.sleep(0.05)
