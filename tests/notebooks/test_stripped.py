"""Notebooks as they lie in git: no outputs, no counts, no paths of a machine, the cells of a procedure."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(p for p in FOLDER.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def tags(cell):
    return cell["metadata"].get("tags", [])


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.relative_to(FOLDER).as_posix())
def test_carries_nothing_of_a_run(path):
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
        source = "".join(cell["source"])
        assert not re.search(r"['\"](/(home|root|tmp|work)/|[A-Z]:\\\\)", source), source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.relative_to(FOLDER).as_posix())
def test_begins_as_a_procedure(path):
    notebook = read(path)
    first, *rest = notebook["cells"]
    text = "".join(first["source"])
    assert first["cell_type"] == "markdown"
    assert text.startswith("# ")
    for word in ("Purpose", "Who", "What it changes", "How to stop"):
        assert word.lower() in text.lower(), word
    parameters = [cell for cell in notebook["cells"] if "parameters" in tags(cell)]
    if parameters:
        assert parameters == [rest[0]]
        for line in "".join(rest[0]["source"]).splitlines():
            if re.match(r"\w+\s*[:=]", line):
                assert re.match(r"\w+: [^=]+ = .+  # \S", line), f"no type or no comment: {line}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.relative_to(FOLDER).as_posix())
def test_cells_have_ids_and_code_compiles(path):
    ids = [cell.get("id") for cell in read(path)["cells"]]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), path.name, "exec")
