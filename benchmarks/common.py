"""What all benchmarks share: best of several, and one line for each ratio."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def best_seconds(work: Callable[[], Any], repeats: int = 5) -> float:
    """Time the best of several runs, after one that warms caches."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def alternate(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int = 3) -> tuple[float, float]:
    """Time both by turns, so that load from elsewhere hits both; give the best of each."""
    ours(), peer()
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for k, work in enumerate((ours, peer)):
            start = time.perf_counter()
            work()
            best[k] = min(best[k], time.perf_counter() - start)
    return best[0], best[1]


def print_ratio(work: str, peer: str, ours_s: float, peer_s: float, target: float) -> bool:
    """Print one line, and say whether the ratio reaches its target."""
    ratio = peer_s / ours_s
    verdict = "ok" if ratio >= target else "BELOW"
    print(
        f"{work}: {ours_s * 1e3:.3g} ms against {peer_s * 1e3:.4g} ms ({peer}): {ratio:.3g}x, "
        f"at least {target:g}x  {verdict}",
        flush=True,
    )
    return ratio >= target
