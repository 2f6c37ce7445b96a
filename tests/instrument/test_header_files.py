import json

import pytest

from lsst_commtools.errors import TableError
from lsst_commtools.instrument import read_header


def test_rows_of_a_property_list_are_read(tmp_path):
    path = tmp_path / "header.yaml"
    path.write_text(
        "!<lsst.daf.base.PropertyList>\n"
        "- [INSTRUME, String, LATISS, camera]\n"
        "- [SEQNUM, Int, 61, '']\n"
        "- [RA, Undef, null, '']\n"
        "- [COMMENT, String, [one, two], '']\n"
        "- - EXPTIME\n  - Double\n  - - 1.0\n    - 2.0\n  - repeated\n"
    )
    assert read_header(path) == {"INSTRUME": "LATISS", "SEQNUM": 61, "RA": None, "EXPTIME": 2.0}


def test_hierarchical_keywords_read_alike_from_json_yaml_and_fits(tmp_path, make_raw):
    files = [tmp_path / name for name in ("header.json", "header.yaml", "header.fits")]
    files[0].write_text(json.dumps({"__CONTENT__": "metadata", "HIERARCH.SIMULATE.MTMOUNT": 1}))
    files[1].write_text("SIMULATE MTMOUNT: 1\nDATE: 2026-11-20\n")
    units = make_raw()
    units[0].header["HIERARCH SIMULATE MTMOUNT"] = 1
    units.writeto(files[2])
    assert all(read_header(file)["SIMULATE MTMOUNT"] == 1 for file in files)
    assert read_header(files[1])["DATE"] == "2026-11-20"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evil.yaml", "!!python/object/apply:os.system [echo]"),
        ("evil.yaml", "!<lsst.daf.base.PropertyList>\n- [a]\n"),
        ("evil.yaml", "!<lsst.daf.base.PropertyList> text\n"),
        ("list.yaml", "- 1\n"),
        ("empty.yaml", ""),
        ("broken.yaml", "a: [1, 2\n"),
        ("keys.yaml", "1: 2\n"),
        ("deep.json", "[" * 100_000),
        ("broken.json", "{"),
        ("list.json", "[1]"),
        ("large.yaml", "a: " + "b" * 2_100_000),
        ("text.fits", "no fits"),
    ],
)
def test_hostile_and_broken_files_are_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(TableError, match=name):
        read_header(path)


def test_binary_and_absent_files_are_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("binary.yaml", "absent.yaml"):
        with pytest.raises(TableError):
            read_header(tmp_path / name)
