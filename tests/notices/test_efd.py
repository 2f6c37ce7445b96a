"""States of CSCs from Debian's InfluxDB."""

import datetime as dt
import http.server
import json
import threading

import pytest

from lsst_commtools.errors import (
    IdentifierError,
    InputError,
    ProtocolError,
    RejectedError,
    SiteError,
    UnreachableError,
)
from lsst_commtools.notices import Efd
from lsst_commtools.site.notices import NoticesSection
from lsst_commtools.testing.influxdb import summary_state_line

NIGHT = dt.datetime(2026, 11, 20, 23, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
DISABLED, ENABLED, FAULT, OFFLINE, STANDBY = 1, 2, 3, 4, 5


def line(csc, moment, state, index=1, tags=""):
    return summary_state_line(csc, index, state, moment, tags=tags)


@pytest.fixture
def efd(influxdb):
    with Efd(NoticesSection(efd_url=influxdb.url)) as client:
        yield client


@pytest.fixture
def tell(influxdb):
    return influxdb.write


@pytest.mark.debian
def test_the_state_is_the_latest_event_before_however_long_ago(efd, tell):
    tell(line("ATDome", NIGHT - 700 * HOUR, STANDBY, 0), line("ATDome", NIGHT - 650 * HOUR, ENABLED, 0))
    event = efd.state_at("ATDome", NIGHT)
    assert (event.state, event.at_utc) == ("ENABLED", NIGHT - 650 * HOUR)
    assert efd.state_at("ATDome", NIGHT - 660 * HOUR).state == "STANDBY"
    assert efd.state_at("ATDome", NIGHT - 800 * HOUR) is None
    # Before, not at the same moment.
    assert efd.state_at("ATDome", NIGHT - 650 * HOUR).state == "STANDBY"


@pytest.mark.debian
def test_no_event_is_unknown_not_offline(efd):
    history = efd.history("NeverSeen:3", NIGHT, NIGHT + HOUR)
    assert efd.state_at("NeverSeen:3", NIGHT) is None
    assert history.before is None
    assert history.events == ()
    assert [span.state for span in history.spans] == ["UNKNOWN"]


@pytest.mark.debian
def test_indices_of_one_csc_are_kept_apart(efd, tell):
    tell(
        line("MTHexapod", NIGHT - HOUR, ENABLED, 1),
        line("MTHexapod", NIGHT - HOUR / 2, FAULT, 2),
        line("MTHexapod", NIGHT - HOUR / 4, OFFLINE, 0),
    )
    told = {str(i): efd.state_at(f"MTHexapod:{i}", NIGHT).state for i in (1, 2)}
    assert told == {"1": "ENABLED", "2": "FAULT"}
    assert efd.state_at("MTHexapod", NIGHT).state == "OFFLINE"


@pytest.mark.debian
def test_a_history_has_both_ends_and_the_state_before(efd, tell):
    tell(
        line("DIMM", NIGHT - HOUR, STANDBY),
        line("DIMM", NIGHT, DISABLED),
        line("DIMM", NIGHT + HOUR, ENABLED),
        line("DIMM", NIGHT + 1.5 * HOUR, ENABLED),
        line("DIMM", NIGHT + 2 * HOUR, FAULT),
        line("DIMM", NIGHT + 3 * HOUR, OFFLINE),
    )
    history = efd.history("DIMM:1", NIGHT, NIGHT + 2 * HOUR)
    assert history.before.state == "STANDBY"
    assert [event.state for event in history.events] == ["DISABLED", "ENABLED", "ENABLED", "FAULT"]
    assert [(span.state, span.hours) for span in history.spans] == [
        ("DISABLED", 1.0),
        ("ENABLED", 1.0),
        ("FAULT", 0.0),
    ]
    assert history.at(NIGHT) == "STANDBY"
    assert history.at(NIGHT + HOUR) == "DISABLED"
    assert history.at(NIGHT + 1.7 * HOUR) == "ENABLED"
    with pytest.raises(InputError):
        history.at(NIGHT + 3 * HOUR)


@pytest.mark.debian
def test_tags_and_strange_codes_do_not_confuse(efd, tell):
    tell(
        line("MTMount", NIGHT - 2 * HOUR, ENABLED, 0, ",host=a"),
        line("MTMount", NIGHT - HOUR, 9, 0, ",host=b"),
    )
    assert efd.state_at("MTMount", NIGHT).state == "UNKNOWN (9)"
    assert efd.state_at("MTMount", NIGHT - HOUR / 2).at_utc == NIGHT - HOUR


@pytest.mark.debian
def test_times_of_other_zones_mean_the_same(efd, tell):
    tell(line("MTAOS", NIGHT - HOUR, ENABLED, 0))
    chile = NIGHT.astimezone(dt.timezone(dt.timedelta(hours=-3)))
    assert efd.state_at("MTAOS", chile).state == "ENABLED"
    with pytest.raises(InputError, match="no time zone"):
        efd.state_at("MTAOS", NIGHT.replace(tzinfo=None))


@pytest.mark.debian
def test_an_unknown_database_is_refused_by_name(influxdb):
    with (
        Efd(NoticesSection(efd_url=influxdb.url, efd_database='no"such')) as efd,
        pytest.raises(RejectedError, match="database not found"),
    ):
        efd.state_at("DIMM:1", NIGHT)


def test_a_hostile_name_is_no_csc():
    with Efd(NoticesSection(efd_url="http://127.0.0.1:9")) as efd:
        with pytest.raises(IdentifierError):
            efd.state_at('DIMM" WHERE time > 0; DROP DATABASE efd --', NIGHT)
        with pytest.raises(UnreachableError):
            efd.state_at("DIMM:1", NIGHT)


def test_a_site_without_an_efd_says_so():
    with pytest.raises(SiteError, match="does not say where the EFD is"):
        Efd(NoticesSection())


@pytest.mark.parametrize(
    "document",
    [
        {"results": [{"statement_id": 0, "partial": True, "series": []}]},
        {
            "results": [
                {"series": [{"columns": ["time", "summaryState"], "values": [[1, 2]], "partial": True}]}
            ]
        },
        {"results": [{"series": [{"columns": ["time"], "values": [[1]]}]}]},
        {"results": [{"series": [{"columns": ["time", "summaryState"], "values": [["x", 2]]}]}]},
        {"results": []},
        {"results": 7},
        [],
        "<html>",
    ],
)
def test_an_answer_that_breaks_the_contract_is_no_state(document):
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            content = json.dumps(document).encode() if document != "<html>" else b"<html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        section = NoticesSection(efd_url=f"http://127.0.0.1:{server.server_port}")
        with Efd(section) as efd, pytest.raises(ProtocolError):
            efd.state_at("DIMM:1", NIGHT)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
