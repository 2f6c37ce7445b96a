"""Rules of Argo CD: which Job runs a CSC, and when an operation is over."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsst_commtools.deploy import find_job
from lsst_commtools.deploy.rules import (
    in_progress,
    is_reconciled_since,
    may_run,
    operation_failure,
    parse_time_utc,
)
from lsst_commtools.errors import NotFoundError, ProtocolError, RefusedError
from lsst_commtools.ids import CscName


def application(name, *jobs, namespace=None):
    resources = [
        {"group": "batch", "version": "v1", "kind": "Job", "namespace": namespace or name, "name": job}
        for job in jobs
    ]
    resources.append(
        {"version": "v1", "kind": "ConfigMap", "namespace": name, "name": jobs[0] if jobs else "x"}
    )
    return {"metadata": {"name": name}, "spec": {"project": "telescope"}, "status": {"resources": resources}}


@pytest.mark.parametrize(
    ("job", "csc", "may"),
    [
        ("dimm1", "DIMM:1", True),
        ("dimm1-sim", "DIMM:1", True),
        ("dimm-1", "DIMM:1", True),
        ("dimm", "DIMM:1", True),
        ("dimm-sim", "DIMM:1", True),
        ("dimm2", "DIMM:1", False),
        ("dimm11", "DIMM:1", False),
        ("dimm1", "DIMM:11", False),
        ("mtmount", "MTMount", True),
        ("mtmount-ccw-only", "MTMount", True),
        ("mtmount1", "MTMount", False),
        ("mtm", "MTMount", False),
        ("xdimm1", "DIMM:1", False),
        ("dimm1x", "DIMM:1", False),
    ],
)
def test_names_of_jobs(job, csc, may):
    assert may_run(job, CscName.parse(csc)) is may


def test_the_only_job_is_found():
    apps = [application("eas", "dimm1", "dimm2"), application("auxtel", "atdome")]
    job = find_job(apps, CscName("DIMM", 2))
    assert (job.application, job.project, job.namespace, job.name) == ("eas", "telescope", "eas", "dimm2")


@pytest.mark.parametrize("jobs", [("dimm1", "dimm1-sim"), ("dimm1", "dimm"), ("mtmount", "mtmount-ccw-only")])
def test_more_than_one_is_never_chosen_from(jobs):
    csc = CscName("MTMount") if jobs[0] == "mtmount" else CscName("DIMM", 1)
    with pytest.raises(RefusedError, match="more than one") as refused:
        find_job([application("eas", *jobs)], csc)
    assert all(job in str(refused.value) for job in jobs)
    assert find_job([application("eas", *jobs)], csc, {str(csc): jobs[1]}).name == jobs[1]


def test_the_same_job_in_two_applications_is_chosen_by_a_person():
    apps = [application("eas", "dimm1"), application("calsys", "dimm1")]
    with pytest.raises(RefusedError):
        find_job(apps, CscName("DIMM", 1))
    with pytest.raises(RefusedError):
        find_job(apps, CscName("DIMM", 1), {"DIMM:1": "dimm1"})
    assert find_job(apps, CscName("DIMM", 1), {"DIMM:1": "calsys/dimm1"}).application == "calsys"


def test_none_is_found():
    with pytest.raises(NotFoundError, match="no Job"):
        find_job([application("eas", "dimm2"), {"metadata": {"name": "empty"}}], CscName("DIMM", 1))


def shown(started=None, finished=None, reconciled=None, phase="Succeeded", operation=None, message=""):
    state = {"startedAt": started, "finishedAt": finished, "phase": phase, "message": message}
    told = {"status": {"operationState": state if started else None, "reconciledAt": reconciled}}
    return told | ({"operation": operation} if operation is not None else {})


@pytest.mark.parametrize(
    ("told", "busy"),
    [
        (shown(), False),
        (shown(operation={"sync": {}}), True),
        (shown("2026-11-20T10:00:00Z"), True),
        (shown("2026-11-20T10:00:00Z", "2026-11-20T10:00:05Z"), True),
        (shown("2026-11-20T10:00:00Z", "2026-11-20T10:00:05Z", "2026-11-20T10:00:04Z"), True),
        (shown("2026-11-20T10:00:00Z", "2026-11-20T10:00:05Z", "2026-11-20T10:00:05Z"), False),
        (shown("2026-11-20T10:00:00Z", "2026-11-20T10:00:05Z", "2026-11-20T10:00:06+00:00"), False),
    ],
)
def test_an_operation_is_over_as_the_command_of_argo_cd_judges(told, busy):
    assert in_progress(told) is busy


def test_the_operation_before_says_nothing_of_this_one():
    told = shown("2026-11-20T10:00:00Z", "2026-11-20T10:00:05Z", "2026-11-20T10:00:06Z")
    with pytest.raises(LookupError):
        operation_failure(told, ["2026-11-20T10:00:00Z"])
    with pytest.raises(LookupError):
        operation_failure(shown(), [])
    assert operation_failure(told, []) is None
    failed = shown("2026-11-20T10:00:00Z", "x", phase="Failed", message="it is broken")
    assert "it is broken" in str(operation_failure(failed, []))


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(dt.UTC)), st.datetimes(timezones=st.just(dt.UTC)))
def test_reconciled_means_not_before(reconciled, since):
    told = {"status": {"reconciledAt": reconciled.isoformat()}}
    assert is_reconciled_since(told, since) is (reconciled >= since)


def test_times():
    assert parse_time_utc(None) is None
    assert parse_time_utc("") is None
    assert parse_time_utc("2026-11-20T10:00:00+01:00") == dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)
    with pytest.raises(ProtocolError):
        parse_time_utc("yesterday")
