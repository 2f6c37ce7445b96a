"""The surface of the package: what it exports, what it imports, what it names."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lsst_commtools

ROOT = Path(lsst_commtools.__file__).parents[1]
ROOMS = sorted(m.name for m in pkgutil.iter_modules(lsst_commtools.__path__) if m.ispkg)
HEAVY = ("astropy", "bokeh", "galsim", "IPython", "ipywidgets", "lsst.daf", "numba", "numpy", "pandas", "papermill",
         "pyarrow", "requests", "scipy", "sqlalchemy", "treecorr")  # fmt: skip


def modules_after(code):
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()[-1].split()


def heavy(modules):
    return sorted({h for h in HEAVY for m in modules if m == h or m.startswith(h + ".")})


def test_import_is_light():
    assert heavy(modules_after("import lsst_commtools, lsst_commtools.errors, lsst_commtools.ids")) == []


def test_help_is_light():
    code = "from lsst_commtools.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert heavy(modules_after(code)) == []


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_public_names_exist_once(room):
    module = importlib.import_module(".".join(filter(None, ("lsst_commtools", room))))
    names = module.__all__
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(module, name) is not None


def tracked_files():
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in run.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_registry_or_this_machine():
    here = Path(__file__).resolve()
    forbidden = re.compile(
        r"(files\.pythonhosted|pypi\.org|registry\.npmjs|deb\.debian\.org|/root/|/work/(main|shared))"
    )
    bad = []
    for path in tracked_files():
        if path.resolve() == here or path.suffix in (".png", ".fits"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if forbidden.search(line):
                bad.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert bad == []


def test_dependency_that_pins_old_numpy_is_nowhere():
    for name in ("pyproject.toml", "constraints.txt"):
        assert not re.search(r"^\s*\"?lsst-efd-client", (ROOT / name).read_text(), re.MULTILINE)
