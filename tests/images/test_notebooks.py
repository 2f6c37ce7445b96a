"""The notebooks of images and releases, as papermill runs them on this computer."""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = [
    "images/choose_image",
    "images/check_images",
    "images/compat_matrix",
    "releases/milestone_readiness",
]


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Runs a notebook; gives the text of its outputs."""
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))

    def run(name, **parameters):
        notebook = papermill.execute_notebook(
            NOTEBOOKS / f"{name}.ipynb",
            tmp_path / "out.ipynb",
            parameters,
            progress_bar=False,
            kernel_name="python3",
        )
        return "\n".join(
            str(output.get("text") or output.get("data", {}).get("text/plain", ""))
            for cell in notebook.cells
            for output in cell.get("outputs", ())
        )

    return run


@pytest.mark.parametrize("name", NAMES)
def test_form(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    first, second = notebook.cells[:2]
    assert first.cell_type == "markdown"
    for word in ("Purpose", "Who runs it", "What it changes", "How to stop"):
        assert f"**{word}.**" in first.source
    assert second.metadata.tags == ["parameters"]
    assert all("#" in line and ":" in line.split("=")[0] for line in second.source.split("\n"))
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client
def test_choose_image(execute, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("cycle: 44\nrecommendedTag: recommended_c0044\n")
    shown = execute("images/choose_image", policy=str(policy))
    assert "Recommended (Weekly 2026_22, SAL Cycle 0044" in shown
    assert "Its cycle 43 is not the allowed 44." in shown
    assert "not-tested" in shown


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client
def test_check_images(execute, tmp_path):
    assert "Nothing was found at local." in execute("images/check_images")
    policy, previous = tmp_path / "policy.yaml", tmp_path / "previous.yaml"
    policy.write_text("cycle: 43\nrecommendedTag: recommended_c0043\n")
    previous.write_text("cycle: 44\nrecommendedTag: recommended_c0044\n")
    with pytest.raises(papermill.PapermillExecutionError, match="goes back from cycle 44 to cycle 43"):
        execute("images/check_images", policy=str(policy), previous=str(previous))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client
def test_compat_matrix(execute, tmp_path):
    (tmp_path / "suite").mkdir()
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "suite" / "a.ipynb")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "venv" / "bin" / "python").chmod(0o755)
    shown = execute(
        "images/compat_matrix", images="w_2026_22,w_2026_23", environments=f"w_2026_22={tmp_path / 'venv'}",
        folder=str(tmp_path / "suite"),
    )  # fmt: skip
    assert "passed" in shown
    assert "There is no environment" in shown
    assert "not-tested" in execute("images/compat_matrix", folder=str(tmp_path / "suite"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client
def test_milestone_readiness(execute):
    shown = execute("releases/milestone_readiness", today="2018-12-01")
    assert "- LDM-503-9: not-tested, 0 of 21 features verified (1 days late by the table" in shown
