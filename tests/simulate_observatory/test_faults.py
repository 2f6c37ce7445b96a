import os

import pytest
import requests

from lsst_commtools.errors import InputError, RefusedError, SiteError
from lsst_commtools.simulate.observatory import (
    DEFAULT_CAST,
    Fault,
    larger_cast,
    simulator_act,
    simulator_truth,
    start_simulator,
    stop_simulator,
)
from lsst_commtools.simulate.observatory.admin import ACTIONS, act
from lsst_commtools.simulate.observatory.faults import FaultBook
from lsst_commtools.site.stand_ins import read_stand_ins, stand_in, stand_ins_file


def test_a_fault_comes_when_and_as_often_as_told():
    book = FaultBook([Fault("love", "drop", "cmd/", skip=2, times=2)])
    taken = [book.take("love", "cmd/") for _ in range(6)]
    assert taken == ["", "", "drop", "drop", "", ""]
    assert book.take("DIMM:1", "cmd/") == ""


def test_a_fault_without_end():
    book = FaultBook([Fault("love", "drop", times=-1)])
    assert {book.take("love", "anything") for _ in range(5)} == {"drop"}


def test_the_cast_has_what_everybody_needs_and_grows():
    assert {"DIMM:1", "DIMM:2", "ATDome", "ATMCS", "ATAOS", "MTMount", "MTAOS", "MTHexapod:1", "MTHexapod:2",
            "ScriptQueue:1", "ScriptQueue:2", "ScriptQueue:3", "Watcher"} <= set(DEFAULT_CAST)  # fmt: skip
    assert len(larger_cast(50)) == 50


def test_actions_that_cannot_be_understood(simulated):
    with pytest.raises(InputError, match="no action"):
        simulated.call(act, simulated.observatory, {"do": "nonsense"})
    for action in set(ACTIONS) - {"heal", "cut-websockets", "silence-producer", "expire-tokens", "stop"}:
        with pytest.raises(InputError):
            simulated.call(act, simulated.observatory, {"do": action})


def test_nobody_is_admin_without_the_key(simulated):
    assert requests.get(f"{simulated.services['admin'].url}/", timeout=5).status_code == 401


def test_a_simulator_of_its_own_process_is_found_told_and_stopped():
    with pytest.raises(SiteError, match="commtools sim up"):
        stand_in("love")
    running = start_simulator(speed=20.0, cscs=20)
    try:
        assert stand_ins_file().stat().st_mode & 0o777 == 0o600
        assert read_stand_ins() == running
        with pytest.raises(RefusedError, match="already"):
            start_simulator()
        assert len(simulator_truth()["cscs"]) == 20
        assert simulator_act("kill", csc="DIMM:1")["cscs"]["DIMM:1"]["running"] is False
        assert simulator_act("inject", service="love", kind="hang")["faults"][0]["kind"] == "hang"
    finally:
        assert stop_simulator() == running.pid
    assert read_stand_ins() is None
    assert stop_simulator() is None


def test_a_state_file_of_a_simulator_that_is_gone_or_of_nobody():
    file = stand_ins_file()
    file.parent.mkdir(parents=True)
    file.write_text('{"pid": 999999999, "started_at": "", "services": {}}')
    assert read_stand_ins() is None
    file.write_text(
        f'{{"pid": {os.getpid()}, "started_at": "", "services": {{"admin": {{"url": "http://127.0.0.1:9"}}}}}}'
    )
    assert stop_simulator() is None  # the number belongs to another process now, which is left alone
    assert not file.exists()
    file.write_text("{}")
    with pytest.raises(SiteError, match="does not say"):
        read_stand_ins()
