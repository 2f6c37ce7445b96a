"""The buffer: ingested on arrival, tried again, bad files set aside with their reason, old ones removed."""

import datetime as dt
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from lsst_commtools.errors import InputError, ServiceError
from lsst_commtools.ingest import (
    ArrivalBuffer,
    Ingester,
    Outcome,
    RsyncTransfer,
    SshSettings,
    TransferOutcome,
    open_repository,
)

DETECTORS = (0, 1, 4, 8)


class Clock:
    def __init__(self):
        self.time_utc = dt.datetime(2026, 11, 21, 3, tzinfo=dt.UTC)

    def __call__(self):
        return self.time_utc

    def go(self, **step):
        self.time_utc += dt.timedelta(**step)


@pytest.fixture
def buffer_at(repository, tmp_path):
    """A buffer on a real repository; opening it again ends the one before."""
    made = []

    def call(**options):
        for earlier in made:
            earlier.close()
        ingester = Ingester(repository, "LSSTComCam", transfer=options.pop("transfer", "direct"))
        made.append(
            ArrivalBuffer(
                tmp_path / options.pop("folder", Path("work/buffer")),
                ingester,
                **{"expected_detectors": DETECTORS, "settle_s": 0.0, "retry_s": 0.0, **options},
            )
        )
        return made[-1]

    yield call
    for earlier in made:
        earlier.close()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stored(repository):
    with open_repository(repository) as butler:
        refs = butler.query_datasets("raw", collections="LSSTComCam/raw/all", limit=None, explain=False)
        return {butler.getURI(ref).ospath for ref in refs}


def test_bad_files_are_set_aside_with_their_reason(buffer_at, repository, raw_folder, rewrite, tmp_path):
    files = sorted(raw_folder.rglob("*.fits"))
    buffer = buffer_at()
    folder = buffer.folder / "20261120"
    folder.mkdir()
    for path in files[:4]:
        shutil.copy(path, folder)
    assert len(buffer.poll().arrival.files) == 4
    (folder / "cut.fits").write_bytes(files[5].read_bytes()[:-9000])
    (folder / "empty.fits").touch()
    rewrite(files[6], folder / "elsewhere.fits", INSTRUME="LATISS")
    rewrite(files[0], folder / "other.fits", add_adu=1)
    shutil.copy(files[1], folder / "twice.fits")
    reports = [buffer.poll() for _ in range(4)]
    bad = {b.path: b for report in reports for b in report.bad}
    assert sorted(bad) == [f"20261120/{n}.fits" for n in ("cut", "elsewhere", "empty", "other")]
    assert "truncated" in bad["20261120/cut.fits"].reason
    assert bad["20261120/cut.fits"].attempts == 3
    assert "LATISS" in bad["20261120/elsewhere.fits"].reason
    assert "same data id" in bad["20261120/other.fits"].reason
    for b in bad.values():
        assert (tmp_path / "work" / "bad_files" / b.kept).is_file()
        assert not (buffer.folder / b.path).exists()
    assert {b.path for b in buffer_at().bad_files()} == set(bad)
    assert {p.name for p in folder.iterdir()} == {p.name for p in files[:4]} | {"twice.fits"}
    assert stored(repository) == {str(folder / p.name) for p in files[:4]}


def test_a_file_that_is_mended_between_two_attempts_is_ingested(buffer_at, repository, raw_folder):
    path = min(raw_folder.rglob("*.fits"))
    buffer = buffer_at()
    target = buffer.folder / path.name
    target.write_bytes(path.read_bytes()[:-9000])
    assert buffer.poll().arrival.files[0].outcome is Outcome.UNREADABLE
    assert buffer.poll().bad == ()
    shutil.copy(path, target)
    assert buffer.poll().arrival.files[0].outcome is Outcome.INGESTED
    assert stored(repository) == {str(target)}
    assert [f.outcome for f in buffer.files()] == [Outcome.INGESTED]


def test_bad_files_of_one_name_do_not_cover_each_other(buffer_at):
    buffer = buffer_at(attempts=1)
    for k in range(3):
        path = buffer.folder / "x.fits"
        path.write_bytes(b"%d" % k)
        os.utime(path, (k, k))
        (bad,) = buffer.poll().bad
        assert (buffer.bad_folder / bad.kept).read_bytes() == b"%d" % k
    assert [b.kept for b in buffer.bad_files()] == ["x.fits", "x.fits.2", "x.fits.3"]
    (buffer.bad_folder / "x.fits").unlink()  # somebody looked at it
    record = buffer.bad_folder / "bad_files.jsonl"
    record.write_text(record.read_text() + "\n{cut")
    assert [b.kept for b in buffer.bad_files()] == ["x.fits.2", "x.fits.3"]


@pytest.mark.parametrize("transfer", ["direct", "copy"])
def test_old_files_go_and_young_and_bad_ones_stay(buffer_at, repository, raw_folder, transfer):
    clock = Clock()
    files = sorted(raw_folder.rglob("*.fits"))
    options = {"max_age_s": 3600.0, "now_utc": clock, "transfer": transfer, "attempts": 99}
    buffer = buffer_at(**options)
    old = buffer.folder / "old"
    old.mkdir()
    for path in files[:4]:
        shutil.copy(path, old)
    buffer.poll()
    clock.go(minutes=50)
    shutil.copy(files[4], buffer.folder)
    (buffer.folder / "unreadable.fits").write_bytes(b"half")
    assert buffer.poll().removed == ()
    clock.go(minutes=20)
    changed = old / files[3].name
    os.utime(changed)  # not what was ingested any more: it is looked at again before it may go
    report = buffer_at(**options).poll()
    assert sorted(report.removed) == [f"old/{p.name}" for p in files[:3]]
    assert {p.name for p in buffer.folder.rglob("*.fits")} == {
        files[3].name,
        files[4].name,
        "unreadable.fits",
    }
    assert len(stored(repository)) == (2 if transfer == "direct" else 5)
    clock.go(days=1)
    buffer_at(**options).poll()
    assert not old.exists()
    assert buffer.folder.is_dir()
    assert stored(repository) == set() or transfer == "copy"


def test_a_changed_file_that_the_repository_reads_is_not_taken_away(buffer_at, raw_folder, rewrite):
    path = min(raw_folder.rglob("*.fits"))
    buffer = buffer_at()
    target = buffer.folder / path.name
    shutil.copy(path, target)
    buffer.poll()
    rewrite(target, target, add_adu=1)
    report = buffer.poll()
    assert [f.outcome for f in report.arrival.files] == [Outcome.COLLISION]
    assert report.bad == ()
    assert target.exists()


def test_a_buffer_that_is_sent_to_by_rsync(buffer_at, repository, small_night):
    visits = []
    buffer = buffer_at(on_visit=lambda *call: visits.append(call), folder=Path("elsewhere/../work/buffer"))
    assert RsyncTransfer(small_night.raw, buffer.folder).send().complete
    buffer.poll()
    assert len(stored(repository)) == 16
    assert len(visits) == len(buffer.visits()) == 4
    assert buffer.bad_files() == []


def test_from_the_summit_to_the_base_to_the_facility_and_into_a_buffer(
    buffer_at, repository, small_night, ssh_host, rsync_daemon, tmp_path
):
    """The modes of the second rehearsal in a row: what is ingested at the end is what was written at the start."""
    base = tmp_path / "base"
    buffer = buffer_at()
    base.mkdir()
    facility = rsync_daemon.data / "20261120"
    facility.mkdir()
    legs = [
        RsyncTransfer(small_night.raw, f"{ssh_host.address}:{base}", ssh=SshSettings(ssh_host.options())),
        RsyncTransfer(base, rsync_daemon.url(folder="20261120")),
        RsyncTransfer(facility, buffer.folder),
    ]
    assert [leg.send().complete for leg in legs] == [True] * 3
    buffer.poll()
    summit = {p.relative_to(small_night.raw): sha256(p) for p in small_night.raw.rglob("*.fits")}
    arrived = {Path(f.path).relative_to(buffer.folder): f.sha256 for f in buffer.files()}
    assert arrived == summit
    assert len(stored(repository)) == 16
    # A second night's call moves nothing, and ingests nothing twice.
    assert all(leg.send().counts[TransferOutcome.SENT] == 0 for leg in legs)
    assert buffer.poll().arrival.files == ()


def test_what_cannot_be_set_aside_stays_and_is_told(buffer_at):
    buffer = buffer_at(attempts=1)
    (buffer.folder / "x.fits").write_bytes(b"half")
    buffer.bad_folder.write_text("a file where a folder should be")
    for _ in range(2):
        with pytest.raises(ServiceError, match="stays in the buffer"):
            buffer.poll()
    buffer.bad_folder.unlink()
    assert len(buffer.poll().bad) == 1
    assert (
        json.loads((buffer.bad_folder / "bad_files.jsonl").read_text().splitlines()[-1])["path"] == "x.fits"
    )


def test_bad_files_do_not_lie_in_the_buffer(buffer_at, tmp_path):
    with pytest.raises(InputError, match="lies in the buffer"):
        buffer_at(bad_files=tmp_path / "work" / "buffer" / "bad")
