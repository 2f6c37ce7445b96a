from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.errors import InputError, TableError
from lsst_commtools.qa.limits import Status
from lsst_commtools.qa.projection import unit_vectors
from lsst_commtools.qa.readers import raw_table
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.repeatability import make_objects, make_sources, measure_repeatability, pair_blocks

NAMES = ["AM1", "AM2", "AM3", "AF1", "AF2", "AF3", "AD1", "AD2", "AD3", "AB1", "ABF1", "AA1"]
PLACES = [(150.0, -30.0), (0.0, -60.0), (0.0, -89.0), (210.0, -89.99), (33.0, 0.0), (359.99, 89.5)]


def measure(frame, **options):
    return measure_repeatability([make_sources(raw_table(frame))], **options)


def median_of_std(n):
    """Median of the standard deviation of n normal values, over sigma (Wilson and Hilferty)."""
    return (1.0 - 2.0 / (9.0 * (n - 1.0))) ** 1.5


def separation_arcmin(ra1, dec1, ra2, dec2):
    """Vincenty's formula: holds at all separations."""
    a1, d1, a2, d2 = map(np.radians, (ra1, dec1, ra2, dec2))
    da = a2 - a1
    top = np.hypot(np.cos(d2) * np.sin(da), np.cos(d1) * np.sin(d2) - np.sin(d1) * np.cos(d2) * np.cos(da))
    return np.degrees(np.arctan2(top, np.sin(d1) * np.sin(d2) + np.cos(d1) * np.cos(d2) * np.cos(da))) * 60


def slow(frame, d_arcmin, ad_mas, af_percent, centre=np.median):
    """AM, AF, AD by the letter of the document: one pair after the other, full separations in float64."""
    ids = np.unique(frame["object_id"])
    visits = {v: k for k, v in enumerate(np.unique(frame["visit"]))}
    sky = np.full((2, len(ids), len(visits)), np.nan)
    rows = np.searchsorted(ids, frame["object_id"]), [visits[v] for v in frame["visit"]]
    sky[0][rows], sky[1][rows] = frame["ra"], frame["dec"]
    vectors = unit_vectors(sky[0].ravel(), sky[1].ravel()).reshape(len(ids), -1, 3)
    mean = np.nanmedian(vectors, axis=1)
    place = (
        np.degrees(np.arctan2(mean[:, 1], mean[:, 0])),
        np.degrees(np.arcsin(mean[:, 2] / np.linalg.norm(mean, axis=1))),
    )
    rms, deviations, pairs = [], [], 0
    for i in range(len(ids)):
        for j in range(i + 1, len(ids)):
            if (
                not abs(separation_arcmin(place[0][i], place[1][i], place[0][j], place[1][j]) - d_arcmin)
                <= 1.0
            ):
                continue
            pairs += 1
            seen = separation_arcmin(sky[0, i], sky[1, i], sky[0, j], sky[1, j]) * 6e4
            seen = seen[np.isfinite(seen)]
            if len(seen) >= 2:
                rms.append(np.std(seen, ddof=1))
            if len(seen) >= 3:
                deviations.extend(np.abs(seen - centre(seen)))
    deviations = np.array(deviations)
    return {
        "pairs": pairs, "AM": np.median(rms), "AF": 100 * np.mean(deviations > ad_mas),
        "AD": np.percentile(deviations, 100 - af_percent),
    }  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_injected_scatter_is_found_at_any_place(simulate_visits, place):
    measured = measure(simulate_visits(place, n_objects=1500, n_visits=20, scatter_mas=10.0))
    m = measured.measurements
    expected = 10.0 * np.sqrt(2.0) * median_of_std(20 * 0.8**2)
    assert abs(m["AM1"].value - expected) < 4 * m["AM1"].error + 0.02
    for name in ("dmL2AstroErr_RA", "dmL2AstroErr_Dec"):
        assert m[name].value == pytest.approx(10.0 * median_of_std(20 * 0.8), abs=4 * m[name].error + 0.02)
    assert m["AM1"].status is Status.WARNING
    assert m["dmL2AstroErr_RA"].status is None
    assert m["AM3"].status is Status.UNKNOWN
    assert "200 arcmin apart" in m["AM3"].reason
    assert set(NAMES) <= set(measured.document())


@pytest.mark.parametrize("place", [(300.0, -30.0), (330.0, -60.0), (0.0, -89.0)])
def test_scatter_in_dec_never_shows_in_ra(simulate_visits, place):
    m = measure(simulate_visits(place, n_objects=300, n_visits=12, scatter_mas=(0.0, 20.0))).measurements
    assert m["dmL2AstroErr_RA"].value < 0.01
    assert m["dmL2AstroErr_Dec"].value == pytest.approx(20.0, rel=0.05)


@pytest.mark.parametrize("centre", ["median", "mean"])
@pytest.mark.parametrize("place", [(0.0, -60.0), (77.0, -89.0)])
def test_fast_equals_slow(simulate_visits, place, centre):
    frame = simulate_visits(place, n_objects=150, n_visits=14, scatter_mas=10.0, outliers=0.02, width_arcmin=12.0,
                            motion_mas_yr=300.0)  # fmt: skip
    m = measure(frame, centre=centre).measurements
    want = slow(frame, 5.0, 20.0, 10.0, np.median if centre == "median" else np.mean)
    assert m["AM1"].value == pytest.approx(want["AM"], rel=1e-4)
    assert m["AD1"].value == pytest.approx(want["AD"], rel=1e-4)
    assert m["AF1"].value == pytest.approx(want["AF"], rel=1e-4)
    assert m["AM1"].n_pairs == want["pairs"]


@given(st.integers(0, 2**31), st.floats(0, 360), st.floats(-90, 90), st.floats(0.5, 40.0), st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_pairs_are_all_those_of_the_annulus_each_once(seed, ra0, dec0, width_arcmin, block):
    rng = np.random.default_rng(seed)
    n = 80
    east, north = rng.uniform(-width_arcmin / 60, width_arcmin / 60, (2, n))
    dec = np.clip(dec0 + north, -90, 90)
    ra = (ra0 + east / np.maximum(np.cos(np.radians(dec)), 1e-3)) % 360
    objects = make_objects(np.arange(n), np.zeros(n, np.int64), ra, dec)
    separation = separation_arcmin(
        objects.ra_deg[:, None], objects.dec_deg[:, None], objects.ra_deg, objects.dec_deg
    )
    for first, second, wanted in (
        (objects, objects, np.triu(np.ones((n, n), bool), 1)),
        (*objects.halves(), None),
    ):
        inside = np.abs(separation - 5.0) <= 1.0
        border = np.abs(np.abs(separation - 5.0) - 1.0) < 1e-7
        if wanted is None:
            inside, border = inside[: n // 2, n // 2 :], border[: n // 2, n // 2 :]
        else:
            inside, border = inside & wanted, border & wanted
        found = [np.stack(b) for b in pair_blocks(first, second, 4 / 60, 6 / 60, block=block)]
        pairs = np.concatenate([np.empty((2, 0), int), *found], axis=1)
        listed = [tuple(sorted(p)) if wanted is not None else tuple(p) for p in pairs.T.tolist()]
        assert len(listed) == len(set(listed))
        assert set(listed) - set(zip(*np.nonzero(border), strict=True)) == set(
            zip(*np.nonzero(inside & ~border), strict=True)
        ) - set(zip(*np.nonzero(border), strict=True))


def test_duplicates_of_an_object_in_a_visit_give_no_number(simulate_visits):
    frame = simulate_visits((10.0, -30.0), n_objects=100, n_visits=5)
    doubled = measure(pd.concat([frame, frame.iloc[:1]]))
    assert all(m.status is Status.UNKNOWN and np.isnan(m.value) for m in doubled.measurements.values())
    assert "second time" in doubled.measurements["AM1"].reason
    assert doubled.status is Status.UNKNOWN


@pytest.mark.parametrize("column", ["ra", "dec", "mag", "snr"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_give_no_number(simulate_visits, column, value):
    frame = simulate_visits((10.0, -30.0), n_objects=50, n_visits=4)
    frame[column] = value
    measured = measure(frame)
    for m in measured.measurements.values():
        assert m.status is Status.UNKNOWN
        assert m.reason
        assert m.document()["value"] is None


def test_rows_that_are_not_finite_are_missing_visits(simulate_visits):
    frame = simulate_visits((10.0, -30.0), n_objects=200, n_visits=8)
    kept = np.random.default_rng(1).random(len(frame)) > 0.1
    holes = frame.copy()
    holes.loc[~kept, "ra"] = np.nan
    assert measure(holes).document() == measure(frame[kept]).document()


def test_empty_and_single_visits_give_no_number(simulate_visits):
    frame = simulate_visits((10.0, -30.0), n_objects=300, n_visits=3)
    for part, why in (
        (frame.iloc[:0], "no rows"),
        (frame[frame["visit"] == frame["visit"].iloc[0]], "2 visits"),
    ):
        m = measure(part).measurements["AM1"]
        assert m.status is Status.UNKNOWN
        assert why in m.reason


def test_objects_are_made_from_positions_where_there_are_no_ids(simulate_visits):
    frame = simulate_visits((0.0, -60.0), n_objects=400, n_visits=10)
    with_ids, without = measure(frame), measure(frame.drop(columns="object_id"))
    assert without.measurements["AM1"].value == pytest.approx(with_ids.measurements["AM1"].value, rel=2e-3)
    assert without.n_objects == with_ids.n_objects
    twice = measure(pd.concat([frame, frame]).drop(columns="object_id"))
    assert twice.measurements["AM1"].status is Status.UNKNOWN


def test_ids_keep_all_their_bits(simulate_visits):
    frame = simulate_visits((10.0, -30.0), n_objects=100, n_visits=4)
    big = frame.assign(object_id=frame["object_id"] + (1 << 62))
    assert measure(big).document() == measure(frame).document()
    text = frame.assign(object_id=[f"Gaia DR3 {k}" for k in frame["object_id"]])
    assert measure(text).document() == measure(frame).document()


def test_known_motions_are_taken_out(simulate_visits):
    frame, reference = simulate_visits(
        (0.0, -60.0), n_objects=600, n_visits=12, scatter_mas=10.0, motion_mas_yr=60.0, with_reference=True
    )
    bare = measure(frame).measurements["AM1"].value
    rested = measure(frame, references=reference)
    assert bare > 40.0
    want = 10.0 * np.sqrt(2.0) * median_of_std(12 * 0.8**2)
    assert rested.measurements["AM1"].value == pytest.approx(want, rel=0.02)
    assert any("proper motions of 600" in note for note in rested.notes)
    assert rested.measurements["AA1"].value < 5.0


def test_offset_from_the_reference_is_per_coordinate(simulate_visits):
    frame, reference = simulate_visits(
        (0.0, -60.0), n_objects=400, n_visits=5, scatter_mas=5.0, with_reference=True
    )
    shift = 30.0 / 3.6e6
    moved = ReferenceStars(reference.ra_deg, reference.dec_deg - shift, *[
        getattr(reference, n) for n in ("pm_ra_mas_yr", "pm_dec_mas_yr", "epoch_jyear", "mag")])  # fmt: skip
    m = measure(frame, references=moved).measurements["AA1"]
    assert m.value == pytest.approx(30.0, abs=1.0)
    assert m.parts["dec_offset_mas"] == pytest.approx(30.0, abs=1.0)
    assert abs(m.parts["ra_offset_mas"]) < 1.0
    assert m.status is Status.GOOD


def test_bands_are_compared(simulate_visits):
    place = (0.0, -60.0)
    r = simulate_visits(place, n_objects=300, n_visits=6, scatter_mas=0.001).assign(band="r")
    g = simulate_visits(place, n_objects=300, n_visits=6, scatter_mas=0.001).assign(
        band="g", dec=lambda f: f["dec"] + 12 / 3.6e6
    )
    g["visit"] += 1000
    m = measure(pd.concat([r, g])).measurements
    assert m["AB1"].value == pytest.approx(12.0, abs=0.01)
    assert m["AB1"].parts["band"] == "g"
    assert m["ABF1"].value == 0.0
    assert m["AM1"].value < 0.01
    with pytest.raises(InputError, match="no stars in z"):
        measure(pd.concat([r, g]), band="z")
    in_g = measure(pd.concat([r, g]), band="g")
    assert in_g.band == "g"
    assert in_g.measurements["AB1"].reason == "g is measured, and it is r that is compared with another band"


def test_cuts_are_those_of_the_document(simulate_visits):
    frame = simulate_visits((10.0, -30.0), n_objects=60, n_visits=3)
    for bad in ({"mag": 16.99}, {"mag": 21.5}, {"snr": 49.0}, {"snr": 50_001.0}, {"extendedness": 1.0}):
        assert measure(frame.assign(**bad)).n_used == 0
    for good in ({"mag": 17.0}, {"snr": 50.0}, {"snr": 50_000.0}, {"extendedness": 0.0}):
        assert measure(frame.assign(**good)).n_used == len(frame)
    with pytest.raises(TableError, match="no column for mag"):
        measure(frame.drop(columns="mag"))


def test_stray_rows_are_no_measurement(simulate_visits):
    frame = simulate_visits((10.0, -30.0), n_objects=200, n_visits=10)
    frame.loc[5, "dec"] += 1.0
    measured = measure(frame)
    assert "1 rows left out: they lie more" in " ".join(measured.notes)
    assert measured.measurements["AM1"].value < 15.0


def test_errors_are_those_of_repetition(simulate_visits):
    values, errors = [], []
    for seed in range(24):
        m = measure(simulate_visits((10.0, -30.0), n_objects=400, n_visits=10, seed=seed)).measurements
        values.append([m[n].value for n in ("AM1", "AF1", "AD1", "dmL2AstroErr_RA")])
        errors.append([m[n].error for n in ("AM1", "AF1", "AD1", "dmL2AstroErr_RA")])
    ratio = np.mean(errors, axis=0) / np.std(values, axis=0, ddof=1)
    assert np.all((ratio > 0.6) & (ratio < 1.7)), ratio
