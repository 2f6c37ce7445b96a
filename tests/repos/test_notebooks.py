"""The notebooks of this room, run by plain papermill on site local."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from lsst_commtools.repos import count_images, resolve_chain
from lsst_commtools.simulate.teststand import make_teststand

NOTEBOOKS = Path(__file__).parents[2] / "notebooks/repos"


@pytest.fixture
def papermill_run(tmp_path, monkeypatch):
    import warnings

    import papermill

    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(NOTEBOOKS.parents[1]), os.environ.get("PYTHONPATH", "")])
    )
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))

    def call(name, **parameters):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # papermill's and Jupyter's own
            document = papermill.execute_notebook(
                NOTEBOOKS / f"{name}.ipynb",
                tmp_path / "out.ipynb",
                parameters,
                progress_bar=False,
                cwd=tmp_path,
            )
        return json.dumps(document.cells)

    return call


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path):
    document = json.loads(path.read_text())
    assert "**How to stop.**" in "".join(document["cells"][0]["source"])
    assert document["cells"][1]["metadata"]["tags"] == ["parameters"]
    for line in document["cells"][1]["source"]:
        assert ": " in line.split("=")[0]
        assert "#" in line
    assert all(not cell.get("outputs") for cell in document["cells"])


def test_find_images(papermill_run):
    assert "found: It is in 1 repository" in papermill_run("find_images")


@pytest.mark.slow
def test_find_images_fails_where_there_is_none(papermill_run, tmp_path):
    stand = make_teststand(tmp_path / "stand")
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError, match="The image is found"):
        papermill_run("find_images", image="AT_O_20190529_000099", root=str(stand.root))


def test_ingest_audit(papermill_run):
    assert re.search(r"in_order +8\b", papermill_run("ingest_audit"))


@pytest.mark.slow
def test_ingest_audit_fails_on_problems_that_are_not_accepted(papermill_run, tmp_path):
    stand = make_teststand(tmp_path / "stand")
    (stand.archiver / "storage/2019-05-29/AT_O_20190529_000001.fits").unlink()
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError, match="Nothing is out of order"):
        papermill_run("ingest_audit", root=str(stand.root))
    papermill_run("ingest_audit", root=str(stand.root), accept="row-without-file")


def test_switch_parent(papermill_run):
    assert "4 images appear, 0 vanish" in papermill_run("switch_parent")


@pytest.mark.slow
def test_switch_parent_through_its_stages(papermill_run, tmp_path):
    stand = make_teststand(tmp_path / "stand", linked_to="temporary")
    root = str(stand.root)
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError, match="auxTel"):
        papermill_run("switch_parent", root=root, stage="delete")
    assert stand.temporary.exists()
    text = papermill_run("switch_parent", root=root)
    assert "4 images appear, 0 vanish" in text
    assert "kept" in text
    assert resolve_chain(stand.shared).roots[1] == str(stand.archiver / "gen2repo")
    with pytest.raises(PapermillExecutionError, match="Nothing new arrives"):
        papermill_run("switch_parent", root=root, stage="halt")
    papermill_run("switch_parent", root=root, stage="halt", quiet_hours=0.0)
    papermill_run("switch_parent", root=root, stage="delete")
    assert not stand.temporary.exists()
    assert count_images(stand.shared) == 8


@pytest.mark.slow
def test_switch_parent_refuses_loss(papermill_run, tmp_path):
    stand = make_teststand(tmp_path / "stand")
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError, match="Nothing vanishes"):
        papermill_run("switch_parent", root=str(stand.root), to=str(stand.temporary / "gen2repo"))
    assert count_images(stand.shared) == 8
