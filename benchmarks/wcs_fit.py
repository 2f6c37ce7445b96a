"""TAN-SIP fit of 500 and 5000 stars against astropy's, at the same residuals."""

from __future__ import annotations

import functools
import sys

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs.utils import fit_wcs_from_points

from benchmarks.common import alternate, print_ratio
from lsst_commtools.qa.projection import sky_to_tangent, tangent_to_sky
from lsst_commtools.qa.statistics import rms
from lsst_commtools.qa.wcs import fit_tan_polynomial


def stars(
    n: int, noise_mas: float = 10.0, centre: tuple[float, float] = (150.0, -60.0)
) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(n)
    x, y = rng.uniform(0, 4000, (2, n))
    u, v = x - 2000, y - 2000
    xi = 0.2 * u + 1e-6 * u * v + 1e-10 * u**3 + rng.normal(0, noise_mas / 1e3, n)
    eta = 0.2 * v + 2e-6 * u * u - 1e-10 * v**3 + rng.normal(0, noise_mas / 1e3, n)
    return x, y, *tangent_to_sky(xi, eta, centre)


def main() -> int:
    good = True
    for n in (500, 5000):
        x, y, ra, dec = stars(n)
        sky = SkyCoord(ra, dec, unit="deg")

        ours = functools.partial(fit_tan_polynomial, x, y, ra, dec, order=3, clip_sigma=5.0)
        peer = functools.partial(fit_wcs_from_points, (x, y), sky, proj_point="center", sip_degree=3)
        fit, theirs = ours(), peer()
        found = theirs.all_pix2world(x, y, 0)
        centre = (float(np.mean(ra)), float(np.mean(dec)))
        peer_rms = (
            rms(np.array(sky_to_tangent(*found, centre)) - np.array(sky_to_tangent(ra, dec, centre))) * 1e3
        )
        our_rms = rms([fit.ra_residual_mas[fit.used], fit.dec_residual_mas[fit.used]])
        print(f"residual rms: {our_rms:.3f} mas, astropy {peer_rms:.3f} mas, injected 10 mas")
        assert our_rms < 1.01 * peer_rms
        seconds = alternate(ours, peer, rounds=10 if n == 500 else 4)
        good &= print_ratio(f"WCS fit, {n} stars, order 3", "fit_wcs_from_points", *seconds, 300)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
