"""Notebooks in JupyterLab and Voila, and pages, in a real browser; pictures of them are kept in artefacts/."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lsst_commtools.errors import NotFoundError
from lsst_commtools.testing.browser import open_browser
from lsst_commtools.testing.lab import running_lab
from lsst_commtools.testing.world import World, copy_notebook

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
PICTURES = ROOT / "artefacts" / "browser"
# JupyterLab asks a kernel for its debugger, and says so where the kernel is ended before it answers.
OF_JUPYTERLAB = "Could not restore the debugger state"
CASES = yaml.safe_load((ROOT / "tests/notebooks/cases.yaml").read_text(encoding="utf-8"))


def notebooks_of(folders):
    """Give the notebooks of some folders; all of them, whether they have a case or not."""
    names = (
        p.relative_to(NOTEBOOKS).as_posix()
        for p in NOTEBOOKS.rglob("*.ipynb")
        if not p.parts[-2].startswith(".")
    )
    return sorted(name for name in names if name.rpartition("/")[0] in folders)


def pytest_generate_tests(metafunc):
    """A test with the argument ``notebook`` is run for each notebook of its module's ``FOLDERS``."""
    if "notebook" in metafunc.fixturenames:
        metafunc.parametrize("notebook", notebooks_of(metafunc.module.FOLDERS))


@pytest.fixture(scope="module")
def browser_world(tmp_path_factory):
    """A world for the notebooks of one module; a processed night is shared by all workers of this session."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    world = World(tmp_path_factory.mktemp("world"), shared / "night-of-notebooks")
    yield world
    world.close()


@pytest.fixture(scope="module")
def chromium():
    """Gives new pages of the system's chromium."""
    try:
        with open_browser() as new_page:
            yield new_page
    except NotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def lab(chromium, browser_world, tmp_path_factory):
    """A JupyterLab that serves copies of notebooks."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    with running_lab(tmp_path_factory.mktemp("notebooks"), browser_world.environment) as lab:
        yield lab


@pytest.fixture
def page(chromium):
    """A page that must be without errors, and ask nobody else, to the end of the test."""
    watched = chromium()
    yield watched
    watched.page.close()
    assert [wrong for wrong in watched.wrong if OF_JUPYTERLAB not in wrong] == []


@pytest.fixture
def run_in_lab(lab, page, browser_world, monkeypatch):
    """Runs a notebook in JupyterLab as its case says; gives it, run to its end."""
    monkeypatch.setenv("COMMTOOLS_HOME", str(browser_world.home))

    notebooks = []

    def run(name, **parameters):
        case = CASES.get(name)
        assert case is not None, f"{name} has no entry in tests/notebooks/cases.yaml"
        browser_world.provide(*case.get("needs", ()))
        given = browser_world.fill({**case.get("parameters", {}), **parameters})
        copy_notebook(NOTEBOOKS / name, lab.folder / name, given)
        opened = lab.open(page, name)
        notebooks.append(opened)
        with browser_world.attended():
            opened.run()
        assert opened.failures == []
        assert opened.warnings == []
        assert page.blank_figures == []
        for text in case.get("sees", ()):
            opened.outputs.get_by_text(text).first.wait_for(state="attached")
        for column, rows in case.get("draws", {}).items():
            assert {len(values) for values in page.sources(column)} == {rows}
        return opened

    yield run
    for opened in notebooks:
        opened.end()


@pytest.fixture
def keep_pictures(request):
    """Keeps pictures of a notebook, by its name."""

    def keep(opened, name):
        return opened.shoot(PICTURES / name.replace("/", "-").removesuffix(".ipynb"))

    return keep
