"""Services of the night's records on loopback."""

import contextlib
import shutil

import pytest

from lsst_commtools.simulate.log_services import LogServices
from lsst_commtools.site.notices import NoticesSection
from lsst_commtools.testing.influxdb import running_influxdb


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
    if shutil.which("influxd") is None:
        pytest.skip("Debian's influxdb is not installed")
    with running_influxdb(tmp_path_factory.mktemp("influxdb")) as running:
        yield running
