"""Figures of many visits in the trend store, written by the commands that measure them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lsst_commtools.cli import main
from lsst_commtools.qa.projection import tangent_to_sky
from lsst_commtools.qa.trend import TrendStore


@pytest.fixture
def night_table(tmp_path):
    """Star tables of one night; the scatter is a parameter."""

    def make(day_obs, scatter_mas=5.0, seed=0):
        parts = []
        x0, y0 = np.random.default_rng(1).uniform(0, 4000, (2, 700))
        for number in (1, 2, 3):
            rng = np.random.default_rng(day_obs % 1000 * 10 + number + seed)
            noise = rng.normal(0, scatter_mas / 1e3, (2, 700))
            ra, dec = tangent_to_sky(
                -0.2 * (x0 - 2000) + noise[0], 0.2 * (y0 - 2000) + noise[1], (0.0, -60.0)
            )
            e1, e2 = rng.normal(0.0, 0.004, (2, 700))
            parts.append(pd.DataFrame({
                "visit": day_obs * 100_000 + number, "object_id": np.arange(700), "detector": 4, "x": x0, "y": y0,
                "ra": ra, "dec": dec, "mag": 19.0, "snr": 500.0, "band": "r", "ixx": 0.2 * (1 + e1),
                "iyy": 0.2 * (1 - e1), "ixy": 0.2 * e2, "ixx_psf": 0.2, "iyy_psf": 0.2, "ixy_psf": 0.0,
            }))  # fmt: skip
        path = tmp_path / f"{day_obs}.parquet"
        pd.concat(parts).to_parquet(path)
        return path

    return make


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["--format", "json", "qa", *(str(a) for a in arguments)])
    return left.value.code, json.loads(capsys.readouterr().out)


def test_a_sudden_change_inside_the_limits_is_flagged(capsys, night_table, tmp_path):
    url = f"sqlite:///{tmp_path / 'trend.sqlite3'}"
    store = ["--instrument", "LSSTComCam", "--store", url]
    for k in range(7):
        run(capsys, "repeatability", night_table(20261101 + k, scatter_mas=3.0 + 0.05 * (k % 3)), *store)
    _, document = run(capsys, "repeatability", night_table(20261110, scatter_mas=5.5), *store)
    assert document["AM1"]["status"] == "good"
    code, document = run(capsys, "trend", "AM1_mas", "--store", url)
    assert code == 1
    (verdict,) = document["verdicts"]
    assert (verdict["limit_status"], verdict["history_status"]) == ("good", "bad")
    assert verdict["day_obs"] == 20261110
    assert "sigma from the 7 nights before" in verdict["reasons"][0]
    rows = TrendStore(url).read("AM1_mas")
    made = json.loads(rows["provenance"].iloc[-1])
    assert made["command"] == "qa repeatability"
    assert made["centre"] == "median"
    assert set(made["software"]) >= {"lsst_commtools", "numpy"}
    assert rows["error"].iloc[-1] > 0
    unknown = TrendStore(url).read("AM3_mas").iloc[-1]
    assert np.isnan(unknown["value"])
    assert "200 arcmin" in json.loads(unknown["provenance"])["reason"]


def test_ellipticity_is_kept_part_by_part(capsys, night_table, tmp_path):
    url = f"sqlite:///{tmp_path / 'trend.sqlite3'}"
    path = night_table(20261120)
    _, document = run(
        capsys, "ellipticity", path, "--band", "r", "--instrument", "LSSTComCam", "--store", url
    )
    assert document["trend"]["day_obs"] == 20261120
    table = TrendStore(url).read().set_index("metric")
    for part in ("E1", "E2", "EX"):
        assert table.loc[f"TE3_{part}", "value"] == document["TE3"][part]
        assert table.loc[f"TE3_{part}", "status"] == document["TE3"]["statuses"][part]
    assert table.loc["EF1_percent", "value"] == document["EF1"]["value"]
    assert table.loc["psf_chi2_per_dof", "value"] == pytest.approx(2 / 3, rel=0.15)  # dT is 0 here
    assert json.loads(table.loc["TE1_E1", "provenance"])["rho_bin_slop"] == 0.0
    _, document = run(capsys, "trend", "TE3_E1", "--store", url)
    assert document["verdicts"][0]["limit_status"] in ("good", "warning", "bad")


def test_visits_that_do_not_tell_the_night_need_it(capsys, night_table, tmp_path):
    path = night_table(20261120)
    frame = pd.read_parquet(path)
    frame.assign(visit=frame["visit"] % 10).to_parquet(path)
    url = f"sqlite:///{tmp_path / 'trend.sqlite3'}"
    store = ["--instrument", "LSSTComCam", "--store", url]
    code, document = run(capsys, "repeatability", path, *store)
    assert (code, document["error"]["code"]) == (2, "input")
    assert "--day-obs" in json.dumps(document)
    code, _ = run(capsys, "repeatability", path, *store, "--day-obs", 20261121)
    assert code == 0
    assert set(TrendStore(url).read()["day_obs"]) == {20261121}
