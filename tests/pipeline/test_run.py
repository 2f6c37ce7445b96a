"""A simulated night through the real Butler: figures against the injected truth, counts against what should be."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.ingest import open_repository
from lsst_commtools.pipeline import NIGHT_PIPELINE, QuantumStatus, run_pipeline

RUN = "u/test/night"


def sound_visits(night):
    return [(night.summaries[visit], truth) for visit, truth in night.truth.items() if not truth["fault"]]


def test_every_quantum_is_accounted_for(night):
    counts = night.report.by_task()
    # 3 visits x 9 detectors, one without a raw, one with a damaged one.
    assert counts["isr"] == {"succeeded": 25, "failed": 1}
    assert counts["measure"] == counts["astrometry"] == {"succeeded": 25, "skipped": 1}
    assert counts["visit_summary"] == {"succeeded": 3}
    assert night.report.expected == 26 * 3 + 3
    assert night.calibrations.by_task() == {
        "combine_bias": {"succeeded": 9},
        "combine_flat": {"succeeded": 9},
    }


def test_a_failure_names_exception_message_and_place(night):
    (failed,) = night.report.failed
    assert failed.task == "isr"
    assert (failed.data_id["exposure"], failed.data_id["detector"]) == night.damaged
    assert failed.error.endswith("Error")
    assert "does not match size" in failed.message
    assert f"detector {night.damaged[1]}" in failed.where
    assert {outcome.message for outcome in night.report.skipped} == {"isr failed"}


def test_progress_counts_up_to_the_end(night):
    assert [done for done, _, _ in night.progress] == list(range(1, night.report.expected + 1))
    assert {total for _, total, _ in night.progress} == {night.report.expected}


def test_each_visit_has_a_row_for_each_detector(night):
    for summary in night.summaries.values():
        assert list(summary["detector"]) == list(range(9))
    visit, detector = night.damaged
    assert night.summaries[visit].set_index("detector").loc[detector, "failure"] == "processing failed"
    fault = next(f for f in night.faults if f["fault"] == "missing-detector")
    row = night.summaries[fault["visit"]].set_index("detector").loc[fault["detector"]]
    assert row["failure"] == "no raw"
    assert sum((s["failure"] != "").sum() for s in night.summaries.values()) == 2


def test_wcs_scatter_is_the_injected_jitter(night):
    for summary, truth in sound_visits(night):
        both = np.nanmedian(summary[["ra_mad_mas", "dec_mad_mas"]].to_numpy())
        assert both == pytest.approx(truth["jitter_mas"], rel=0.1)
        assert abs(np.nanmedian(summary["ra_offset_mas"])) < 3


def test_pixel_scale_is_right_to_one_part_in_a_hundred_thousand(night):
    for visit, truth in night.truth.items():
        found = np.nanmedian(night.summaries[visit]["field_pixel_scale_arcsec"])
        assert found == pytest.approx(truth["pixel_scale_arcsec"], rel=1e-5)


def test_a_single_detector_knows_its_own_scale_ten_times_worse(night):
    for summary, truth in sound_visits(night):
        local = {d["detector"]: d["pixel_scale_arcsec"] for d in truth["detectors"]}
        for row in summary[summary["wcs"] != ""].itertuples():
            assert row.pixel_scale_arcsec == pytest.approx(local[row.detector], rel=1.5e-4)


def test_pointing_offset_is_found_within_a_tenth_of_an_arcsec(night):
    for visit, truth in night.truth.items():
        summary = night.summaries[visit]
        for axis in ("ra", "dec"):
            name = f"pointing_offset_{axis}_arcsec"
            assert np.nanmedian(summary[name]) == pytest.approx(truth[name], abs=0.1)


def test_fwhm_is_that_of_the_estimator_and_its_bias_against_the_profile_is_known(night):
    for summary, truth in sound_visits(night):
        found = np.nanmedian(summary["fwhm_arcsec"])
        assert found == pytest.approx(truth["fwhm_hsm_arcsec"], rel=0.02)
        # Gaussian-weighted moments of a Moffat profile of beta 3 give 1.13 times its FWHM.
        assert found / truth["fwhm_arcsec"] == pytest.approx(1.13, rel=0.02)


def test_ellipticity_is_within_three_thousandths(night):
    for summary, truth in sound_visits(night):
        assert np.nanmedian(summary["e1"]) == pytest.approx(truth["e1"], abs=0.003)
        assert np.nanmedian(summary["e2"]) == pytest.approx(truth["e2"], abs=0.003)
        assert abs(np.nanmedian(summary["de1_median"])) < 0.003
        assert abs(np.nanmedian(summary["dt_over_t_median"])) < 0.01
        assert np.nanmedian(summary["core_depth"]) > 1.1


def test_a_trailed_visit_shows_and_the_others_do_not_suffer(night):
    (trailed,) = [visit for visit, truth in night.truth.items() if truth["fault"] == "trailed-visit"]
    summary = night.summaries[trailed]
    ellipticity = np.hypot(summary["e1"], summary["e2"])
    assert (ellipticity > 0.3).all()
    assert (summary["failure"] == "").all()
    for sound, _ in sound_visits(night):
        assert np.nanmedian(np.hypot(sound["e1"], sound["e2"])) < 0.1


def test_a_dead_amplifier_is_named_all_night(night):
    fault = next(f for f in night.faults if f["fault"] == "dead-amplifier")
    for summary in night.summaries.values():
        named = summary[summary["bad_amplifiers"] != ""]
        assert set(named["detector"]) <= {fault["detector"]}
        assert all(text.startswith(f"{fault['amplifier']}: ") for text in named["bad_amplifiers"])
        row = summary.set_index("detector").loc[fault["detector"]]
        assert row["bad_amplifiers"] or row["failure"]


def test_calibrations_that_were_applied_are_told(night):
    for summary in night.summaries.values():
        assert set(summary.loc[summary["failure"] == "", "calibrations"]) == {"bias, flat"}


def test_star_positions_agree_with_the_truth_on_the_sky(night):
    from lsst_commtools.qa.match import match_sky

    visit = sound_visits(night)[0][1]["visit"]
    detector = next(d for d in night.truth[visit]["detectors"] if d["detector"] == 4)
    truth = pd.read_parquet(night.folder / detector["stars"])
    with open_repository(night.repository) as butler:
        stars = butler.get(
            "star_table", instrument="LSSTComCam", visit=visit, detector=4, collections=RUN
        ).to_pandas()
        units = butler.get(
            "star_table",
            instrument="LSSTComCam",
            visit=visit,
            detector=4,
            collections=RUN,
            storageClass="ArrowAstropy",
        )
    assert str(units["coord_ra"].unit) == "deg"
    index, other, separation = match_sky(
        stars["coord_ra"], stars["coord_dec"], truth["ra"], truth["dec"], 0.5
    )
    assert len(index) > 0.95 * len(stars)
    assert np.median(separation) < 0.03
    assert (
        np.median(
            np.hypot(
                stars["x"].iloc[index].to_numpy() - truth["x"].iloc[other].to_numpy(),
                stars["y"].iloc[index].to_numpy() - truth["y"].iloc[other].to_numpy(),
            )
        )
        < 0.1
    )


def test_the_log_datasets_have_the_tasks_own_lines(night):
    visit = sound_visits(night)[1][1]["visit"]
    with open_repository(night.repository) as butler:
        log = butler.get("measure_log", instrument="LSSTComCam", visit=visit, detector=4, collections=RUN)
        damaged = butler.get(
            "isr_log",
            instrument="LSSTComCam",
            exposure=night.damaged[0],
            detector=night.damaged[1],
            collections=RUN,
        )
    assert any("PSF stars" in record.message for record in log)
    assert any(record.levelname == "ERROR" for record in damaged)


def test_a_second_run_does_only_what_failed(night):
    again = run_pipeline(
        night.repository, "instrument='LSSTComCam' AND exposure.observation_type='science'", RUN, 1
    )
    counts = again.by_task()
    assert counts["isr"] == {"existing": 25, "failed": 1}
    assert counts["astrometry"] == {"existing": 25, "skipped": 1}
    # The visit of the damaged file is summed up anew, in case the detector came back.
    assert counts["visit_summary"] == {"existing": 2, "succeeded": 1}


def test_a_worker_that_dies_costs_one_detector_which_a_second_run_mends(night):
    visit = sound_visits(night)[1][1]["visit"]
    where = f"instrument='LSSTComCam' AND visit={visit} AND detector IN (3, 4, 5)"
    killed = []

    def kill_one(done, total, outcome):
        if not killed:
            victim = next(p for p in multiprocessing.active_children() if p.is_alive())
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)

    report = run_pipeline(night.repository, where, "u/test/killed", 2, kill_one)
    died = [outcome for outcome in report.failed if outcome.error == "WorkerDied"]
    assert len(died) <= 1
    assert all("killed by signal 9" in outcome.message for outcome in died)
    assert report.expected == 10
    again = run_pipeline(night.repository, where, "u/test/killed", 1)
    assert again.succeeded == again.expected == 10


def test_nothing_to_do_is_an_empty_report(night):
    report = run_pipeline(
        night.repository, "instrument='LSSTComCam' AND exposure.day_obs=20200101", "u/test/none", 1
    )
    assert report.outcomes == ()


def test_bad_input_is_one_clear_error(night, tmp_path):
    with pytest.raises(InputError, match="The data query is refused"):
        run_pipeline(night.repository, "instrument='LSSTComCam' AND dayobs=20261120", "u/test/bad", 1)
    with pytest.raises(NotFoundError, match="is not a Butler repository"):
        run_pipeline(tmp_path / "nowhere", "visit=1", "u/test/bad", 1)
    with pytest.raises(InputError, match="is not a RUN collection"):
        run_pipeline(night.repository, "visit=1", "LSSTComCam/defaults", 1)
    with pytest.raises(InputError, match="A collection to read is missing"):
        run_pipeline(night.repository, "visit=1", "u/test/bad", 1, inputs=("nothing",))


def test_pipetask_runs_the_same_pipeline_unchanged(night):
    pipetask = Path(sys.executable).with_name("pipetask")
    if not pipetask.exists() and shutil.which("pipetask") is None:
        pytest.skip("pipetask is not installed")
    visit = sound_visits(night)[1][1]["visit"]
    command = [
        str(pipetask) if pipetask.exists() else "pipetask", "run", "-b", str(night.repository),
        "-i", "LSSTComCam/defaults", "-o", "u/test/pipetask", "-p", str(NIGHT_PIPELINE), "--register-dataset-types",
        "-d", f"instrument='LSSTComCam' AND visit={visit} AND detector=4",
    ]  # fmt: skip
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with open_repository(night.repository) as butler:
        ours = butler.get("star_table", instrument="LSSTComCam", visit=visit, detector=4, collections=RUN)
        theirs = butler.get(
            "star_table", instrument="LSSTComCam", visit=visit, detector=4, collections="u/test/pipetask"
        )
        log = butler.get(
            "measure_log", instrument="LSSTComCam", visit=visit, detector=4, collections="u/test/pipetask"
        )
    assert ours.schema.equals(theirs.schema, check_metadata=True)
    pd.testing.assert_frame_equal(ours.to_pandas(), theirs.to_pandas())
    assert any("PSF stars" in record.message for record in log)


def test_statuses_are_plain_text():
    assert QuantumStatus.NO_WORK == "no-work"
