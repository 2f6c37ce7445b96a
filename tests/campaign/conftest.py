"""Campaigns whose notebooks leave a line in a file for each time that they do something."""

from __future__ import annotations

import json
import sys
import textwrap

import nbformat
import pytest
import yaml

from lsst_commtools.procedure.campaign.model import load_campaign
from lsst_commtools.site import Site

HEAD = "from lsst_commtools import Procedure, Site\nprocedure = Procedure.here(Site.load())"
LIGHT = "campaign-light"


@pytest.fixture(scope="session")
def campaign_folders(tmp_path_factory):
    """Folders of kernels that all campaigns of this session share."""
    root = tmp_path_factory.mktemp("c")
    for name in ("home", "run"):
        (root / name).mkdir(mode=0o700)
    folder = root / "jupyter/kernels" / LIGHT
    folder.mkdir(parents=True)
    spec = {
        "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": LIGHT,
        "language": "python",
        "metadata": {
            "kernel_provisioner": {
                "provisioner_name": "commtools-warm",
                "config": {"preload": ["numpy"], "idle_s": 20.0},
            }
        },
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    return root


@pytest.fixture
def campaign_site(campaign_folders, empty_home, monkeypatch):
    """A site with short waits; kernels come from one preloaded process."""
    monkeypatch.setenv("HOME", str(campaign_folders / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(campaign_folders / "run"))
    monkeypatch.setenv("JUPYTER_PATH", str(campaign_folders / "jupyter"))
    settings = {"HTML": "false", "INTERRUPT_GRACE_S": "1", "CLOSING_TIMEOUT_S": "20", "HEARTBEAT_S": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"COMMTOOLS_PROCEDURE_{name}", value)
    return Site.load()


@pytest.fixture
def write_nb(tmp_path):
    """Write a notebook: a cell is its source, or its source and tags."""

    def make(name, *cells):
        nb = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": LIGHT, "display_name": LIGHT, "language": "python"}}
        )
        for cell in cells:
            source, *tags = (cell,) if isinstance(cell, str) else cell
            nb.cells.append(nbformat.v4.new_code_cell(textwrap.dedent(source), metadata={"tags": tags}))
        nbformat.write(nb, tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def write_campaign(tmp_path):
    """Write a campaign file and load it."""

    def make(*notebooks, **options):
        document = {"campaign": "trial", "kernel": LIGHT, "notebooks": list(notebooks), **options}
        path = tmp_path / "campaign.yaml"
        path.write_text(yaml.safe_dump(document))
        return load_campaign(path)

    return make


@pytest.fixture
def deeds(tmp_path):
    """What notebooks have done: each writes one line when it begins and one when it ends."""
    path = tmp_path / "deeds"
    path.touch()

    class Deeds:
        code = f"""
            def deed(text):
                with open({str(path)!r}, 'a') as stream:
                    stream.write(text + '\\n')
        """

        def __call__(self):
            return path.read_text().split("\n")[:-1]

    return Deeds()


@pytest.fixture(params=["local", "dask"])
def executor(request, campaign_site):
    """Each executor that runs on this machine."""
    if request.param == "local":
        from lsst_commtools.procedure.campaign.executors import LocalExecutor

        made = LocalExecutor(2)
    else:
        pytest.importorskip("distributed")
        from lsst_commtools.procedure.campaign.dask import DaskExecutor

        made = DaskExecutor(workers=2)
    yield made
    made.close()


@pytest.fixture
def python():
    return sys.executable
