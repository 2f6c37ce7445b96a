"""Warm kernels for tests: one home, one private folder and one kernelspec with few imports for the whole session."""

from __future__ import annotations

import json
import os
import sys
import textwrap

import nbformat
import pytest

from lsst_commtools.procedure.warm.key import ZygoteKey
from lsst_commtools.procedure.warm.start import stop_zygote

MODULE = """
import random
import numpy as np
LEGACY = np.random.RandomState(5)
MODERN = np.random.default_rng(5)
PLAIN = random.Random(5)
ANSWER = 41
"""
PRELOAD = ["numpy", "warm_example", "not_there_at_all"]


@pytest.fixture(scope="session")
def warm_folders(tmp_path_factory):
    """Folders that all kernels of this session share."""
    root = tmp_path_factory.mktemp("w")
    for name in ("home", "run", "lib"):
        (root / name).mkdir(mode=0o700)
    (root / "lib/warm_example.py").write_text(MODULE)
    return root


@pytest.fixture
def warm(warm_folders, empty_home, monkeypatch, add_kernel):
    """Set the environment that a zygote is kept for."""
    monkeypatch.setenv("HOME", str(warm_folders / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(warm_folders / "run"))
    monkeypatch.setenv("JUPYTER_PATH", str(warm_folders / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", str(warm_folders / "lib"))
    add_kernel("warm-test", PRELOAD)
    return warm_folders


@pytest.fixture
def add_kernel(warm_folders):
    """Write a kernelspec; the zygotes of all of them are ended after the test session."""

    def add(name, preload, idle_s=120.0):
        folder = warm_folders / "jupyter/kernels" / name
        folder.mkdir(parents=True, exist_ok=True)
        spec = {
            "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
            "metadata": {
                "kernel_provisioner": {
                    "provisioner_name": "commtools-warm",
                    "config": {"preload": preload, "idle_s": idle_s},
                }
            },
        }
        (folder / "kernel.json").write_text(json.dumps(spec))
        return name

    return add


@pytest.fixture(scope="session", autouse=True)
def no_zygotes_left(warm_folders):
    """End what was started."""
    yield
    import socket

    from lsst_commtools.procedure.warm.wire import PeerGoneError, receive, send

    for address in (warm_folders / "run").glob("*/*.socket"):
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(address))
                send(connection, {"do": "stop"})
                receive(connection)
            except (OSError, PeerGoneError):
                continue


@pytest.fixture
def warm_key(warm):
    """Give the key of the zygote for a list of imports, and end it after the test."""
    keys = []

    def key(preload, environment=None):
        keys.append(ZygoteKey.of(sys.executable, preload, environment or os.environ))
        return keys[-1]

    yield key
    for one in keys:
        stop_zygote(one)


@pytest.fixture
def run_cells(tmp_path):
    """Run cells with papermill by the name of a kernel; give the texts that they print."""

    def run(*sources, kernel="warm-test"):
        import papermill

        nb = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": kernel, "display_name": kernel}})
        nb.metadata.kernelspec.language = "python"
        nb.cells = [nbformat.v4.new_code_cell(textwrap.dedent(source)) for source in sources]
        path = tmp_path / "nb.ipynb"
        nbformat.write(nb, path)
        done = papermill.execute_notebook(path, tmp_path / "out.ipynb", progress_bar=False)
        return ["".join(o.get("text", "") for o in cell.outputs) for cell in done.cells]

    return run


@pytest.fixture
def start_warm(warm):
    """Start a kernel with jupyter_client; give its manager, its client and its provisioner."""
    from jupyter_client.manager import KernelManager

    started = []

    def start(kernel="warm-test"):
        manager = KernelManager(kernel_name=kernel)
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        started.append((manager, client))
        return manager, client

    yield start
    for manager, client in started:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.context.destroy(linger=0) if manager.context is not None else None
