"""Debian's InfluxDB 1.x on loopback, for tests of what reads the EFD."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from lsst_commtools.errors import NotFoundError, ServiceTimeoutError

__all__ = ["InfluxDb", "running_influxdb", "summary_state_line"]

_PATIENCE_S = 20.0


@dataclass(frozen=True)
class InfluxDb:
    """An InfluxDB that runs.

    Parameters
    ----------
    url
        Its address.
    database
        A database that it has.
    """

    url: str
    database: str

    def write(self, *lines: str) -> None:
        """Write points.

        Parameters
        ----------
        *lines
            In the line protocol, times in nanoseconds.
        """
        answer = requests.post(
            f"{self.url}/write",
            params={"db": self.database, "precision": "ns"},
            data="\n".join(lines).encode(),
            timeout=_PATIENCE_S,
        )
        answer.raise_for_status()


@contextlib.contextmanager
def running_influxdb(folder: Path, database: str = "efd") -> Iterator[InfluxDb]:
    """Run an InfluxDB on free ports of loopback.

    Parameters
    ----------
    folder
        Empty folder for its data.
    database
        Database to make.

    Yields
    ------
    InfluxDb
        It answers.

    Raises
    ------
    NotFoundError
        If ``influxd`` is not installed.
    ServiceTimeoutError
        If it does not answer.
    """
    program = shutil.which("influxd")
    if program is None:
        raise NotFoundError("Debian's influxdb is not installed.")
    port, rpc_port = _free_ports(2)
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc_port}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'index-version = "inmem"\n[http]\nbind-address = "127.0.0.1:{port}"\nauth-enabled = false\n',
        encoding="utf-8",
    )
    url = f"http://127.0.0.1:{port}"
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([program, "-config", str(config)], stdout=log, stderr=log) as server,
    ):
        try:
            _wait_for(url)
            create = {"q": f'CREATE DATABASE "{database}"'}
            requests.post(f"{url}/query", params=create, timeout=_PATIENCE_S).raise_for_status()
            yield InfluxDb(url, database)
        finally:
            server.terminate()
            server.wait(timeout=_PATIENCE_S)


def summary_state_line(csc: str, index: int, state: int, moment: dt.datetime, *, tags: str = "") -> str:
    """Write the event of a summary state in the line protocol, as the EFD has it.

    Parameters
    ----------
    csc, index
        The CSC; its index is a field.
    state
        Number of the state.
    moment
        With its time zone.
    tags
        Further tags, such as ``,host=a``.

    Returns
    -------
    str
        One line.
    """
    after = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    stamp_ns = (after // dt.timedelta(microseconds=1)) * 1000
    topic = f"lsst.sal.{csc}.logevent_summaryState{tags}"
    return f"{topic} summaryState={state}i,salIndex={index}i,private_sndStamp=1.0 {stamp_ns}"


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _wait_for(url: str) -> None:
    ends_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends_s:
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{url}/ping", timeout=2.0).status_code == requests.codes.no_content:
                return
        time.sleep(0.05)
    raise ServiceTimeoutError(f"InfluxDB did not answer in {_PATIENCE_S:g} s.")
