from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.table import Table

from lsst_commtools.cli import main
from lsst_commtools.qa.projection import tangent_to_sky


def run(capsys, *arguments):
    """Exit code, JSON document, and the lines on standard error."""
    with pytest.raises(SystemExit) as exit_:
        main(["--format", "json", "qa", "visit", *(str(a) for a in arguments)])
    captured = capsys.readouterr()
    return exit_.value.code, json.loads(captured.out), captured.err.splitlines()


@pytest.fixture
def star_file(tmp_path):
    """A good table under names that only a column map knows."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 4000, (2, 200))
    ra, dec = tangent_to_sky(0.2 * (x - 2000), 0.2 * (y - 2000), (10.0, -60.0))
    noise = rng.normal(0, 10.0 / 3.6e6, 200)
    Table(
        {
            "PX": x,
            "PY": y,
            "AL": ra,
            "DE": dec + noise,
            "A1": rng.normal(0.02, 0.01, 200),
            "A2": rng.normal(-0.01, 0.01, 200),
            "SIZE": np.full(200, 0.25),
        }
    ).write(tmp_path / "stars.fits")
    (tmp_path / "map.yaml").write_text(
        "x: PX\ny: PY\nref_ra: AL\nref_dec: DE\ne1: A1\ne2: A2\nt: {column: SIZE, unit: arcsec2}\n"
    )
    return tmp_path / "stars.fits"


def test_document_is_that_of_the_contract(capsys, star_file):
    code, document, lines = run(capsys, star_file, "--columns", star_file.parent / "map.yaml", "--order", 2)
    assert (code, lines) == (0, [])
    assert document["n_stars"] == 200
    assert document["status"] == "good"
    wcs, psf = document["wcs"], document["psf"]
    assert wcs["order"] == 2
    assert wcs["n_used"] >= 195
    assert wcs["dec_mad_mas"] == pytest.approx(10.0, rel=0.2)
    assert wcs["ra_mad_mas"] < 0.1
    assert wcs["pixel_scale_arcsec"] == pytest.approx(0.2, rel=1e-5)
    assert psf["fwhm_arcsec"] == pytest.approx(2.35482 * np.sqrt(0.125))
    assert (psf["e1"], psf["e2"]) == pytest.approx((0.02, -0.01), abs=0.003)


def test_people_read_lines_instead(capsys, star_file):
    with pytest.raises(SystemExit) as exit_:
        main(["qa", "visit", str(star_file), "--columns", str(star_file.parent / "map.yaml")])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert "200 stars: good" in out
    assert "FWHM" in out


def test_missing_part_is_null_with_a_problem(capsys, star_file):
    (star_file.parent / "short.yaml").write_text("x: PX\ny: PY\nref_ra: AL\nref_dec: DE\n")
    code, document, _ = run(capsys, star_file, "--columns", star_file.parent / "short.yaml")
    assert code == 1
    assert document["psf"] is None
    assert document["wcs"]["n_used"] == 200
    assert document["problems"]


def test_reference_from_a_file_with_a_magnitude_cut(capsys, star_file, tmp_path):
    table = Table.read(star_file)
    Table(
        {
            "ra": table["AL"],
            "dec": table["DE"] - 0.1 / 3600,
            "pmra": np.zeros(200),
            "pmdec": np.zeros(200),
            "ref_epoch": np.full(200, 2016.0),
            "phot_g_mean_mag": np.linspace(15, 20, 200),
        }
    ).write(tmp_path / "g.fits")
    columns = tmp_path / "c.yaml"
    columns.write_text("x: PX\ny: PY\nra: AL\ndec: DE\nepoch: 2020.03\nref_mag: {max: 17.5}\n")
    _, document, _ = run(capsys, star_file, "--columns", columns, "--reference", tmp_path / "g.fits")
    assert document["wcs"]["n_matched"] == 100
    assert document["wcs"]["dec_offset_mas"] == pytest.approx(100.0, abs=0.5)
    assert document["wcs"]["reference"] == "file"


def test_report_is_written_and_named(capsys, star_file, tmp_path):
    report = tmp_path / "out.html"
    code, document, _ = run(capsys, star_file, "--columns", star_file.parent / "map.yaml", "--report", report)
    assert code == 0
    assert document["report"] == str(report)
    assert "BokehJS" in report.read_text() or "Bokeh" in report.read_text()
    code, document, _ = run(capsys, star_file, "--report", tmp_path / "no" / "out.html")
    assert code == 2


@pytest.mark.parametrize("content", [b"this is text\n", b"", b"SIMPLE  =      "])
def test_a_file_that_is_no_table_is_bad_input_in_one_line(capsys, tmp_path, content):
    path = tmp_path / "stars.fits"
    path.write_bytes(content)
    code, document, lines = run(capsys, path)
    assert code == 2
    assert len(lines) == 1
    assert document["error"]["code"] == "table"


def test_missing_files_and_unknown_tables_are_bad_input(capsys, tmp_path):
    assert run(capsys, tmp_path / "absent.fits")[0] == 2
    Table({"flux": [1.0, 2.0]}).write(tmp_path / "flux.fits")
    code, document, lines = run(capsys, tmp_path / "flux.fits")
    assert (code, len(lines)) == (2, 1)
    assert "neither positions nor shapes" in document["error"]["message"]


def test_nan_columns_and_zero_stars_are_counted_problems(capsys, tmp_path):
    columns = {"x": [np.nan] * 5, "y": [1.0] * 5, "ra": [1.0] * 5, "dec": [1.0] * 5}
    Table(columns).write(tmp_path / "nan.fits")
    code, document, _ = run(capsys, tmp_path / "nan.fits")
    assert code == 1
    assert "5 of 5 stars have no finite pixel position" in document["problems"]
    assert document["status"] == "unknown"
    Table({k: np.empty(0) for k in columns}).write(tmp_path / "zero.fits")
    code, document, _ = run(capsys, tmp_path / "zero.fits")
    assert code == 1
    assert (document["n_stars"], document["wcs"], document["psf"]) == (0, None, None)


@pytest.mark.data
def test_stamps_of_a_real_table(capsys, test_data):
    code, document, _ = run(capsys, test_data / "decam_star_stamps.fits", "--stamps", "VIGNET")
    assert code == 1  # its ellipticity is above the limit
    assert document["psf"]["fwhm_arcsec"] == pytest.approx(1.148, rel=0.01)
    assert run(capsys, test_data / "decam_star_stamps.fits", "--stamps", "NOPE")[0] == 2
    assert run(capsys, test_data / "decam_star_stamps.fits", "--stamps", "FLAGS")[0] == 2


@pytest.mark.data
def test_a_real_image_against_gaia(capsys, test_data):
    references = [a for p in sorted(test_data.glob("decam_tc8_gaia_*")) for a in ("--reference", p)]
    _, document, _ = run(capsys, test_data / "decam_tc8_r_N6_image.fits", *references)
    assert document["wcs"]["n_matched"] == 7
    assert run(capsys, test_data / "decam_tc8_r_N6_image.fits", "--stamps", "X")[0] == 2
