"""Notebooks tried on images, and the matrix of the outcomes."""

from __future__ import annotations

import sys
import time

import nbformat
import pytest

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.images import CompatMatrix, CompatResult, run_matrix
from lsst_commtools.images.compat import find_notebooks, judge_use
from lsst_commtools.site.images import CompatSection, SmokeLevel

# A stand-in for papermill: a notebook that says "fail" fails on images of cycle 43.
RUNNER = """
import pathlib, sys, time
image, notebook, output = sys.argv[1:]
text = pathlib.Path(notebook).read_text()
print("running", image)
if "sleep" in text:
    time.sleep(60)
pathlib.Path(output).write_text(text)
if "fail" in text and "c0043" in image:
    sys.exit("NameError: nothing of that name")
"""
OLD, NEW = "w_2026_18_c0043.006", "w_2026_22_c0044.006"


@pytest.fixture
def suite(tmp_path):
    """A folder of notebooks and the section that runs them."""
    for name, text in (("csc/states", "good"), ("qa/night_qa", "fail"), ("qa/.ipynb_checkpoints/old", "x")):
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "run.py").write_text(RUNNER)
    command = (sys.executable, str(tmp_path / "run.py"), "{image}", "{notebook}", "{output}")
    return tmp_path / "notebooks", CompatSection(command=command)


def test_the_matrix(suite, tmp_path):
    folder, section = suite
    path = tmp_path / "kept" / "matrix.jsonl"
    notebooks = find_notebooks(folder)
    assert list(notebooks) == ["csc/states", "qa/night_qa"]
    cells = run_matrix([OLD, NEW], notebooks, section, CompatMatrix(path))
    assert [(c.image, c.notebook, c.result.value) for c in cells] == [
        (OLD, "csc/states", "passed"),
        (OLD, "qa/night_qa", "failed"),
        (NEW, "csc/states", "passed"),
        (NEW, "qa/night_qa", "passed"),
    ]
    assert cells[1].reason == "NameError: nothing of that name"
    kept = CompatMatrix(path)
    assert kept.cells == cells
    assert kept.cell(OLD, "never").result is CompatResult.NOT_TESTED
    assert kept.cell(OLD, "csc/states", "another hash").result is CompatResult.NOT_TESTED


def test_what_could_not_be_started_was_not_tested(suite):
    folder, section = suite
    notebooks = find_notebooks(folder, ["csc/*"])
    matrix = CompatMatrix()
    [cell] = run_matrix(
        [NEW], notebooks, section.model_copy(update={"command": ("/nowhere/python",)}), matrix
    )
    assert (cell.result, cell.reason) == (
        CompatResult.NOT_TESTED, "/nowhere/python could not be started: No such file or directory."
    )  # fmt: skip
    [cell] = run_matrix([NEW], notebooks, CompatSection(), matrix)
    assert cell.result is CompatResult.NOT_TESTED
    assert "no environment" in cell.reason


def test_an_image_is_a_virtual_environment_on_local(suite, tmp_path):
    folder, section = suite
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
    command = ("{environment}/bin/python", *section.command[1:])
    section = CompatSection(command=command, environments={NEW: str(tmp_path / "venv")})
    cells = run_matrix([NEW, OLD], find_notebooks(folder, ["csc/*"]), section, CompatMatrix())
    assert [cell.result.value for cell in cells] == ["passed", "not-tested"]


def test_papermill_in_a_virtual_environment(tmp_path):
    for name, source in (("good", "1 + 1"), ("bad", "nothing_of_that_name")):
        cells = [nbformat.v4.new_code_cell(source)]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / f"{name}.ipynb")
    section = CompatSection(environments={NEW: sys.prefix})
    cells = run_matrix([NEW], find_notebooks(tmp_path), section, CompatMatrix())
    assert [(c.notebook, c.result.value) for c in cells] == [("bad", "failed"), ("good", "passed")]
    assert "nothing_of_that_name" in cells[0].reason


def test_not_being_tested_does_not_take_away_what_is_known(suite):
    folder, section = suite
    matrix = CompatMatrix()
    notebooks = find_notebooks(folder, ["csc/*"])
    run_matrix([NEW], notebooks, section, matrix)
    run_matrix([NEW], notebooks, CompatSection(), matrix)
    assert matrix.cell(NEW, "csc/states").result is CompatResult.PASSED


def test_a_notebook_that_hangs_is_ended(suite):
    folder, section = suite
    (folder / "csc" / "states.ipynb").write_text("sleep")
    section = section.model_copy(update={"timeout_s": 0.5})
    begun = time.monotonic()
    [cell] = run_matrix([NEW], find_notebooks(folder, ["csc/*"]), section, CompatMatrix())
    assert time.monotonic() - begun < 10
    assert (cell.result, cell.reason) == (CompatResult.FAILED, "It took more than 0.5 s.")


def test_smoke_levels_of_the_uses(suite):
    folder, section = suite
    matrix = CompatMatrix()
    notebooks = find_notebooks(folder)
    assert judge_use(SmokeLevel(within_hours=1), OLD, notebooks, matrix) is CompatResult.NOT_TESTED
    run_matrix([OLD], notebooks, section, matrix)
    assert judge_use(SmokeLevel(within_hours=1), OLD, notebooks, matrix) is CompatResult.FAILED
    assert (
        judge_use(SmokeLevel(within_hours=1, notebooks=("csc/*",)), OLD, notebooks, matrix)
        is CompatResult.PASSED
    )
    assert (
        judge_use(SmokeLevel(within_hours=1, notebooks=("x/*",)), OLD, notebooks, matrix)
        is CompatResult.NOT_TESTED
    )
    levels = CompatSection().smoke_levels
    assert set(levels) == {"jupyterlab", "commissioning", "batch"}
    assert levels["jupyterlab"].may_be_untested
    assert not levels["batch"].may_be_untested
    assert (
        levels["jupyterlab"].within_hours
        < levels["commissioning"].within_hours
        < levels["batch"].within_hours
    )


def test_a_matrix_that_cannot_be_read(tmp_path):
    path = tmp_path / "matrix.jsonl"
    path.write_text('{"image": "x"}\n')
    with pytest.raises(TableError):
        CompatMatrix(path)
    with pytest.raises(NotFoundError):
        find_notebooks(tmp_path)
