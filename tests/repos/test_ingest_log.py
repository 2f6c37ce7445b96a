"""Ingest logs as they are: long, cut, of mixed encodings, with the lines of several processes run together."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from lsst_commtools.repos.ingest_log import find_logs, read_logs

FAILED = "ingest WARN: Failed to ingest file /s/AT_O_20190529_000001.fits: 'visit'"
LINKED = "ingest INFO: /s/AT_O_20190529_000002.fits --link--> /r/raw/2019-05-29/2019052900002-det000.fits"


@pytest.fixture
def log(tmp_path):
    def make(content):
        path = tmp_path / "ingest_output.log"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_logs([str(path)])

    return make


def test_all_known_messages(log):
    seen = log(
        f"{LINKED}\n{FAILED}\n"
        "ingest WARN: /s/b.fits: already ingested: {'visit': 2019052900001, 'object': 'a: b'}\n"
        "ingest WARN: Failed to link /s/c.fits to /r/raw/x.fits: File /r/raw/x.fits already exists; consider ...\n"
        "ingest.parse WARN: Unable to find value for seqNum (derived from SEQNUM)\n"
        "ingest.parse WARN: translate_visit failed to translate visit: 'SEQNUM'\n"
        "ingest WARN: /s/2019* doesn't match any file\n"
        "ingest INFO: Skipping declared bad file /s/d.fits\n"
        "Traceback (most recent call last):\n"
        "KeyError: 'expTime'\n"
    )
    assert seen.reason("/s/AT_O_20190529_000001.fits").line == 2
    assert seen.reason("/elsewhere/b.fits").text.startswith("/s/b.fits: already ingested")
    assert seen.reason("/s/c.fits").text.startswith("Failed to link")
    assert seen.reason("/s/d.fits").text.startswith("Skipping")
    assert seen.reason("/s/nowhere.fits") is None
    assert seen.linked["raw/2019-05-29/2019052900002-det000.fits"][0][0] == "/s/AT_O_20190529_000002.fits"
    assert [entry.text for entry in seen.aborts] == ["KeyError: 'expTime'"]
    assert (seen.lines, seen.not_understood) == (10, 1)


def test_lines_of_two_processes_run_together(log):
    seen = log(f"{FAILED}{LINKED}\n2019-05-29T12:00:00 [42] {FAILED.replace('01.fits', '07.fits')}\n")
    assert seen.reason("/s/AT_O_20190529_000001.fits").text.endswith("'visit'")
    assert "raw/2019-05-29/2019052900002-det000.fits" in seen.linked
    assert seen.reason("/s/AT_O_20190529_000007.fits").line == 2


def test_half_lines_are_counted(log):
    seen = log(f"gest WARN: Failed to ing\n{FAILED}\ningest WARN: Failed to ingest file /s/x")
    assert seen.not_understood == 2
    assert seen.reason("/s/AT_O_20190529_000001.fits") is not None


def test_mixed_encodings(log):
    seen = log(
        b"\xff\xfe\x00junk\n"
        + "ingest WARN: Failed to ingest file /s/é.fits: 'x'\n".encode("latin-1")
        + FAILED.encode()
    )
    assert seen.reason("/s/AT_O_20190529_000001.fits").line == 3
    assert any(path.endswith("\udce9.fits") for path in seen.refused)


def test_a_line_without_end_takes_no_memory(log):
    tracemalloc.start()
    seen = log(b"x" * (40 << 20) + b"\n" + FAILED.encode() + b"\n")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 90 << 20  # the content itself is 40 MiB, twice while the test builds it
    assert seen.reason("/s/AT_O_20190529_000001.fits").line == 2


def test_ten_gigabytes_of_hole(tmp_path):
    path = tmp_path / "ingest_output.log"
    with path.open("wb") as file:
        file.write(LINKED.encode() + b"\n")
        file.seek(10 << 30)
        file.write(b"\n" + FAILED.encode() + b"\n")
    shown = []
    start = time.perf_counter()
    seen = read_logs([str(path)], lambda *args: shown.append(args))
    assert time.perf_counter() - start < 30
    assert seen.reason("/s/AT_O_20190529_000001.fits") is not None
    assert seen.linked
    assert shown[-1][1] == shown[-1][2]


def test_logs_are_found_below_the_folder_oldest_first(tmp_path):
    import os

    for number, name in enumerate(
        ["auto/ingest_output.log", "auto/ingest_output.log.1", "other.log", "x/ingest_output.log.gz"]
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (1000 - number, 1000 - number))
    assert [p.rsplit("/", 1)[1] for p in find_logs(str(tmp_path))] == [
        "ingest_output.log.1",
        "ingest_output.log",
    ]


def test_log_that_cannot_be_read_is_a_note(tmp_path):
    seen = read_logs([str(tmp_path / "gone")])
    assert seen.files == []
    assert len(seen.notes) == 1
