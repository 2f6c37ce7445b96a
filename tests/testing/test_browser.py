"""The watch over pages notices what it is there for."""

from __future__ import annotations

import datetime as dt

import nbformat
import pytest
from bokeh.embed import file_html
from bokeh.plotting import figure
from bokeh.resources import INLINE

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.testing.browser import open_browser
from lsst_commtools.testing.world import World, copy_notebook


@pytest.fixture
def new_page():
    try:
        with open_browser() as new_page:
            yield new_page
    except NotFoundError as error:
        pytest.skip(str(error))


@pytest.mark.browser
def test_errors_and_strangers_are_seen(new_page, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<h1>Bad</h1><script>console.error('spoken');</script><script>nothing.at.all</script>"
        "<img src='https://example.invalid/logo.png'>"
    )
    watched = new_page()
    watched.page.goto(page.as_uri())
    watched.page.wait_for_timeout(200)
    wrong = "\n".join(watched.wrong)
    assert "spoken" in wrong
    assert "nothing is not defined" in wrong
    assert "asked for https://example.invalid/logo.png" in wrong
    watched.forget()
    assert watched.wrong == []


@pytest.mark.browser
def test_figures_without_a_picture_are_seen(new_page, tmp_path):
    blank, good = figure(title="blank", x_axis_type="datetime"), figure(title="good")
    blank.line([dt.date(2026, 11, 20), dt.date(2026, 11, 21)], [1, 2])  # bokeh takes it, and draws nothing
    good.line([1, 2], [3, 4])
    page = tmp_path / "figures.html"
    page.write_text(file_html([blank, good], INLINE, "figures"))
    watched = new_page()
    watched.page.goto(page.as_uri())
    watched.wait_for_figures()
    assert watched.blank_figures == ["blank"]
    assert watched.sources("y") == [[1, 2], [3, 4]]
    assert [path.name for path in watched.shoot(tmp_path / "shot")] == ["shot-1280.png", "shot-1920.png"]
    assert watched.wrong == []


@pytest.fixture
def example(tmp_path):
    cell = nbformat.v4.new_code_cell('name: str = ""  # A "name" = text\nnumber: int = 3  # Number')
    cell.metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    return tmp_path / "a.ipynb"


def test_a_copy_has_other_values_and_keeps_its_comments(example, tmp_path):
    copy = copy_notebook(example, tmp_path / "b" / "a.ipynb", {"name": "it's \\1", "number": 4})
    cell = nbformat.read(copy, 4).cells[0]
    assert cell.source == 'name: str = "it\'s \\\\1"  # A "name" = text\nnumber: int = 4  # Number'
    assert "= 3 " in nbformat.read(example, 4).cells[0].source
    with pytest.raises(InputError, match="no parameter other"):
        copy_notebook(example, tmp_path / "c.ipynb", {"other": 1})


def test_a_world_knows_its_needs(tmp_path):
    world = World(tmp_path / "world", tmp_path)
    with pytest.raises(InputError, match="Nobody knows"):
        world.provide("telescope")
    world.provide("teststand")
    assert (tmp_path / "world" / "teststand").is_dir()
    assert world.fill({"root": "{teststand}", "n": 1})["root"].startswith(str(tmp_path))
    assert "COMMTOOLS_SITE" not in world.environment
