"""Transfers to a folder, a real rsync daemon and a real sshd; cut, killed, full, hostile."""

import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lsst_commtools.errors import (
    AuthenticationError,
    ForbiddenError,
    InputError,
    LeaseError,
    NotFoundError,
    RejectedError,
    UnreachableError,
)
from lsst_commtools.ingest import Rate, RsyncTransfer, SshSettings

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(shutil.which("rsync") is None, reason="Debian's rsync is not installed"),
]

HOSTILE = [
    "-rf", "--delete", "a\nb.fits", "*.fits", "$(touch owned).fits", "#c.fits", ";d.fits", "bs\\#012.fits", " sp ",
    "tab\t.fits", os.fsdecode(b"\xff\xfe.fits"), "20261120/é ü.fits", "~", "host:file", "%n.fits", "\x1b[31m.fits",
]  # fmt: skip


@pytest.fixture
def source(tmp_path):
    """Six raw files of 300 kB, reproducible and not to be compressed."""
    folder = tmp_path / "raw"
    (folder / "20261120").mkdir(parents=True)
    for k in range(6):
        (folder / "20261120" / f"f{k}.fits").write_bytes(random.Random(k).randbytes(300_000))
    return folder


@pytest.fixture(params=["local", "daemon", "ssh"])
def destination(request, tmp_path):
    """Each kind of destination: its name, the folder behind it, and what `RsyncTransfer` needs for it."""
    if request.param == "daemon":
        daemon = request.getfixturevalue("rsync_daemon")
        return daemon.url(), daemon.data / "night", {}
    folder = tmp_path / "far" / "night"
    if request.param == "ssh":
        host = request.getfixturevalue("ssh_host")
        return f"{host.address}:{folder}", folder, {"ssh": SshSettings(host.options())}
    return folder, folder, {}


def send(source, destination, files=None, **options):
    call = {key: options.pop(key) for key in ("progress", "stop") if key in options}
    return RsyncTransfer(source, destination, **{"retry_s": 0.05, **options}).send(files, **call)


def outcomes(report):
    return {str(outcome): number for outcome, number in report.counts.items() if number}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def same(source, folder):
    """Every raw file is there and whole, and nothing that is not."""
    there = {p.relative_to(folder): sha256(p) for p in folder.rglob("*.fits")}
    return there == {p.relative_to(source): sha256(p) for p in source.rglob("*.fits")}


def test_files_arrive_verified_and_only_once(source, destination):
    address, folder, options = destination
    seen = []
    report = send(source, address, progress=seen.append, **options)
    assert outcomes(report) == {"sent": 6}
    assert report.complete
    assert report.error is None
    assert same(source, folder)
    for file in report.files:
        assert file.sha256 == sha256(source / file.path)
        assert file.verified == ("sha256" if isinstance(address, Path) else "rsync-checksum")
        assert file.wire_bytes >= file.size_bytes == 300_000
        assert report.started_utc <= file.ended_utc <= report.ended_utc
    assert report.size_bytes == 1_800_000
    assert (seen[-1].bytes_done, seen[-1].size_bytes, seen[-1].files) == (1_800_000, 1_800_000, 6)
    before = {p: p.stat().st_ino for p in folder.rglob("*.fits")}
    again = send(source, address, **options)
    assert outcomes(again) == {"already-there": 6}
    assert [f.sha256 for f in again.files] == [f.sha256 for f in report.files]
    assert again.rate is None
    assert {p: p.stat().st_ino for p in folder.rglob("*.fits")} == before
    json.dumps(again.to_dict())


def test_what_changed_at_either_end_is_sent_again(source, destination):
    address, folder, options = destination
    send(source, address, **options)
    (source / "20261120" / "f0.fits").write_bytes(b"new content")
    (folder / "20261120" / "f1.fits").unlink()
    (folder / "20261120" / "f2.fits").write_bytes(b"cut")
    report = send(source, address, **options)
    assert outcomes(report) == {"sent": 3, "already-there": 3}
    assert same(source, folder)


def test_a_copy_that_only_looks_the_same_is_found_and_replaced(source, destination, tmp_path):
    address, folder, options = destination
    shutil.copytree(source, folder)  # brought by somebody else, times kept
    damaged = folder / "20261120" / "f3.fits"
    state = damaged.stat()
    damaged.write_bytes(bytes(300_000))
    os.utime(damaged, ns=(state.st_atime_ns, state.st_mtime_ns))
    report = send(source, address, **options)
    assert report.complete
    assert same(source, folder)
    assert outcomes(report) == {"sent": 1, "already-there": 5}


def test_hostile_names_are_names_and_nothing_else(tmp_path, destination):
    address, folder, options = destination
    source = tmp_path / "raw"
    for k, name in enumerate(HOSTILE):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(random.Random(k).randbytes(1000 + k))
    report = send(source, address, HOSTILE, **options)
    assert [(f.path, f.outcome.value) for f in report.files] == [(name, "sent") for name in HOSTILE]
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == set(HOSTILE)
    assert all((folder / name).read_bytes() == (source / name).read_bytes() for name in HOSTILE)
    assert outcomes(send(source, address, HOSTILE, **options)) == {"already-there": len(HOSTILE)}


def test_links_folders_and_pipes_at_the_source(source, tmp_path):
    outside = tmp_path / "outside.fits"
    outside.write_bytes(b"linked content")
    night = source / "20261120"
    (night / "link.fits").symlink_to(outside)
    (night / "nowhere.fits").symlink_to(tmp_path / "absent")
    (night / "folder.fits").mkdir()
    os.mkfifo(night / "pipe.fits")
    (night / ".hidden.fits.AbCdEf").write_bytes(b"half")
    report = send(source, tmp_path / "far")
    failed = {f.path.rsplit("/", 1)[1]: f.reason for f in report.files if f.outcome.value == "failed"}
    assert failed == {
        "nowhere.fits": "It cannot be read at the source: No such file or directory.",
        "pipe.fits": "It cannot be read at the source: it is no regular file.",
    }
    copy = tmp_path / "far" / "20261120" / "link.fits"
    assert copy.read_bytes() == b"linked content"
    assert not copy.is_symlink()
    assert not report.complete
    assert "2 files did not arrive" in str(report.error)


@pytest.mark.parametrize("file", ["../other.fits", "/etc/passwd", "a/../../x.fits", "", "a\0b"])
def test_files_outside_of_the_source_are_refused(source, tmp_path, file):
    with pytest.raises(InputError, match="does not lie in"):
        send(source, tmp_path / "far", [file])
    assert not (tmp_path / "far").exists()


@pytest.mark.parametrize(
    "told",
    [
        "", "rsync://host", "rsync://host/", "rsync://user:pw@host/m/x", "rsync://host:0/m", "rsync://host/m/../x",
        "rsync://host/m/*", "rsync://-oProxy/m", "ftp://host/x", "host::module/x", "host:", "-oProxyCommand=x:/y",
        "host:/a b\n", "host:$(id)", "host:~root/x", "a@-b:/x",
    ],
)  # fmt: skip
def test_destinations_that_could_be_misread_are_refused(source, told):
    with pytest.raises(InputError):
        RsyncTransfer(source, told)


def test_sources_that_are_none_are_refused(source, tmp_path):
    with pytest.raises(InputError, match="no folder"):
        RsyncTransfer(tmp_path / "absent", tmp_path / "far")
    with pytest.raises(InputError, match="lies in the source"):
        RsyncTransfer(source, source / "copy")
    with pytest.raises(InputError, match="cannot be limited"):
        RsyncTransfer(source, tmp_path / "far", limit=Rate(10.0))
    assert send(source, tmp_path / "far", []).files == ()


def test_a_cut_line_is_gone_on_from_and_nothing_shows_half(source, rsync_daemon, cutting_line):
    big = source / "big.fits"
    big.write_bytes(random.Random(9).randbytes(4_000_000))
    halves = []

    def look():
        halves.extend(
            p for p in rsync_daemon.data.rglob("*.fits") if p.is_file() and not p.name.startswith(".")
            and sha256(p) != sha256(source / p.relative_to(rsync_daemon.data / "night"))
            and ".rsync-partial" not in str(p)
        )  # fmt: skip

    cutting_line.on_cut = look
    cutting_line.cut_after = [700_000, 1_500_000, 2_500_000]
    report = send(source, rsync_daemon.url(port=cutting_line.port))
    assert cutting_line.cuts == report.interrupted_times == 3
    assert halves == []
    assert report.complete
    assert same(source, rsync_daemon.data / "night")


def test_a_dead_line_is_told_and_the_next_call_goes_on(source, rsync_daemon, cutting_line):
    big = source / "big.fits"
    big.write_bytes(random.Random(9).randbytes(6_000_000))
    cutting_line.cut_after = [4_500_000]
    cutting_line.on_cut = lambda: setattr(cutting_line, "dead", True)
    url = rsync_daemon.url(port=cutting_line.port)
    notes = []
    report = send(source, url, attempts=2, progress=lambda p: notes.append(p.note))
    assert not report.complete
    assert report.interrupted_times == 3
    assert isinstance(report.error, UnreachableError)
    assert "connection was cut" in str(report.error)
    assert "0 of 7 files are at the destination" in report.error.changed
    assert "goes on from there" in report.error.advice
    assert any("Next attempt in" in note for note in notes)
    assert all(f.outcome.value == "failed" and "connection was cut" in f.reason for f in report.files)
    with pytest.raises(UnreachableError):
        report.raise_if_incomplete()
    cutting_line.dead = False
    again = send(source, url)
    assert again.complete
    assert same(source, rsync_daemon.data / "night")
    # What had arrived of the big file was not sent a second time.
    assert sum(f.wire_bytes for f in again.files) < 5_000_000


def test_a_line_that_goes_silent_is_given_up(source, rsync_daemon, cutting_line):
    cutting_line.silent = True
    threading.Timer(3.0, lambda: setattr(cutting_line, "silent", False)).start()
    report = send(
        source, rsync_daemon.url(port=cutting_line.port), timeout_s=1.0, ssh=SshSettings(connect_timeout_s=1)
    )
    assert report.complete
    assert report.interrupted_times >= 1


def test_what_the_other_side_refuses_is_said_in_words(source, rsync_daemon, ssh_host, monkeypatch):
    here = source / "20261120" / "f0.fits"
    ssh = {"ssh": SshSettings(ssh_host.options(known="known_words"))}
    stranger = {"ssh": SshSettings(ssh_host.options(key="stranger"))}
    (ssh_host.folder / "known_wrong").write_text(
        f"[127.0.0.1]:{ssh_host.port} {' '.join((ssh_host.folder / 'user.pub').read_text().split()[:2])}\n"
    )
    impostor = {"ssh": SshSettings(ssh_host.options(known="known_wrong"))}
    url = rsync_daemon.url
    for address, options, kind, words in [
        (url("nothing"), {}, NotFoundError, "no such module"),
        (url("closed"), {}, ForbiddenError, "read-only"),
        (url("secret", user="obsops@"), {}, AuthenticationError, "login was not accepted"),
        (f"{ssh_host.address}:x", stranger, AuthenticationError, "login was not accepted"),
        (f"{ssh_host.address}:x", impostor, AuthenticationError, "host's key is not the known one"),
        (
            f"{ssh_host.address}:/dev/null/x",
            ssh,
            (ForbiddenError, RejectedError, NotFoundError),
            "destination",
        ),
        ("no.such.host.invalid:x", {}, UnreachableError, "host is not known"),
        ("rsync://no.such.host.invalid/ldf/x", {}, UnreachableError, "host is not known"),
    ]:
        report = send(source, address, [here], **options)
        assert isinstance(report.error, kind), (address, report.error)
        assert words in str(report.error)
        assert report.error.advice
        assert outcomes(report) == {"failed": 1}
    rsync_daemon.stop()
    started_s = time.monotonic()
    report = send(source, url(), [here], retry_s=10.0)
    assert time.monotonic() - started_s < 5  # never spoken to: no use in waiting
    assert isinstance(report.error, UnreachableError)
    assert "does not answer" in str(report.error)
    monkeypatch.setenv("PATH", str(source))
    with pytest.raises(NotFoundError, match="no rsync on this computer"):
        send(source, url())


def test_a_daemons_password_comes_from_a_secret(source, rsync_daemon):
    from pydantic import SecretStr

    address = rsync_daemon.url("secret", user="obsops@")
    assert send(source, address, password=SecretStr("clear skies")).complete
    wrong = send(source, rsync_daemon.url("secret", "b", user="obsops@"), password=SecretStr("clouds"))
    assert isinstance(wrong.error, AuthenticationError)
    assert "clouds" not in str(wrong.error)


def kill_rsync(parent, kind=signal.SIGKILL):
    """Kill the sending rsync of a process."""
    found = subprocess.run(
        ["pgrep", "-P", str(parent), "-f", "rsync.*files-from"], capture_output=True, text=True, check=False
    )
    for pid in found.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), kind)


@pytest.mark.parametrize("destination", ["local", "daemon"], indirect=True)
def test_a_killed_rsync_is_started_again(source, destination):
    address, folder, options = destination
    kills = []

    def progress(told):
        if len(kills) < 2 and told.bytes_done > 300_000 + (kills[-1] if kills else 0):
            kills.append(told.bytes_done)
            kill_rsync(os.getpid())

    report = send(source, address, progress=progress, limit=Rate.parse("2 MB/s"), **options)
    assert len(kills) == 2
    assert report.interrupted_times >= 1
    assert report.complete
    assert same(source, folder)


PROGRAM = """
import sys
from pathlib import Path
from lsst_commtools.ingest import Rate, RsyncTransfer
transfer = RsyncTransfer(sys.argv[1], sys.argv[2], limit=Rate.parse("2 MB/s"), journal=Path(sys.argv[3]))
print("ready", flush=True)
report = transfer.send(progress=lambda told: print(told.bytes_done, flush=True))
"""


@pytest.mark.parametrize("destination", ["local", "daemon"], indirect=True)
def test_a_killed_transfer_loses_nothing(source, destination, tmp_path):
    address, folder, _ = destination
    journal = tmp_path / "journal.jsonl"
    for k in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, source, str(address), journal], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        while int(process.stdout.readline() or 10**9) < 300_000 * (2 * k + 1):
            pass
        process.kill()
        process.wait()
        process.stdout.close()
        for copy in folder.rglob("*.fits"):
            if ".rsync-partial" not in str(copy):
                assert sha256(copy) == sha256(source / copy.relative_to(folder))
    report = send(source, address, journal=journal)
    assert report.complete
    assert same(source, folder)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("destination", ["local", "daemon"], indirect=True)
def test_twenty_kills_of_anything_lose_nothing(source, destination, tmp_path, seed):
    """The transfer or one of its rsyncs is killed at any time; nothing half-sent ever shows."""
    address, folder, _ = destination
    chance = random.Random(seed)
    (source / "big.fits").write_bytes(chance.randbytes(5_000_000))
    journal = tmp_path / "journal.jsonl"
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, source, str(address), journal], stdout=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.2, 1.5))
        if chance.random() < 0.5:
            kill_rsync(process.pid, chance.choice([signal.SIGKILL, signal.SIGTERM]))
            time.sleep(chance.uniform(0.0, 0.5))
        process.kill()
        process.wait()
        for copy in folder.rglob("*.fits"):
            if ".rsync-partial" not in str(copy):
                assert sha256(copy) == sha256(source / copy.relative_to(folder))
        (folder / "20261120" / f"f{chance.randrange(6)}.fits").unlink(missing_ok=True)
    assert send(source, address, journal=journal).complete
    assert same(source, folder)


def test_it_stops_when_asked_and_when_interrupted(source, tmp_path):
    slow = Rate.parse("500 kB/s")
    seen = []
    report = send(source, tmp_path / "far", limit=slow, progress=seen.append, stop=lambda: len(seen) > 3)
    assert report.stopped
    assert not report.complete
    assert "stopped" in report.files[-1].reason

    def interrupt(told):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(source, tmp_path / "far", limit=slow, progress=interrupt)
    found = subprocess.run(["pgrep", "-P", str(os.getpid()), "-x", "rsync"], capture_output=True, check=False)
    assert found.stdout == b""
    assert send(source, tmp_path / "far").complete
    assert same(source, tmp_path / "far")


def test_two_operators_at_once(source, tmp_path):
    slow = Rate.parse("1 MB/s")
    refused = []

    def second(told):
        if not refused:
            with pytest.raises(LeaseError, match="under way") as caught:
                send(source, tmp_path / "far")
            refused.append(caught.value)
            # From another account or host there is no common lock.
            other = send(source, tmp_path / "far", journal=tmp_path / "other.jsonl")
            assert other.complete

    report = send(source, tmp_path / "far", limit=slow, progress=second)
    assert refused
    assert report.complete
    assert same(source, tmp_path / "far")


def test_a_long_haul_is_slower_than_expected(source, rsync_daemon):
    report = send(source, rsync_daemon.url(), limit=Rate.parse("1 MB/s"), expected=Rate.parse("40 MB/s"))
    assert report.complete
    assert report.below_expected is True
    assert 0.3e6 < report.rate.bytes_per_s < 1.5e6
    document = report.to_dict()
    assert document["expected_bytes_per_s"] == 40e6
    assert document["rate_bytes_per_s"] == report.rate.bytes_per_s
    quick = send(source, rsync_daemon.url(folder="b"), expected=Rate.parse("1 kb/s"))
    assert quick.below_expected is False
    assert send(source, rsync_daemon.url(folder="b"), expected=Rate.parse("1 kb/s")).below_expected is None


def test_a_source_that_changes_on_the_way_is_sent_again(source, tmp_path):
    victim = source / "20261120" / "f5.fits"
    changes = []

    def change(told):
        if told.files_done > 2 and not changes:
            changes.append(1)
            victim.write_bytes(random.Random(77).randbytes(310_000))

    report = send(source, tmp_path / "far", limit=Rate.parse("4 MB/s"), progress=change)
    assert changes
    assert report.complete
    assert report.files[-1].sha256 == sha256(victim)
    assert same(source, tmp_path / "far")


def test_files_that_are_still_written_wait_for_the_next_call(source, tmp_path):
    time.sleep(0.6)
    fresh = source / "fresh.fits"
    fresh.write_bytes(b"half")
    report = send(source, tmp_path / "far", settle_s=0.5)
    assert report.waiting == ("fresh.fits",)
    assert outcomes(report) == {"sent": 6}
    assert not report.complete


def test_a_cut_journal_and_a_lost_one_cost_nothing_but_time(source, tmp_path):
    journal = tmp_path / "journal.jsonl"
    send(source, tmp_path / "far", journal=journal)
    journal.write_text(journal.read_text()[:-40] + "\n[]\n{}\nnull\n")
    assert outcomes(send(source, tmp_path / "far", journal=journal)) == {"already-there": 6}
    journal.unlink()
    report = send(source, tmp_path / "far", journal=journal)
    assert outcomes(report) == {"already-there": 6}
    assert {f.verified.value for f in report.files} == {"sha256"}


def test_what_killed_receivers_left_is_cleared_when_it_is_old(source, tmp_path):
    far = tmp_path / "far" / "20261120"
    far.mkdir(parents=True)
    old, new, others = (far / n for n in (".f0.fits.AbCdEf", ".f1.fits.AbCdEf", ".notes.txt.AbCdEf"))
    for path in (old, new, others):
        path.write_bytes(b"half")
        if path is not new:
            os.utime(path, (0, 0))
    assert send(source, tmp_path / "far").complete
    assert [path.exists() for path in (old, new, others)] == [False, True, True]


def test_one_file_that_cannot_be_placed_does_not_stop_the_others(source, tmp_path, monkeypatch):
    monkeypatch.setattr("lsst_commtools.ingest.rsync_job.BATCH_FILES", 2)
    (tmp_path / "far" / "20261120" / "f0.fits" / "in_the_way").mkdir(parents=True)
    report = send(source, tmp_path / "far")
    assert outcomes(report) == {"sent": 5, "failed": 1}
    assert "f0.fits" in report.files[0].reason
    assert report.error is not None


def test_a_full_disk_is_told_and_gone_on_from(source, tmp_path):
    """A real small disk, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("a small disk cannot be mounted here")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        report = send(source, disk / "night")
        assert isinstance(report.error, RejectedError)
        assert "disk is full" in str(report.error)
        assert "Make room" in report.error.advice
        assert 0 < outcomes(report)["sent"] < 6
        for file in report.files:
            copy = disk / "night" / file.path
            assert copy.is_file() == (file.outcome.value == "sent")
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        assert send(source, disk / "night").complete
        assert same(source, disk / "night")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_limit_of_file_sizes_is_told(source, tmp_path):
    """The variant of the full disk that needs no rights: no file there may grow beyond a limit."""
    big = source / "20261120" / "zbig.fits"  # the last one in rsync's order
    big.write_bytes(random.Random(9).randbytes(3_000_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        report = send(source, tmp_path / "far")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(report.error, RejectedError)
    assert "no file of that size" in str(report.error)
    assert outcomes(report) == {"failed": 1, "sent": 6}
    assert not (tmp_path / "far" / "20261120" / "zbig.fits").exists()
    assert send(source, tmp_path / "far").complete
    assert same(source, tmp_path / "far")
