"""An installation beside the science pipelines moves none of their versions, and brings no second Butler."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).parent / "rubin-env-12.0.0.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Extras for people on nublado; `butler` and `bps` stand for what the pipelines bring themselves.
FOR_NUBLADO = ("lab", "bench", "dask", "postgresql")


def pinned():
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def wanted(*extras):
    optional = PROJECT["optional-dependencies"]
    return [Requirement(r) for r in [*PROJECT["dependencies"], *(r for e in extras for r in optional[e])]]


@pytest.mark.parametrize("requirement", wanted(*FOR_NUBLADO), ids=lambda r: r.name)
def test_each_requirement_takes_what_is_there(requirement):
    version = pinned().get(canonicalize_name(requirement.name))
    assert version is None or requirement.specifier.contains(version)


def test_the_butler_comes_only_where_it_is_asked_for():
    assert not [r.name for r in wanted(*FOR_NUBLADO) if r.name.startswith("lsst-")]
    assert [r.name for r in wanted("butler") if r.name.startswith("lsst-")]


def test_no_requirement_has_an_upper_bound():
    """One that had would take the pipelines' packages down some day."""
    bounds = [
        str(r) for r in wanted(*FOR_NUBLADO) for s in r.specifier if s.operator in ("<", "<=", "==", "~=")
    ]
    assert bounds == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("extras", ["", "[lab]"])
def test_the_resolver_moves_nothing(tmp_path, extras):
    report = tmp_path / "report.json"
    command = [
        sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--only-binary=:all:",
        "--python-version", "3.13", "--target", str(tmp_path / "target"), "--report", str(report),
        "--constraint", str(LIST), f"{ROOT}{extras}",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if run.returncode and any(
        t in run.stderr for t in ("NewConnectionError", "No matching distribution found for hatchling")
    ):
        pytest.skip("no package index can be reached")
    assert run.returncode == 0, run.stderr[-3000:]
    found = {
        i["metadata"]["name"]: i["metadata"]["version"] for i in json.loads(report.read_text())["install"]
    }
    moved = {n: v for n, v in found.items() if pinned().get(canonicalize_name(n), v) != v}
    assert moved == {}
    assert not [name for name in found if name.lower().startswith("lsst-")]
