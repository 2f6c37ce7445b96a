"""The ledger on a real PostgreSQL of this machine, as many machines share it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from lsst_commtools.errors import LeaseError
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger, leases
from lsst_commtools.procedure.ledger.spool import read_spool
from lsst_commtools.procedure.runner import resume_run, run_notebook
from lsst_commtools.procedure.values import Kind
from lsst_commtools.site import Site

from .conftest import HEAD

pytestmark = pytest.mark.debian


def _programs():
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    return None


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL server: its URL, and functions that stop and start it."""
    programs = _programs()
    if programs is None:
        pytest.skip("Debian's postgresql is not installed")
    account = {}
    if os.getuid() == 0:  # PostgreSQL refuses the superuser
        try:
            account = {"user": pwd.getpwnam("postgres").pw_uid}
        except KeyError:
            pytest.skip("PostgreSQL refuses root, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    folder.chmod(0o777)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(*words):
        subprocess.run(
            [str(programs / words[0]), *words[1:]],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            timeout=60,
            **account,
        )

    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    data = str(folder / "data")

    def start():
        call("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")

    def stop():
        call("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")

    call("initdb", "-A", "trust", "-U", "commtools", "-D", data)
    start()
    yield f"postgresql://commtools:not-a-secret@127.0.0.1:{port}/postgres", start, stop
    stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(server, fast_site, monkeypatch):
    """An empty ledger on that server, which the site uses."""
    monkeypatch.setenv("COMMTOOLS_PROCEDURE_LEDGER_URL", server[0])
    engine = sa.create_engine(server[0].replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    engine.dispose()
    return server[0]


def test_many_writers_on_one_server(url):
    def write(name):
        journal = Journal(Ledger(url, wait_s=30), "run-1")
        for number in range(15):
            journal.note(Kind.NOTE, text=f"{name}{number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = Ledger(url).events("run-1")
    assert sorted(event.clock for event in events) == list(range(1, 61))
    engine = Ledger(url)._engine
    for statement in ("UPDATE events SET data='{}'", "DELETE FROM events"):
        with pytest.raises(sa.exc.DBAPIError, match="only grows"), engine.begin() as connection:
            connection.exec_driver_sql(statement)


def test_leases_on_one_server(url):
    got, refused = [], []

    def want(name):
        try:
            leases.take(Ledger(url, wait_s=30), "csc:DIMM:1", name, ProcessId.of())
            got.append(name)
        except LeaseError:
            refused.append(name)

    threads = [threading.Thread(target=want, args=(f"run-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5)


def test_a_run_is_resumed_from_the_ledger_alone(url, make_notebook, tmp_path, monkeypatch):
    mended = tmp_path / "mended"
    path = make_notebook(
        ("n: int = 1", "parameters"),
        HEAD,
        "with procedure.step('a', observe=lambda: n) as step:\n    pass",
        f"import pathlib\nassert pathlib.Path({str(mended)!r}).exists()",
    )
    site = Site.load()
    record = run_notebook(path, {"n": 3}, site=site, output=tmp_path / "o.ipynb")
    assert record.status == "failed"
    mended.touch()
    # Another person on another machine: neither the notebook nor the first output is there.
    path.unlink()
    monkeypatch.setenv("COMMTOOLS_HOME", str(tmp_path / "other-home"))
    again = resume_run(record.run, site=Site.load())
    assert (again.status, again.attempt, again.parameters) == ("done", 2, {"n": 3})
    assert "not-a-secret" not in "".join(map(str, Ledger(url).events()))


def test_a_server_that_is_away_for_a_while(server, url, tmp_path):
    _, start, stop = server
    ledger = Ledger(url, wait_s=0.5, spool=tmp_path / "o.ipynb.events.jsonl")
    journal = Journal(ledger, "run-1")
    journal.note(Kind.NOTE, text=0)
    stop()
    try:
        journal.note(Kind.NOTE, text=1)
        journal.note(Kind.NOTE, text=2)
    finally:
        start()
    assert len(read_spool(tmp_path / "o.ipynb.events.jsonl")) == 2
    journal.note(Kind.NOTE, text=3)
    assert [event.data["text"] for event in journal.events()] == [0, 1, 2, 3]
