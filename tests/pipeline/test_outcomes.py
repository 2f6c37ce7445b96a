from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lsst_commtools.pipeline.outcomes import ProcessingReport, QuantumOutcome, QuantumStatus
from lsst_commtools.pipeline.worker import Job, execute_jobs

DATA_ID = {"instrument": "LSSTComCam", "exposure": 2026112000012, "detector": 4}


class Executor:
    """Answers each task with a result or an exception."""

    def __init__(self, **answers):
        self.answers = answers

    def execute(self, task_node, quantum, quantum_id):
        answer = self.answers.get(task_node, {})
        if isinstance(answer, Exception):
            raise answer
        told = {"task_metadata": {"quantum": {"caveats": 0}}, "adjusted_no_work": False} | answer
        return SimpleNamespace(**told)


def run(**answers):
    jobs = [Job(task, DATA_ID, task, None, None) for task in ("isr", "measure", "astrometry")]
    return list(execute_jobs(Executor(**answers), jobs))


def caveats(value):
    return {"task_metadata": {"quantum": {"caveats": value}}}


def test_all_is_well():
    assert [outcome.status for outcome in run()] == [QuantumStatus.SUCCEEDED] * 3


def test_an_exception_is_named_and_what_follows_is_skipped():
    outcomes = run(measure=ValueError("no such thing"))
    assert [outcome.status for outcome in outcomes] == ["succeeded", "failed", "skipped"]
    assert (outcomes[1].error, outcomes[1].message) == ("ValueError", "no such thing")
    assert outcomes[2].message == "measure failed"


@pytest.mark.parametrize("answer", [{"adjusted_no_work": True, "task_metadata": None}, caveats(1 | 2 | 4)])
def test_no_work_is_no_success(answer):
    outcomes = run(measure=answer)
    assert [outcome.status for outcome in outcomes] == ["succeeded", "no-work", "skipped"]


def test_a_missing_output_is_a_failure():
    outcomes = run(isr=caveats(1))
    assert outcomes[0].status == "failed"
    assert outcomes[0].error == "MissingOutput"


def test_a_report_counts_expected_against_present():
    outcomes = tuple(
        QuantumOutcome("isr", DATA_ID, status)
        for status in ("succeeded", "succeeded", "existing", "no-work", "failed", "skipped")
        for status in [QuantumStatus(status)]
    )
    report = ProcessingReport("run", outcomes)
    assert (report.expected, report.succeeded) == (6, 3)
    assert len(report.no_work) == len(report.failed) == len(report.skipped) == 1
    assert report.by_task() == {
        "isr": {"succeeded": 2, "existing": 1, "no-work": 1, "failed": 1, "skipped": 1}
    }
    assert outcomes[0].where == "exposure 2026112000012, detector 4"


def test_the_public_names_are_there():
    import lsst_commtools.pipeline as room

    assert sorted(room.__all__) == list(room.__all__) == dir(room)
    assert all(getattr(room, name) is not None for name in room.__all__)
    with pytest.raises(AttributeError):
        _ = room.nothing


def test_donuts_are_dark_in_the_middle(star_field):
    from lsst_commtools.instrument.images import CalibratedImage
    from lsst_commtools.pipeline.measure import measure_image

    random = np.random.default_rng(6)
    shape = (512, 512)
    light = np.zeros(shape)
    rows, columns = np.mgrid[-15:16, -15:16]
    ring = np.exp(-0.5 * ((np.hypot(rows, columns) - 7.0) / 1.5) ** 2)
    for y in range(40, 480, 55):
        for x in range(40, 480, 55):
            light[y - 15 : y + 16, x - 15 : x + 16] += 600 * ring
    pixels = random.poisson(light + 400).astype(np.float32)
    donuts = measure_image(CalibratedImage(pixels, pixels.copy(), np.zeros(shape, np.int32)), 1, 1)
    stars = measure_image(star_field.image, 1, 1)
    assert donuts.candidate.sum() > 30
    assert donuts.core_depth < 0.5
    assert stars.core_depth > 1.1
