"""One 4k x 4k CCD, from pixels to the figures of WCS and PSF, against photutils' DAOStarFinder and astropy's fit."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.stats import mad_std
from astropy.wcs.utils import fit_wcs_from_points
from photutils.detection import DAOStarFinder

from benchmarks.common import alternate, print_ratio
from lsst_commtools.qa.detect import detect_stars
from lsst_commtools.qa.metrics import VisitMetrics, measure_visit
from lsst_commtools.qa.projection import tangent_to_sky
from lsst_commtools.qa.references import ReferenceStars
from lsst_commtools.qa.wcs import fit_tan_polynomial

_SIZE = 4000
_SIGMA = 1.7


def simulate(n_stars: int = 3000) -> tuple[Any, ...]:
    """Make an image of Gaussian stars on a flat sky, their true sky positions, and a WCS that is 0.3 arcsec off."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(20, _SIZE - 20, (2, n_stars))
    flux = 2000 * (1 - rng.random(n_stars)) ** -0.8
    image = rng.normal(1000.0, 30.0, (_SIZE, _SIZE)).astype(np.float32)
    offset = np.arange(-12, 13)
    for star_x, star_y, star_flux in zip(x, y, np.minimum(flux, 2e6), strict=True):
        column, row = round(star_x), round(star_y)
        columns, rows = column + offset, row + offset
        keep_x, keep_y = (columns >= 0) & (columns < _SIZE), (rows >= 0) & (rows < _SIZE)
        profile_x = np.exp(-0.5 * ((columns[keep_x] - star_x) / _SIGMA) ** 2)
        profile_y = np.exp(-0.5 * ((rows[keep_y] - star_y) / _SIGMA) ** 2)
        stamp = np.outer(profile_y, profile_x) * star_flux / (2 * np.pi * _SIGMA**2)
        image[np.ix_(rows[keep_y], columns[keep_x])] += stamp.astype(np.float32)
    u, v = x - _SIZE / 2, y - _SIZE / 2
    plane = 0.2 * u + 5e-7 * u * v, 0.2 * v + 5e-7 * u * u
    ra, dec = tangent_to_sky(*plane, (150.0, -30.0))
    start = fit_tan_polynomial(x, y, ra, dec + 0.3 / 3600, order=2).to_wcs()
    return image, ra, dec, start


def main() -> int:
    image, ra, dec, start = simulate()
    unknown = np.full(ra.size, np.nan)
    references = ReferenceStars(ra, dec, unknown, unknown, unknown, unknown)

    def ours() -> VisitMetrics:
        return measure_visit(detect_stars(image, start), references, order=3)

    def peer() -> tuple[Any, int]:
        sigma = mad_std(image[::4, ::4])
        found = DAOStarFinder(threshold=5.0 * sigma, fwhm=4.0)(image - np.median(image))
        names = ("x_centroid", "y_centroid") if "x_centroid" in found.colnames else ("xcentroid", "ycentroid")
        x, y = (np.asarray(found[name]) for name in names)
        near = start.all_pix2world(x, y, 0)
        catalogue = SkyCoord(ra, dec, unit="deg")
        index, separation, _ = SkyCoord(*near, unit="deg").match_to_catalog_sky(catalogue)
        good = separation.arcsec < 2.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fit_wcs_from_points((x[good], y[good]), catalogue[index[good]], sip_degree=3), int(
                good.sum()
            )

    metrics, (_, peer_matches) = ours(), peer()
    figures = metrics.figures
    print(
        f"{metrics.n_stars} sources, {figures['n_matched']:.0f} matched (photutils {peer_matches}); scatter "
        f"{figures['ra_mad_mas']:.1f}, {figures['dec_mad_mas']:.1f} mas; FWHM {figures['fwhm_pixel']:.3f} px "
        f"(true {2.3548 * _SIGMA:.3f}), moments of {figures['n_psf']:.0f} stars, which the peer does not measure"
    )
    seconds = alternate(ours, peer, rounds=3)
    return (
        0 if print_ratio("one 4k x 4k CCD, pixels to figures", "DAOStarFinder + fit_wcs", *seconds, 5) else 1
    )


if __name__ == "__main__":
    sys.exit(main())
