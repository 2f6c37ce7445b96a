import gzip

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import TableError
from lsst_commtools.instrument import assemble, inspect_raw, read_raw
from lsst_commtools.instrument.raws import read_raw_header


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.int32, np.uint16])
def test_pixels_come_back_where_they_were(make_raw, true_pixels, tmp_path, compressed, dtype):
    path = tmp_path / "raw.fits"
    make_raw(compressed=compressed, dtype=dtype).writeto(path, checksum=True)
    raw = read_raw(path)
    assert raw.shape == true_pixels.shape == inspect_raw(path).shape
    assert np.array_equal(assemble(raw), true_pixels)
    assert [a.name for a in raw.amplifiers][:8] == [f"C1{k}" for k in range(8)]
    assert raw.amplifiers[3].gain == pytest.approx(1.03)
    assert all(a.data.dtype.kind in "iu" for a in raw.amplifiers)


def test_sections_given_are_put_in_place_of_the_pixels(raw_file, true_pixels):
    raw = read_raw(raw_file)
    halved = [a.data[a.data_section] / 2 for a in raw.amplifiers]
    assert np.array_equal(assemble(raw, halved), (true_pixels / 2).astype(np.float32))


def test_the_header_is_plain_values(make_raw, tmp_path):
    path = tmp_path / "raw.fits"
    units = make_raw(SEQNUM=5, RA=None, OBJECT="")
    units[0].header["COMMENT"] = "not a keyword"
    units[0].header["HIERARCH SIMULATE MTMOUNT"] = 1
    units.writeto(path)
    header = read_raw(path).header
    assert header == read_raw_header(path)
    assert header["SEQNUM"] == 5
    assert header["RA"] is None
    assert header["SIMULATE MTMOUNT"] == 1
    assert "COMMENT" not in header


def test_half_a_wavefront_sensor_is_whole(make_raw, true_pixels, tmp_path):
    path = tmp_path / "raw.fits"
    units = make_raw(CCDSLOT="SW0")
    del units[9:]
    units.writeto(path)
    assert np.array_equal(assemble(read_raw(path)), true_pixels[:20])


def test_a_file_cut_between_extensions_is_found(make_raw, tmp_path):
    path = tmp_path / "raw.fits"
    units = make_raw(CCDSLOT="S00")
    del units[9:]
    units.writeto(path, checksum=True)
    with pytest.raises(TableError, match=r"leave 50\.0% of the detector empty"):
        read_raw(path)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("DATASEC", "[4:11]", "DATASEC of"),
        ("DATASEC", "[0:7,1:20]", "DATASEC of"),
        ("DATASEC", None, "DATASEC of"),
        ("DATASEC", "[4:99,1:20]", "fits neither"),
        ("DETSEC", "[8:1,1:21]", "fits neither"),
        ("DETSEC", "[99:92,1:20]", "outside DETSIZE"),
        ("DETSEC", "[16:9,1:20]", "overlap"),
        ("DETSIZE", "[1:999999,1:999999]", "DETSIZE"),
        ("DETSIZE", "[1:64,1:41]", "disagree on DETSIZE"),
        ("CCDSUM", "2 2", "binned"),
    ],
)
def test_contradicting_sections_are_refused(make_raw, tmp_path, key, value, reason):
    path = tmp_path / "raw.fits"
    units = make_raw()
    units[1].header[key] = value
    units.writeto(path)
    for read in (read_raw, inspect_raw):
        with pytest.raises(TableError, match=reason):
            read(path)


@pytest.mark.parametrize("keep", [0, 1, 79, 2880, 10_000, -2880, -1])
def test_cut_files_are_refused(raw_file, keep):
    raw_file.write_bytes(raw_file.read_bytes()[:keep])
    for read in (read_raw, inspect_raw):
        with pytest.raises(TableError):
            read(raw_file)


@pytest.mark.parametrize(
    "content", [b"hello\n", b"SIMPLE  = nonsense", b"\x00" * 5760, gzip.compress(b"SIMPLE")]
)
def test_what_is_no_fits_file_is_refused(tmp_path, content):
    path = tmp_path / "text.fits"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"text\.fits"):
        read_raw(path)


def test_folders_and_absent_files_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent.fits"):
        with pytest.raises(TableError):
            inspect_raw(path)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_is_found_or_harmless(raw_file, true_pixels, data):
    content = bytearray(raw_file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    broken = raw_file.with_name("broken.fits")
    broken.write_bytes(content)
    try:
        raw = read_raw(broken)
    except TableError:
        return
    assert np.array_equal(assemble(raw), true_pixels)
