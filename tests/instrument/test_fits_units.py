import io

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.instrument.fits_units import outline

shapes = st.lists(st.integers(1, 40), min_size=1, max_size=3)
# astropy itself misreads a quote that is followed by a slash, so the two do not meet here.
texts = st.text("abcXYZ'= ", max_size=12) | st.text("abcXYZ/= ", max_size=12)
types = st.sampled_from(["u1", "i2", "i4", "u2", "f4", "f8"])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(shapes, types, texts), max_size=4))
def test_units_lie_where_astropy_finds_them(images):
    units = fits.HDUList([fits.PrimaryHDU()])
    for shape, kind, text in images:
        image = fits.ImageHDU(np.zeros(shape, kind), name="Segment10")
        image.header["DETSEC"] = text
        units.append(image)
    buffer = io.BytesIO()
    units.writeto(buffer, checksum=True)
    content = buffer.getvalue()
    found = outline(content)
    with fits.open(io.BytesIO(content)) as expected:
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            place = theirs.fileinfo()
            assert (ours.start, ours.data_start) == (place["hdrLoc"], place["datLoc"])
            assert ours.stop == place["datLoc"] + place["datSpan"]
            for key in ("BITPIX", "NAXIS", "NAXIS1", "EXTNAME", "DETSEC", "CHECKSUM", "DATASUM"):
                assert ours.cards.get(key) == theirs.header.get(key)
            assert ours.data_sum == int(theirs.header.get("DATASUM", 0))
            assert ours.header_sum + ours.data_sum in (0xFFFFFFFF, 2 * 0xFFFFFFFF)


def _file(**cards):
    unit = fits.PrimaryHDU(np.zeros((4, 4), np.int16))
    text = unit.header.tostring()
    for key, value in cards.items():
        at = text.index(f"{key:8}=")
        text = text[:at] + f"{key:8}= {value:>20}".ljust(80) + text[at + 80 :]
    return text.encode() + b"\0" * 2880


def test_a_sane_header_is_taken():
    assert outline(_file())[0].stop == 5760


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"NAXIS": "-1"}, "NAXIS is -1"),
        ({"NAXIS": "10"}, "NAXIS is 10"),
        ({"NAXIS": "T"}, "NAXIS is True"),
        ({"NAXIS1": "-4"}, "NAXIS1 is -4"),
        ({"NAXIS1": "'4'"}, "NAXIS1 is '4'"),
        ({"NAXIS1": "99999999999999"}, "truncated"),
        ({"BITPIX": "x"}, "BITPIX is None"),
    ],
)
def test_hostile_sizes_are_refused(cards, words):
    with pytest.raises(ValueError, match=words):
        outline(_file(**cards))


def test_what_follows_the_last_extension_is_refused():
    with pytest.raises(ValueError, match="after its last extension"):
        outline(_file() + b"#!/bin/sh" * 320)
