import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import IdentifierError
from lsst_commtools.ids import (
    CAMERA_CODES,
    CONTROLLERS,
    CscName,
    FileId,
    ObsId,
    check_day_obs,
    check_seq_num,
    day_obs_date,
    day_obs_from_tai,
    day_obs_from_time,
    exposure_id,
    parse_exposure_id,
)

dates = st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31))
days_obs = dates.map(lambda d: int(d.strftime("%Y%m%d")))
seq_nums = st.integers(0, 99_999)
controllers = st.sampled_from(CONTROLLERS)
obs_ids = st.builds(ObsId, st.sampled_from(sorted(CAMERA_CODES)), controllers, days_obs, seq_nums)
detectors = st.sampled_from(["R22_S00", "R00_SG1", "R44_SW0", "R00_S00", "RTM-004_S22"])


@settings(deadline=None)
@given(dates)
def test_day_obs_and_date_round_trip(date):
    day_obs = int(date.strftime("%Y%m%d"))
    assert check_day_obs(day_obs) == check_day_obs(str(day_obs)) == check_day_obs(f" {day_obs} ") == day_obs
    assert day_obs_date(day_obs) == date


@settings(deadline=None)
@given(st.datetimes(dt.datetime(2000, 1, 2), dt.datetime(2099, 12, 30)))  # noqa: DTZ001  TAI has no time zone
def test_day_obs_lasts_from_noon_to_noon_tai(tai):
    begin = dt.datetime.combine(day_obs_date(day_obs_from_tai(tai)), dt.time(12))
    assert begin <= tai < begin + dt.timedelta(days=1)


def test_day_obs_counts_tai_and_not_utc():
    from astropy.time import Time

    assert day_obs_from_time(Time("2026-11-20T11:59:22.999", scale="utc")) == 20261119
    assert day_obs_from_time(Time("2026-11-20T11:59:23.001", scale="utc")) == 20261120
    with pytest.raises(IdentifierError):
        day_obs_from_tai(dt.datetime(2026, 11, 20, tzinfo=dt.UTC))


@settings(deadline=None)
@given(days_obs, seq_nums, controllers)
def test_exposure_id_gives_back_its_parts(day_obs, seq_num, controller):
    identifier = exposure_id(day_obs, seq_num, controller)
    assert len(str(identifier)) == 13
    found_day, found_seq, found_controllers = parse_exposure_id(identifier)
    assert (found_day, found_seq) == (day_obs, seq_num)
    assert controller in found_controllers
    assert all(exposure_id(day_obs, seq_num, other) == identifier for other in found_controllers)


@settings(deadline=None)
@given(days_obs, seq_nums)
def test_exposure_ids_sort_as_nights_do(day_obs, seq_num):
    later = (
        int((day_obs_date(day_obs) + dt.timedelta(days=1)).strftime("%Y%m%d")) if day_obs < 20991231 else None
    )
    if seq_num < 99_999:
        assert exposure_id(day_obs, seq_num) < exposure_id(day_obs, seq_num + 1)
    if later is not None:
        assert exposure_id(day_obs, 99_999) < exposure_id(later, 0)


@pytest.mark.parametrize(
    ("day_obs", "controller", "expected"),
    [
        (20231004, "C", 3023100400007),
        (20231005, "C", 2023100500007),
        (20250417, "P", 5025041700007),
        (20250417, "Q", 6025041700007),
        (20250417, "S", 7025041700007),
        (20250418, "S", 2025041800007),
        (20260101, "H", 4026010100007),
    ],
)
def test_controllers_add_a_thousand_years_until_their_counters_were_joined(day_obs, controller, expected):
    assert exposure_id(day_obs, 7, controller) == expected


@settings(deadline=None)
@given(obs_ids, detectors)
def test_obs_ids_and_file_names_round_trip(obs_id, detector):
    assert ObsId.parse(str(obs_id)) == obs_id
    assert FileId.parse(f"/some/folder/{obs_id}_{detector}.fits.fz") == FileId(obs_id, detector)
    assert str(FileId(obs_id, detector)) == f"{obs_id}_{detector}"


@settings(deadline=None)
@given(st.text(max_size=30))
def test_text_is_refused_or_round_trips(text):
    for parse in (ObsId.parse, FileId.parse, CscName.parse):
        try:
            found = parse(text)
        except IdentifierError:
            continue
        assert parse(str(found)) == found


@pytest.mark.parametrize(
    "value", [20261399, "20260230", "2026-11-20", 0, -1, True, None, "٢٠٢٦١١٢٠", 2026112, 18990101]
)
def test_what_is_no_date_is_no_day_obs(value):
    with pytest.raises(IdentifierError):
        check_day_obs(value)


@pytest.mark.parametrize("value", [100_000, -1, "1.0", 1.0, True, None, "", "x"])
def test_what_is_no_counter_is_no_seq_num(value):
    with pytest.raises(IdentifierError):
        check_seq_num(value)


@pytest.mark.parametrize(
    "value", ["AT_X_20240624_000106", "AT_O_20241399_000106", "AT_O_20240624_106", "at_o_20240624_000106"]
)
def test_broken_obs_ids_are_refused(value):
    with pytest.raises(IdentifierError):
        ObsId.parse(value)


def test_wildcards_are_no_csc_names():
    assert CscName.parse("DIMM:1") == CscName("DIMM", 1)
    assert str(CscName.parse("ESS")) == "ESS"
    with pytest.raises(IdentifierError, match="wildcard"):
        CscName.parse("ESS:*")
