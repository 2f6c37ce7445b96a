import datetime as dt
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import CommtoolsError, DataError
from lsst_commtools.instrument import contradictions, read_header, translate

SKY = {True: "yes", False: "no", None: "?"}

COMCAM = {
    "INSTRUME": "ComCam", "OBSID": "CC_O_20261120_000012", "DAYOBS": "20261120", "SEQNUM": 12, "CONTRLLR": "O",
    "CAMCODE": "CC", "IMGTYPE": "OBJECT", "DATE-BEG": "2026-11-21T02:00:00.000", "DATE-END": "2026-11-21T02:00:31.000",
    "TIMESYS": "TAI", "EXPTIME": 30.0, "SHUTTIME": 30.0, "DARKTIME": 30.5, "RA": 10.0, "DEC": -30.0, "ROTPA": 5.0,
    "RAFTBAY": "R22", "CCDSLOT": "S11", "FILTER": "r_03", "VIGN_MIN": "NO", "PRESSURE": 74120.0,
}  # fmt: skip
LATISS = COMCAM | {"INSTRUME": "LATISS", "CAMCODE": "AT", "FILTER": "SDSSr_65mm", "GRATING": "empty_1"}


def latiss(begin, **cards):
    day = (dt.datetime.fromisoformat(begin) - dt.timedelta(hours=12)).strftime("%Y%m%d")
    stamps = {"DATE-BEG": begin, "DATE-END": None, "DAYOBS": day, "OBSID": f"AT_O_{day}_000012"}
    return translate(LATISS | stamps | cards)


def lsstcam(day_obs, seq_num, **cards):
    stamps = {
        "INSTRUME": "lsstCam", "DAYOBS": str(day_obs), "SEQNUM": seq_num, "OBSID": f"MC_O_{day_obs}_{seq_num:06d}",
        "DATE-BEG": f"{str(day_obs)[:4]}-{str(day_obs)[4:6]}-{str(day_obs)[6:]}T23:00:00", "DATE-END": None,
    }  # fmt: skip
    return translate(COMCAM | stamps | cards)


@pytest.mark.data
def test_real_headers_give_the_observatory_s_values(test_data):
    folder = test_data / "headers"
    rows = [
        [c.strip().strip("*") for c in line.split("|")[1:-1]]
        for line in (folder / "README.md").read_text().splitlines()
    ]
    rows = [row for row in rows if len(row) == 10 and re.search(r"\.(yaml|json)$", row[0])]
    assert len(rows) == 20
    for name, *expected, _why in rows:
        header = read_header(folder / name)
        info = translate(header)
        found = [
            info.instrument, str(info.day_obs), str(info.seq_num), str(info.exposure_id), info.physical_filter,
            info.observation_type, f"{info.detector} {info.detector_name}", SKY[info.can_see_sky],
        ]  # fmt: skip
        assert found == expected, name
        assert contradictions(header) == (), name
        assert info.begin_tai <= info.end_tai


def test_a_header_in_order():
    info = translate(COMCAM)
    assert (info.exposure_id, info.detector, info.detector_name) == (2026112000012, 4, "R22_S11")
    assert (info.physical_filter, info.band, info.observation_type) == ("r_03", "r", "science")
    assert (info.exposure_time_s, info.dark_time_s, info.pressure_hpa) == (30.0, 30.5, 741.2)
    assert info.end_tai - info.begin_tai == dt.timedelta(seconds=31)
    assert info.can_see_sky is True
    assert info.corrections == ()


@pytest.mark.parametrize(
    ("told", "hpa"), [(74120.0, 741.2), (741.2, 741.2), (10_000.0, 10_000.0), (None, None)]
)
def test_pressure_comes_in_two_units(told, hpa):
    assert translate(COMCAM | {"PRESSURE": told}).pressure_hpa == pytest.approx(hpa)


@pytest.mark.parametrize(
    ("day_obs", "seq_num", "cards", "key", "value"),
    [
        (20250609, 75, {"FILTER": "y_10"}, "FILTER", "y_10"),
        (20250609, 76, {"FILTER": "y_10"}, "FILTER", "z_20"),
        (20250609, 578, {"FILTER": "y_10"}, "FILTER", "z_20"),
        (20250609, 579, {"FILTER": "y_10"}, "FILTER", "y_10"),
        (20260315, 49, {"FILTER": "r_57"}, "FILTER", "i_39"),
        (20260315, 110, {"FILTER": "r_57"}, "FILTER", "r_57"),
        (20241015, 3, {"FILTER": "ph_05"}, "FILTER", "ph_5"),
        (20241017, 3, {"FILTER": "ph_05"}, "FILTER", "ph_05"),
        (20250301, 3, {"ROTPA": 100.0}, "ROTPA", 100.0),
        (20250302, 3, {"ROTPA": 100.0}, "ROTPA", 10.0),
        (20250421, 3, {"ROTPA": 0.0}, "ROTPA", -90.0),
        (20250422, 250, {"ROTPA": 100.0}, "ROTPA", -80.0),
        (20250422, 250, {"ROTPA": -100.0}, "ROTPA", 80.0),
        (20250422, 251, {"ROTPA": 100.0}, "ROTPA", 100.0),
        (20250518, 99, {"VIGN_MIN": "NO"}, "VIGN_MIN", "FULLY"),
        (20250707, 823, {"VIGN_MIN": "NO"}, "VIGN_MIN", "FULLY"),
        (20250707, 824, {"VIGN_MIN": "NO"}, "VIGN_MIN", "NO"),
        (20250819, 1052, {"VIGN_MIN": "NO"}, "VIGN_MIN", "FULLY"),
        (20250819, 3, {"VIGN_MIN": "NO"}, "VIGN_MIN", "NO"),
    ],
)
def test_lies_of_lsstcam_are_corrected_where_they_were_told(day_obs, seq_num, cards, key, value):
    info = lsstcam(day_obs, seq_num, **cards)
    assert info.header[key] == pytest.approx(value) if isinstance(value, float) else info.header[key] == value
    assert bool(info.corrections) == (cards[key] != value)
    if key == "VIGN_MIN":
        assert info.can_see_sky is (value != "FULLY")


def test_lsstcam_sees_no_sky_in_the_laboratory():
    assert lsstcam(20250228, 1).can_see_sky is False
    assert lsstcam(20250302, 1).can_see_sky is True


def test_latiss_angles_of_each_epoch():
    assert latiss("2020-01-28T21:59:59", RA=1.0, DEC=-0.5).ra_deg == pytest.approx(57.29577951)
    assert latiss("2020-01-28T22:00:01", RA=1.0, DEC=-0.5).dec_deg == -0.5
    assert latiss("2020-11-18T23:00:00").rotation_deg == 5.0
    assert latiss("2020-11-19T01:00:00").rotation_deg == 185.0
    assert latiss("2021-10-28T23:00:00", ROTPA=200.0).rotation_deg == 20.0
    assert latiss("2021-10-29T01:00:00").rotation_deg == 5.0
    assert latiss("2020-04-30T12:00:00", RASTART=3.0).header["RASTART"] is None
    assert latiss("2021-02-11T18:00:00", RASTART=3.0).header["RASTART"] == pytest.approx(45.0 + 37 / 240)
    assert latiss("2021-02-12T01:00:00", RASTART=45.0).header["RASTART"] == 45.0


def test_latiss_image_types_of_each_epoch():
    assert latiss("2019-09-01T15:00:00", IMGTYPE=None, GROUPID="bias_0001_0002").observation_type == "bias"
    assert latiss("2019-09-01T15:00:00", IMGTYPE=None, GROUPID="flat").observation_type == "flat"
    assert latiss("2019-09-01T15:00:00", IMGTYPE=None, GROUPID="flat").group != "flat"
    assert latiss("2019-09-01T15:00:00", IMGTYPE=None, GROUPID="focus7").observation_type == "focus"
    assert latiss("2019-09-01T15:00:00", IMGTYPE=None, GROUPID="test").observation_type == "unknown"
    assert latiss("2020-01-27T19:00:00").observation_type == "engtest"
    assert latiss("2020-01-27T21:00:00").observation_type == "science"


def test_latiss_filters_are_of_two_wheels():
    assert latiss("2024-01-01T01:00:00").physical_filter == "SDSSr_65mm~empty"
    assert (
        latiss("2024-01-01T01:00:00", FILTER="empty_3", GRATING="holo4_003").physical_filter
        == "empty~holo4_003"
    )
    assert latiss("2024-01-01T01:00:00", FILTER=None, GRATING=None).physical_filter == "unknown~unknown"


def test_dates_of_1970_are_replaced_by_that_of_the_file():
    info = latiss(
        "1970-01-01T00:00:08", DATE="2019-11-13T22:13:22.737", DAYOBS="20191113", OBSID="AT_O_20191113_000061"
    )
    assert info.begin_tai == dt.datetime.fromisoformat("2019-11-13T22:13:22.737")


def test_utc_is_made_tai():
    header = COMCAM | {"TIMESYS": "UTC"}
    assert translate(header).begin_tai == dt.datetime.fromisoformat("2026-11-21T02:00:37")


@pytest.mark.parametrize(
    ("cards", "day_obs"),
    [
        ({"INSTRUME": "ComCam", "DATE-BEG": "2026-11-21T11:59:00"}, 20261120),
        ({"INSTRUME": "ComCam", "DATE-BEG": "2026-11-21T12:01:00"}, 20261121),
        ({"INSTRUME": "lsstCam", "DATE-BEG": "2023-11-08T07:59:00"}, 20231107),
        ({"INSTRUME": "lsstCam", "DATE-BEG": "2023-11-08T08:01:00"}, 20231108),
        (
            {"INSTRUME": "LSST-TS8", "DATE-BEG": "2023-11-08T07:59:00", "RAFTNAME": "LCA-11021_RTM-004"},
            20231107,
        ),
    ],
)
def test_nights_roll_over_where_the_camera_is(cards, day_obs):
    header = {k: v for k, v in COMCAM.items() if k not in ("DAYOBS", "OBSID")} | cards
    assert translate(header).day_obs == day_obs


def test_the_test_stand_once_wrote_the_end_for_the_begin_and_numbered_by_time():
    header = COMCAM | {
        "INSTRUME": "LSST-TS8", "OBSID": "TS_C_20230512_000021", "CONTRLLR": "C", "DAYOBS": "20230512", "SEQNUM": 21,
        "DATE-OBS": "2023-05-12T19:17:59.150", "DATE-TRG": "2023-05-12T19:17:59.150", "DATE-BEG": None,
        "DATE-END": None, "TIMESYS": None, "EXPTIME": 15.0, "RAFTNAME": "LCA-11021_RTM-004", "CCDSLOT": "S02",
        "FILTER": "", "FILTER1": "HIGH",
    }  # fmt: skip
    info = translate(header)
    assert info.exposure_id == 202305121917591
    assert info.begin_tai == dt.datetime.fromisoformat("2023-05-12T19:17:44.150")
    assert (info.detector, info.detector_name, info.physical_filter) == (20, "RTM-004_S02", "HIGH")
    assert info.can_see_sky is False


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"SEQNUM": 13}, "SEQNUM 13"),
        ({"DAYOBS": "20261119"}, "another night"),
        ({"CONTRLLR": "C"}, "controller"),
        ({"OBSID": "MC_O_20261120_000012"}, "another camera"),
        ({"DATE-BEG": "2026-11-25T02:00:00"}, "not in DAYOBS"),
    ],
)
def test_contradictions_are_named(cards, words):
    assert contradictions(COMCAM) == ()
    assert any(words in found for found in contradictions(COMCAM | cards))


def test_file_names_are_no_evidence():
    assert contradictions(COMCAM | {"FILENAME": "CC_O_20240321_000001_R22_S00.fits"}) == ()


@pytest.mark.parametrize(
    "cards",
    [
        {"INSTRUME": "HSC"},
        {"INSTRUME": None},
        {"SEQNUM": "x"},
        {"SEQNUM": 100_000},
        {"DAYOBS": "20261399"},
        {"CONTRLLR": "X"},
        {"CCDSLOT": None},
        {"RAFTBAY": "R99"},
        {"DATE-BEG": None},
        {"DATE-BEG": "yesterday"},
    ],
)
def test_headers_without_identity_are_refused(cards):
    with pytest.raises(DataError):
        translate(COMCAM | cards)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)


@settings(deadline=None, max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(sorted(COMCAM | {"OBSTYPE": 1, "GRATING": 1, "MJD-BEG": 1, "CURINDEX": 1})), values
    )
)
def test_any_value_is_translated_or_refused(cards):
    for base in (COMCAM, LATISS, LATISS | {"DATE-END": None}):
        try:
            info = translate(base | cards)
        except CommtoolsError:
            continue
        assert info.begin_tai <= info.end_tai
