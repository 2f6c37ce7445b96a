"""A simulated night from raw files to the report, by the command that people use, faults included."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FAULTS = (
    "dead-amplifier", "trailed-visit", "defocused-visit", "missing-detector", "truncated-file", "wrong-header",
    "duplicate", "collision",
)  # fmt: skip
VISITS = 8


def commtools(*arguments, env=None):
    run = subprocess.run(
        [sys.executable, "-m", "lsst_commtools.cli", "--format", "json", *map(str, arguments)],
        capture_output=True, text=True, timeout=900, env=env, check=False,
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A night with every fault; its folder and the command's answer."""
    work = tmp_path_factory.mktemp("night") / "with spaces ü"
    options = [word for name in FAULTS for word in ("--fault", name)]
    arguments = ("night", "--work", work, "--visits", VISITS, "--seed", 3, *options)
    code, out, err = commtools(*arguments)
    assert code == 1, err
    return work, json.loads(out), arguments


@pytest.fixture(scope="module")
def truth(night):
    return json.loads((night[0] / "simulated" / "truth" / "night.json").read_text())


def test_every_fault_is_found_and_named_once_for_each_place(night):
    kinds = [problem["kind"] for problem in night[1]["problems"]]
    assert set(kinds) == set(FAULTS)
    assert {kind: kinds.count(kind) for kind in FAULTS} == dict.fromkeys(FAULTS, 1) | {
        "dead-amplifier": VISITS
    }


def test_faults_are_named_where_they_were_injected(night, truth):
    def told(fault):
        return json.dumps([f for f in truth["faults"] if f["fault"] == fault])

    for problem in night[1]["problems"]:
        exposure = re.search(r"20261120(\d{5,6})|20261120_(\d{6})", problem["where"])
        seq_num = int((exposure[1] or exposure[2])[-5:])
        if problem["kind"] != "dead-amplifier":
            assert re.search(rf"0*{seq_num}\b", told(problem["kind"])), (problem, told(problem["kind"]))


def test_counts_add_up(night):
    expected = 9 * VISITS
    assert night[1]["counts"] == {
        "expected": expected, "transferred": expected - 1, "ingested": expected - 3, "processed": expected - 3,
        "measured": expected - 3,
    }  # fmt: skip


def good_visits(night, truth):
    true = {visit["visit"]: visit for visit in truth["visits"]}
    return [(v, true[v["visit"]]) for v in night[1]["visits"] if true[v["visit"]]["fault"] is None]


def test_the_rest_of_the_night_is_measured_and_agrees_with_the_truth(night, truth):
    pairs = good_visits(night, truth)
    assert len(pairs) == VISITS - 2
    scatter = [[v["wcs"]["ra_mad_mas"], v["wcs"]["dec_mad_mas"]] for v, _ in pairs]
    assert np.mean(scatter) == pytest.approx(np.mean([t["scatter_expected_mas"] for _, t in pairs]), rel=0.1)
    for visit, true in pairs:
        wcs, psf = visit["wcs"], visit["psf"]
        assert wcs["pixel_scale_arcsec"] == pytest.approx(true["pixel_scale_arcsec"], rel=1e-5)
        offset = np.hypot(true["pointing_offset_ra_arcsec"], true["pointing_offset_dec_arcsec"])
        assert wcs["pointing_offset_arcsec"] == pytest.approx(offset, abs=0.1)
        # HSM's bias against the profile's FWHM is part of the truth.
        assert psf["fwhm_arcsec"] == pytest.approx(true["fwhm_hsm_arcsec"], rel=0.02)
        assert psf["e1"] == pytest.approx(true["e1"], abs=0.003)
        assert psf["e2"] == pytest.approx(true["e2"], abs=0.003)


def test_bad_visits_are_bad_and_visits_with_a_lost_detector_are_not_good(night, truth):
    status = {visit["visit"]: visit["status"] for visit in night[1]["visits"]}
    faults = {visit["visit"]: visit["fault"] for visit in truth["visits"]}
    assert {status[visit] for visit, fault in faults.items() if fault is not None} == {"bad"}
    assert night[1]["status"] == "bad"
    assert "good" not in status.values()  # the dead amplifier is there all night


def test_report_is_one_file_that_asks_nobody(night):
    report = Path(night[1]["report"])
    text = report.read_text()
    assert report.parent == night[0]
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']?(?:https?:)?//[^>]+>", text)
    assert text.index("From raw to measured") < text.index("Visits</h2>") < text.index("Problems</h2>")
    for visit in night[1]["visits"]:
        assert str(visit["visit"]) in text
    assert len(re.findall("sha256", text)) >= 1


def test_linked_notebooks_ran_to_their_end(night):
    text = Path(night[1]["report"]).read_text()
    links = set(re.findall(r'href="(notebooks/[^"]+)"', text))
    assert len(links) == VISITS + 1
    for link in links:
        page = (night[0] / link).read_text()
        assert "Traceback" not in page
        assert not re.findall(r"<script[^>]+src=[\"']?https?:[^>]+>", page)


def test_a_second_run_gives_the_same_answer_and_does_nothing_twice(night):
    work, first, arguments = night
    before = {p: p.stat().st_mtime_ns for p in (work / "repo").rglob("*.parq")}
    assert before
    code, out, err = commtools(*arguments)
    assert code == 1, err
    assert json.loads(out) == first
    assert {p: p.stat().st_mtime_ns for p in (work / "repo").rglob("*.parq")} == before


def test_another_night_does_not_get_into_the_same_folder(night):
    code, out, _ = commtools("night", "--work", night[0], "--visits", 2)
    assert code == 2
    assert "holds another night" in json.loads(out)["error"]["message"]


def test_raw_files_can_be_given(night, tmp_path):
    """The same raws as real ones: another work folder, the same figures, the truth out of reach."""
    raw = tmp_path / "raw"
    raw.mkdir()
    source = night[0] / "simulated"
    for obs_id in sorted((source / "raw" / "20261120").iterdir())[:8]:
        (raw / obs_id.name).symlink_to(obs_id)
    (raw / "CC_O_20261120_000099_R22_S00.fits").write_text("this is no FITS file")
    copied = tmp_path / "copied"
    subprocess.run(["cp", "-rL", raw, copied], check=True)
    code, out, err = commtools(
        "night", "--raw", copied, "--reference", source / "refcat", "--work", tmp_path / "work"
    )
    assert code == 1, err
    answer = json.loads(out)
    assert {p["kind"] for p in answer["problems"]} >= {"unreadable-file", "missing-detector"}
    assert len(answer["visits"]) == 2
    same = {v["visit"]: v for v in night[1]["visits"]}
    for visit in answer["visits"]:
        assert visit["psf"]["fwhm_arcsec"] == pytest.approx(
            same[visit["visit"]]["psf"]["fwhm_arcsec"], rel=1e-6
        )
        assert visit["wcs"]["ra_mad_mas"] == pytest.approx(
            same[visit["visit"]]["wcs"]["ra_mad_mas"], rel=1e-6
        )


@pytest.mark.browser
def test_report_opens_in_a_browser_without_errors_or_requests(night, watched_page):
    watched_page.page.goto(Path(night[1]["report"]).as_uri())
    watched_page.wait_for_figures()
    assert watched_page.blank_figures == []
    assert {len(visits) for visits in watched_page.sources("ra_mad_mas")} == {VISITS}
    assert "trailed-visit" in watched_page.page.inner_text("body")
    watched_page.shoot(Path(__file__).parents[2] / "artefacts" / "browser" / "night-report")
