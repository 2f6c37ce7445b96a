"""A real bench: podman's Docker-compatible socket, and an image of busybox and git that needs no registry."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

IMAGE = "localhost/develop-env:test"
TOOLS = (
    "sh",
    "sleep",
    "cat",
    "tr",
    "grep",
    "kill",
    "ls",
    "mkdir",
    "rm",
    "dirname",
    "tail",
    "head",
    "echo",
    "env",
)
CSC = """#!/bin/sh
echo "index $1, broker $LSST_KAFKA_BROKER_ADDR, OSPL_URI $OSPL_URI, tree $(cat version)"
trap 'echo "told to end"; exit 0' TERM
[ -f crash ] && { echo "ModuleNotFoundError: no module named lsst" >&2; exit 3; }
while :; do sleep 0.1; done
"""


def missing():
    return [name for name in ("podman", "runc", "busybox", "git") if shutil.which(name) is None]


def skip_without_podman():
    if absent := missing():
        pytest.skip(f"Debian packages are absent: {', '.join(absent)}")
    if os.geteuid() != 0:
        pytest.skip("podman with runc and cgroupfs needs root here")


def _libraries(program):
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    words = [word for line in listed.splitlines() for word in line.split()]
    return {word for word in words if word.startswith("/")}


def _git(folder, *words):
    identity = [
        "-c",
        "user.name=Tester",
        "-c",
        "user.email=t@example.org",
        "-c",
        "init.defaultBranch=develop",
    ]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def push(folder, branch, version, *, crash=False, program=True):
    """Commit a version of the CSC to a branch of the origin."""
    work = folder / "work"
    if not work.exists():
        origin = folder / "origin" / "ts_dimm.git"
        origin.mkdir(parents=True)
        _git(origin, "init", "--bare", "--quiet")
        _git(folder, "clone", "--quiet", str(origin), "work")
        (work / "version").write_text("develop")
        _git(work, "add", ".")
        _git(work, "commit", "--quiet", "-m", "begin")
        _git(work, "push", "--quiet", "origin", "HEAD:develop")
    _git(work, "checkout", "--quiet", "-B", branch)
    (work / "version").write_text(version)
    (work / "crash").unlink(missing_ok=True)
    if crash:
        (work / "crash").touch()
    path = work / "bin" / "dimm_csc.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(CSC)
    path.chmod(0o755)
    if not program:
        path.unlink()
    _git(work, "add", "--all")
    _git(work, "commit", "--quiet", "--amend", "-m", version)
    _git(work, "push", "--quiet", "--force", "origin", branch)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=work, capture_output=True, text=True, check=True
    ).stdout.strip()


def root_archive(folder):
    """Make the root of the image: busybox, git, and what they need."""
    root = folder / "root"
    for name in ("bin", "tmp", "proc", "etc", "home/saluser", "usr/bin", "usr/lib", "lib", "lib64"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
    for tool in TOOLS:
        (root / "bin" / tool).symlink_to("busybox")
    git = shutil.which("git")
    shutil.copy(git, root / "usr/bin/git")
    (root / "usr/bin/git-upload-pack").symlink_to("git")
    for library in _libraries(git):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    (root / "etc/passwd").write_text("root:x:0:0::/home/saluser:/bin/sh\n")
    (root / "etc/gitconfig").write_text("[safe]\n\tdirectory = *\n")
    archive = folder / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root, ".")
    return archive


@contextlib.contextmanager
def podman_service(folder: Path):
    """Serve podman's Docker-compatible interface on a socket; containers are removed at the end."""
    base = [
        "podman", "--root", str(folder / "storage"), "--runroot", str(folder / "run"), "--tmpdir", str(folder / "tmp"),
        "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs",
    ]  # fmt: skip
    subprocess.run([*base, "import", str(root_archive(folder)), IMAGE], check=True, capture_output=True)
    path = folder / "docker.sock"
    log = (folder / "service.log").open("wb")
    service = subprocess.Popen(
        [*base, "system", "service", "--time", "0", f"unix://{path}"], stdout=log, stderr=log
    )
    try:
        ends = time.monotonic() + 20
        while not path.exists() and time.monotonic() < ends:
            time.sleep(0.05)
        yield path
    finally:
        subprocess.run([*base, "rm", "--all", "--force", "--time", "0"], capture_output=True, check=False)
        service.terminate()
        service.wait(timeout=20)
        log.close()
        subprocess.run([*base, "umount", "--all"], capture_output=True, check=False)
