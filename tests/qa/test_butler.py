from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.table import Table

from lsst_commtools import qa
from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.qa.butler import read_visit, read_visit_summary, survey_of_collection
from lsst_commtools.qa.readers import raw_table


@pytest.fixture
def repository(tmp_path):
    """A real Butler with the star tables of two detectors of one visit."""
    butler_module = pytest.importorskip("lsst.daf.butler", reason="the extra 'butler' is not installed")
    Butler, DatasetType = butler_module.Butler, butler_module.DatasetType
    Butler.makeRepo(str(tmp_path / "repo"))
    with Butler.from_config(str(tmp_path / "repo"), writeable=True, run="run", collections=["run"]) as butler:
        registry = butler.registry
        registry.insertDimensionData(
            "instrument", {"name": "CC", "detector_max": 9, "class_name": "none.None"}
        )
        registry.insertDimensionData("physical_filter", {"instrument": "CC", "name": "r_03", "band": "r"})
        registry.insertDimensionData("day_obs", {"instrument": "CC", "id": 20261120})
        for detector in (0, 1, 2):
            registry.insertDimensionData(
                "detector", {"instrument": "CC", "id": detector, "full_name": f"R22_S0{detector}"}
            )
        registry.insertDimensionData(
            "visit",
            {"instrument": "CC", "id": 7, "name": "7", "physical_filter": "r_03", "day_obs": 20261120},
        )
        kind = DatasetType(
            "star_table", ("instrument", "visit", "detector"), "ArrowTable", universe=butler.dimensions
        )
        registry.registerDatasetType(kind)
        for detector, n in ((0, 3), (1, 0), (2, 4)):
            table = pa.table(
                {"x": np.arange(n) + 0.5, "y": np.arange(n) + 0.5, "detector": np.full(n, detector)}
            )
            butler.put(table, kind, instrument="CC", visit=7, detector=detector)
        yield butler


def test_a_visit_of_a_real_butler_is_one_table(repository):
    table = read_visit(repository, 7, instrument="CC")
    assert sorted(table["detector"]) == [0, 0, 0, 2, 2, 2, 2]
    with pytest.raises(NotFoundError, match="no star_table of visit 8"):
        read_visit(repository, 8, instrument="CC")


def test_a_collection_is_a_survey(repository, tmp_path):
    stars = survey_of_collection(str(tmp_path / "repo"), "run")
    assert list(stars.table["visit"]) == [7.0] * 7
    with pytest.raises(NotFoundError, match="no collection nothing"):
        survey_of_collection(str(tmp_path / "repo"), "nothing")
    with pytest.raises(NotFoundError, match="sourceTable_visit"):
        survey_of_collection(str(tmp_path / "repo"), "run", dataset_type="sourceTable_visit")
    with pytest.raises(NotFoundError):
        survey_of_collection(str(tmp_path / "no_repo"), "run")


def test_the_pipelines_own_summary_stands_under_our_names(repository):
    from lsst.daf.butler import DatasetType

    name = "preliminary_visit_summary"
    kind = DatasetType(name, ("instrument", "visit"), "ArrowTable", universe=repository.dimensions)
    repository.registry.registerDatasetType(kind)
    summary = pa.table({"detector": [0, 2], "psfSigma": [2.0, np.nan], "pixelScale": [0.2, 0.2]})
    repository.put(summary, kind, instrument="CC", visit=7)
    table = read_visit_summary(repository, 7, instrument="CC")
    assert table.loc[0, "fwhm_arcsec"] == pytest.approx(0.4 * 2.35482, rel=1e-5)
    assert np.isnan(table.loc[2, "fwhm_arcsec"])
    with pytest.raises(NotFoundError, match="no preliminary_visit_summary of visit 8"):
        read_visit_summary(repository, 8, instrument="CC")


def test_tables_in_memory_of_three_kinds_are_the_same():
    columns = {"x": np.array([1.0, 2.0]), "ra": np.array([3.0, 4.0])}
    for table in (pd.DataFrame(columns), Table(columns, units={"ra": "rad"}), pa.table(columns)):
        raw = raw_table(table)
        assert raw.n_rows == 2
        assert list(raw.columns["ra"]) == [3.0, 4.0]
    assert raw_table(Table(columns, units={"ra": "rad"})).units == {"ra": "rad"}
    with pytest.raises(TableError, match="no table"):
        raw_table([1, 2])


def test_public_names_are_sorted_and_there():
    assert list(qa.__all__) == sorted(qa.__all__)
    for name in qa.__all__:
        assert getattr(qa, name) is not None
    assert set(qa.__all__) <= set(dir(qa))
    with pytest.raises(AttributeError):
        _ = qa.nothing
