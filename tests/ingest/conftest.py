"""A small simulated night, repositories to ingest it into, and servers that files are sent to."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from astropy.io import fits

pytest.importorskip("lsst.daf.butler", reason="needs the extra butler")

from lsst_commtools.ingest import Ingester, create_repository
from lsst_commtools.simulate import simulate_night


@pytest.fixture(scope="session")
def small_night(tmp_path_factory):
    """A bias, a flat and two visits of four detectors, without faults; not to be changed."""
    return simulate_night(
        tmp_path_factory.mktemp("night"),
        visits=2,
        biases=1,
        flats=1,
        size=(256, 256),
        detectors=[0, 1, 4, 8],
        processes=1,
    )


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory):
    """A repository that nobody writes to: made once, copied for each test."""
    return create_repository(tmp_path_factory.mktemp("repository") / "repo")


@pytest.fixture
def repository(empty_repository, tmp_path):
    """A repository of the test's own."""
    folder = tmp_path / "work" / "repo"
    shutil.copytree(empty_repository, folder)
    return folder


@pytest.fixture
def raw_folder(small_night, tmp_path):
    """The night's raw files, to be changed at will."""
    folder = tmp_path / "raw"
    shutil.copytree(small_night.raw, folder)
    return folder


@pytest.fixture
def ingest(repository):
    """Ingest files of ComCam into the test's repository."""

    def call(*paths, **options):
        only = options.pop("only_day_obs", None)
        return Ingester(repository, "LSSTComCam", **options).ingest(paths, only_day_obs=only)

    return call


@pytest.fixture
def rewrite():
    """Write a raw file again with other cards or pixels."""

    def call(source, target, *, add_adu=0, **cards):
        with fits.open(source) as units:
            for key, value in cards.items():
                units[0].header[key] = value
            for unit in units[1:] if add_adu else ():
                unit.data = unit.data + add_adu
            target.parent.mkdir(parents=True, exist_ok=True)
            units.writeto(target, checksum=True, overwrite=True)
        return target

    return call


class RsyncDaemon:
    """A daemon with the module ``ldf`` for all, ``closed`` (read-only) and ``secret`` (user obsops)."""

    def __init__(self, folder, *, prefix=()):
        self.folder = folder
        self.data = folder / "ldf"
        self._prefix = prefix
        self.port = free_port()
        self.process = None
        self.data.mkdir(parents=True)
        secrets = folder / "secrets"
        secrets.write_text("obsops:clear skies\n")
        secrets.chmod(0o600)
        owner = "uid = 0\ngid = 0\n" if os.geteuid() == 0 else ""
        (folder / "rsyncd.conf").write_text(
            f"port = {self.port}\naddress = 127.0.0.1\nuse chroot = no\nlog file = {folder}/log\n{owner}"
            f"[ldf]\npath = {self.data}\nread only = no\n"
            f"[closed]\npath = {self.data}\n"
            f"[secret]\npath = {self.data}\nread only = no\nauth users = obsops\nsecrets file = {secrets}\n"
        )

    def start(self):
        self.process = subprocess.Popen(
            [*self._prefix, "rsync", "--daemon", "--no-detach", f"--config={self.folder / 'rsyncd.conf'}"],
            stdin=subprocess.DEVNULL,
        )
        wait_for_port(self.port)
        return self

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
        self.process = None

    def url(self, module="ldf", folder="night", *, port=None, user=""):
        return f"rsync://{user}127.0.0.1:{port or self.port}/{module}/{folder}"


class CuttingLine:
    """A line to a port that can be cut, dead or silent."""

    def __init__(self, target):
        self._target = target
        self.cut_after = []
        self.dead = self.silent = False
        self.on_cut = lambda: None
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    def _listen(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.dead:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            left = [self.cut_after.pop(0)] if self.cut_after else [None]
            for source, sink, budget in ((client, server, left), (server, client, [None])):
                thread = threading.Thread(target=self._carry, args=(source, sink, budget), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _carry(self, source, sink, left):
        with contextlib.suppress(OSError):
            while block := source.recv(16384):
                while self.silent:
                    time.sleep(0.01)
                if left[0] is not None:
                    left[0] -= len(block)
                    if left[0] <= 0:
                        self.cuts += 1
                        self.on_cut()
                        break
                sink.sendall(block)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self):
        self.silent = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port):
    ends_s = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < ends_s
            time.sleep(0.02)
        else:
            return


@pytest.fixture
def rsync_daemon(tmp_path):
    """A real rsync daemon on loopback."""
    if shutil.which("rsync") is None:
        pytest.skip("Debian's rsync is not installed")
    daemon = RsyncDaemon(tmp_path / "daemon").start()
    yield daemon
    daemon.stop()


@pytest.fixture
def cutting_line(rsync_daemon):
    """A line to the daemon that can be cut."""
    line = CuttingLine(rsync_daemon.port)
    yield line
    line.close()


@pytest.fixture(scope="session")
def ssh_host(tmp_path_factory):
    """A real sshd on loopback: address and options of ssh for the user who runs the tests."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(sshd).is_file():
        pytest.skip("Debian's openssh-server is not installed")
    folder = tmp_path_factory.mktemp("sshd")
    for key in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/user.pub\nPasswordAuthentication no\nUsePAM no\nStrictModes no\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sshd, "-D", "-f", folder / "config", "-E", folder / "log"], stdin=subprocess.DEVNULL
    )
    wait_for_port(port)

    def options(key="user", known="known"):
        return (
            "-F", "none", "-p", str(port), "-i", str(folder / key), "-o", "IdentitiesOnly=yes",
            "-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={folder / known}",
        )  # fmt: skip

    yield SimpleNamespace(
        address=f"{pwd.getpwuid(os.getuid()).pw_name}@127.0.0.1", port=port, folder=folder, options=options
    )
    process.terminate()
    process.wait(10)
