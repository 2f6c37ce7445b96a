"""All notebooks by nbval and by our plugin, as anybody may call them: on warm kernels, in a world of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import pytest
import yaml

from lsst_commtools.testing.lab import jupyter_environment
from lsst_commtools.testing.world import World, copy_notebook

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parents[1] / "notebooks"
CASES = yaml.safe_load((HERE / "cases.yaml").read_text(encoding="utf-8"))
NAMES = sorted(
    p.relative_to(NOTEBOOKS).as_posix()
    for p in NOTEBOOKS.rglob("*.ipynb")
    if ".ipynb_checkpoints" not in p.parts
)
GOLDENS = sorted(p.relative_to(NOTEBOOKS).as_posix() for p in NOTEBOOKS.rglob("*.golden.json"))

# The first test makes a night and a rehearsal, and runs all that was chosen.
pytestmark = pytest.mark.timeout(1500)


def run_pytest(folder, environment, *options):
    """Run pytest on a folder; give what came of each of its files: how many items, and what failed."""
    report = folder.parent / f"{folder.name}.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=short",
               f"--junitxml={report}", f"--rootdir={folder}", "-c", "/dev/null", *options, str(folder)]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-3000:]
    found = {}
    for case in ET.parse(report).iter("testcase"):
        count, failures = found.setdefault(case.get("classname"), (0, []))
        bad = [child for child in case if child.tag in ("failure", "error")]
        found[case.get("classname")] = (count + 1, failures + [f"{case.get('name')}: {b.text}" for b in bad])
    return found


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """Outcome of each notebook and golden file whose test was chosen."""
    mine = [
        item for item in request.session.items if item.path == Path(__file__) and hasattr(item, "callspec")
    ]
    chosen = {item.callspec.params["name"] for item in mine}
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if base.name.startswith("popen-") else base) / "night-of-notebooks"
    world = World(tmp_path_factory.mktemp("nbval-world"), shared)
    copies = tmp_path_factory.mktemp("nbval") / "copies"
    try:
        for name in filter(chosen.__contains__, NAMES):
            case = CASES.get(name) or {}
            world.provide(*case.get("needs", ()))
            copy_notebook(NOTEBOOKS / name, copies / name, world.fill(case.get("parameters", {})))
        for name in filter(chosen.__contains__, GOLDENS):
            golden = NOTEBOOKS / name
            (copies / name).parent.mkdir(parents=True, exist_ok=True)
            notebook = json.loads(golden.read_text())["notebook"]
            if not (copies / name).with_name(notebook).exists():
                shutil.copy(golden.with_name(notebook), (copies / name).with_name(notebook))
            (copies / name).write_bytes((NOTEBOOKS / name).read_bytes())
        with jupyter_environment(world.environment) as environment, world.attended():
            found = run_pytest(
                copies, environment, "--nbval-lax", f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}"
            )
        yield found
    finally:
        world.close()


def key(name):
    return name.replace("/", ".")


@pytest.mark.parametrize("name", NAMES)
def test_each_cell_runs(name, outcomes):
    assert name in CASES, f"{name} has no entry in tests/notebooks/cases.yaml"
    code = [c for c in nbformat.read(NOTEBOOKS / name, 4).cells if c.cell_type == "code"]
    count, failures = outcomes[key(name)]
    assert failures == []
    assert count == len(code)


@pytest.mark.parametrize("name", GOLDENS)
def test_numbers_are_golden(name, outcomes):
    count, failures = outcomes[key(name)]
    assert failures == []
    assert count


def test_what_differs_from_run_to_run_is_sanitised(tmp_path):
    told = "2026-11-20T01:02:03.4Z 01:02:03 UTC run 20261120T010203Z-set-state-0a1b2c in /tmp/pytest-of-x/y, 0.51 s"
    now = (
        told.replace("01:02", "03:04")
        .replace("T0102", "T0304")
        .replace("0a1b2c", "ffffff")
        .replace("0.51", "1.2")
    )
    for number, kept in enumerate([told, told + " more"]):
        cell = nbformat.v4.new_code_cell(f"# NBVAL_CHECK_OUTPUT\nprint({now!r})", execution_count=1)
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=kept + "\n")]
        nb = nbformat.v4.new_notebook(cells=[cell])
        nb.metadata.kernelspec = {"name": "python3", "display_name": "python3", "language": "python"}
        (tmp_path / "copies").mkdir(exist_ok=True)
        nbformat.write(nb, tmp_path / "copies" / f"n{number}.ipynb")
    world = World(tmp_path / "world", tmp_path)
    with jupyter_environment(world.environment) as environment:
        found = run_pytest(
            tmp_path / "copies", environment, "--nbval-lax", f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}"
        )
    assert found["n0.ipynb"] == (1, [])
    assert len(found["n1.ipynb"][1]) == 1
