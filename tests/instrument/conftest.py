"""Small raw files, written as the cameras do."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

ROWS, COLUMNS = 40, 64
PRESCAN, OVERSCAN = 3, 5
SEGMENTS = [f"1{k}" for k in range(8)] + [f"0{k}" for k in range(7, -1, -1)]


def _sections(place):
    """DATASEC and DETSEC of the segment at a place: columns run backwards, those of the upper half rows too."""
    width, height = COLUMNS // 8, ROWS // 2
    upper, k = divmod(place, 8)
    first, last = k * width + 1, (k + 1) * width
    rows = f"{ROWS}:{height + 1}" if upper else f"1:{height}"
    return f"[{PRESCAN + 1}:{PRESCAN + width},1:{height}]", f"[{last}:{first},{rows}]"


@pytest.fixture
def true_pixels():
    """The detector's image that the raw files of this folder hold."""
    return np.arange(ROWS * COLUMNS, dtype=np.int32).reshape(ROWS, COLUMNS)


@pytest.fixture
def make_raw(true_pixels):
    """Make the HDUs of a raw file; ``cards`` go into the primary header."""

    def make(*, compressed=False, dtype=np.int32, **cards):
        units = [fits.PrimaryHDU()]
        for key, value in cards.items():
            units[0].header[key] = value
        width, height = COLUMNS // 8, ROWS // 2
        for place, name in enumerate(SEGMENTS):
            upper, k = divmod(place, 8)
            part = true_pixels[upper * height : (upper + 1) * height, k * width : (k + 1) * width]
            data = np.full((height + 2, PRESCAN + width + OVERSCAN), 777, dtype)
            data[:height, PRESCAN : PRESCAN + width] = part[:: -1 if upper else 1, ::-1]
            header = fits.Header()
            header["DATASEC"], header["DETSEC"] = _sections(place)
            header["DETSIZE"] = f"[1:{COLUMNS},1:{ROWS}]"
            header["CCDSUM"] = "1 1"
            header["GAIN"] = 1.0 + place / 100
            kind = (
                fits.CompImageHDU(data, header, compression_type="RICE_1", name=f"Segment{name}")
                if compressed
                else fits.ImageHDU(data, header, name=f"Segment{name}")
            )
            units.append(kind)
        return fits.HDUList(units)

    return make


@pytest.fixture
def raw_file(make_raw, tmp_path):
    """A raw file that is in order."""
    path = tmp_path / "raw.fits"
    make_raw(INSTRUME="ComCam").writeto(path, checksum=True)
    return path
