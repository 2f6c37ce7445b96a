"""The salobj way against a small fake of the part of salobj that it uses."""

import asyncio
import itertools
import sys
import time
import types

import pytest

from lsst_commtools.control import Control, SummaryState
from lsst_commtools.control.salobj import SalobjBackend
from lsst_commtools.errors import (
    InputError,
    NotFoundError,
    RefusedError,
    RejectedError,
    SiteError,
    UnknownOutcomeError,
)

S = SummaryState
STATES = {"start": (5, 1), "enable": (1, 2), "disable": (2, 1), "standby": (1, 5), "exitControl": (5, 4)}
NUMBERS = itertools.count(1)
MADE = []


class AckError(Exception):
    def __init__(self, result):
        super().__init__(result)
        self.ackcmd = types.SimpleNamespace(ack=-302, result=result)


class AckTimeoutError(AckError):
    pass


class Domain:
    async def close(self):
        pass


class Event:
    def __init__(self):
        self.callback, self.last = None, None

    def put(self, **fields):
        self.last = types.SimpleNamespace(
            private_sndStamp=time.time() + 37, private_seqNum=next(NUMBERS), private_origin=1, **fields
        )
        if self.callback is not None:
            self.callback(self.last)

    def get(self):
        return self.last


class Command:
    def __init__(self, remote, name):
        self.remote, self.name = remote, name
        self.data = (
            types.SimpleNamespace(configurationOverride="") if name == "start" else types.SimpleNamespace()
        )

    async def set_start(self, timeout, **parameters):  # noqa: ASYNC109 - as salobj has it
        remote = self.remote
        if not remote.alive:
            await asyncio.sleep(0.1)
            raise AckTimeoutError("timed out")
        allowed, target = STATES[self.name]
        if parameters.get("configurationOverride") == "nope.yaml":
            raise AckError("Failed: no such file")
        if remote.evt_summaryState.last.summaryState != allowed:
            raise AckError(f"Failed: {self.name} not allowed")
        asyncio.get_running_loop().call_later(0.02, lambda: remote.evt_summaryState.put(summaryState=target))
        return types.SimpleNamespace(result="Done")


class Remote:
    def __init__(self, domain, name, index, include):
        if name == "Nobody":
            raise RuntimeError("no such component")
        self.alive = index != 9
        self.evt_summaryState, self.evt_heartbeat, self.evt_logMessage, self.evt_errorCode = (
            Event() for _ in range(4)
        )
        if self.alive:
            self.evt_summaryState.put(summaryState=5)
        for command in STATES:
            setattr(self, f"cmd_{command}", Command(self, command))
        self.start_task = asyncio.ensure_future(asyncio.sleep(0))
        self.heart = asyncio.ensure_future(self.beat())
        MADE.append(self)

    async def beat(self):
        while True:
            if self.alive:
                self.evt_heartbeat.put()
            await asyncio.sleep(0.05)

    async def close(self):
        self.heart.cancel()


@pytest.fixture
def salobj(monkeypatch):
    module = types.ModuleType("lsst.ts.salobj")
    for part in (AckError, AckTimeoutError, Domain, Remote):
        setattr(module, part.__name__, part)
    MADE.clear()
    parent = types.ModuleType("lsst.ts")
    parent.salobj = module
    monkeypatch.setitem(sys.modules, "lsst.ts", parent)
    monkeypatch.setitem(sys.modules, "lsst.ts.salobj", module)
    return module


@pytest.fixture
def sal_control(salobj, csc_site):
    with Control(csc_site, SalobjBackend(command_timeout_s=1.0)) as control:
        yield control


def test_without_salobj_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "lsst.ts", None)
    with pytest.raises(SiteError, match="not installed"):
        SalobjBackend()


def test_the_same_verbs_as_by_love(sal_control):
    assert sal_control.state("DIMM:1").state is S.STANDBY
    assert sal_control.set_state("DIMM:1", "ENABLED").path == (S.STANDBY, S.DISABLED, S.ENABLED)


def test_a_refusal_comes_with_its_reason(sal_control):
    with pytest.raises(RejectedError, match="DIMM:1 refused start: Failed: no such file"):
        sal_control.set_state("DIMM:1", "ENABLED", override="nope.yaml")


def test_names_commands_and_queues_that_are_not_there(sal_control):
    with pytest.raises(NotFoundError, match="SAL knows no CSC"):
        sal_control.state("Nobody")
    sal_control.state("DIMM:1")
    csc = sal_control.state("DIMM:1").csc
    with pytest.raises(InputError, match="no command"):
        sal_control._backend.check_command(csc, "fly", {})
    with pytest.raises(InputError, match="no parameter"):
        sal_control._backend.check_command(csc, "enable", {"x": 1})
    with pytest.raises(RefusedError, match="LOVE only"):
        sal_control.queue("MT")


def test_what_does_not_beat_is_unknown(sal_control, monkeypatch):
    monkeypatch.setattr("lsst_commtools.control.board.ALIVE_AGE_S", 0.3)
    assert sal_control.state("DIMM:9").alive is False
    with pytest.raises(UnknownOutcomeError, match="not running"):
        sal_control.set_state("DIMM:9", "ENABLED")


def test_log_messages_by_sal(sal_control):
    sal_control.log_messages("DIMM:1", wait_s=0.0)
    remote = MADE[0]
    sal_control._backend._loop.call_soon_threadsafe(
        lambda: remote.evt_logMessage.put(level=40, message="hot")
    )
    assert [m.message for m in sal_control.log_messages("DIMM:1")] == ["hot"]
