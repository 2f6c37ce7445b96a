"""A rate has a unit, or it is none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import InputError
from lsst_commtools.ingest import Rate


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [
        ("40 MB/s", 40e6),
        ("40 Mb/s", 5e6),
        ("40Mbit/s", 5e6),
        ("40 Mbps", 5e6),
        ("40 MBps", 40e6),
        ("5 MiB/s", 5 * 2**20),
        ("1 Gb/s", 125e6),
        ("1.5 kB/s", 1500.0),
        ("12 bytes/s", 12.0),
        (" 8 bits/s ", 1.0),
        ("2 Tib/s", 2.0**38),
    ],
)
def test_units_are_read(text, bytes_per_s):
    assert Rate.parse(text).bytes_per_s == pytest.approx(bytes_per_s, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("40", "factor of 8"),
        ("40 M", "bits .b. or bytes .B., a factor of 8"),
        ("40M/s", "bits .b. or bytes .B., a factor of 8"),
        ("40 MB", "an amount, not a rate"),
        ("40 mb/s", "'mb' can be read as Mb and as MB, a factor of 8"),
        ("40 mB/s", "can be read as"),
        ("40 KB/s", "1000 and as 1024: write kB or KiB"),
        ("3 parsec/s", "no unit of data"),
        ("40 MB/h", "no rate"),
        ("0 MB/s", "no rate"),
        ("-1 MB/s", "no rate"),
        ("nan MB/s", "no rate"),
        ("\u0664\u0660 MB/s", "no rate"),
        ("1e400 MB/s", "no rate"),
        ("", "no rate"),
    ],
)
def test_what_can_be_misread_is_refused(text, why):
    with pytest.raises(InputError, match=why) as caught:
        Rate.parse(text)
    assert "40 MB/s (megabytes) or 40 Mb/s (megabits, 8 times less)" in caught.value.advice


@settings(deadline=None)
@given(st.decimals("0.001", "999999", places=3), st.sampled_from(["", "k", "M", "G", "Ki", "Mi"]))
def test_bits_are_an_eighth_of_bytes(number, prefix):
    as_bytes, as_bits = (Rate.parse(f"{number} {prefix}{unit}/s") for unit in "Bb")
    assert as_bits.bytes_per_s * 8 == pytest.approx(as_bytes.bytes_per_s)
    assert as_bits < as_bytes


@settings(deadline=None)
@given(st.floats(1e-3, 1e15))
def test_what_is_printed_is_read_back(bytes_per_s):
    in_bytes, in_bits = str(Rate(bytes_per_s)).removesuffix(")").split(" (")
    for text in (in_bytes, in_bits):
        assert Rate.parse(text).bytes_per_s == pytest.approx(bytes_per_s, rel=1e-3)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        rate = Rate.parse(text)
    except InputError:
        return
    assert rate.bytes_per_s > 0


def test_a_rate_of_nothing_is_unknown():
    assert Rate.of(0, 1.0) is None
    assert Rate.of(10, 0.0) is None
    assert Rate.of(10, 2.0) == Rate(5.0)
    with pytest.raises(InputError):
        Rate(float("inf"))
