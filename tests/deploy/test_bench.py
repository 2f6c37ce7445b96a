"""The bench for real: podman behind Docker's API, git in the container, sshd on loopback."""

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import docker
import docker.errors
import pytest
from docker.types import Mount, Ulimit

from lsst_commtools.deploy import Bench
from lsst_commtools.deploy.tunnel import SshTunnel
from lsst_commtools.errors import (
    InputError,
    NotFoundError,
    RefusedError,
    RejectedError,
    SiteError,
    UnreachableError,
)
from lsst_commtools.site import Site
from lsst_commtools.site.deploy import BenchSection, DeploySection

_SPEC = importlib.util.spec_from_file_location("podman_bench", Path(__file__).with_name("podman.py"))
podman = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(podman)

debian = pytest.mark.debian
SETUP = ("export OSPL_URI=$(echo file:///ospl-shmem.xml)",)


@pytest.fixture(scope="module")
def folder():
    podman.skip_without_podman()
    # Of our own: podman refuses a runroot of more than 50 characters, and pytest's folders are longer under xdist.
    with tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def service(folder):
    with podman.podman_service(folder) as path:
        yield path


@pytest.fixture
def container(service, folder):
    """A container as an operator has made it, with the origin of the repositories in it."""
    commit = podman.push(folder, "tickets/DM-12345", "one")
    client = docker.DockerClient(base_url=f"unix://{service}", version="auto")
    made = client.containers.create(
        podman.IMAGE,
        ["sleep", "600"],
        name="develop-env",
        network_mode="none",
        ulimits=[Ulimit(name="nofile", soft=1024, hard=1024), Ulimit(name="nproc", soft=1000, hard=1000)],
        mounts=[Mount("/origin", str(folder / "origin"), type="bind", read_only=True)],
        environment={"HOME": "/home/saluser"},
    )
    made.pushed = commit
    yield made
    with contextlib.suppress(docker.errors.NotFound):
        made.remove(force=True)
    client.close()


def section(service, **given):
    values = {
        "docker": f"unix://{service}",
        "git": "/origin",
        "shell": "sh",
        "environment": {"LSST_KAFKA_BROKER_ADDR": "kafka.example.org:9092"},
        "setup": SETUP,
        "stop_timeout_s": 5.0,
        "reply_timeout_s": 30.0,
    }
    return BenchSection(**{**values, **given})


def open_bench(service, **given):
    site = Site.load("local")
    return Bench(site.model_copy(update={"deploy": DeploySection(bench=section(service, **given))}))


@pytest.fixture
def real_bench(service, container):
    with open_bench(service) as bench:
        yield bench


@debian
def test_a_csc_is_fetched_started_followed_and_stopped(real_bench, container):
    assert real_bench.containers()["develop-env"] in ("created", "initialized")
    assert real_bench.processes("DIMM:1") == []
    assert real_bench.up().did == "started"
    assert real_bench.up().did == "nothing"
    checkout = real_bench.fetch("DIMM:1", "tickets/DM-12345")
    assert checkout.commit == container.pushed
    assert real_bench.output("DIMM:1") == ("", None)
    pids = real_bench.start("DIMM:1")
    assert pids
    time.sleep(0.3)
    text, code = real_bench.output("DIMM:1")
    assert text.strip() == (
        "index 1, broker kafka.example.org:9092, OSPL_URI file:///ospl-shmem.xml, tree one"
    )
    assert code is None
    with pytest.raises(RefusedError, match="already"):
        real_bench.start("DIMM:1")
    assert real_bench.processes("DIMM:2") == []
    assert not real_bench.wait_until_gone("DIMM:1", 0.3)
    assert real_bench.stop("DIMM:2") == []
    assert real_bench.processes("DIMM:1")
    assert real_bench.stop("DIMM:1") == []
    assert real_bench.wait_until_gone("DIMM:1")
    told, _ = real_bench.output("DIMM:1", len(text.encode()))
    assert told.strip().endswith("told to end")


@debian
def test_what_was_pushed_again_is_pulled_also_after_a_rebase(real_bench, folder):
    real_bench.up()
    first = real_bench.fetch("DIMM:1", "tickets/DM-12345")
    commit = podman.push(folder, "tickets/DM-12345", "two")  # amended, and pushed by force
    second = real_bench.fetch("DIMM:1", "tickets/DM-12345")
    assert (second.repository, second.commit) == ("ts_dimm", commit)
    assert first.commit != second.commit
    real_bench.start("DIMM:1")
    time.sleep(0.3)
    assert real_bench.output("DIMM:1")[0].strip().endswith("tree two")
    real_bench.stop("DIMM:1")


@debian
def test_changes_of_somebody_in_the_container_are_not_lost(real_bench, container):
    real_bench.up()
    real_bench.fetch("DIMM:1", "tickets/DM-12345")
    container.exec_run(["sh", "-c", "echo edited >$HOME/repos/ts_dimm/version"])
    with pytest.raises(RefusedError, match="version"):
        real_bench.fetch("DIMM:1", "tickets/DM-12345")
    assert container.exec_run(["sh", "-c", "cat $HOME/repos/ts_dimm/version"]).output == b"edited\n"


@debian
def test_a_branch_that_was_not_pushed(real_bench):
    real_bench.up()
    with pytest.raises(RejectedError, match="tickets/DM-0"):
        real_bench.fetch("DIMM:1", "tickets/DM-0")


@debian
def test_a_csc_that_ends_at_once_says_why(real_bench, folder):
    real_bench.up()
    podman.push(folder, "tickets/DM-9", "broken", crash=True)
    real_bench.fetch("DIMM:1", "tickets/DM-9")
    with contextlib.suppress(RejectedError):  # it may be seen running before it ends
        real_bench.start("DIMM:1")
    assert real_bench.wait_until_gone("DIMM:1")
    text, code = real_bench.output("DIMM:1")
    assert "ModuleNotFoundError" in text
    assert code == 3
    podman.push(folder, "tickets/DM-9", "without a program", program=False)
    real_bench.fetch("DIMM:1", "tickets/DM-9")
    with pytest.raises(RejectedError, match=r"exit code 127"):
        real_bench.start("DIMM:1")


@debian
def test_somebody_else_finds_and_stops_it(real_bench, service):
    real_bench.up()
    real_bench.fetch("DIMM:1", "tickets/DM-12345")
    real_bench.start("DIMM:1")
    real_bench.close()
    with open_bench(service) as another:
        assert another.processes("DIMM:1")
        assert another.stop("DIMM:1") == []


@debian
def test_a_container_is_made_where_there_is_an_image(service):
    given = {"container": "made-env", "network": "none", "limits": {"nofile": 1024, "nproc": 1000}}
    with open_bench(service, **given) as bench:
        (why,) = bench.hindrances()
        assert "docker-compose up -d made-env" in why
        with pytest.raises(RefusedError):
            bench.up()
    with open_bench(service, image=podman.IMAGE, **given) as bench:
        assert bench.hindrances() == []
        made = bench.up()
        assert (made.did, made.image) == ("made", podman.IMAGE)
        assert bench.containers()["made-env"] == "running"
    with contextlib.closing(docker.DockerClient(base_url=f"unix://{service}", version="auto")) as client:
        client.containers.get("made-env").remove(force=True)


@debian
def test_a_companion_that_does_not_run_names_whom_to_call(service, container):
    with open_bench(service, companions={"ospl-daemon": "Tiago Ribeiro"}) as bench:
        assert bench.hindrances() == ["The container ospl-daemon does not run: call Tiago Ribeiro."]
        with pytest.raises(RefusedError, match="Tiago Ribeiro"):
            bench.up()


@debian
def test_a_container_that_is_gone(real_bench, container):
    real_bench.up()
    container.remove(force=True)
    assert real_bench.processes("DIMM:1") == []
    with pytest.raises((NotFoundError, RejectedError)):
        real_bench.fetch("DIMM:1", "tickets/DM-12345")


@pytest.fixture
def sshd(tmp_path, service):
    if shutil.which("sshd") is None and not Path("/usr/sbin/sshd").is_file():
        pytest.skip("the Debian package openssh-server is absent")
    Path("/run/sshd").mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True
        )
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\n"
        f"PidFile {tmp_path}/pid\nPasswordAuthentication no\nUsePAM no\nStrictModes no\n"
    )
    server = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-f", str(config), "-E", str(tmp_path / "log")], stdin=subprocess.DEVNULL
    )
    options = ["-F", "none", "-i", str(tmp_path / "user"), "-o", "StrictHostKeyChecking=accept-new",
               "-o", f"UserKnownHostsFile={tmp_path}/known"]  # fmt: skip
    time.sleep(0.5)
    yield f"ssh://root@127.0.0.1:{port}{service}", tuple(options)
    server.terminate()
    server.wait(timeout=10)


@debian
def test_over_ssh(sshd, service, container, folder):
    url, options = sshd
    with open_bench(service, docker=url, ssh_options=options) as bench:
        bench.up()
        bench.fetch("DIMM:1", "tickets/DM-12345")
        assert bench.start("DIMM:1")
        bench.host.tunnel._process.kill()  # the connection is lost: the CSC goes on, and so does the client
        bench.host.tunnel._process.wait()
        assert bench.processes("DIMM:1")
        assert bench.stop("DIMM:1") == []


@debian
def test_ssh_that_is_refused(sshd):
    url, options = sshd
    with pytest.raises(UnreachableError, match="Permission denied"):
        SshTunnel(url.replace("root@", "nobody@"), options)


def test_hosts_that_are_none():
    with pytest.raises(SiteError, match="no host"):
        SshTunnel("ssh:///var/run/docker.sock")
    with pytest.raises(UnreachableError):
        SshTunnel("ssh://127.0.0.1:9", ("-F", "none"), timeout_s=3)


def test_hosts_without_docker():
    with open_bench("/nowhere/docker.sock") as bench, pytest.raises(UnreachableError, match=r"deploy\.bench"):
        bench.containers()
    real = Site.load("local").model_copy(update={"real": True})
    with Bench(real) as bench, pytest.raises(SiteError, match=r"deploy\.bench\.docker"):
        bench.containers()


@pytest.mark.parametrize("branch", ["-f", "", "a b", "a..b", "$(reboot)", "x\ny", "a;b"])
def test_branches_that_are_none(bench, branch):
    with pytest.raises(InputError, match="not a branch"):
        bench.fetch("DIMM:1", branch)


def test_the_simulated_bench(bench, eyes, csc_of, running):
    running.call(csc_of("DIMM:1").kill)
    assert bench.hindrances() == []
    assert bench.up().did == "nothing"
    assert bench.fetch("DIMM:1", "tickets/DM-1") != bench.fetch("DIMM:1", "tickets/DM-1")
    assert bench.fetch("DIMM:1", "develop", config=True).repository == "ts_config_ocs"
    with pytest.raises(InputError, match="ts_config"):
        bench.fetch("ATDome", "develop", config=True)
    with pytest.raises(RejectedError, match="couldn't find remote ref"):
        bench.fetch("DIMM:1", "not-pushed")
    assert bench.start("DIMM:1") == bench.processes("DIMM:1")
    assert eyes.wait_for("DIMM:1", "STANDBY", 5).alive
    assert "DIMM:1 started" in bench.output("DIMM:1")[0]
    assert bench.stop("DIMM:1") == []
    assert bench.output("DIMM:1")[1] == 143


def test_faults_of_the_simulated_bench(bench, fail):
    assert bench.containers()["develop-env"] == "running"
    fail("docker", "drop", "GET json")
    with pytest.raises(UnreachableError, match="goes on"):
        bench.containers()
    fail("docker", "http_500", "POST exec")
    with pytest.raises(RejectedError, match="simulated failure"):
        bench.processes("DIMM:1")
    fail("docker", "gone", "POST exec")
    with pytest.raises(NotFoundError):
        bench.processes("DIMM:1")
    assert bench.processes("DIMM:1") == []


def test_nothing_is_done_in_a_dry_run(bench, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_DRY_RUN", "1")
    for action in (
        lambda: bench.start("DIMM:1"),
        lambda: bench.stop("DIMM:1"),
        lambda: bench.fetch("DIMM:1", "x"),
    ):
        with pytest.raises(RefusedError, match="dry run"):
            action()
