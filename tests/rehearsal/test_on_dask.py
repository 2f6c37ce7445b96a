"""A rehearsal's notebooks on a cluster of Dask: the same notebooks, ledger and journal as on this machine."""

from __future__ import annotations

import threading

import pytest
import yaml

from lsst_commtools.procedure.campaign import load_campaign, run_campaign
from lsst_commtools.rehearsal.conductor import conduct, notebook_of
from lsst_commtools.rehearsal.journal import Kind
from lsst_commtools.rehearsal.outline import OUTLINE, find_step
from lsst_commtools.rehearsal.rehearsal import Rehearsal
from lsst_commtools.rehearsal.settings import RehearsalSettings
from lsst_commtools.rehearsal.stand_ins import StandIns
from lsst_commtools.rehearsal.states import StepStatus
from lsst_commtools.site import Site

dask = pytest.importorskip("lsst_commtools.procedure.campaign.dask")
pytest.importorskip("distributed")


@pytest.fixture
def rehearsal(tmp_path, empty_home, monkeypatch):
    """One unattended night, of which nothing is done yet."""
    runtime = empty_home / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("COMMTOOLS_PROCEDURE_HTML", "false")
    monkeypatch.setenv("COMMTOOLS_REHEARSAL_IMAGE_ROWS", "256")
    monkeypatch.setenv("COMMTOOLS_REHEARSAL_IMAGE_COLUMNS", "256")
    settings = RehearsalSettings(
        work=tmp_path / "r", dataset="simulated", instrument="LSSTComCam", nights=(20261120,), visits=1, seed=3,
        speed=600.0, unattended=True,
    )  # fmt: skip
    return Rehearsal.create(Site.load(), settings)


def test_a_step_runs_on_a_worker_and_is_signed_here(rehearsal, tmp_path):
    for step in OUTLINE[:3]:  # what it follows is done already
        rehearsal.journal.append(Kind.STEP_STARTED, 1, role=step.owner, step=step.id, run="r")
        rehearsal.journal.append(Kind.STEP_ENDED, 1, role=step.owner, step=step.id, run="r", status="done")
    for kind in ("bias", "flat"):
        rehearsal.journal.append(
            Kind.CALIBRATION, 1, dataset_type=kind, day_obs=20261120, run="r", identity=kind, compared_with="",
            collection=f"LSSTComCam/calib/20261120/{kind}", begin_tai="2026-11-20T12:00:00", status="unknown",
            end_tai="2026-11-27T12:00:00", members=[], reasons=[],
        )  # fmt: skip
    notebook = notebook_of(find_step("select-configuration"))
    path = tmp_path / "campaign.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "campaign": "on-dask",
                "kernel": "python3",
                "notebooks": [
                    {
                        "id": "select",
                        "notebook": str(notebook),
                        "parameters": {"work": str(rehearsal.settings.work), "night": 1},
                    }
                ],
            }
        )
    )
    executor = dask.DaskExecutor(workers=1)
    try:
        with StandIns(rehearsal, lambda _: None):
            report = run_campaign(load_campaign(path), executor, site=rehearsal.site)
    finally:
        executor.close()
    assert [(task.task, task.status, task.reason) for task in report.tasks] == [("select", "done", "")]
    (choice,) = rehearsal.entries({Kind.CHOICE})
    assert {c["dataset_type"] for c in choice.data["calibrations"]} == {"bias", "flat"}
    ended = rehearsal.entries({Kind.STEP_ENDED})[-1]
    assert (ended.data["step"], ended.data["status"]) == ("select-configuration", "done")


@pytest.mark.slow
def test_a_night_is_conducted_on_dask(rehearsal):
    executor = dask.DaskExecutor(workers=2)
    told = []
    try:
        states = conduct(rehearsal, executor, told=told.append, stop=threading.Event())
    finally:
        executor.close()
    assert {state.status for state in states.values()} == {StepStatus.DONE}, told
    assert rehearsal.night(1).settings.repository.is_dir()
