"""The binder: what repo2docker makes of it, what its environment asks for, and what happens when a session begins."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory):
    """What repo2docker would build, of a copy of what is in git."""
    pytest.importorskip("repo2docker", reason="repo2docker is not installed")
    copy = tmp_path_factory.mktemp("copy")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "binder"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [str(BIN / "jupyter-repo2docker"), "--no-build", "--debug", str(copy)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout + run.stderr


def test_repo2docker_takes_all_four_files(dockerfile):
    assert "FROM docker.io/library/buildpack-deps" in dockerfile
    assert "python=3.12" in dockerfile
    assert '--file "binder/environment.yml"' in dockerfile
    assert "rsync" in dockerfile
    assert "RUN ./binder/postBuild" in dockerfile
    assert 'R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in dockerfile


def test_the_repository_is_there_before_it_is_installed(dockerfile):
    assert dockerfile.index("COPY --chown=0:0 src/ ${REPO_DIR}/") < dockerfile.index("env update -p")


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_scripts_can_be_run(name):
    script = BINDER / name
    assert script.stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", script], check=True)


def pip_part():
    environment = yaml.safe_load((BINDER / "environment.yml").read_text())
    return next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))


def test_paths_of_the_environment_lead_to_the_repository():
    """Pip runs in the folder of the file."""
    constraints, package = pip_part()
    assert (BINDER / constraints.removeprefix("-c ")).resolve() == ROOT / "constraints.txt"
    assert (BINDER / package.removeprefix("-e ").partition("[")[0]).resolve() == ROOT


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_environment_can_be_resolved(tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("\n".join(pip_part()).replace("..", str(ROOT)))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--ignore-installed",
        "--quiet",
        "-r",
        requirements,
    ]
    run = subprocess.run(command, cwd=BINDER, capture_output=True, text=True, timeout=900, check=False)
    if run.returncode and "NewConnectionError" in run.stderr:
        pytest.skip("no package index can be reached")
    assert run.returncode == 0, run.stderr[-3000:]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_page(port, process):
    """Ask the server where it sends somebody who comes, as soon as it answers."""
    for _ in range(300):
        assert process.poll() is None, process.stderr.read()
        try:
            answer = requests.get(f"http://127.0.0.1:{port}/?token=open", allow_redirects=False, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.2)
        else:
            return answer.headers["Location"]
    raise AssertionError("JupyterLab does not answer")


def test_a_session_opens_on_the_start_page_with_an_observatory(empty_home, tmp_path):
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    port = free_port()
    places = {f"JUPYTER_{n}_DIR": str(tmp_path / n) for n in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, **places, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    lab = [
        "jupyter",
        "lab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--IdentityProvider.token=open",
    ]
    errors = (tmp_path / "errors").open("w+")
    process = subprocess.Popen(
        [BINDER / "start", *lab],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        text=True,
    )
    process.stderr = errors
    try:
        assert first_page(port, process).partition("?")[0] == "/lab/tree/notebooks/index.ipynb"
        status = [BIN / "commtools", "--format", "json", "sim", "status"]
        run = subprocess.run(status, env=environment, capture_output=True, text=True, check=True)
        assert json.loads(run.stdout)["running"]
    finally:
        process.terminate()
        process.wait(30)
        errors.close()
        subprocess.run([BIN / "commtools", "sim", "down"], env=environment, capture_output=True, check=False)
