"""The client of Argo CD against the simulated one; each request fits the real interface."""

import json
import re
import time

import jsonschema
import pytest
import requests
from pydantic import SecretStr

from lsst_commtools.deploy import ArgoCd
from lsst_commtools.deploy.session import ArgoCdSession, Call, _JobsOnly
from lsst_commtools.errors import (
    AuthenticationError,
    CommtoolsError,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RefusedError,
    RejectedError,
    ServiceTimeoutError,
    SiteError,
    UnreachableError,
)
from lsst_commtools.site import Site


@pytest.fixture
def swagger(test_data):
    path = test_data.parent / "specs" / "argocd-swagger.json"
    if not path.is_file():
        pytest.skip("the OpenAPI description of Argo CD is absent")
    return json.loads(path.read_text())


@pytest.fixture
def ended(running, csc_of):
    """The production CSC has gone OFFLINE, and its process has ended."""

    def bring():
        running.call(csc_of("DIMM:1")._set_state, "OFFLINE")
        running.call(csc_of("DIMM:1").kill)

    bring()


def check(swagger, method, path, query, body):
    """Check a request against the OpenAPI description (Swagger 2)."""
    templates = {
        template: re.compile(re.sub(r"\\\{[^/]+\\\}", r"[^/]+", re.escape(template)) + "$")
        for template in swagger["paths"]
    }
    # A parameter of grpc-gateway may hold slashes at the end of a path.
    templates["/api/v1/account/can-i/{resource}/{action}/{subresource}"] = re.compile(
        "/api/v1/account/can-i/[^/]+/[^/]+/.+$"
    )
    fitting = [t for t, p in templates.items() if p.match(path) and method.lower() in swagger["paths"][t]]
    assert len(fitting) == 1, (path, fitting)
    operation = swagger["paths"][fitting[0]][method.lower()]
    known = {p["name"]: p for p in operation.get("parameters", []) if p["in"] == "query"}
    assert set(query) <= set(known), f"{method} {path} has no {set(query) - set(known)}"
    assert {name for name, p in known.items() if p.get("required")} <= set(query)
    bodies = [p for p in operation.get("parameters", []) if p["in"] == "body"]
    assert (body is None) or bodies, f"{method} {path} takes no body"
    if body is not None:
        schema = {"definitions": closed(swagger["definitions"]), **bodies[0]["schema"]}
        jsonschema.validate(body, schema)


def closed(definitions):
    """Let objects have no other keys than those that are described."""
    return {
        name: {**d, "additionalProperties": False} if "properties" in d else d
        for name, d in definitions.items()
    }


@pytest.mark.data
def test_every_request_fits_the_interface(swagger, argocd, sent, ended):
    job = argocd.find_job("DIMM:1")
    argocd.hindrances(job)
    argocd.redeploy(job)
    made = {(method, path.rpartition("/")[2]) for method, path, _, _ in sent}
    assert {("DELETE", "resource"), ("POST", "sync"), ("GET", "syncwindows"), ("POST", "session")} <= made
    for request in sent:
        check(swagger, *request)


@pytest.mark.data
def test_the_check_can_fail(swagger):
    with pytest.raises(AssertionError):
        check(swagger, "GET", "/api/v1/applications/eas", {"nonsense": "1"}, None)
    with pytest.raises(jsonschema.ValidationError):
        check(swagger, "POST", "/api/v1/applications/eas/sync", {}, {"resource": []})


@pytest.mark.data
def test_no_call_deletes_an_application(swagger):
    for call in Call:
        method, path = call.value
        assert method in ("GET", "POST") or call is Call.DELETE_JOB
        assert method != "DELETE" or path.endswith("/resource")
    deleting = [t for t, operations in swagger["paths"].items() if "delete" in operations]
    ours = {f"/api/v1/{call.value[1]}" for call in Call if call.value[0] == "DELETE"}
    assert [t for t in deleting if t in ours] == ["/api/v1/applications/{name}/resource"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/v1/applications/eas"),
        ("DELETE", "/api/v1/applications/eas?cascade=true"),
        ("DELETE", "/api/v1/applications/eas/resource?resourceName=dimm1&kind=Deployment"),
        ("DELETE", "/api/v1/applications/eas/resource?kind=Job"),
        ("DELETE", "/api/v1/applications/eas/operation?kind=Job&resourceName=x"),
        ("DELETE", "/api/v1/applications/eas/resource/../?kind=Job&resourceName=x"),
        ("PUT", "/api/v1/applications/eas"),
        ("PATCH", "/api/v1/applications/eas"),
    ],
)
def test_the_adapter_lets_no_other_deletion_out(method, path):
    with requests.Session() as session:
        session.mount("http://", _JobsOnly())
        with pytest.raises(RefusedError, match="more than one Job"):
            session.request(method, f"http://127.0.0.1:9{path}", timeout=1)


@pytest.mark.parametrize("name", ["../x", "eas/resource", "eas?x", "", "EAS", "a b", "eas\n"])
def test_hostile_names_do_not_leave(argocd, sent, name):
    job = argocd.find_job("DIMM:1")
    sent.clear()
    bad = type(job)(**{**job.to_dict(), "application": name or "."})
    with pytest.raises(RefusedError, match="not a name"):
        argocd.job_state(bad)
    assert sent == []


def test_a_new_job_takes_the_place_of_one_that_has_ended(argocd, ended, truth, sent, csc_of):
    job = argocd.find_job("DIMM:1")
    before, after = argocd.redeploy(job)
    assert before.health == "Healthy"  # of a CSC that has ended
    assert (after.sync, after.pod_phase, after.health) == ("Synced", "Running", "Progressing")
    assert after.uid not in ("", before.uid)
    assert truth()["jobs"]["dimm1"] == {"uid": after.uid, "phase": "Running"}
    assert truth()["whole_syncs"] == 0
    (sync,) = [body for method, path, _, body in sent if path.endswith("/sync")]
    assert sync["resources"] == [{"group": "batch", "kind": "Job", "name": "dimm1", "namespace": "eas"}]
    (delete,) = [query for method, _, query, _ in sent if method == "DELETE"]
    assert delete["resourceName"] == "dimm1"
    assert "orphan" not in delete


def test_a_job_that_is_gone_is_only_synced(argocd, ended, running, sent):
    job = argocd.find_job("DIMM:1")
    running.call(lambda: running.observatory.cluster.applications["eas"].jobs.pop("dimm1"))
    assert argocd.find_job("DIMM:1") == job
    before, after = argocd.redeploy(job)
    assert before.uid == ""
    assert str(before) == "there is no Job (OutOfSync)"
    assert after.pod_phase == "Running"
    assert not [m for m, *_ in sent if m == "DELETE"]


def test_a_job_that_runs_is_left_alone(argocd, sent, truth):
    job = argocd.find_job("DIMM:1")
    before = truth()
    with pytest.raises(RefusedError, match="still runs"):
        argocd.redeploy(job)
    assert truth() == before
    assert not [m for m, *_ in sent if m == "DELETE"]


def test_nothing_is_sent_in_a_dry_run(argocd, ended, sent, monkeypatch):
    job = argocd.find_job("DIMM:1")
    monkeypatch.setenv("COMMTOOLS_DRY_RUN", "1")
    with pytest.raises(RefusedError, match="dry run"):
        argocd.redeploy(job)
    assert not [m for m, path, *_ in sent if m == "DELETE" or path.endswith("/sync")]


def test_what_is_busy_is_waited_for(argocd, ended, running, fail):
    job = argocd.find_job("DIMM:1")
    cluster = running.observatory.cluster
    running.call(cluster.sync, cluster.applications["eas"], {"dimm2"})
    fail("argocd", "http_409", "DELETE resource")
    fail("argocd", "http_409", "POST sync")
    _, after = argocd.redeploy(job)
    assert after.pod_phase == "Running"


@pytest.mark.parametrize(
    ("kind", "where", "error"),
    [
        ("http_403", "DELETE resource", ForbiddenError),
        ("http_403", "POST sync", ForbiddenError),
        ("http_500", "POST sync", RejectedError),
        ("sync_fails", "POST sync", RejectedError),
    ],
)
def test_failures_have_a_cause(argocd, ended, fail, kind, where, error):
    job = argocd.find_job("DIMM:1")
    fail("argocd", kind, where)
    with pytest.raises(error) as failed:
        argocd.redeploy(job)
    assert isinstance(failed.value, CommtoolsError)
    assert failed.value.message.endswith(".") or ":" in failed.value.message
    _, after = argocd.redeploy(job)  # and a second try finishes the job
    assert after.pod_phase == "Running"


def test_moments_without_argo_cd_are_borne(argocd, ended, fail):
    job = argocd.find_job("DIMM:1")
    for skip in (0, 2, 3):
        fail("argocd", "drop", "GET resource-tree", skip)
    assert argocd.redeploy(job)[1].pod_phase == "Running"


def test_a_job_that_never_runs_is_given_up(argocd, ended, running):
    job = argocd.find_job("DIMM:1")
    running.observatory.pace.__dict__["boot_s"] = 60.0
    begun = time.monotonic()
    with pytest.raises(ServiceTimeoutError, match="in vain"):
        argocd.redeploy(job)
    assert time.monotonic() - begun < 8.0


def test_what_hinders_is_seen_before(argocd, running):
    job = argocd.find_job("DIMM:1")
    assert argocd.hindrances(job) == []
    running.observatory.cluster.may_sync = False
    (text,) = argocd.hindrances(job)
    assert "sync window" in text
    running.call(running.observatory.csc("DIMM:1").kill)
    with pytest.raises(ForbiddenError, match="blocked by sync window"):
        argocd.redeploy(job)


def test_a_missing_application_looks_forbidden_without_its_project(argocd):
    job = argocd.find_job("DIMM:1")
    gone = type(job)(**{**job.to_dict(), "application": "nowhere"})
    with pytest.raises(NotFoundError):
        argocd.job_state(gone)
    with pytest.raises(ForbiddenError, match="no such application"):
        argocd.job_state(type(job)(**{**gone.to_dict(), "project": ""}))


def test_cameras_have_no_job(argocd):
    with pytest.raises(NotFoundError, match=r"deploy\.argocd\.jobs"):
        argocd.find_job("MTCamera")


def test_a_token_that_has_expired_is_renewed(argocd, running):
    argocd.find_job("DIMM:1")
    argocd._session._token = SecretStr("expired")
    assert argocd.find_job("DIMM:1").name == "dimm1"


def test_logins_that_fail(running, quick_site, monkeypatch):
    with pytest.raises(AuthenticationError, match="no login"):
        ArgoCd(quick_site).find_job("DIMM:1")
    monkeypatch.setenv("COMMTOOLS_ARGOCD_TOKEN", "wrong-token-value")
    with pytest.raises(AuthenticationError) as refused:
        ArgoCd(quick_site).find_job("DIMM:1")
    assert "wrong-token-value" not in f"{refused.value!r} {refused.value}"
    monkeypatch.setenv("COMMTOOLS_ARGOCD_PASSWORD", "wrong")
    monkeypatch.delenv("COMMTOOLS_ARGOCD_TOKEN")
    with pytest.raises(AuthenticationError, match="Invalid username"):
        ArgoCd(quick_site).find_job("DIMM:1")


def test_places_that_are_none():
    local = Site.load("local")
    with pytest.raises(SiteError, match="sim up"):
        ArgoCd(local)
    with pytest.raises(SiteError, match=r"deploy\.argocd\.url"):
        ArgoCd(local.model_copy(update={"real": True}))
    session = ArgoCdSession("http://127.0.0.1:9", token=SecretStr("t"))
    with pytest.raises(UnreachableError, match="cannot be reached"):
        session.ask(Call.LIST)


def test_answers_that_are_something_else(running):
    love = running.services["love"].url
    with pytest.raises((ProtocolError, RejectedError, NotFoundError)):
        ArgoCdSession(love, token=SecretStr("t")).ask(Call.LIST)
