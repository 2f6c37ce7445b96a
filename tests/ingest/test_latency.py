"""Latencies: TAI against UTC, unknown stamps, clocks that lie."""

import datetime as dt

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import InputError
from lsst_commtools.ingest import (
    ArrivalWatcher,
    ImageStamps,
    Ingester,
    RsyncTransfer,
    latencies,
    open_repository,
    read_stamps,
    tai_to_utc,
    utc_to_tai,
)

CLOSE_TAI = dt.datetime.fromisoformat("2026-11-21T03:00:37")
CLOSE_UTC = dt.datetime(2026, 11, 21, 3, tzinfo=dt.UTC)


def after(seconds):
    return CLOSE_UTC + dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("tai", "utc"),
    [
        # Leap seconds by IERS Bulletin C: 36 s from 2015-07-01, 37 s from 2017-01-01, 32 s from 1999-01-01.
        ("2017-01-01T00:00:35.999", "2016-12-31T23:59:59.999"),
        ("2017-01-01T00:00:36.500", "2017-01-01T00:00:00.500"),  # 23:59:60.5, which no datetime can say
        ("2017-01-01T00:00:37.000", "2017-01-01T00:00:00.000"),
        ("2024-06-25T12:00:37.000", "2024-06-25T12:00:00.000"),
        ("1999-01-01T00:00:32.000", "1999-01-01T00:00:00.000"),
        ("1998-12-31T00:00:31.000", "1998-12-31T00:00:00.000"),
    ],
)
def test_tai_is_ahead_by_the_leap_seconds(tai, utc):
    (found,) = tai_to_utc([dt.datetime.fromisoformat(tai)])
    assert found.isoformat(timespec="milliseconds") == f"{utc}+00:00"


@settings(deadline=None)
@given(st.lists(st.datetimes(CLOSE_TAI.replace(1972), CLOSE_TAI), min_size=1, max_size=5))
def test_both_ways_agree_with_astropy(times):
    utc = tai_to_utc(times)
    expected = Time(times, format="datetime", scale="tai").utc
    found = Time([time.replace(tzinfo=None) for time in utc], format="datetime", scale="utc")
    assert abs((found - expected).sec).max() < 1e-6
    assert utc_to_tai(utc) == times


@settings(deadline=None)
@given(st.lists(st.datetimes(CLOSE_TAI.replace(1), CLOSE_TAI.replace(9999)), max_size=5))
def test_a_header_of_any_year_is_borne(times):
    assert len(tai_to_utc(times)) == len(times)
    latencies([ImageStamps(1, 1, time, after(0)) for time in times])


def test_distributions_are_of_what_is_known():
    seconds = [5.0, 1.0, 2.0, 3.0, 40.0]
    images = [
        ImageStamps(7, k, CLOSE_TAI, transferred_utc=after(s), ingested_utc=after(s + 10) if k else None)
        for k, s in enumerate(seconds)
    ]
    images.append(ImageStamps(8, 0, None, transferred_utc=after(1)))
    report = latencies(images)
    there = report.to("transferred")
    assert report.images == 6
    assert (there.n, there.unknown, there.negative, there.hint) == (5, 1, (), "")
    assert (there.median_s, there.max_s) == (3.0, 40.0)
    assert there.p95_s == pytest.approx(np.percentile(seconds, 95))
    assert (report.to("ingested").n, report.to("ingested").unknown) == (4, 2)
    measured = report.to("measured")
    assert (measured.n, measured.median_s, measured.p95_s, measured.max_s, measured.unknown) == (
        0, None, None, None, 6,
    )  # fmt: skip
    assert report.to_dict()["stations"][0]["median_s"] == 3.0
    with pytest.raises(InputError, match="no station"):
        report.to("lost")


def test_negative_latencies_are_named_and_not_counted():
    wrong = CLOSE_TAI + dt.timedelta(seconds=37)  # 37 s were added twice
    images = [ImageStamps(7, 0, CLOSE_TAI, after(4)), ImageStamps(7, 1, wrong, after(4))]
    found = latencies(images).to("transferred")
    assert (found.n, found.median_s, found.unknown) == (1, 4.0, 0)
    assert found.negative == ((7, 1, -33.0),)
    assert "leap seconds" in found.hint
    far = latencies([ImageStamps(7, 1, CLOSE_TAI.replace(2027), after(4))]).to("transferred")
    assert "clock is wrong" in far.hint
    assert far.n == 0


def test_scales_cannot_be_mixed_up():
    with pytest.raises(InputError, match="TAI has no time zone"):
        ImageStamps(7, 0, CLOSE_UTC)
    with pytest.raises(InputError, match="ingested_utc has no time zone"):
        ImageStamps(7, 0, CLOSE_TAI, ingested_utc=CLOSE_TAI)
    chile = dt.timezone(dt.timedelta(hours=-3))
    stamps = ImageStamps(7, 0, CLOSE_TAI, transferred_utc=after(4).astimezone(chile))
    assert latencies([stamps]).to("transferred").median_s == 4.0


def test_no_images_are_no_latency():
    assert all(s.n == 0 and s.unknown == 0 for s in latencies([]).stations)
    assert tai_to_utc([]) == utc_to_tai([]) == []


def put(repository, name, dimensions, data_ids):
    from lsst.daf.butler import DatasetType

    with open_repository(repository, writeable=True) as butler:
        kind = DatasetType(name, dimensions, "StructuredDataDict", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        butler.registry.registerRun("u/test/night")
        for data_id in data_ids:
            butler.put({}, name, {"instrument": "LSSTComCam", **data_id}, run="u/test/night")


def test_stamps_are_read_from_the_repository_and_the_watcher(repository, small_night, tmp_path):
    night = {"camera": "ComCam", "day_obs": 20261120, "collections": "u/test/night"}
    RsyncTransfer(small_night.raw, tmp_path / "storage").send()
    with ArrivalWatcher(
        tmp_path / "storage",
        Ingester(repository, "LSSTComCam"),
        expected_detectors=[0, 1, 4, 8],
        settle_s=0.0,
    ) as watcher:
        watcher.poll()
        arrived = watcher.files()
    assert len(read_stamps(repository, **night)) == 8
    visits = sorted({stamps.exposure for stamps in read_stamps(repository, **night)})
    put(repository, "star_table", ("instrument", "visit", "detector"), [{"visit": visits[0], "detector": 4}])
    put(repository, "visit_summary", ("instrument", "visit"), [{"visit": visits[1]}])
    stamps = read_stamps(repository, **night, arrived=arrived, processed=("none_such", "star_table"))
    assert [(s.exposure, s.detector) for s in stamps] == [(v, d) for v in visits for d in (0, 1, 4, 8)]
    header = fits.getheader(min(small_night.raw.rglob(f"*{visits[0] % 100000:06d}*.fits")))
    assert abs(stamps[0].shutter_close_tai - dt.datetime.fromisoformat(header["DATE-END"])) < dt.timedelta(
        milliseconds=1
    )
    now_utc = dt.datetime.now(dt.UTC)
    for s in stamps:
        assert s.transferred_utc <= s.ingested_utc <= now_utc
        assert (s.processed_utc is not None) == ((s.exposure, s.detector) == (visits[0], 4))
        assert (s.measured_utc is not None) == (s.exposure == visits[1])
    # The Butler's ingest_date is TAI: taken for UTC it would lie 37 s in the future.
    assert stamps[2].ingested_utc < stamps[2].processed_utc < now_utc + dt.timedelta(seconds=5)
    shifted = read_stamps(repository, **night, utc_of=lambda real: real - dt.timedelta(days=1))
    assert shifted[2].processed_utc + dt.timedelta(days=1) == stamps[2].processed_utc
    assert shifted[0].transferred_utc is None
    with pytest.raises(InputError, match="no dataset of visits"):
        read_stamps(repository, **night, processed=["raw"])
