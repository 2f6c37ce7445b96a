"""Golden numbers and figures: the rules, and the plugin in a pytest of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsst_commtools.errors import InputError
from lsst_commtools.testing.figures import figure_columns, page_columns
from lsst_commtools.testing.goldens import (
    Measured,
    compare_figures,
    compare_numbers,
    load_goldens,
    summarise,
)


@given(st.floats(-1e6, 1e6), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.99), st.sampled_from([-1, 1]))
def test_numbers_within_their_tolerance_fit_and_others_do_not(value, rtol, atol, part, sign):
    within = atol + rtol * abs(value)
    golden = {"n": Measured(value=value, unit="mag", rtol=rtol, atol=atol)}
    assert compare_numbers(golden, {"n": (value + sign * part * within, "mag")}) == []
    assert compare_numbers(golden, {"n": (value + sign * (2 * within + 1e-3), "mag")})


@pytest.mark.parametrize(
    "found", [{}, {"n": (1.0, "pixel")}, {"n": (True, "mag")}, {"n": ("nan", "mag")}, {"n": (None, "mag")}]
)
def test_what_is_missing_or_of_another_unit_does_not_fit(found):
    assert len(compare_numbers({"n": Measured(value=1.0, unit="mag", rtol=1)}, found)) == 1


def bokeh_figure(shift=0.0):
    from bokeh.plotting import figure

    plot = figure()
    plot.scatter(np.arange(50) + shift, np.linspace(-1, 1, 50))
    plot.line([1, 2, 3], [1.0, float("nan"), 3.0])
    return plot


def test_data_of_figures_are_found_in_pages_and_outputs(tmp_path):
    from bokeh.embed import file_html
    from bokeh.embed.notebook import notebook_content
    from bokeh.resources import INLINE

    page = tmp_path / "page.html"
    page.write_text(file_html(bokeh_figure(), INLINE, "t"))
    expected = [{"x", "y"}, {"x", "y"}]
    columns = page_columns(page)
    assert [set(c) for c in columns] == expected
    assert sorted(len(c["x"]) for c in columns) == [3, 50]
    script, div, _ = notebook_content(bokeh_figure())
    output = nbformat.v4.new_output("display_data", {"application/javascript": script, "text/html": div})
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    assert [set(c) for c in figure_columns(nb)] == expected


def test_figures_are_compared_by_their_data(tmp_path):
    columns = [{"x": [0.0, 1.0, 2.0], "name": ["a", "b", "c"], "bad": [float("nan"), 1.0]}]
    golden = [summarise(source) for source in columns]
    assert compare_figures(golden, columns, 1e-9) == []
    assert golden[0]["bad"]["finite"] == 1
    moved = [{**columns[0], "x": [0.0, 1.0, 2.1]}]
    assert any("'x'" in misfit for misfit in compare_figures(golden, moved, 1e-3))
    assert compare_figures(golden, [], 1)
    assert compare_figures(golden, [{"x": [1.0]}], 1)


@pytest.mark.parametrize("text", ["[]", "{", '{"notebook": "n.ipynb"}', '"text"'])
def test_files_of_others_are_left_alone(tmp_path, text):
    path = tmp_path / "x.golden.json"
    path.write_text(text)
    assert load_goldens(path) is None


@pytest.mark.parametrize(
    "case", [{"id": ""}, {"id": "a", "numbers": {"n": {"rtol": -1}}}, {"id": "a", "extra": 1}]
)
def test_bad_goldens_are_told(tmp_path, case):
    path = tmp_path / "x.golden.json"
    path.write_text(json.dumps({"notebook": "n.ipynb", "cases": [case]}))
    with pytest.raises(InputError):
        load_goldens(path)


@pytest.fixture
def golden_folder(tmp_path):
    """A notebook that measures and draws, its golden file, and a pytest of its own."""
    cells = [
        nbformat.v4.new_code_cell("n: int = 1  # count", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "from lsst_commtools import Procedure, Site\np = Procedure.here(Site.load())"
        ),
        nbformat.v4.new_code_cell(
            "from bokeh.plotting import figure\nplot = figure(); plot.scatter([1, 2, n], [3, 4, 5])\n"
            "p.attach(plot, 'stars')\np.measure('fwhm', 0.7 * n, 'arcsec')\nassert n < 9"
        ),
    ]
    nb = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "p"}}
    )
    nb.metadata.kernelspec.language = "python"
    nbformat.write(nb, tmp_path / "qa.ipynb")
    cases = [{"id": "one", "parameters": {"n": 1}}, {"id": "three", "parameters": {"n": 3}}]
    document = {"notebook": "qa.ipynb", "kernel": "python3", "cases": cases}
    path = tmp_path / "qa.golden.json"
    path.write_text(json.dumps(document))

    def run(*options):
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path),
            *options,
        ]
        return subprocess.run(
            [*command, str(tmp_path)],
            cwd=tmp_path,
            env=os.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    return path, run


def test_the_plugin_writes_goldens_then_holds_notebooks_to_them(golden_folder):
    path, run = golden_folder
    done = run("--update-goldens")
    assert done.returncode == 0, done.stdout
    document = json.loads(path.read_text())
    assert document["cases"][1]["numbers"]["fwhm"] == {"value": pytest.approx(2.1), "unit": "arcsec"}
    assert document["cases"][1]["figures"][0]["x"]["max"] == 3
    document["cases"][0]["numbers"]["fwhm"]["value"] = 0.8
    document["cases"][1]["parameters"]["n"] = 9
    path.write_text(json.dumps(document))
    failed = run()
    assert failed.returncode == 1
    assert "fwhm is 0.7 arcsec, expected 0.8" in failed.stdout
    assert "the run is failed" in failed.stdout
    assert "assert n < 9" in failed.stdout
    document["cases"] = document["cases"][:1]
    document["cases"][0]["numbers"]["fwhm"] = {"value": 0.8, "unit": "arcsec", "rtol": 0.2}
    path.write_text(json.dumps(document))
    good = run()
    assert good.returncode == 0, good.stdout
    assert "1 passed" in good.stdout
