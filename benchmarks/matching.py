"""Matching of a million stars to a million against SkyCoord.match_to_catalog_sky."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from benchmarks.common import alternate, print_ratio
from lsst_commtools.qa.match import match_sky


def main(n: int = 1_000_000) -> int:
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(10, 11, n), rng.uniform(-30, -29, n)
    order = rng.permutation(n)
    ra2, dec2 = (ra + rng.normal(0, 0.1, n) / 3600)[order], (dec + rng.normal(0, 0.1, n) / 3600)[order]

    def ours() -> tuple[np.ndarray, ...]:
        return match_sky(ra, dec, ra2, dec2, 1.0)

    def peer() -> tuple[Any, ...]:
        first, second = SkyCoord(ra, dec, unit="deg"), SkyCoord(ra2, dec2, unit="deg")
        return first.match_to_catalog_sky(second)

    index1, index2, _ = ours()
    nearest, separation, _ = peer()
    close = separation[index1] < 1.0 * u.arcsec
    assert np.array_equal(nearest[index1][close], index2[close])
    print(f"{len(index1)} pairs, each of which is the other's nearest; astropy's nearest agree")
    return (
        0
        if print_ratio(
            f"match {n:.0e} to {n:.0e}", "SkyCoord.match_to_catalog_sky", *alternate(ours, peer), 5
        )
        else 1
    )


if __name__ == "__main__":
    sys.exit(main())
