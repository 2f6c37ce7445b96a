"""The first promise: it never says done when it is not. Faults at random points, judged by the simulator's truth."""

import random

import pytest

from lsst_commtools.control import SummaryState
from lsst_commtools.simulate.observatory.love_socket import cut_websockets

COMMANDS = ["start", "enable", "disable", "standby", "exitControl"]
TARGETS = ["OFFLINE", "STANDBY", "DISABLED", "ENABLED"]


def one_change(seed, control, observatory, break_it):
    """Change DIMM:1 with one fault on the way, and say what was told and what is true."""
    dice = random.Random(seed)
    csc = observatory.observatory.csc("DIMM:1")
    fault = dice.choice(["csc", "csc", "love", "cut", "kill", "expire"])
    later = dice.uniform(0.0, 0.3)
    csc.latency_s = 0.05
    if fault == "csc":
        break_it(
            "DIMM:1", dice.choice(["reject", "no_ack", "late", "fault", "die"]), dice.choice([*COMMANDS, ""])
        )
    elif fault == "love":
        kind = dice.choice(["http_500", "http_504", "drop", "hang"])
        break_it("love", kind, dice.choice(["cmd/", ""]), skip=dice.randrange(4), times=dice.choice([1, 2]))
    elif fault == "cut":
        observatory.loop.call_soon_threadsafe(
            observatory.loop.call_later, later, cut_websockets, observatory.observatory
        )
    elif fault == "kill":
        observatory.loop.call_soon_threadsafe(observatory.loop.call_later, later, csc.kill)
    else:
        user = observatory.observatory.users["operator"]
        observatory.loop.call_soon_threadsafe(observatory.loop.call_later, later, user.expire)
    target = dice.choice(TARGETS)
    outcome = control.set_states({"DIMM:1": target}, via=dice.choice(["direct", "direct", "queue"]))["DIMM:1"]
    return outcome, target, csc


def check(seed, make_control, observatory, break_it):
    control = make_control()
    try:
        outcome, target, csc = one_change(seed, control, observatory, break_it)
    except OSError:  # LOVE itself failed before anything was sent
        return
    if outcome.ok:
        # A process that was killed this very moment cannot be known of yet.
        assert csc.state == target, (seed, outcome)
        assert outcome.after is SummaryState[target]
        assert target != "OFFLINE" or not csc.running
    else:
        assert outcome.reason, seed


@pytest.mark.parametrize("seed", range(8))
def test_done_is_never_said_when_it_is_not(seed, make_control, observatory, break_it):
    check(seed, make_control, observatory, break_it)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 220))
def test_done_is_never_said_when_it_is_not_in_many_cases(seed, make_control, observatory, break_it):
    check(seed, make_control, observatory, break_it)
