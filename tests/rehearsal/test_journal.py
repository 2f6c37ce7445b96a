"""The journal: only ever added to, by many at once."""

import multiprocessing
import sqlite3

import pytest

from lsst_commtools.errors import NotFoundError, ServiceError
from lsst_commtools.rehearsal import Journal, Kind


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.sqlite")


def test_entries_come_back_as_they_were_written(journal):
    written = journal.append(
        Kind.PROBLEM, 2, role="LDF", who="Ana", kind="missing-detector", numbers=[1, 2.5, None]
    )
    assert journal.entries() == [written]
    assert written.data == {"kind": "missing-detector", "numbers": [1, 2.5, None]}
    assert (written.number, written.night, written.role, written.who) == (1, 2, "LDF", "Ana")


def test_they_are_chosen_by_kind_and_night(journal):
    for night in (0, 1, 2):
        journal.append(Kind.DECISION, night, text="x")
        journal.append(Kind.NARRATIVE, night, text="y")
    assert [e.night for e in journal.entries({Kind.DECISION})] == [0, 1, 2]
    assert [e.kind for e in journal.entries(night=2)] == [Kind.DECISION, Kind.NARRATIVE]
    assert journal.entries(set()) == []


def test_what_is_there_for_a_role_is_not_written_twice(journal):
    assert journal.append_once(Kind.PROBLEM, 1, key="problem", role="LDF", problem="a") is not None
    assert journal.append_once(Kind.PROBLEM, 1, key="problem", role="LDF", problem="a") is None
    assert journal.append_once(Kind.PROBLEM, 1, key="problem", role="SciOps", problem="a") is not None
    assert journal.append_once(Kind.PROBLEM, 2, key="problem", role="LDF", problem="a") is not None
    assert len(journal.entries()) == 3


def _write(path, name):
    journal = Journal(path)
    for number in range(20):
        journal.append(Kind.DECISION, 1, who=name, number=number)
        journal.append_once(Kind.PROBLEM, 1, key="problem", problem=number)


def test_many_write_at_once_and_nothing_is_lost(tmp_path):
    path = tmp_path / "journal.sqlite"
    Journal(path)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, f"w{n}")) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    entries = Journal(path).entries()
    assert [e.number for e in entries] == list(range(1, 81))
    assert sorted(e.data["problem"] for e in entries if e.kind is Kind.PROBLEM) == list(range(20))
    for name in ("w0", "w1", "w2"):
        assert [e.data["number"] for e in entries if e.who == name and e.kind is Kind.DECISION] == list(
            range(20)
        )
    assert [e.at_rehearsal_utc for e in entries] == sorted(e.at_rehearsal_utc for e in entries)


def test_a_full_disk_is_told_and_what_was_written_stays(journal):
    journal.append(Kind.DECISION, text="before")
    with sqlite3.connect(journal.path) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    original = sqlite3.connect

    def full(*args, **kwargs):
        connection = original(*args, **kwargs)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", full)
        with pytest.raises(ServiceError, match="full") as caught:
            journal.append(Kind.DECISION, text="x" * 19_000)
    assert "same command goes on" in caught.value.advice
    assert [e.data["text"] for e in journal.entries()] == ["before"]


def test_a_folder_that_is_not_there_holds_no_rehearsal(tmp_path):
    with pytest.raises(NotFoundError):
        Journal(tmp_path / "nowhere" / "journal.sqlite")
