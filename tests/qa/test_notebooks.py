"""The notebooks of many visits and nights, as papermill runs them."""

from __future__ import annotations

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest

from lsst_commtools.qa.projection import tangent_to_sky
from lsst_commtools.qa.trend import TrendRow, TrendStore

NOTEBOOKS = Path(__file__).parents[2] / "notebooks" / "qa"


@pytest.fixture
def star_table(tmp_path):
    parts = []
    for visit in (1, 2, 3, 4):
        rng = np.random.default_rng(visit)
        x, y = rng.uniform(0, 4000, (2, 300))
        ra, dec = tangent_to_sky(-0.2 * (x - 2000), 0.2 * (y - 2000), (10.0, -60.0))
        e1 = 0.01 + rng.normal(0, 0.002, 300)
        parts.append(pd.DataFrame({
            "visit": visit, "detector": 4, "x": x, "y": y, "ra": ra, "dec": dec,
            "ixx": 0.2 * (1 + e1), "iyy": 0.2 * (1 - e1), "ixy": 0.0, "ixx_psf": 0.2, "iyy_psf": 0.2, "ixy_psf": 0.0,
        }))  # fmt: skip
    path = tmp_path / "stars.parquet"
    pd.concat(parts).to_parquet(path)
    return path


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Runs a notebook; gives the text of its outputs."""
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parents[1]))

    def run(name, **parameters):
        notebook = papermill.execute_notebook(
            NOTEBOOKS / f"{name}.ipynb",
            tmp_path / "out.ipynb",
            parameters,
            progress_bar=False,
            kernel_name="python3",
        )
        return "\n".join(
            str(output.get("text") or output.get("data", {}).get("text/plain", ""))
            for cell in notebook.cells
            for output in cell.get("outputs", ())
        )

    return run


@pytest.mark.parametrize("name", ["ellipticity", "trend", "compare_runs", "wcs"])
def test_form(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    first, second = notebook.cells[:2]
    for word in ("Purpose", "Who runs it", "What it changes", "How to stop"):
        assert f"**{word}.**" in first.source
    assert second.metadata.tags == ["parameters"]
    assert all("#" in line and ":" in line.split("=")[0] for line in second.source.split("\n"))
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client
def test_ellipticity(execute, star_table):
    shown = execute("ellipticity", stars=str(star_table), band="r")
    assert "1200 stars in 4 visits" in shown
    assert "TE3" in shown


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client
def test_trend(execute, tmp_path):
    store = TrendStore.in_folder(tmp_path)
    store.add(
        TrendRow(20261101 + k, "LATISS", "fwhm_arcsec", 0.8 + 0.01 * (k % 3), band="r") for k in range(9)
    )
    shown = execute("trend", store=f"sqlite:///{tmp_path}/trend.sqlite3")
    assert "9 nights, 1 metrics" in shown


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client
def test_compare_runs(execute, star_table):
    shown = execute("compare_runs", a=str(star_table), b=str(star_table))
    assert "4 in both" in shown
    assert "within errors" in shown


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and jupyter_client
def test_wcs(execute, star_table):
    shown = execute("wcs", stars=[str(star_table)])
    assert "4 of 4 visits have a WCS" in shown
    assert "no reference catalogue was given" in shown
