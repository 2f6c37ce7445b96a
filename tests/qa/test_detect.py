from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lsst_commtools.errors import TableError
from lsst_commtools.qa.detect import detect_stars, read_image_stars
from lsst_commtools.qa.match import match_sky
from lsst_commtools.qa.shapes import fwhm_from_trace
from lsst_commtools.qa.wcs import fit_tan_polynomial


@pytest.fixture(scope="module")
def sky():
    """An image of 60 Gaussian stars of FWHM 4 px, apart from each other, with noise."""
    rng = np.random.default_rng(1)
    grid = np.mgrid[30:370:45, 30:370:45].reshape(2, -1)[:, :60] + rng.uniform(-5, 5, (2, 60))
    rows, columns = np.mgrid[:400, :400]
    image = rng.normal(100.0, 5.0, (400, 400))
    sigma = 4.0 / 2.35482
    for y, x in grid.T:
        image += 3000 * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / sigma**2)
    return image.astype(np.float32), grid[1], grid[0]


def test_stars_are_found_where_they_are(sky):
    image, x, y = sky
    table = detect_stars(image)
    assert len(table) == 60
    index, _, separation = match_sky(table["x"] / 3600, table["y"] / 3600, x / 3600, y / 3600, 1.0)
    assert len(index) == 60
    assert separation.max() < 0.02
    assert table.good.all()
    assert (table["extendedness"] == 0).all()
    assert np.median(fwhm_from_trace(table["t"])) == pytest.approx(4.0, rel=0.01)


def test_saturated_and_masked_stars_do_not_count(sky):
    image, x, y = sky
    bright = image.copy()
    bright[round(y[0]) - 1 : round(y[0]) + 2, round(x[0]) - 1 : round(x[0]) + 2] = 60000
    assert (~detect_stars(bright, saturation=50000.0).good).sum() == 1
    hidden = np.zeros(image.shape, bool)
    hidden[:, :100] = True
    assert detect_stars(image, mask=hidden)["x"].min() > 95
    holes = image.copy()
    holes[:, :100] = np.nan
    assert detect_stars(holes)["x"].min() > 95


def test_an_image_without_stars_gives_an_empty_table():
    noise = np.random.default_rng(2).normal(100.0, 5.0, (200, 200))
    assert len(detect_stars(noise)) == 0
    assert len(detect_stars(np.zeros((64, 64)))) == 0


def test_header_gives_sky_positions_epoch_and_saturation(sky, tmp_path, make_field):
    image, _, _ = sky
    header = fit_tan_polynomial(*make_field(), order=3).header()
    header.update({"MJD-OBS": 57205.875, "EXPTIME": 30.0, "SATURATE": 3000.0})
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image, header)]).writeto(tmp_path / "image.fits")
    table = read_image_stars(tmp_path / "image.fits")
    assert table["epoch"][0] == pytest.approx(2015.5, abs=1e-5)
    assert not table.good.all()
    assert np.isfinite(table["ra"]).all()
    with pytest.raises(TableError):
        read_image_stars(Path(__file__))
