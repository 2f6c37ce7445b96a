"""The pages that are made from the code: none of its errors, public names, settings or rooms is missing."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lsst_commtools
from lsst_commtools.errors import CommtoolsError, error_table

ROOT = Path(__file__).parents[2]
TYPES = {"feature", "api", "bugfix", "perf", "misc", "removal"}
ROOMS = [m.name for m in pkgutil.iter_modules(lsst_commtools.__path__) if m.name not in ("cli", "errors")]


@pytest.fixture
def extension(monkeypatch):
    """Imports the modules that make the pages."""
    pytest.importorskip("grimp", reason="import-linter is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "docs/_ext"))
    yield importlib.import_module
    for name in ("house", "reference", "errors_page", "changes"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("kind", list(error_table().values()), ids=lambda kind: kind.code)
def test_each_error_says_itself_what_to_do_next(kind):
    assert "next_step" in vars(kind), "the advice of the class above is too general"
    assert kind.next_step.endswith(".")
    sentence = (kind.__doc__ or "").split("\n")[0]
    assert re.match(r"(Raised when|Raised for|Root of) .*\.$", sentence)


def test_errors_page_has_every_error_once(extension):
    headings = re.findall(r"^## (\S+)$", extension("errors_page").page(), re.MULTILINE)
    assert sorted(headings) == sorted(kind.code for kind in error_table().values())


def test_an_error_without_advice_gets_that_of_its_kind(capsys):
    from lsst_commtools.cli.output import Output, print_error

    print_error(CommtoolsError("It broke."), Output.TABLE)
    print_error(CommtoolsError("It broke.", advice="Mend it."), Output.TABLE)
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"commtools: It broke. {CommtoolsError.next_step} [commtools]"
    assert second == "commtools: It broke. Mend it. [commtools]"


def test_reference_has_every_public_name(extension):
    pages = extension("reference").pages()
    for room in ROOMS:
        for name in importlib.import_module(f"lsst_commtools.{room}").__all__:
            assert re.search(
                rf"^\.\. (auto\w+|py:data):: lsst_commtools\.{room}\.{name}$",
                pages[f"{room}.md"],
                re.MULTILINE,
            )


def test_reference_has_every_setting_and_command(extension):
    from lsst_commtools.cli.app import app
    from lsst_commtools.site import Site

    pages = extension("reference").pages()
    for name in Site.model_fields:
        assert f"## {name}\n" in pages["settings.md"] or f"| `{name}` |" in pages["settings.md"]
    for name in app.list_commands(None):
        assert f"## commtools {name}\n" in pages["commands.md"]


def test_arrows_of_the_house_point_down_and_are_those_of_the_code(extension):
    house = extension("house").read_house(ROOT / "pyproject.toml")
    floor = {room: number for number, rooms in enumerate(house.floors) for room in rooms}
    assert set(floor) == {*ROOMS, "cli", "errors"}
    for above, below in house.arrows:
        assert floor[above] < floor[below] or (above, below) == ("repos", "ingest"), (above, below)
    assert ("night", "repos") in house.arrows or ("night", "qa") in house.arrows
    drawing = extension("house").draw(house)
    assert all(f">{room}</text>" in drawing for room in floor)


def test_fragments_of_changes_have_a_type_that_is_known():
    for path in (ROOT / "docs/changes").glob("*.md"):
        assert re.fullmatch(rf"[a-z0-9_]+\.({'|'.join(TYPES)})\.md", path.name), path.name


def test_changes_since_the_last_release_name_each_fragment(extension):
    pytest.importorskip("towncrier", reason="towncrier is not installed")
    told = extension("changes").unreleased(ROOT)
    for path in (ROOT / "docs/changes").glob("*.md"):
        assert path.read_text().strip().split(":")[0][:30] in told, path.name


@pytest.mark.slow
def test_pages_are_built_without_a_warning_and_name_no_other_host(tmp_path):
    pytest.importorskip("sphinx", reason="Sphinx is not installed")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
        "docs",
        str(tmp_path),
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    fetched = re.compile(r"""<(?:script|img|link)[^>]*(?:src|href)=["'](?:https?:)?//[^"']+""")
    for page in tmp_path.rglob("*.html"):
        assert not fetched.findall(page.read_text(encoding="utf-8")), page.name
