"""Files arrive whole, once, and with their checksums."""

import hashlib
import json

import pytest

from lsst_commtools.errors import InputError, ServiceError
from lsst_commtools.ingest.transfer import find_raw_files, transfer_files


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source" / "20261120"
    folder.mkdir(parents=True)
    for k in range(5):
        (folder / f"f{k}.fits").write_bytes(bytes([k]) * (1000 + k))
    return folder.parent


def test_all_files_arrive_with_their_checksums(source, tmp_path):
    files = find_raw_files(source)
    seen = []
    records = transfer_files(source, tmp_path / "storage", files, progress=lambda *a: seen.append(a))
    for file, record in zip(files, records, strict=True):
        copy = tmp_path / "storage" / record.path
        assert copy.read_bytes() == file.read_bytes()
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == record.sha256
    assert seen == [(k, 5) for k in range(1, 6)]


def test_a_second_run_copies_nothing_and_gives_the_same_answer(source, tmp_path):
    storage = tmp_path / "storage"
    first = transfer_files(source, storage, find_raw_files(source))
    before = {p: p.stat().st_ino for p in storage.rglob("*.fits")}
    assert transfer_files(source, storage, find_raw_files(source)) == first
    assert {p: p.stat().st_ino for p in storage.rglob("*.fits")} == before


def test_a_changed_source_and_a_damaged_copy_are_copied_again(source, tmp_path):
    storage = tmp_path / "storage"
    files = find_raw_files(source)
    transfer_files(source, storage, files)
    files[0].write_bytes(b"new content")
    (storage / "20261120" / "f1.fits").write_bytes(b"cut")
    transfer_files(source, storage, files)
    assert (storage / "20261120" / "f0.fits").read_bytes() == b"new content"
    assert (storage / "20261120" / "f1.fits").stat().st_size == 1001


def test_a_journal_cut_in_mid_line_is_survived(source, tmp_path):
    storage = tmp_path / "storage"
    files = find_raw_files(source)
    transfer_files(source, storage, files)
    journal = storage / "transfer.jsonl"
    journal.write_text(journal.read_text()[:-20] + "\n[1]\n" + json.dumps({"path": 1}) + "\n")
    assert len(transfer_files(source, storage, files)) == 5


def test_a_failed_write_says_how_far_it_came(source, tmp_path):
    storage = tmp_path / "storage"
    (storage / "20261120" / "f2.fits.part").mkdir(parents=True)
    with pytest.raises(ServiceError, match=r"file 3 of 5.*2 files arrived whole"):
        transfer_files(source, storage, find_raw_files(source))


@pytest.mark.parametrize("make", [False, True])
def test_no_folder_and_no_files_are_said(tmp_path, make):
    folder = tmp_path / "x"
    if make:
        folder.mkdir()
        (folder / "notes.txt").write_text("nothing")
    with pytest.raises(InputError):
        find_raw_files(folder)
