"""Rho 1 to 5 of one visit against the number of stars: exact by our kernel, and TreeCorr's bin_slop and what it moves.

Processor times."""

from __future__ import annotations

import sys
import time

import numpy as np

from lsst_commtools.qa.correlations import EXACT_STARS, Correlation, StarShapes, rho_statistics
from lsst_commtools.qa.projection import tangent_to_sky

_SLOPS = (0.0, 0.05, 0.2)
_SIZES = (5_000, 10_000, 20_000)


def simulate(n: int) -> StarShapes:
    rng = np.random.default_rng(1)
    xi, eta = rng.uniform(-6000, 6000, (2, n))
    ra, dec = tangent_to_sky(xi, eta, (0.0, -30.0))
    g1, g2 = 0.02 + rng.normal(0, 0.01, (2, n)) + 0.01 * np.cos(xi / 900.0)
    d1, d2 = rng.normal(0, 0.003, (2, n)) + 0.001 * np.cos(eta / 600.0)
    return StarShapes(ra, dec, 2 * g1, 2 * g2, 2 * d1, 2 * d2, g1, g2, d1, d2, rng.normal(0, 0.01, n))


def moved(one: dict[str, Correlation], exact: dict[str, Correlation]) -> float:
    """Largest difference in any bin of any of the five, in sigma."""
    return max(float(np.nanmax(np.abs(one[name].xi - exact[name].xi) / exact[name].sigma)) for name in exact)


def main(sizes: tuple[int, ...] = _SIZES) -> int:
    print(f"exact by default up to {EXACT_STARS} stars in a visit")
    for n in sizes:
        shapes, told = simulate(n), []
        exact = rho_statistics([shapes], bin_slop=0.0)  # compiles at the first call
        for slop in _SLOPS:
            start = time.process_time()
            found = rho_statistics([shapes], bin_slop=slop)
            seconds = time.process_time() - start
            sigma = "" if slop == 0.0 else f", moves a bin by up to {moved(found, exact):.2f} sigma"
            told.append(f"{'exact' if slop == 0 else f'bin_slop {slop:g}'} {seconds:.2f} s{sigma}")
        print(f"rho 1 to 5 of {n} stars: {'; '.join(told)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(tuple(int(float(n)) for n in sys.argv[1:]) or _SIZES))
