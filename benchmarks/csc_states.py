"""States of 50 CSCs changed at once, against one after the other, on the simulated observatory.

Each change is two commands of half a second, so one after the other takes 50 s: a person with LOVE's buttons is slower.
"""

from __future__ import annotations

import sys
import time

from pydantic import SecretStr

from benchmarks.common import print_ratio
from lsst_commtools.control import Control
from lsst_commtools.control.love import LoveBackend
from lsst_commtools.control.session import LoveSession
from lsst_commtools.simulate.observatory import larger_cast, running_observatory
from lsst_commtools.site import Site

CSCS = 50
LATENCY_S = 0.5


def main() -> int:
    names = [f"Test:{n}" for n in range(1, CSCS + 1)]
    with running_observatory(cast={**larger_cast(0), **dict.fromkeys(names, "STANDBY")}) as running:
        for name in names:
            running.observatory.csc(name).latency_s = LATENCY_S
        love = running.services["love"]
        backend = LoveBackend(LoveSession(love.url, user=love.user, password=SecretStr(love.password)))
        with Control(Site.load("local"), backend) as control:
            control.states(names)
            began_s = time.perf_counter()
            at_once = control.set_states(dict.fromkeys(names, "ENABLED"))
            at_once_s = time.perf_counter() - began_s
            began_s = time.perf_counter()
            in_turn = [control.set_state(name, "STANDBY") for name in names]
            in_turn_s = time.perf_counter() - began_s
    assert all(o.ok for o in at_once.values()) and all(o.ok for o in in_turn)  # noqa: PT018 - one claim
    slowest_s = max(o.seconds for o in in_turn)
    good = print_ratio(f"states of {CSCS} CSCs changed", "one after the other", at_once_s, in_turn_s, 20)
    ratio = at_once_s / slowest_s
    print(
        f"at once against the slowest by itself: {at_once_s:.2f} s, {ratio:.2f}x of {slowest_s:.2f} s (at most 1.5x)"
    )
    return 0 if good and ratio <= 1.5 else 1


if __name__ == "__main__":
    sys.exit(main())
