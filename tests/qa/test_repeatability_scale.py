from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from bokeh.document import Document
from pyarrow import parquet

from lsst_commtools.cli import main
from lsst_commtools.qa.figures.repeatability import repeatability_blocks, write_repeatability_report
from lsst_commtools.qa.readers import raw_table
from lsst_commtools.qa.repeatability import (
    collect,
    make_sources,
    measure_repeatability,
    read_sources,
    separations,
)
from lsst_commtools.qa.repeatability.tiles import SkyCells


@pytest.fixture
def wide(simulate_visits):
    """A field that spans several tiles, across RA 0."""
    return simulate_visits((0.0, -60.0), n_objects=1200, n_visits=6, width_arcmin=100.0)


def values(measured):
    return {name: (m.value, m.n_pairs) for name, m in measured.measurements.items()}


def assert_same(one, two):
    for name, (value, pairs) in values(one).items():
        assert two.measurements[name].n_pairs == pairs, name
        np.testing.assert_allclose(two.measurements[name].value, value, rtol=1e-6)


@pytest.mark.parametrize("with_ids", [True, False])
def test_pieces_of_the_sky_lose_no_pair_at_their_borders(wide, with_ids, monkeypatch):
    frame = wide if with_ids else wide.drop(columns="object_id")
    whole = measure_repeatability([make_sources(raw_table(frame))])
    parts = [make_sources(raw_table(part)) for _, part in frame.groupby("visit")]
    monkeypatch.setattr(separations, "_DENSE_BYTES", 4000)
    pieces = measure_repeatability(parts, memory_bytes=100_000)
    assert whole.measurements["AM2"].n_pairs > 10_000
    assert_same(whole, pieces)


@pytest.mark.parametrize("place", [(0.0, -89.9), (120.0, 89.99)])
def test_pieces_hold_at_the_poles(simulate_visits, place):
    frame = simulate_visits(place, n_objects=800, n_visits=5, width_arcmin=80.0)
    sources = make_sources(raw_table(frame))
    assert_same(measure_repeatability([sources]), measure_repeatability([sources], memory_bytes=10_000))


def test_tiles_in_memory_give_the_same(wide, monkeypatch):
    sources = make_sources(raw_table(wide))
    whole = measure_repeatability([sources])
    monkeypatch.setattr(collect, "_DENSE_BYTES", 1000)
    assert_same(whole, measure_repeatability([sources]))


def test_cells_cover_the_sphere():
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 5000), np.degrees(np.arcsin(rng.uniform(-1, 1, 5000)))
    cells = SkyCells(0.5)
    number = cells.of(ra, dec)
    assert number.min() >= 0
    assert number.max() < cells.first[-1]
    row, near = cells.around(ra, dec, 20.0)
    pairs = set(zip(row.tolist(), near.tolist(), strict=True))
    assert {(k, int(n)) for k, n in enumerate(number)} <= pairs
    assert len(pairs) < 5600


def test_partitioned_parquet_is_read_in_pieces(wide, tmp_path):
    parquet.write_to_dataset(
        pa.Table.from_pandas(wide.assign(unused="x")), tmp_path / "stars", partition_cols=["visit"]
    )
    batches = list(read_sources([tmp_path / "stars"], batch_rows=100))
    assert len(batches) > 20
    assert max(len(b) for b in batches) <= 100
    assert_same(measure_repeatability(batches), measure_repeatability([make_sources(raw_table(wide))]))


def test_ids_with_gaps_keep_their_bits(wide, tmp_path):
    ids = pa.array(
        [None if k % 7 == 0 else int(v) + (1 << 62) for k, v in enumerate(wide["object_id"])], pa.int64()
    )
    table = pa.Table.from_pandas(wide).set_column(wide.columns.get_loc("object_id"), "object_id", ids)
    parquet.write_table(table, tmp_path / "stars.parquet")
    kept = wide[np.arange(len(wide)) % 7 != 0]
    assert_same(
        measure_repeatability(read_sources([tmp_path / "stars.parquet"])),
        measure_repeatability([make_sources(raw_table(kept))]),
    )


@pytest.mark.slow
def test_memory_stays_bounded(tmp_path):
    rng = np.random.default_rng(1)

    def batches():
        for visit in range(60):
            ra, dec = 10 + rng.uniform(0, 6, 50_000), rng.uniform(-3, 3, 50_000)
            frame = pd.DataFrame({"visit": visit, "object_id": np.arange(50_000), "ra": ra, "dec": dec})
            yield make_sources(raw_table(frame.assign(mag=19.0, snr=99.0)))

    tracemalloc.start()
    collect.collect(batches(), tmp_path, 1 << 26)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * (1 << 26)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["--format", "json", "qa", "repeatability", *(str(a) for a in arguments)])
    captured = capsys.readouterr()
    return exit_.value.code, json.loads(captured.out)


def test_command_prints_the_document_of_the_contract(capsys, tmp_path, simulate_visits):
    frame = simulate_visits((0.0, -60.0), n_objects=300, n_visits=8).rename(columns={"mag": "brightness"})
    half = frame["visit"] % 2 == 0
    for name, part in (("a", frame[half]), ("b", frame[~half])):
        parquet.write_table(pa.Table.from_pandas(part), tmp_path / f"{name}.parquet")
    (tmp_path / "map.yaml").write_text(
        "\n".join(f"{n}: {n}" for n in ("visit", "object_id", "ra", "dec", "snr")) + "\nmag: brightness\n"
    )
    options = ["--columns", tmp_path / "map.yaml", "--band", "r", "--report", tmp_path / "report.html"]
    code, document = run(capsys, tmp_path / "a.parquet", tmp_path / "b.parquet", *options)
    assert code == 0
    assert {"value", "error", "unit", "n_pairs", "design", "minimum", "stretch", "status"} <= set(
        document["AM1"]
    )
    assert document["AM1"]["status"] == "warning"
    assert (document["AM1"]["stretch"], document["AM1"]["design"], document["AM1"]["minimum"]) == (5, 10, 20)
    assert document["AM3"]["value"] is None
    assert document["AM3"]["status"] == "unknown"
    page = (tmp_path / "report.html").read_text()
    assert "AM1" in page
    assert "<script src=" not in page
    code, document = run(capsys, tmp_path / "none.parquet")
    assert (code, document["error"]["code"]) == (2, "not-found")


def test_text_says_why_a_figure_is_unknown(capsys, tmp_path, simulate_visits):
    frame = simulate_visits((0.0, -60.0), n_objects=50, n_visits=1)
    parquet.write_table(pa.Table.from_pandas(frame), tmp_path / "a.parquet")
    with pytest.raises(SystemExit) as exit_:
        main(["qa", "repeatability", str(tmp_path / "a.parquet")])
    assert exit_.value.code == 1
    assert "seen together in 2 visits" in capsys.readouterr().out


def test_figures_can_be_written(tmp_path, simulate_visits):
    measured = measure_repeatability(
        [make_sources(raw_table(simulate_visits((0.0, -60.0), n_objects=200, n_visits=5)))]
    )
    document = Document()
    document.add_root(repeatability_blocks(measured)[-1])
    assert "AM1: pairs at 5 arcmin" in str(document.to_json())
    assert write_repeatability_report(measured, tmp_path / "r.html").stat().st_size < 3e6
