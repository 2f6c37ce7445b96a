from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from lsst_commtools.errors import InputError, LeaseError, LedgerAwayError, ServiceError, TableError
from lsst_commtools.procedure.identity import ProcessId
from lsst_commtools.procedure.journal import Journal
from lsst_commtools.procedure.ledger import Ledger, leases, tables
from lsst_commtools.procedure.ledger.engine import sqlite_path
from lsst_commtools.procedure.ledger.spool import find_spools, read_spool
from lsst_commtools.procedure.values import Kind


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'l.sqlite'}"


@pytest.fixture
def journal(url, tmp_path):
    return Journal(Ledger(url, wait_s=0.3, spool=tmp_path / "out.ipynb.events.jsonl"), "run-1")


def texts(ledger):
    return [event.data["text"] for event in ledger.events("run-1")]


def test_events_come_back_in_order_with_who_when_and_where(journal):
    for number in range(5):
        journal.note(Kind.NOTE, text=number)
    events = journal.events()
    assert [event.data["text"] for event in events] == list(range(5))
    assert [event.clock for event in events] == [1, 2, 3, 4, 5]
    assert events[0].at_utc.endswith("Z")
    assert events[0].host
    assert events[0].pid == os.getpid()


def test_events_can_be_neither_changed_nor_deleted(journal, url):
    journal.note(Kind.NOTE, text="x")
    connection = sqlite3.connect(sqlite_path(url))
    for statement in ("UPDATE events SET data='{}'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            connection.execute(statement)
    connection.close()


def test_many_writers_lose_nothing(url):
    def write(name):
        journal = Journal(Ledger(url, wait_s=30), "run-1")
        for number in range(20):
            journal.note(Kind.NOTE, text=f"{name}{number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = Ledger(url).events("run-1")
    assert len({event.data["text"] for event in events}) == 80
    assert [event.clock for event in events] == list(range(1, 81))


def test_a_lock_that_is_given_back_is_waited_for(url, tmp_path):
    journal = Journal(Ledger(url, wait_s=10, spool=tmp_path / "s.events.jsonl"), "run-1")
    journal.note(Kind.NOTE, text="before")
    holder = sqlite3.connect(sqlite_path(url), isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.5, lambda: holder.execute("COMMIT"))
    timer.start()
    journal.note(Kind.NOTE, text="after")
    timer.join()
    holder.close()
    assert texts(journal.ledger) == ["before", "after"]
    assert journal.ledger.spooled == []


def test_events_of_a_ledger_that_vanished_are_spooled_and_taken_in_later(journal, url, tmp_path):
    journal.note(Kind.NOTE, text=0)
    path = sqlite_path(url)
    away = tmp_path / "away"
    away.mkdir()
    for part in tmp_path.glob("l.sqlite*"):
        part.rename(away / part.name)
    journal.note(Kind.NOTE, text=1)
    journal.note(Kind.NOTE, text=2)
    assert not path.exists(), "an empty ledger must not take the place of the one that is away"
    assert [event.data["text"] for event in read_spool(tmp_path / "out.ipynb.events.jsonl")] == [1, 2]
    for part in away.iterdir():
        part.rename(tmp_path / part.name)
    journal.note(Kind.NOTE, text=3)
    assert [event.data["text"] for event in journal.events()] == [0, 1, 2, 3]
    assert not (tmp_path / "out.ipynb.events.jsonl").exists()


def test_another_process_takes_in_what_a_dead_one_spooled(url, tmp_path):
    Ledger(url).prepare()
    code = (
        "import sys, pathlib\n"
        "from lsst_commtools.procedure.ledger import Ledger\n"
        "from lsst_commtools.procedure.journal import Journal\n"
        "from lsst_commtools.procedure.values import Kind\n"
        "ledger = Ledger(sys.argv[1], wait_s=0, spool=pathlib.Path(sys.argv[2]))\n"
        "ledger._ready = True\n"
        "Journal(ledger, 'run-1').note(Kind.NOTE, text='spooled')\n"
    )
    holder = sqlite3.connect(sqlite_path(url), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    subprocess.run([sys.executable, "-c", code, url, str(tmp_path / "x.events.jsonl")], check=True)
    holder.close()
    ledger = Ledger(url)
    assert ledger.events("run-1") == []
    assert [path.name for path in find_spools()] == ["x.events.jsonl"]
    assert ledger.merge_spools() == 1
    assert ledger.merge_spools() == 0
    assert texts(ledger) == ["spooled"]


def test_taking_in_twice_keeps_one(journal, url, tmp_path):
    journal.note(Kind.NOTE, text="x")
    event = journal.events()[0]
    journal.ledger._insert([event, event], merging=True)
    assert texts(journal.ledger) == ["x"]


def test_a_spool_cut_by_a_crash_is_read_up_to_there(tmp_path, journal):
    journal.ledger._spool.add(journal.note(Kind.NOTE, text="whole"))
    path = tmp_path / "out.ipynb.events.jsonl"
    with path.open("a") as stream:
        stream.write('{"run": "run-1", "ki')
    assert len(read_spool(path)) == 1
    path.write_text("rubbish\n" + path.read_text())
    with pytest.raises(TableError):
        read_spool(path)


def test_an_event_that_nothing_can_take_says_so(journal, monkeypatch, capsys, url, tmp_path):
    journal.note(Kind.NOTE, text=0)
    for part in tmp_path.glob("l.sqlite*"):
        part.unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        event = journal.note(Kind.NOTE, text="lost?")
    assert event.clock == -1
    assert "lost?" in capsys.readouterr().err


def test_a_full_disk_sends_events_to_the_next_place(journal, monkeypatch, url, tmp_path):
    journal.note(Kind.NOTE, text=0)
    real = os.write
    spool = tmp_path / "out.ipynb.events.jsonl"

    def full(descriptor, data):
        if Path(f"/proc/self/fd/{descriptor}").readlink() == spool:
            real(descriptor, data[:7])
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    def no_room():
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        patch.setattr(journal.ledger._engine.pool, "_creator", lambda *_: no_room())
        journal.note(Kind.NOTE, text="kept")
    assert spool.read_bytes() == b"", "a torn line must not stay"
    assert len(find_spools()) == 1
    assert Ledger(url).merge_spools() == 1


def test_the_ledger_is_waited_for_in_bounds(tmp_path):
    missing = Ledger(f"sqlite:///{tmp_path}/no/such", wait_s=0.2)
    (tmp_path / "no").write_text("a file where a folder should be")
    begun = time.monotonic()
    with pytest.raises(LedgerAwayError):
        missing.events()
    assert time.monotonic() - begun < 3


def test_a_newer_ledger_is_refused(url):
    ledger = Ledger(url)
    ledger.prepare()
    with ledger.transaction() as connection:
        connection.execute(tables.SCHEMA.insert().values(version=99))
    with pytest.raises(ServiceError, match="schema 99"):
        Ledger(url).events()


def test_older_ledgers_are_brought_up_step_by_step(url, monkeypatch):
    Ledger(url).prepare()
    monkeypatch.setattr(
        tables,
        "_MIGRATIONS",
        [*tables._MIGRATIONS, lambda c: c.exec_driver_sql("CREATE TABLE later (x int)")],
    )
    monkeypatch.setattr(tables, "VERSION", 2)
    ledger = Ledger(url)
    ledger.prepare()
    assert ledger.read(sa.select(tables.SCHEMA.c.version).order_by(tables.SCHEMA.c.version))[-1].version == 2
    assert ledger.read(sa.text("SELECT count(*) AS n FROM later"))[0].n == 0


@pytest.mark.parametrize("url", ["sqlite://", "mysql://x/y", "nonsense"])
def test_other_databases_are_refused(url):
    with pytest.raises(InputError):
        Ledger(url)


def test_a_notebook_is_kept_once(journal):
    journal.ledger.keep_notebook("a" * 64, "{}")
    journal.ledger.keep_notebook("a" * 64, "{}")
    assert journal.ledger.notebook("a" * 64) == "{}"
    assert journal.ledger.notebook("b" * 64) is None


def dead_process():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessId.of(child.pid)
    assert identity.alive()
    child.kill()
    child.wait()
    child.stdin.close()
    return identity


def test_a_lease_has_one_holder_and_names_it(url):
    ledger, me = Ledger(url), ProcessId.of()
    leases.take(ledger, "csc:DIMM:1", "run-1", me)
    leases.take(ledger, "csc:DIMM:1", "run-1", me)
    with pytest.raises(LeaseError) as raised:
        leases.take(ledger, "csc:DIMM:1", "run-2", me)
    for text in (me.host, "run-1", "s ago", "alive"):
        assert text in str(raised.value)
    assert leases.release(ledger, "run-2") == []
    assert leases.release(ledger, "run-1") == ["csc:DIMM:1"]
    leases.take(ledger, "csc:DIMM:1", "run-2", me)


def test_the_lease_of_a_dead_holder_is_taken_over_only_on_a_word(url):
    ledger, gone = Ledger(url), dead_process()
    leases.take(ledger, "csc:DIMM:1", "run-1", gone)
    with pytest.raises(LeaseError, match="dead"):
        leases.take(ledger, "csc:DIMM:1", "run-2", ProcessId.of())
    held = leases.lease_of(ledger, "csc:DIMM:1")
    before = leases.take(ledger, "csc:DIMM:1", "run-2", ProcessId.of(), instead_of=held)
    assert before == held
    with pytest.raises(LeaseError, match="run-2"):
        leases.take(ledger, "csc:DIMM:1", "run-3", ProcessId.of(), instead_of=held)
    assert [lease.run for lease in leases.all_leases(ledger)] == ["run-2"]


def test_of_many_who_want_a_lease_one_gets_it(url):
    Ledger(url).prepare()
    got, refused = [], []

    def want(name):
        try:
            leases.take(Ledger(url, wait_s=30), "csc:DIMM:1", name, ProcessId.of())
            got.append(name)
        except LeaseError:
            refused.append(name)

    threads = [threading.Thread(target=want, args=(f"run-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)


def test_a_runner_notices_that_it_was_taken_over(url):
    ledger, me = Ledger(url), ProcessId.of()
    leases.take(ledger, leases.run_key("run-1"), "run-1", me)
    assert leases.renew(ledger, "run-1", me)
    other = ProcessId("elsewhere", "", 1, 1)
    with pytest.raises(LeaseError):
        leases.take(ledger, leases.run_key("run-1"), "run-1", other)
    held = leases.lease_of(ledger, leases.run_key("run-1"))
    leases.take(ledger, leases.run_key("run-1"), "run-1", other, instead_of=held)
    assert not leases.renew(ledger, "run-1", me)


def test_a_process_elsewhere_is_neither_alive_nor_dead():
    assert ProcessId("elsewhere", "boot", 1, 1).alive() is None
    me = ProcessId.of()
    assert me.alive()
    assert ProcessId(me.host, me.boot, me.pid, me.started - 1).alive() is False, "the number was used again"
