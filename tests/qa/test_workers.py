from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lsst_commtools.errors import ServiceError, UnreachableError
from lsst_commtools.qa.projection import tangent_to_sky
from lsst_commtools.qa.psf_metrics import measure_ellipticity
from lsst_commtools.qa.readers import raw_table
from lsst_commtools.qa.repeatability import collect, make_sources, measure_repeatability
from lsst_commtools.qa.survey import read_survey
from lsst_commtools.qa.workers import DaskWorkers, Here

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def dask():
    from distributed import LocalCluster

    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )
    with cluster, DaskWorkers(cluster.scheduler_address) as workers:
        yield workers


def same(one, two):
    if isinstance(one, dict):
        assert set(one) == set(two)
        for name, value in one.items():
            same(value, two[name])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            same(a, b)
    elif isinstance(one, float):
        assert two == pytest.approx(one, rel=1e-12, abs=0.0)
    else:
        assert one == two


def test_results_come_in_order(dask):
    assert list(dask.map(abs, range(-9, 0))) == list(Here().map(abs, range(-9, 0)))
    assert dask.slots == 2


@pytest.mark.parametrize("memory_bytes", [1 << 31, 100_000])
def test_repeatability_is_the_same_on_dask(dask, simulate_visits, monkeypatch, memory_bytes):
    monkeypatch.setattr(collect, "_DENSE_BYTES", 1000)
    frame = simulate_visits((0.0, -60.0), n_objects=1500, n_visits=6, width_arcmin=100.0)
    sources = [make_sources(raw_table(part)) for _, part in frame.groupby("visit")]
    here = measure_repeatability(sources, memory_bytes=memory_bytes)
    there = measure_repeatability(sources, memory_bytes=memory_bytes, workers=dask)
    assert here.measurements["AM2"].n_pairs > 10_000
    same(json.loads(json.dumps(here.document())), json.loads(json.dumps(there.document())))


def test_ellipticity_is_the_same_on_dask(dask, tmp_path):
    parts = []
    for visit in range(1, 6):
        rng = np.random.default_rng(visit)
        x, y = rng.uniform(0, 4000, (2, 400))
        ra, dec = tangent_to_sky(-0.2 * (x - 2000), 0.2 * (y - 2000), (0.0, -60.0))
        e1, e2 = 0.03 + rng.normal(0, 0.01, (2, 400))
        parts.append(pd.DataFrame({
            "visit": visit, "detector": 4, "x": x, "y": y, "ra": ra, "dec": dec, "ixx": 0.2 * (1 + e1),
            "iyy": 0.2 * (1 - e1), "ixy": 0.2 * e2, "ixx_psf": 0.2, "iyy_psf": 0.19, "ixy_psf": 0.0,
        }))  # fmt: skip
    pd.concat(parts).to_parquet(tmp_path / "stars.parquet")
    survey = read_survey([tmp_path / "stars.parquet"])
    here, there = (measure_ellipticity(survey, workers=w).document() for w in (None, dask))
    assert here["rho1"]["xi"]
    same(here, there)


def test_tiles_that_workers_do_not_see_are_told(dask, simulate_visits, monkeypatch):
    from lsst_commtools.qa.repeatability import tiles

    frame = simulate_visits((0.0, -60.0), n_objects=100, n_visits=3)
    monkeypatch.setattr(tiles.np, "savez", lambda *a, **k: None)
    with pytest.raises(ServiceError, match="do not see the folder"):
        measure_repeatability([make_sources(raw_table(frame))], workers=dask)


def test_no_scheduler_is_told(monkeypatch):
    monkeypatch.setattr("lsst_commtools.qa.workers._CONNECT_S", 0.5)
    with pytest.raises(UnreachableError, match="no Dask scheduler"):
        DaskWorkers("tcp://127.0.0.1:1")
