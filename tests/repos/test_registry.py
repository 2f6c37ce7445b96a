"""Registries are read without a trace."""

from __future__ import annotations

import sqlite3

import pytest

from lsst_commtools.errors import TableError
from lsst_commtools.repos.registry import open_registry, read_rows


def listing(folder):
    return {(p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in folder.iterdir()}


@pytest.fixture
def wal(tmp_path):
    """A registry that somebody is writing to, its last row only in the write-ahead log."""
    folder = tmp_path / "repo"
    folder.mkdir()
    path = folder / "registry.sqlite3"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE raw (visit int, detector int)")
    writer.execute("INSERT INTO raw VALUES (2019052900001, 0)")
    writer.commit()
    yield path, writer
    writer.close()


def test_rows_in_the_log_are_seen_and_nothing_is_written(wal):
    path, _ = wal
    before = listing(path.parent)
    assert [row.exposure_id for row in read_rows(str(path))] == [2019052900001]
    assert listing(path.parent) == before


def test_wal_registry_at_rest_gets_no_files_beside_it(wal):
    path, writer = wal
    writer.close()
    assert len(list(path.parent.iterdir())) == 1
    assert len(read_rows(str(path))) == 1
    assert len(list(path.parent.iterdir())) == 1


def test_it_cannot_be_written(tmp_path):
    path = tmp_path / "r?&#%20.sqlite3"
    with sqlite3.connect(path) as writer:
        writer.execute("CREATE TABLE raw (expId int, detector int)")
    writer.close()
    with open_registry(str(path)) as registry, pytest.raises(sqlite3.OperationalError, match="readonly"):
        registry.execute("INSERT INTO raw VALUES (1, 2)")


def test_only_some_ids(wal):
    path, writer = wal
    writer.execute("INSERT INTO raw VALUES (2019052900002, 0)")
    writer.commit()
    assert [r.exposure_id for r in read_rows(str(path), exposure_ids=(2019052900002, 5))] == [2019052900002]


def test_tables_that_do_not_fit(tmp_path):
    path = tmp_path / "registry.sqlite3"
    with sqlite3.connect(path) as writer:
        writer.execute("CREATE TABLE raw (something int)")
    writer.close()
    for bad in (path, tmp_path / "gone"):
        with pytest.raises(TableError):
            read_rows(str(bad))
