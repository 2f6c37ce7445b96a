"""The simulator against the contract of LOVE-manager v7.5, as it was observed."""

import json
import threading
import time

import pytest
import websocket

from lsst_commtools.simulate.observatory import Fault

HEARTBEAT = ("Heartbeat", 0, "stream")


def command(rest, token, csc, index, name, **parameters):
    body = {"cmd": name, "params": parameters, "csc": csc, "salindex": index}
    return rest("POST", "cmd/", token=f"Token {token}", json=body)


def fields(message, stream):
    return {k: v["value"] for k, v in json.loads(message)["data"][0]["data"][stream][0].items()}


def of_csc(messages, csc):
    streams = [
        json.loads(m)["data"][0]["data"]["stream"] for m in messages if '"Heartbeat"' in m and "lost" in m
    ]
    return [s for s in streams if s["csc"] == csc]


def test_login(rest, simulated):
    love = simulated.services["love"]
    good = rest("POST", "get-token/", json={"username": love.user, "password": love.password}).json()
    assert set(good) == {"user", "token", "permissions", "time_data", "config"}
    assert len(good["token"]) == 40
    assert good["permissions"] == {"execute_commands": True}
    assert good["time_data"]["tai"] - good["time_data"]["utc"] == pytest.approx(37.0)
    bare = rest("GET", "validate-token/no_config/", token=f"Token {good['token']}").json()
    assert bare["config"] is None
    wrong = rest("POST", "get-token/", json={"username": love.user, "password": "no"})
    assert (wrong.status_code, wrong.json()) == (
        400,
        {"non_field_errors": ["Unable to log in with provided credentials."]},
    )
    nameless = rest("POST", "get-token/", json={})
    assert (nameless.status_code, nameless.headers["Content-Type"]) == (500, "text/html")


def test_who_may_not(rest, simulated):
    nobody = rest("GET", "salinfo/topic-names")
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, "Token")
    assert nobody.json() == {"detail": "Authentication credentials were not provided."}
    assert rest("GET", "salinfo/topic-names", token="Token " + "0" * 40).json() == {"detail": "Invalid Token"}
    assert rest("GET", "salinfo/topic-names", token="Bearer " + "0" * 40).status_code == 401
    visitor = simulated.observatory.users["visitor"]
    token = rest("POST", "get-token/", json={"username": "visitor", "password": visitor.password}).json()[
        "token"
    ]
    refused = command(rest, token, "DIMM", 1, "cmd_start")
    assert refused.status_code == 403
    assert refused.json() == {"ack": "Your user is not allowed to command the observatory."}


def test_commands(rest, token, simulated):
    assert command(rest, token, "DIMM", 1, "cmd_start", configurationOverride="summit.yaml").json() == {
        "ack": "Done"
    }
    assert simulated.observatory.csc("DIMM:1").state == "DISABLED"
    for refused in (
        command(rest, token, "DIMM", 1, "cmd_start"),
        command(rest, token, "DIMM", 1, "cmd_enable", nonsense=1),
        command(rest, token, "DIMM", 1, "cmd_nonsense"),
        command(rest, token, "DIMM", 9, "cmd_enable"),
        command(rest, token, "Nobody", 0, "cmd_enable"),
        command(rest, token, "ScriptQueue", 1, "cmd_add", path="nope.py"),
    ):
        assert refused.status_code == 500
        assert "Server Error (500)" in refused.text
    lacking = rest("POST", "cmd/", token=f"Token {token}", json={"csc": "DIMM"})
    assert lacking.status_code == 400
    assert "cmd_name" in lacking.json()["ack"]
    assert rest("POST", "cmd", token=f"Token {token}").status_code == 301
    assert rest("GET", "salinfo/metadata", token=f"Token {token}").status_code == 500
    data = rest("GET", "salinfo/topic-data?categories=command", token=f"Token {token}").json()
    assert "configurationOverride" in data["DIMM"]["command_data"]["start"]
    assert "enterControl" not in data["DIMM"]["command_data"]
    assert "enterControl" in data["MTCamera"]["command_data"]


def test_a_command_without_acknowledgement_is_a_504_and_may_still_happen(rest, token, simulated):
    simulated.call(simulated.observatory.add_fault, Fault("DIMM:1", "late", "start"))
    late = command(rest, token, "DIMM", 1, "cmd_start")
    assert late.status_code == 504
    assert "CMD_NOACK: -301" in late.json()["ack"]
    assert simulated.observatory.csc("DIMM:1").state == "STANDBY"
    time.sleep(0.4)
    assert simulated.observatory.csc("DIMM:1").state == "DISABLED"


def test_a_dead_csc_does_not_delay_others(rest, token, simulated):
    simulated.call(simulated.observatory.csc("DIMM:1").kill)
    waiting = threading.Thread(target=command, args=(rest, token, "DIMM", 1, "cmd_start"))
    waiting.start()
    started_s = time.monotonic()
    assert command(rest, token, "DIMM", 2, "cmd_start").status_code == 200
    assert time.monotonic() - started_s < 0.4
    waiting.join()


def test_a_websocket_without_a_good_token_is_refused(simulated):
    url = simulated.services["love"].url.replace("http", "ws")
    for query in ("?token=wrong", ""):
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            websocket.create_connection(f"{url}/manager/ws/subscription{query}", timeout=2)
        assert caught.value.status_code == 403


def test_any_name_is_confirmed(listen):
    listener = listen()
    listener.subscribe("Nobody", 7, "nothing")
    assert json.loads(listener.messages()[0]) == {"data": "Successfully subscribed to event-Nobody-7-nothing"}


def test_a_message_that_lacks_a_key_ends_the_connection_without_a_close_frame(listen):
    listener = listen()
    listener.socket.send(json.dumps({"option": "subscribe", "category": "event", "csc": "DIMM"}))
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        listener.messages()


def test_everybody_gets_a_repeat_when_anybody_subscribes(listen):
    first, second = listen(), listen()
    first.subscribe("DIMM", 1, "summaryState")
    first.messages()
    second.subscribe("DIMM", 1, "summaryState")
    (repeat,) = first.messages()
    assert fields(repeat, "summaryState")["summaryState"] == 5
    stamps = [fields(m, "summaryState")["private_seqNum"] for m in (repeat, second.messages()[1])]
    assert stamps[0] == stamps[1]


def test_stamps_of_cscs_are_tai_and_of_the_producer_utc(listen):
    listener = listen()
    listener.subscribe("DIMM", 1, "summaryState")
    message = listener.messages()[1]
    assert fields(message, "summaryState")["private_sndStamp"] - time.time() == pytest.approx(37.0, abs=5.0)
    tracing = json.loads(message)["tracing"]
    assert tracing["manager_snd_to_client"] - tracing["producer_snd"] == pytest.approx(37.0, abs=0.1)


def test_telemetry_is_a_dict_with_bare_nan_and_comes_again_and_again(listen):
    listener = listen()
    listener.subscribe("DIMM", 1, "status", category="telemetry")
    telemetry = [m for m in listener.messages() if '"telemetry"' in m]
    assert len(telemetry) >= 2
    assert "NaN" in telemetry[0]
    assert isinstance(json.loads(telemetry[0])["data"][0]["data"]["status"], dict)


def test_lost_heartbeats_are_counted_and_the_state_of_the_dead_stays(listen, simulated):
    listener = listen()
    listener.subscribe(*HEARTBEAT)
    assert all(s["lost"] == 0 for s in of_csc(listener.messages(), "ATDome"))
    simulated.call(simulated.observatory.csc("ATDome").kill)
    counts = [s["lost"] for s in of_csc(listener.messages(1.0), "ATDome")]
    assert counts == sorted(counts)
    assert counts[-1] >= 5
    listener.subscribe("ATDome", 0, "summaryState")
    state = next(m for m in listener.messages() if "event-ATDome-0-summaryState" in m and "dataType" in m)
    assert fields(state, "summaryState")["summaryState"] == 5


def test_loves_own_heartbeat_and_clock(listen):
    listener = listen()
    listener.subscribe("manager", 0, "stream", category="heartbeat")
    listener.socket.send(json.dumps({"action": "get_time_data", "request_time": 12.5}))
    messages = [json.loads(m) for m in listener.messages(0.6)]
    assert any(m.get("subscription") == "heartbeat" for m in messages)
    assert any(m.get("request_time") == 12.5 for m in messages)


def test_a_script_goes_backwards_and_is_done_late(listen, rest, token):
    listener = listen()
    listener.subscribe("ScriptQueueState", 1, "scriptsStream")
    config = 'data:\n- ["DIMM:1", "ENABLED"]\n'
    added = command(
        rest, token, "ScriptQueue", 1, "cmd_add", path="set_summary_state.py", config=config, isStandard=True
    )
    assert added.json() == {"ack": "100000"}
    seen = []
    for message in listener.messages(1.5):
        streams = json.loads(message)["data"]
        if isinstance(streams, list):
            lists = streams[0]["data"]["scriptsStream"]
            seen += [
                (place, s["process_state"], s["script_state"]) for place, ss in lists.items() for s in ss
            ]
    states = [state for _, _, state in seen]
    assert "RUNNING" in states[states.index("DONE") :]
    assert ("finished_scripts", "RUNNING", "DONE") in seen
    assert seen[-1] == ("finished_scripts", "DONE", "DONE")


def test_ten_finished_scripts_are_told(rest, token, simulated):
    for _ in range(12):
        command(rest, token, "ScriptQueue", 1, "cmd_add", path="sleep.py", config="", isStandard=True)
    queue = simulated.observatory.queues[1]
    ends = time.monotonic() + 10
    while (queue._waiting or queue._current) and time.monotonic() < ends:
        time.sleep(0.05)
    assert len(queue._finished) == 10
