"""``commtools csc`` and ``commtools sim`` against a simulator in a process of its own."""

import json

import pytest

from lsst_commtools.cli import main
from lsst_commtools.simulate.observatory import simulator_act, start_simulator, stop_simulator


@pytest.fixture
def simulator(monkeypatch):
    monkeypatch.setenv("COMMTOOLS_LOVE_OBSERVE_TIMEOUT_S", "2")
    running = start_simulator(speed=20.0)
    yield running
    stop_simulator()


@pytest.fixture
def run(capsys):
    def call(*words):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(words)
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return call


def test_without_a_simulator_the_site_local_says_how_to_start_it(run):
    code, out, err = run("csc", "states")
    assert (code, out) == (2, "")
    assert "commtools sim up" in err


def test_up_status_down(run):
    code, out, _ = run("sim", "up", "--speed", "20", "--format", "json")
    assert code == 0
    assert set(json.loads(out)["services"]) >= {"love", "admin"}
    assert run("sim", "status")[0] == 0
    assert run("sim", "up")[0] == 2
    assert run("sim", "fault", "kill", "csc=DIMM:1")[0] == 0
    code, out, _ = run("sim", "status", "--format", "json")
    assert json.loads(out)["cscs"]["DIMM:1"]["running"] is False
    assert run("sim", "down")[0] == 0
    assert run("sim", "status")[0] == 1


def test_states_as_json(run, simulator):
    code, out, _ = run("csc", "states", "--csc", "DIMM:1", "--csc", "ATDome", "--format", "json")
    document = json.loads(out)
    assert code == 0
    assert [list(row) for row in document] == [
        ["csc", "index", "state", "alive", "heartbeat_age_s", "observed_at"]
    ] * 2
    assert [(r["csc"], r["index"], r["state"], r["alive"]) for r in document] == [
        ("DIMM", 1, "STANDBY", True),
        ("ATDome", 0, "STANDBY", True),
    ]


def test_states_of_the_dead_and_the_unheard_of_are_kept_apart(run, simulator):
    simulator_act("kill", csc="DIMM:1")
    run("csc", "watch", "DIMM:1", "--seconds", "1")
    code, out, _ = run("csc", "states", "--csc", "DIMM:1", "--csc", "DIMM:9", "--format", "json")
    dead, unheard = json.loads(out)
    assert code == 1
    assert (dead["state"], dead["alive"]) == ("UNKNOWN", False)
    assert dead["heartbeat_age_s"] > 0
    assert (unheard["state"], unheard["alive"], unheard["heartbeat_age_s"]) == ("UNKNOWN", None, None)


def test_plan_and_set(run, simulator):
    code, out, _ = run("csc", "set", "DIMM:1", "ENABLED", "--plan", "--format", "json")
    assert code == 0
    assert json.loads(out)["path"] == ["STANDBY", "DISABLED", "ENABLED"]
    code, out, _ = run("csc", "set", "DIMM:1", "enabled", "--format", "json")
    document = json.loads(out)
    assert code == 0
    assert list(document) == ["csc", "index", "before", "after", "path", "ok", "reason", "seconds"]
    assert (document["before"], document["after"], document["ok"]) == ("STANDBY", "ENABLED", True)
    code, out, _ = run("csc", "set", "DIMM:1", "ENABLED", "--override", "summit.yaml", "--plan")
    assert code == 1
    assert "detour through STANDBY" in out
    code, out, err = run("csc", "set", "DIMM:1", "ENABLED", "--override", "summit.yaml")
    assert (code, out) == (2, "")
    assert "--reload" in err
    assert (
        run("csc", "set", "DIMM:1", "ENABLED", "--override", "summit.yaml", "--reload", "--via", "queue")[0]
        == 0
    )


def test_a_refusal_is_a_document_too(run, simulator):
    code, out, err = run("csc", "set", "DIMM:1", "ENABLED", "--override", "nope.yaml", "--format", "json")
    document = json.loads(out)
    assert code == 3
    assert (document["ok"], document["after"]) == (False, "STANDBY")
    assert "nope.yaml" in document["reason"]
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["set", "DIMM:", "ENABLED"], 2, "not a CSC name"),
        (["set", "DIMM:1", "FAULT"], 2, "told to go to"),
        (["set", "DIM:1", "ENABLED"], 2, "Did you mean DIMM"),
        (["set", "DIMM:1", "ENABLED", "--via", "pigeon"], 2, "Invalid value"),
    ],
)
def test_bad_input(run, simulator, words, code, text):
    found, _, err = run("csc", *words)
    assert found == code
    assert text in err


def test_the_allow_list(run, simulator, monkeypatch):
    monkeypatch.setenv("COMMTOOLS_CONTROL_ALLOW", "['ATDome']")
    code, _, err = run("csc", "set", "DIMM:1", "ENABLED")
    assert code == 2
    assert "allow-list" in err
    assert run("csc", "set", "ATDome", "DISABLED")[0] == 0


def test_failures_of_the_login_and_the_queue(run, simulator, monkeypatch):
    simulator_act("pause-queue", queue=1)
    code, _, err = run("csc", "set", "DIMM:1", "ENABLED", "--via", "queue")
    assert code == 2
    assert "paused" in err
    simulator_act("permit", may_command=False)
    code, _, err = run("csc", "set", "DIMM:1", "ENABLED")
    assert code == 3
    assert "no right to command" in err
    monkeypatch.setenv("COMMTOOLS_LOVE_PASSWORD", "of another LOVE")
    assert run("csc", "states")[0] == 0
    monkeypatch.setenv("COMMTOOLS_LOVE_URL", simulator.services["love"].url)
    monkeypatch.setenv("COMMTOOLS_LOVE_USER", "operator")
    code, _, err = run("csc", "states")
    assert code == 3
    assert "does not accept the login" in err
    assert "Traceback" not in err


def test_watch_is_one_document_a_line(run, simulator):
    code, out, _ = run("csc", "watch", "DIMM:1", "ATDome", "--seconds", "0.5", "--format", "json")
    assert code == 0
    assert {json.loads(line)["csc"] for line in out.splitlines()} == {"DIMM", "ATDome"}


def test_log(run, simulator):
    code, out, _ = run("csc", "log", "DIMM:1", "--seconds", "0.2", "--format", "json")
    assert code == 0
    assert json.loads(out)[0]["message"] == "DIMM:1 started"
