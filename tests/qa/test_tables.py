from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from lsst_commtools.errors import NotFoundError, TableError
from lsst_commtools.qa.columns import automatic_map, read_column_map
from lsst_commtools.qa.readers import RawTable, is_fits_image, read_table
from lsst_commtools.qa.references import read_references
from lsst_commtools.qa.tables import make_star_table, read_star_table


def write_ldac(path, tables):
    hdus = [fits.PrimaryHDU()]
    for ccd, columns in tables.items():
        header = fits.Header({"CCDNUM": ccd, "MJD-OBS": 57205.875})
        cards = np.array([[str(c).ljust(80) for c in header.cards] + ["END".ljust(80)]])
        size = cards.shape[1]
        hdus.append(
            fits.BinTableHDU.from_columns(
                [fits.Column("Field Header Card", f"{80 * size}A", dim=f"(80,{size})", array=cards)],
                name="LDAC_IMHEAD",
            )
        )
        hdus.append(fits.BinTableHDU(Table(columns), name="LDAC_OBJECTS"))
    fits.HDUList(hdus).writeto(path)


@pytest.mark.parametrize("form", ["fits", "ecsv", "parquet"])
def test_the_same_table_in_all_formats(tmp_path, star_columns, form):
    path = tmp_path / "stars.dat"
    table = Table(star_columns)
    if form == "fits":
        table.write(path, format="fits")
    elif form == "ecsv":
        table.write(path, format="ascii.ecsv")
    else:
        pq.write_table(pa.table({k: pa.array(v) for k, v in star_columns.items()}), path)
    stars = read_star_table(path)
    assert len(stars) == 200
    assert stars.map_name == "lsst"
    assert np.allclose(stars["ra"], star_columns["coord_ra"])
    assert np.allclose(stars["snr"], 100.0)
    assert np.allclose(stars["t_psf"], 5.9)
    assert stars["psf_used"].sum() == 200


def test_units_of_the_file_count(tmp_path, star_columns):
    table = Table(star_columns)
    for name in ("coord_ra", "coord_dec"):
        table[name] = np.radians(table[name])
        table[name].unit = "rad"
    table.write(tmp_path / "stars.fits")
    stars = read_star_table(tmp_path / "stars.fits")
    assert np.allclose(stars["ra"], star_columns["coord_ra"])
    schema = pa.schema([pa.field("x", pa.float64()), pa.field("ra", pa.float64(), metadata={"unit": "rad"})])
    pq.write_table(pa.table({"x": [1.0], "ra": [np.pi]}, schema=schema), tmp_path / "one.parquet")
    assert read_star_table(tmp_path / "one.parquet")["ra"][0] == pytest.approx(180.0)


def test_ldac_joins_extensions_and_knows_detector_and_epoch(tmp_path):
    columns = {"XWIN_IMAGE": [1.0, 2.0], "YWIN_IMAGE": [1.0, 5.0], "FLAGS": [0, 4], "SNR_WIN": [10.0, 20.0]}
    write_ldac(tmp_path / "cat.fits", {3: columns, 7: columns})
    stars = read_star_table(tmp_path / "cat.fits")
    assert list(stars["x"]) == [0.0, 1.0, 0.0, 1.0]
    assert list(stars["detector"]) == [3, 3, 7, 7]
    assert stars["epoch"][0] == pytest.approx(2015.5)
    assert list(stars.good) == [True, False, True, False]


def test_column_map_with_units_constants_and_cuts(tmp_path):
    raw = RawTable(
        {
            "X": np.arange(4.0),
            "Y": np.arange(4.0),
            "RA": np.radians(np.arange(4.0)),
            "S": np.array([10, 60, 70, np.nan]),
            "Q": np.array([0, 1, 0, 0]),
            "PM": np.full(4, 1e-8),
        },
        n_rows=4,
    )
    path = tmp_path / "map.yaml"
    path.write_text(
        "x: X\ny: Y\nra: {column: RA, unit: rad}\nsnr: {column: S, min: 50}\nepoch: 2020.03\ndetector: 5\n"
        "ref_pm_ra_mas_yr: {column: PM, unit: rad/yr}\nref_epoch: {constant: 57205.875, unit: mjd}\n"
    )
    stars = make_star_table(raw, read_column_map(path))
    assert list(stars["x"]) == [1.0, 2.0]
    assert stars.n_cut == 2
    assert np.allclose(stars["ra"], [1.0, 2.0])
    assert set(stars["epoch"]) == {2020.03}
    assert set(stars["detector"]) == {5.0}
    assert stars["ref_pm_ra_mas_yr"][0] == pytest.approx(1e-8 * 206264.80625 * 1e3)
    assert stars["ref_epoch"][0] == pytest.approx(2015.5)
    path.write_text("x: X\ny: Y\nflag: {column: Q, max: 0}\n")
    assert len(make_star_table(raw, read_column_map(path))) == 3
    path.write_text("x: X\ny: Y\nflag: Q\n")
    assert list(make_star_table(raw, read_column_map(path)).good) == [True, False, True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- x\n", "not a mapping"),
        ("", "not a mapping"),
        ("{x", "cannot be read"),
        ("xx: X\n", "unknown name 'xx'"),
        ("x: {colum: X}\n", "unknown key 'colum'"),
        ("ra: {column: RA, unit: parsec}\n", "not a unit of ra"),
        ("x: [1]\n", "no column"),
        ("x: true\n", "column or a number"),
        ("x: {column: X, min: high}\n", "no number"),
        ("x: NOPE\ny: Y\n", "no column 'NOPE'"),
        ("x: {min: 3}\ny: Y\n", "names no column"),
        ("x: !!python/object:os.system {}\n", "cannot be read"),
    ],
)
def test_wrong_maps_are_told_in_one_line(tmp_path, text, message):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    raw = RawTable({"X": np.arange(2.0), "Y": np.arange(2.0), "RA": np.arange(2.0)}, n_rows=2)
    with pytest.raises(TableError, match=message) as caught:
        make_star_table(raw, read_column_map(path))
    assert "\n" not in str(caught.value)


def test_a_column_of_text_or_vectors_is_refused():
    names = {"x": np.array(["a", "b"]), "y": np.arange(2.0)}
    with pytest.raises(TableError, match="does not hold numbers"):
        make_star_table(RawTable(names, n_rows=2))
    with pytest.raises(TableError, match="one number per row"):
        make_star_table(RawTable({"x": np.zeros((2, 3)), "y": np.arange(2.0)}, n_rows=2))


def test_a_table_without_anything_known_is_refused():
    with pytest.raises(TableError, match="neither positions nor shapes"):
        make_star_table(RawTable({"flux": np.arange(2.0)}, n_rows=2))


def test_files_that_are_no_tables_are_refused(tmp_path):
    text = tmp_path / "text.fits"
    text.write_text("this is no FITS file\n")
    cut = tmp_path / "cut.fits"
    cut.write_bytes(b"SIMPLE  =                    T" + b" " * 50)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1" + b"\0" * 100)
    empty = tmp_path / "empty.fits"
    empty.write_bytes(b"")
    for path in (text, cut, broken, empty, tmp_path):
        with pytest.raises(TableError):
            read_table(path)
    with pytest.raises(NotFoundError):
        read_table(tmp_path / "absent.fits")
    fits.PrimaryHDU(np.zeros((5, 5))).writeto(tmp_path / "image.fits")
    with pytest.raises(TableError, match="no table"):
        read_table(tmp_path / "image.fits")
    assert is_fits_image(tmp_path / "image.fits")
    assert not is_fits_image(text)
    assert not is_fits_image(cut)


def test_shear_and_moments_give_the_same_columns():
    shear = make_star_table(
        RawTable({"x": np.zeros(1), "g1": np.array([0.1]), "g2": np.array([0.0])}, n_rows=1)
    )
    assert shear["e1"][0] == pytest.approx(0.2 / 1.01)
    piff = {
        "T_data": np.array([0.5]),
        "g1_data": np.array([0.1]),
        "g2_data": np.array([0.0]),
        "x": np.zeros(1),
    }
    table = make_star_table(RawTable(piff, n_rows=1))
    assert table.map_name == "piff"
    assert table.size_unit == "arcsec2"
    assert table["ixx"][0] - table["iyy"][0] == pytest.approx(0.5 * 0.2 / 1.01)


def test_automatic_maps_are_recognised():
    assert automatic_map(["Ixx", "Iyy", "IxxPsf"]).name == "lsst"
    assert automatic_map(["XWIN_IMAGE", "YWIN_IMAGE"]).name == "sextractor"
    assert automatic_map(["x", "y"]).name == "own names"


def test_references_of_two_formats_agree(tmp_path):
    ra, dec, pm = np.array([10.0, 11.0]), np.array([-5.0, -6.0]), np.array([100.0, np.nan])
    Table(
        {
            "ra": ra,
            "dec": dec,
            "pmra": pm,
            "pmdec": pm,
            "ref_epoch": [2015.5, 2015.5],
            "phot_g_mean_mag": [18.0, 20.0],
        }
    ).write(tmp_path / "gaia.fits")
    radians = pm / 206264.80625 / 1e3
    Table(
        {
            "coord_ra": np.radians(ra),
            "coord_dec": np.radians(dec),
            "pm_ra": radians,
            "pm_dec": radians,
            "epoch": [57205.875] * 2,
            "phot_g_mean_flux": 10 ** ((31.4 - np.array([18.0, 20.0])) / 2.5),
        },
        units={"coord_ra": "rad", "pm_ra": "rad"},
    ).write(tmp_path / "lsst.fits")
    first, second = read_references([tmp_path / "gaia.fits"]), read_references([tmp_path / "lsst.fits"])
    for one, other in zip(first.at(2026.0), second.at(2026.0), strict=True):
        assert np.allclose(one, other, atol=1e-10)
    assert np.allclose(first.mag, second.mag)
    assert np.isfinite(first.at(2026.0)[0]).all()
    assert np.allclose(first.at(np.nan)[0], ra)
    assert len(read_references([tmp_path / "gaia.fits", tmp_path / "lsst.fits"])) == 4
    Table({"x": [1.0]}).write(tmp_path / "none.fits")
    with pytest.raises(TableError, match="no reference catalogue"):
        read_references([tmp_path / "none.fits"])
