"""Simulated Argo CD, Slack and bench, spoken to without the package's own clients."""

import time

import docker
import pytest
import requests

from lsst_commtools.simulate.observatory import Fault, simulator_act, start_simulator, stop_simulator

API = "/api/v1"


@pytest.fixture
def ask(simulated):
    service = simulated.services["argocd"]
    login = {"username": service.user, "password": service.password}
    token = requests.post(f"{service.url}{API}/session", json=login, timeout=5).json()["token"]

    def send(method, path, *, authorization=f"Bearer {token}", **given):
        headers = {"Authorization": authorization}
        return requests.request(method, f"{service.url}{API}{path}", headers=headers, timeout=5, **given)

    return send


@pytest.fixture
def end_dimm(simulated):
    def end():
        csc = simulated.observatory.csc("DIMM:1")
        simulated.call(csc._set_state, "OFFLINE")
        simulated.call(csc.kill)

    return end


def until(look, seconds=5.0):
    ends = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return seen


def one_resource(application, name):
    return next(r for r in application["status"]["resources"] if r["name"] == name)


SYNC = {"resources": [{"group": "batch", "kind": "Job", "name": "dimm1", "namespace": "eas"}]}
JOB = {"resourceName": "dimm1", "namespace": "eas", "group": "batch", "version": "v1", "kind": "Job"}


def test_groups_hold_a_job_for_each_csc(ask):
    items = ask("GET", "/applications").json()["items"]
    jobs = {app["metadata"]["name"]: [r["name"] for r in app["status"]["resources"]] for app in items}
    assert jobs["eas"] == ["dimm1", "dimm2"]
    assert "mthexapod2" in jobs["simonyitel"]
    assert "mtcamera" not in str(jobs)
    assert ask("GET", "/applications", params={"projects": "other"}).json()["items"] is None


@pytest.mark.parametrize("authorization", ["", "Bearer nonsense", "Token x"])
def test_who_is_not_logged_in(ask, authorization):
    answer = ask("GET", "/applications", authorization=authorization)
    assert (answer.status_code, answer.json()["code"]) == (401, 16)


def test_a_running_job_is_progressing_and_one_that_ended_healthy(ask, end_dimm):
    seen = one_resource(ask("GET", "/applications/eas").json(), "dimm1")
    assert (seen["status"], seen["health"]["status"]) == ("Synced", "Progressing")
    end_dimm()
    seen = one_resource(ask("GET", "/applications/eas", params={"refresh": "normal"}).json(), "dimm1")
    assert seen["health"]["status"] == "Healthy"


def test_what_is_told_is_as_old_as_the_last_look(ask, simulated):
    reconciled = ask("GET", "/applications/eas").json()["status"]["reconciledAt"]
    fresh = ask("GET", "/applications/eas", params={"refresh": "normal"}).json()["status"]["reconciledAt"]
    assert fresh > reconciled


def test_missing_applications_look_forbidden_without_their_project(ask):
    assert ask("GET", "/applications/nowhere").status_code == 403
    assert ask("GET", "/applications/nowhere", params={"project": "telescope"}).status_code == 404


def test_delete_and_sync_make_another_job(ask, end_dimm, simulated):
    end_dimm()
    before = simulated.observatory.cluster.truth()["jobs"]["dimm1"]["uid"]
    assert ask("DELETE", "/applications/eas/resource", params=JOB).json() == {}
    until(lambda: "dimm1" not in simulated.observatory.cluster.truth()["jobs"])
    answer = ask("POST", "/applications/eas/sync", json=SYNC)
    assert "operation" in answer.json()
    busy = ask("POST", "/applications/eas/sync", json=SYNC)
    assert (busy.status_code, busy.json()["code"]) == (400, 9)
    job = until(lambda: simulated.observatory.cluster.truth()["jobs"].get("dimm1"))
    assert job["uid"] != before
    until(lambda: simulated.observatory.csc("DIMM:1").state == "STANDBY")
    state = until(lambda: ask("GET", "/applications/eas").json()["status"].get("operationState"))
    assert state["startedAt"]
    assert simulated.observatory.cluster.truth()["whole_syncs"] == 0


def test_a_sync_without_resources_and_a_deleted_application_are_remembered(ask, simulated):
    ask("POST", "/applications/eas/sync", json={})
    ask("DELETE", "/applications/auxtel", params={"cascade": "true"})
    truth = simulated.observatory.cluster.truth()
    assert (truth["whole_syncs"], truth["deleted_applications"]) == (1, ["auxtel"])


def test_a_second_process_is_refused_and_remembered(ask, simulated):
    ask("DELETE", "/applications/eas/resource", params={**JOB, "orphan": "true"})
    until(lambda: "dimm1" not in simulated.observatory.cluster.truth()["jobs"])
    ask("POST", "/applications/eas/sync", json=SYNC)
    until(lambda: simulated.observatory.cluster.two_at_once)
    assert simulated.observatory.cluster.two_at_once == ["DIMM:1"]


def test_a_closed_sync_window(ask, simulated):
    simulated.observatory.cluster.may_sync = False
    assert ask("GET", "/applications/eas/syncwindows").json()["canSync"] is False
    assert ask("POST", "/applications/eas/sync", json=SYNC).status_code == 403


def test_slack_limits_and_refuses_with_200(simulated):
    service = simulated.services["slack"]
    headers = {"Authorization": f"Bearer {service.token}"}

    def post(body, **given):
        return requests.post(
            f"{service.url}/api/chat.postMessage", json=body, timeout=5, **{"headers": headers, **given}
        )

    assert post({"channel": "x", "text": "y"}).json()["ok"]
    for body, error in (({"channel": "x"}, "no_text"), ({"text": "y"}, "channel_not_found")):
        assert (post(body).status_code, post(body).json()["error"]) == (200, error)
    assert post({"channel": "x", "text": "y"}, headers={}).json()["error"] == "invalid_auth"
    simulated.observatory.pace.__dict__["slack_message_s"] = 60.0
    limited = [post({"channel": "x", "text": "y"}) for _ in range(6)][-1]
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "1")


def test_docker_plays_nothing_that_it_does_not_know(simulated):
    url = simulated.services["docker"].url.replace("http", "tcp")
    client = docker.APIClient(base_url=url, version="auto", timeout=5)
    assert [row["Names"] for row in client.containers()] == [["/develop-env"], ["/kafka-daemon"]]
    made = client.exec_create("develop-env", ["sh", "-c", "touch /tmp/x; echo hello"])
    assert client.exec_start(made["Id"], demux=True) == (None, b"sh: not simulated\n")
    assert client.exec_inspect(made["Id"])["ExitCode"] == 127
    with pytest.raises(docker.errors.NotFound):
        client.exec_create("nowhere", ["sh"])
    client.close()


def test_faults_strike_each_service(simulated, ask):
    for service, where in (("argocd", "GET applications"), ("slack", ""), ("docker", "")):
        simulated.call(simulated.observatory.add_fault, Fault(service, "http_500", where))
    assert ask("GET", "/applications").status_code == 500
    assert (
        requests.post(f"{simulated.services['slack'].url}/api/chat.postMessage", timeout=5).status_code == 500
    )
    assert requests.get(f"{simulated.services['docker'].url}/version", timeout=5).status_code == 500
    assert simulated.observatory.faults.faults == []


def test_a_process_of_its_own_has_them_all():
    running = start_simulator(speed=20.0)
    try:
        assert {"love", "argocd", "slack", "docker", "admin"} <= set(running.services)
        truth = simulator_act("remove-container", name="develop-env")
        assert list(truth["bench"]["containers"]) == ["kafka-daemon"]
        truth = simulator_act("make-container", name="develop-env")
        assert truth["bench"]["containers"]["develop-env"] == "exited"
        assert simulator_act("sync-window", open=False)["two_at_once"] == []
    finally:
        stop_simulator()
