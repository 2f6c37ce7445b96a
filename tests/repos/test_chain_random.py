"""Random chains against a plain reference that is written from the rules alone and never looks at the disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from lsst_commtools.repos.chain import find_in_chain, resolve_chain

NAMES = ["out", "a b", "ünïcode", "日本", "rerun", "x'y", "per%cent", "-dash", "new\nline", "q?mark"]
MAPPERS = ["lsst.obs.lsst.auxTel.AuxTelMapper", "lsst.obs.lsst.lsstCam.LsstCamMapper"]
FILE = "raw/2019-05-29/2019052900001-det000.fits"


@dataclass
class Folder:
    """What one folder of a random tree holds."""

    kind: str
    mapper: str | None = None
    registry: bool = False
    link: tuple[int, bool] | None = None
    parents: list[tuple[int, str]] = field(default_factory=list)
    file: bool = False


@st.composite
def trees(draw):
    count = draw(st.integers(1, 7))
    folders = []
    for number in range(count):
        kinds = ["old", "old", "new", "empty", "missing"] if number else ["old", "new"]
        folder = Folder(draw(st.sampled_from(kinds)))
        folder.mapper = draw(st.sampled_from([*MAPPERS, MAPPERS[0], MAPPERS[0], None]))
        folder.registry = draw(st.booleans())
        folder.file = draw(st.booleans())
        target = st.integers(0, count - 1)
        if folder.kind == "old" and draw(st.integers(0, 3)):
            folder.link = (draw(target), draw(st.booleans()))
        if folder.kind == "new":
            form = st.sampled_from(["relative", "absolute", "nested"])
            folder.parents = draw(st.lists(st.tuples(target, form), max_size=3))
        folders.append(folder)
    return folders


def build(base: Path, folders: list[Folder]) -> list[Path]:
    paths = [
        base / NAMES[i % len(NAMES)] / f"{i}" if i % 2 else base / f"{NAMES[i]}{i}"
        for i in range(len(folders))
    ]
    for path, folder in zip(paths, folders, strict=True):
        if folder.kind == "missing":
            continue
        path.mkdir(parents=True)
        if folder.file:
            (path / FILE).parent.mkdir(parents=True)
            (path / FILE).touch()
        if folder.kind == "empty":
            continue
        if folder.registry:
            (path / "registry.sqlite3").touch()
        if folder.kind == "old" and folder.mapper:
            (path / "_mapper").write_text(folder.mapper + "\n")
        if folder.link is not None:
            target = paths[folder.link[0]]
            (path / "_parent").symlink_to(os.path.relpath(target, path) if folder.link[1] else target)
        if folder.kind == "new":
            (path / "repositoryCfg.yaml").write_text(
                configuration(folders, paths, path, folder), encoding="utf-8"
            )
    return paths


def quoted(text) -> str:
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def configuration(folders, paths, path, folder) -> str:
    mapper = f"!!python/name:{folder.mapper} ''" if folder.mapper else "null"
    lines = ["!RepositoryCfg_v1", f"_mapper: {mapper}", "_mapperArgs: {}", "_parents:"]
    for target, form in folder.parents:
        if form == "nested" and folders[target].kind == "old":
            lines += nested(folders, paths, target, "", ())
        elif form == "relative":
            lines.append(f"- {quoted(os.path.relpath(paths[target], path))}")
        else:
            lines.append(f"- {quoted(paths[target])}")
    if not folder.parents:
        lines[-1] = "_parents: null"
    return "\n".join([*lines, "_policy: null", "_root: null", "dirty: true", ""])


def nested(folders, paths, number, indent, above) -> list[str]:
    folder = folders[number]
    mapper = f"!!python/name:{folder.mapper} ''" if folder.mapper else "null"
    lines = [
        f"{indent}- !RepositoryCfg_v1",
        f"{indent}  _mapper: {mapper}",
        f"{indent}  _root: {quoted(paths[number])}",
    ]
    target = folder.link[0] if folder.link else None
    if target is not None and folders[target].kind == "old" and target not in (*above, number):
        return [
            *lines,
            f"{indent}  _parents:",
            *nested(folders, paths, target, indent + "  ", (*above, number)),
        ]
    return [*lines, f"{indent}  _parents: null"]


def is_repository(folders, number) -> bool:
    """Whether the old stack sees a repository there."""
    folder = folders[number]
    if folder.kind in ("missing", "empty"):
        return False
    if folder.kind == "new" or folder.mapper or folder.registry:
        return True
    return leads_somewhere(folders, folder)


def leads_somewhere(folders, folder) -> bool:
    return folder.link is not None and folders[folder.link[0]].kind != "missing"


def reference(folders) -> tuple[list[int], set[str]]:
    """Depth first, self before parents, each once; and the kinds of cycle that are met."""
    order: list[int] = []
    cycles: set[str] = set()

    def visit(number, above, by, top=False):
        folder = folders[number]
        nested = by == "nested" and folder.kind == "old"
        if by == "link" and folder.kind == "new":
            # Links see a new repository only by its registry, and none of its parents.
            if folder.registry and number not in order:
                order.append(number)
            return
        if number in above:
            cycles.add("link-cycle" if by == "link" else "config-cycle")
            return
        if not top and not nested and not is_repository(folders, number):
            return
        if number in order:
            return
        order.append(number)
        # A nested configuration records old parents only: that is all the old stack saw through links.
        linked = folder.kind == "old" and leads_somewhere(folders, folder)
        if linked and not (nested and folders[folder.link[0]].kind != "old"):
            visit(folder.link[0], (*above, number), "nested" if nested else "link")
        for target, form in folder.parents:
            visit(target, (*above, number), "nested" if form == "nested" else "config")

    visit(0, (), "input", top=True)
    return order, cycles


def check(folders):
    base = Path(tempfile.mkdtemp(prefix="chain-")).resolve()
    try:
        paths = build(base, folders)
        chain = resolve_chain(paths[0])
        order, cycles = reference(folders)
        assert list(chain.roots) == [str(paths[number]) for number in order]
        holders = [str(paths[number] / FILE) for number in order if folders[number].file]
        assert find_in_chain(chain, FILE) == holders
        if not any(form == "nested" for folder in folders for _, form in folder.parents):
            assert {p.kind for p in chain.problems if "cycle" in p.kind} == cycles
    finally:
        shutil.rmtree(base)


@seed(4)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(trees())
def test_order_and_file_of_random_chains(folders):
    check(folders)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(trees())
def test_order_and_file_of_a_thousand_random_chains(folders):
    check(folders)
