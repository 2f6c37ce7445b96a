"""Whole simulated nights: files, headers, truth, faults, resuming."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import strategies as st
from pyarrow import parquet

from lsst_commtools.errors import IdentifierError, InputError, NotFoundError
from lsst_commtools.ids import exposure_id
from lsst_commtools.instrument.headers import translate
from lsst_commtools.instrument.raws import assemble, inspect_raw, read_raw
from lsst_commtools.simulate import Fault, SimulatedNight, simulate_night
from lsst_commtools.simulate.faults import parse_faults, place_faults

TINY = {"visits": 1, "biases": 1, "flats": 0, "size": (128, 128), "detectors": [4], "processes": 1}


def sums(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def raws(night):
    return sorted(night.raw.rglob("*.fits"))


def image_of(night, entry):
    """Raw pixels in electrons, overscan taken off."""
    raw = read_raw(night.folder / entry)
    parts = [
        (a.data[a.data_section] - np.median(a.data[:, a.data_section[1].stop + 4 :])) * a.gain
        for a in raw.amplifiers
    ]
    return assemble(raw, parts)


def test_every_exposure_of_every_detector_has_a_whole_file(small_night):
    assert small_night.obs_ids == tuple(f"CC_O_20261120_{k:06d}" for k in (1, 2, 3))
    names = [path.relative_to(small_night.raw).as_posix() for path in raws(small_night)]
    assert names == [
        f"20261120/{o}/{o}_{d}.fits" for o in small_night.obs_ids for d in ("R22_S00", "R22_S11")
    ]
    for path in raws(small_night):
        assert inspect_raw(path).shape == (512, 512)
    assert not list(small_night.folder.rglob("*.part"))


def test_checksums_are_in_every_unit(small_night):
    with fits.open(raws(small_night)[-1], checksum=True) as units:
        assert len(units) == 17
        assert all(unit.verify_checksum() == 1 and unit.verify_datasum() == 1 for unit in units)
        assert [unit.header["EXTNAME"] for unit in units[1:3]] == ["Segment10", "Segment11"]
        assert units[1].data.dtype == np.uint16


def test_headers_translate_to_what_was_planned(small_night):
    truth = small_night.read_truth()
    for path in raws(small_night):
        info = translate(inspect_raw(path).header)
        assert path.name == f"{info.obs_id}_{info.detector_name}.fits"
        assert info.exposure_id == exposure_id(20261120, info.seq_num)
        assert info.physical_filter == "r_03"
        assert info.has_simulated_content
    visit = truth["visits"][0]
    assert info.observation_type == "science"
    assert info.can_see_sky
    assert (info.ra_deg, info.dec_deg) == (visit["ra_deg"], visit["dec_deg"])
    assert info.rotation_deg == visit["rotpa_deg"]
    assert info.airmass == pytest.approx(visit["airmass"], abs=1e-3)


def test_keywords_are_those_of_real_headers(small_night, test_data):
    real = yaml.safe_load((test_data / "headers" / "comCam-CC_O_20241108_000266_R22_S00.yaml").read_text())
    ours = inspect_raw(raws(small_night)[-1]).header
    for key, value in ours.items():
        if value is not None and key in real and real[key] is not None and key != "DATASUM":
            same = isinstance(value, type(real[key])) or {type(value), type(real[key])} == {int, float}
            assert same, f"{key}: {value!r} is not of the type of {real[key]!r}"
    # Our own additions, and what belongs to the first extension of the real file.
    unknown = set(ours) - set(real) - {"BITPIX", "NAXIS", "FACILITY", "DETSIZE"}
    assert not unknown


def test_latiss_has_one_detector_and_its_own_names(tmp_path):
    night = simulate_night(tmp_path / "n", camera="latiss", **(TINY | {"detectors": None}))
    paths = raws(night)
    assert [path.name for path in paths] == [f"AT_O_20261120_00000{k}_R00_S00.fits" for k in (1, 2)]
    info = translate(inspect_raw(paths[-1]).header)
    assert (info.instrument, info.detector, info.physical_filter) == ("LATISS", 0, "SDSSr_65mm~empty")
    visit = night.read_truth()["visits"][0]
    assert visit["pixel_scale_arcsec"] == pytest.approx(0.09569, rel=1e-3)
    assert visit["physical_filter"] == "SDSSr_65mm~empty"


def test_truth_agrees_with_the_pixels(small_night):
    visit = small_night.read_truth()["visits"][0]
    for entry in visit["detectors"]:
        image = image_of(small_night, entry["file"])
        stars = parquet.read_table(small_night.folder / entry["stars"]).to_pandas()
        image -= np.median(image)
        chosen = stars[
            (~stars.saturated) & (stars.mag < 20) & stars.x.between(12, 499) & stars.y.between(12, 499)
        ]
        assert len(chosen) > 15
        y, x = np.mgrid[-8:9, -8:9]
        weight = np.exp(-(x**2 + y**2) / (2 * 2.0**2))
        offsets, ratios = [], []
        for star in chosen.itertuples():
            ix, iy = round(star.x), round(star.y)
            stamp = image[iy - 8 : iy + 9, ix - 8 : ix + 9] * weight
            found = 2 * np.array([(stamp * x).sum(), (stamp * y).sum()]) / stamp.sum() + (ix, iy)
            offsets.append(found - (star.x, star.y))
            ratios.append(image[iy - 8 : iy + 9, ix - 8 : ix + 9].sum() / star.flux)
        assert np.max(np.abs(np.median(offsets, axis=0))) < 0.15
        assert np.median(ratios) == pytest.approx(0.96, abs=0.05)


def test_truth_is_complete(small_night):
    truth = small_night.read_truth()
    assert truth["parameters"]["seed"] == 1
    assert truth["n_images_planned"] == 6
    assert truth["faults"] == []
    visit = truth["visits"][0]
    for key in ("pixel_scale_arcsec", "fwhm_arcsec", "fwhm_hsm_arcsec", "e1", "e2", "jitter_mas",
                "scatter_expected_mas", "pointing_offset_ra_arcsec", "pointing_offset_dec_arcsec"):  # fmt: skip
        assert np.isfinite(visit[key]), key
    assert visit["fwhm_hsm_arcsec"] == pytest.approx(1.1303 * visit["fwhm_arcsec"], rel=2e-3)
    assert 10.0 < visit["scatter_expected_mas"] < 11.5
    for entry in visit["detectors"]:
        wcs = WCS(fits.Header.fromstring(entry["wcs"], sep="\n"))
        stars = parquet.read_table(small_night.folder / entry["stars"]).to_pandas()
        x, y = wcs.all_world2pix(stars.ra, stars.dec, 0)
        assert 1.4826 * np.median(np.abs(x - stars.x)) * 200.0 == pytest.approx(10.0, rel=0.35)
        assert 1.4826 * np.median(np.abs(y - stars.y)) * 200.0 == pytest.approx(10.0, rel=0.35)


def test_stars_moved_since_the_catalogue(small_night):
    """The pixels show the epoch of the exposure, the catalogue its own."""
    from astropy.table import Table, vstack

    catalogue = vstack([Table.read(path) for path in sorted(small_night.refcat.glob("*.fits"))]).to_pandas()
    entry = small_night.read_truth()["visits"][0]["detectors"][0]
    stars = parquet.read_table(small_night.folder / entry["stars"]).to_pandas().merge(catalogue, on="id")
    assert len(stars) > 30
    moved = np.radians(stars.dec) - stars.coord_dec
    years = (small_night.read_truth()["visits"][0]["mid_mjd_tai"] - stars.epoch) / 365.25
    to_mas = np.degrees(1) * 3.6e6
    assert np.median(np.abs(moved)) * to_mas > 15.0
    assert np.max(np.abs(moved - stars.pm_dec * years)) * to_mas < 6.0


def test_the_same_seed_gives_the_same_bytes_in_any_number_of_processes(tmp_path):
    parameters = TINY | {"visits": 2, "detectors": [0, 4], "faults": ["collision", "trailed-visit"]}
    one = simulate_night(tmp_path / "one", **parameters)
    two = simulate_night(tmp_path / "two", **(parameters | {"processes": 2}))
    assert sums(one.folder) == sums(two.folder)
    other = simulate_night(tmp_path / "other", seed=2, **parameters)
    assert all(
        sums(other.folder)[name] != value for name, value in sums(one.folder).items() if name.endswith("fits")
    )


def test_visits_differ_and_do_not_depend_on_how_many_there_are(tmp_path):
    one = simulate_night(tmp_path / "one", **TINY)
    two = simulate_night(tmp_path / "two", **(TINY | {"visits": 2}))
    shared = {name for name in sums(one.folder) if name.startswith("raw")}
    assert all(sums(one.folder)[name] == sums(two.folder)[name] for name in shared)
    first, second = two.read_truth()["visits"]
    assert first["pointing_offset_ra_arcsec"] != second["pointing_offset_ra_arcsec"]
    assert first["rotpa_deg"] != second["rotpa_deg"]


def test_an_interrupted_night_is_completed(tmp_path):
    class StopError(Exception):
        pass

    def stop(done, planned):
        assert planned == 4
        if done == 2:
            raise StopError

    parameters = TINY | {"detectors": [0, 4]}
    with pytest.raises(StopError):
        simulate_night(tmp_path / "n", progress=stop, **parameters)
    with pytest.raises(NotFoundError):
        SimulatedNight.load(tmp_path / "n")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "n" / "raw").rglob("*.fits")}
    assert len(kept) == 2
    night = simulate_night(tmp_path / "n", **parameters)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert sums(night.folder) == sums(simulate_night(tmp_path / "m", **parameters).folder)


def test_a_complete_night_is_not_made_again(tmp_path):
    night = simulate_night(tmp_path / "n", **TINY)
    calls = []
    again = simulate_night(tmp_path / "n", progress=lambda *counts: calls.append(counts), **TINY)
    assert again == night
    assert calls == []


def test_a_night_with_other_parameters_is_not_touched(tmp_path):
    night = simulate_night(tmp_path / "n", **TINY)
    before = sums(night.folder)
    with pytest.raises(InputError, match="other parameters"):
        simulate_night(tmp_path / "n", seed=9, **TINY)
    assert sums(night.folder) == before


def test_real_raws_are_not_mixed_with_simulated_ones(tmp_path):
    (tmp_path / "n" / "raw" / "20241108").mkdir(parents=True)
    with pytest.raises(InputError, match="not simulated"):
        simulate_night(tmp_path / "n", **TINY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"visits": -1}, {"visits": 1.5}, {"visits": True}, {"biases": 51}, {"seed": -1}, {"seed": "1"},
        {"size": (1024,)}, {"size": (127, 128)}, {"size": (128, 130)}, {"size": (100000, 128)}, {"size": "128"},
        {"seeing_arcsec": 0.0}, {"seeing_arcsec": float("nan")}, {"seeing_arcsec": "good"}, {"jitter_mas": -1.0},
        {"detectors": []}, {"faults": ["no-such-fault"]}, {"processes": 0}, {"camera": "LSSTCam"},
        {"visits": 0, "biases": 0}, {"visits": 0, "faults": ["duplicate"]},
        {"visits": 1, "faults": ["trailed-visit", "defocused-visit"]},
    ],
)  # fmt: skip
def test_parameters_are_refused_and_nothing_is_written(tmp_path, wrong):
    with pytest.raises(InputError):
        simulate_night(tmp_path / "n", **(TINY | wrong))
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"camera": "HSC"}, NotFoundError),
        ({"detectors": [9]}, NotFoundError),
        ({"day_obs": 20261399}, IdentifierError),
    ],
)
def test_unknown_names_are_refused(tmp_path, wrong, error):
    with pytest.raises(error):
        simulate_night(tmp_path / "n", **(TINY | wrong))


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "n").write_text("not a folder")
    with pytest.raises(InputError):
        simulate_night(tmp_path / "n", **TINY)


# --- faults


def fault_entry(night, name):
    [entry] = [f for f in night.read_truth()["faults"] if f["fault"] == name]
    return entry


def test_every_fault_is_recorded_once(faulty_night):
    assert [f["fault"] for f in faulty_night.read_truth()["faults"]] == [f.value for f in Fault]


def test_the_missing_detector_has_no_file(faulty_night):
    entry = fault_entry(faulty_night, "missing-detector")
    assert not (faulty_night.folder / entry["file"]).exists()
    visit = next(v for v in faulty_night.read_truth()["visits"] if v["visit"] == entry["visit"])
    assert next(d for d in visit["detectors"] if d["detector"] == entry["detector"])["file"] is None
    truth = faulty_night.read_truth()
    seconds = 2  # duplicate and collision
    assert len(raws(faulty_night)) == truth["n_images_planned"] - 1 + seconds


def test_the_truncated_file_is_found_unreadable(faulty_night):
    entry = fault_entry(faulty_night, "truncated-file")
    with pytest.raises(InputError):
        inspect_raw(faulty_night.folder / entry["file"])


def test_the_wrong_header_contradicts_itself_and_nothing_else_does(faulty_night):
    entry = fault_entry(faulty_night, "wrong-header")
    broken = fault_entry(faulty_night, "truncated-file")["file"]
    for path in raws(faulty_night):
        name = path.relative_to(faulty_night.folder).as_posix()
        if name != broken:
            header = inspect_raw(path).header
            agrees = header["OBSID"] == path.parent.name and int(header["OBSID"][-6:]) == header["SEQNUM"]
            assert agrees == (name != entry["file"])


def test_duplicate_and_collision_are_second_files(faulty_night):
    for name, same in (("duplicate", True), ("collision", False)):
        entry = fault_entry(faulty_night, name)
        first, second = (faulty_night.folder / entry[key] for key in ("file", "other_file"))
        assert first != second
        assert first.name == second.name
        assert (first.read_bytes() == second.read_bytes()) == same
        keep = ("OBSID", "SEQNUM", "DAYOBS", "RAFTBAY", "CCDSLOT")
        headers = [inspect_raw(path).header for path in (first, second)]
        assert [headers[0][k] for k in keep] == [headers[1][k] for k in keep]


def test_the_dead_amplifier_is_dead_all_night(faulty_night):
    entry = fault_entry(faulty_night, "dead-amplifier")
    flats = [p for p in raws(faulty_night) if "_000002_" in p.name]
    assert len(flats) == 4
    for path in flats:
        for amplifier in read_raw(path).amplifiers:
            signal = np.median(amplifier.data[amplifier.data_section]) - np.median(amplifier.data[:, -20:])
            dead = path.stem.endswith(entry["detector_name"]) and amplifier.name == entry["amplifier"]
            assert (signal < 30.0) == dead


def test_bad_visits_have_bad_images(faulty_night):
    truth = faulty_night.read_truth()
    sizes = {visit["fault"]: visit["fwhm_hsm_arcsec"] for visit in truth["visits"]}
    assert sizes["trailed-visit"] > 1.8
    assert sizes["defocused-visit"] > 1.8
    assert sizes[None] < 1.0
    trailed = next(v for v in truth["visits"] if v["fault"] == "trailed-visit")
    assert all(np.hypot(d["e1_hsm"], d["e2_hsm"]) > 0.3 for d in trailed["detectors"] if d["file"])


@hypothesis.given(
    faults=st.sets(st.sampled_from(list(Fault))), visits=st.integers(0, 8), n_detectors=st.integers(1, 9)
)
@hypothesis.settings(deadline=None)
def test_faults_strike_different_places_or_are_refused(faults, visits, n_detectors):
    chosen = parse_faults(faults)
    detectors = tuple(range(n_detectors))
    try:
        plan = place_faults(chosen, range(7, 7 + visits), detectors)
    except InputError:
        of_visits = {Fault.TRAILED_VISIT, Fault.DEFOCUSED_VISIT} & faults
        of_images = faults - {Fault.TRAILED_VISIT, Fault.DEFOCUSED_VISIT, Fault.DEAD_AMPLIFIER}
        assert len(of_visits) > visits or len(of_images) > visits * n_detectors
    else:
        assert plan.faults == chosen
        assert all(7 <= seq < 7 + visits and d in detectors for seq, d in plan.images)


def test_fault_names_are_read_once_each():
    assert parse_faults(["duplicate", "duplicate", Fault.COLLISION]) == (Fault.DUPLICATE, Fault.COLLISION)
    assert parse_faults("trailed-visit") == (Fault.TRAILED_VISIT,)


def test_truth_is_strict_json(faulty_night):
    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    json.loads((faulty_night.truth / "night.json").read_text(), parse_constant=refuse)
