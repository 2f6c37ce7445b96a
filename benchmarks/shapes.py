"""e1, e2, T and FWHM of a million stars against the read bandwidth of this machine, and against plain numpy."""

from __future__ import annotations

import sys

import numba
import numpy as np

from benchmarks.common import alternate, best_seconds
from lsst_commtools.qa.shape_kernel import shapes_of_moments
from lsst_commtools.qa.shapes import ellipticity, fwhm_from_trace

_LIMIT = 2.0
_DOUBLE = 8


@numba.njit(cache=True)
def _read(values: np.ndarray) -> float:
    """Sum in several strands: one alone would wait for each addition, not for memory."""
    a = b = c = d = e = f = g = h = 0.0
    for k in range(0, values.size - 7, 8):
        a += values[k]
        b += values[k + 1]
        c += values[k + 2]
        d += values[k + 3]
        e += values[k + 4]
        f += values[k + 5]
        g += values[k + 6]
        h += values[k + 7]
    return a + b + c + d + e + f + g + h


def main(n: int = 1_000_000) -> int:
    rng = np.random.default_rng(1)
    ixx, iyy, ixy = rng.uniform(3, 4, n), rng.uniform(3, 4, n), rng.normal(0, 0.1, n)
    out = np.empty((4, n))
    moved = (3 + 4) * n * _DOUBLE
    block = np.ones(moved // _DOUBLE)

    def ours() -> np.ndarray:
        return shapes_of_moments(ixx, iyy, ixy, out)

    def peer() -> tuple[np.ndarray, ...]:
        return (*ellipticity(ixx, iyy, ixy), ixx + iyy, fwhm_from_trace(ixx + iyy))

    assert all(np.allclose(a, b) for a, b in zip(ours(), peer(), strict=True))
    seconds, read_s = alternate(ours, lambda: _read(block), rounds=15)
    numpy_s = best_seconds(peer, repeats=3)
    ratio = seconds / read_s
    print(
        f"shapes of {n:.0e} rows: {seconds * 1e3:.3g} ms, {moved / seconds / 1e9:.3g} GB/s read and written; reading "
        f"as many bytes {read_s * 1e3:.3g} ms, {moved / read_s / 1e9:.3g} GB/s: {ratio:.3g}x the limit, at most "
        f"{_LIMIT:g}x  {'ok' if ratio <= _LIMIT else 'ABOVE'}; numpy {numpy_s * 1e3:.3g} ms, {numpy_s / seconds:.3g}x",
        flush=True,
    )
    return 0 if ratio <= _LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
