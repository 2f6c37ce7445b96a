"""Each guide's commands run as they stand in a small world; its Python runs, and its settings are settings."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml

from lsst_commtools.site import Site
from lsst_commtools.testing.world import World

ROOT = Path(__file__).parents[2]
GUIDES = sorted(p for p in (ROOT / "docs/guides").glob("*.md") if p.stem != "index")
_FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<language>[\w{}-]*)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL
)
_EXIT_CODE = re.compile(r"#.*\bexit code (\d)")


@dataclass(frozen=True)
class Command:
    """One line for a shell, and the exit code that the page promises: 0, or that of a comment ``# exit code 1``."""

    line: str
    exit_code: int


def blocks(page: Path, language: str) -> list[str]:
    """Give the code blocks of a page in one language."""
    return [m["text"] for m in _FENCE.finditer(page.read_text()) if m["language"] == language]


def commands(page: Path) -> list[Command]:
    """Give the commands of a page, those of its blocks marked ``sh``."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    told = [(line, _EXIT_CODE.search(line)) for line in lines if line.strip() and not line.startswith("#")]
    return [Command(line, int(code[1]) if code else 0) for line, code in told]


class GuideWorld:
    """A test stand as the working folder, a processed night, and a site that knows both."""

    def __init__(self, world: World) -> None:
        world.provide("teststand")
        world.commtools("night", "--instrument", "LATISS", "--visits", "2", "--seed", "3")
        self.world = world
        self.desk = world.folder / "teststand"
        self._tell_the_site()
        self._lay_out_files()

    @property
    def environment(self) -> dict[str, str]:
        """That of the person who reads the guide."""
        path = os.pathsep.join([str(Path(sys.executable).parent), self.world.environment["PATH"]])
        return {**self.world.environment, "PATH": path}

    def run(self, command: Command) -> subprocess.CompletedProcess[str]:
        """Run a command as it stands."""
        shell = ["bash", "-o", "pipefail", "-c", command.line]
        return subprocess.run(
            shell,
            cwd=self.desk,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def write_notebook(self, name: str, cells: list[str]) -> Path:
        """Make a notebook of the cells that a guide shows; a first line ``# tagged X`` is the cell's tag."""
        notebook = nbformat.v4.new_notebook()
        notebook.cells.append(nbformat.v4.new_markdown_cell("A procedure out of a guide."))
        for text in cells:
            tag = re.match(r"# tagged (\w+)", text)
            metadata = {"tags": [tag[1]]} if tag else {}
            notebook.cells.append(nbformat.v4.new_code_cell(text, metadata=metadata))
        notebook.metadata.kernelspec = {"name": "commtools-warm", "display_name": "", "language": "python"}
        path = self.desk / name
        nbformat.write(notebook, path)
        return path

    def _tell_the_site(self) -> None:
        auxtel = {
            "path": str(self.desk / "project/shared/auxTel"),
            "instrument": "LATISS",
            "generation": 2,
            "writable": True,
        }
        production = {
            "path": str(self.desk / "lsstdata/offline/teststand/auxTel/L1Archiver/gen2repo"),
            "source": str(self.desk / "lsstdata/offline/teststand/auxTel/L1Archiver"),
            "instrument": "LATISS",
            "generation": 2,
            "internal": True,
            "linked_by": "auxTel",
        }
        sites = self.world.home / "sites"
        sites.mkdir()
        repositories = {"repos": {"repositories": {"auxTel": auxtel, "auxTel-production": production}}}
        (sites / "local.yaml").write_text(yaml.safe_dump(repositories))

    def _lay_out_files(self) -> None:
        night = self.world.home / "nights/LATISS_20261120"
        (self.desk / "raw").symlink_to(night / "simulated/raw")
        (self.desk / "refcat").symlink_to(night / "simulated/refcat")
        tables = [pd.read_parquet(path) for path in sorted((night / "repo").glob("**/star_table*.parq"))]
        pd.concat(tables).to_parquet(self.desk / "stars.parquet")
        for page in GUIDES:
            cells = blocks(page, "python")
            if any("# tagged" in cell for cell in cells):
                self.write_notebook(f"{page.stem}.ipynb", cells)
            for name, text in re.findall(r"<!-- file: (\S+)\n(.*?)-->", page.read_text(), re.DOTALL):
                (self.desk / name).write_text(text)


@pytest.fixture(scope="module")
def guide_world(tmp_path_factory):
    """One world for all guides."""
    world = World(tmp_path_factory.mktemp("guides"), tmp_path_factory.mktemp("shared"))
    yield GuideWorld(world)
    world.commtools("sim", "down")


def with_some(language):
    return [pytest.param(page, id=page.stem) for page in GUIDES if blocks(page, language)]


@pytest.mark.parametrize("page", with_some("sh"))
def test_commands_run_as_written(guide_world, page):
    guide_world.world.commtools("sim", "down")
    for command in commands(page):
        run = guide_world.run(command)
        assert run.returncode == command.exit_code, f"{command.line}\n{run.stdout}\n{run.stderr}"


@pytest.mark.parametrize("page", with_some("pycon"))
def test_examples_give_what_they_show(guide_world, page):
    if "commtools sim up" in page.read_text():
        guide_world.run(Command("commtools sim status || commtools sim up --speed 20", 0))
    runner = (
        f"import doctest, sys; sys.exit(bool(doctest.testfile({str(page)!r}, module_relative=False).failed))"
    )
    run = subprocess.run(
        [sys.executable, "-c", runner],
        cwd=guide_world.desk,
        env=guide_world.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("page", with_some("yaml"))
def test_settings_are_those_of_a_site(page, tmp_path):
    settings = {*Site.model_fields, "extends"}
    for text in blocks(page, "yaml"):
        if not settings.issuperset(yaml.safe_load(text)):
            continue  # another file's, such as a rehearsal's
        file = tmp_path / "somewhere.yaml"
        file.write_text(text)
        assert Site.load(file).name == "somewhere"


def test_commands_that_are_not_run_are_marked_as_text():
    for page in GUIDES:
        for language in ("", "bash", "console", "shell"):
            assert not blocks(page, language), f"{page.name}: mark commands as sh, which is run, or as text"


def test_every_code_block_with_a_prompt_is_found_by_doctest():
    for page in GUIDES:
        shown = sum(text.count(">>>") for text in blocks(page, "pycon"))
        assert len(doctest.DocTestParser().get_examples(page.read_text())) == shown
