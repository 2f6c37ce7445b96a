"""Cosmic rays: pixels that are sharper than any star can be.

The test of the SDSS photo pipeline (also LSST's ``findCosmicRays``): a pixel well above the background is hit by a
cosmic ray if, along a row, a column or a diagonal, the mean of its two neighbours is less than the point spread
function's profile allows. It needs no model of the star, only the narrowest seeing that can occur. Hits that are
wider than that in every direction are not found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_pixels", "find_cosmic_rays"]

_PAIRS = (((0, 1), (0, -1)), ((1, 0), (-1, 0)), ((1, 1), (-1, -1)), ((1, -1), (-1, 1)))
_MAX_GROWTH = 5


def _is_sharp(
    image: NDArray[np.float32],
    sigma: NDArray[np.float32],
    index: tuple[NDArray[np.intp], ...],
    *,
    sky: float,
    limits: tuple[float, float],
    noise_margin: float,
) -> NDArray[np.bool_]:
    row, column = index
    peak = image[row, column] - sky - noise_margin * sigma[row, column]
    sharp = np.zeros(row.shape, dtype=bool)
    for number, ((dy1, dx1), (dy2, dx2)) in enumerate(_PAIRS):
        pair = 0.5 * (image[row + dy1, column + dx1] + image[row + dy2, column + dx2]) - sky
        sharp |= pair < limits[number // 2] * peak
    return sharp & (peak > 0)


def find_cosmic_rays(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    usable: NDArray[np.bool_],
    *,
    narrowest_fwhm_pixel: float = 2.2,
    threshold_sigma: float = 8.0,
    contrast: float = 0.6,
    noise_margin_sigma: float = 3.0,
) -> NDArray[np.bool_]:
    """Find the pixels that a cosmic ray hit.

    Parameters
    ----------
    image, variance
        Electrons and their variance, shape (rows, columns); the background may be included.
    usable
        Pixels that may be judged: not saturated, not bad.
    narrowest_fwhm_pixel
        FWHM of the sharpest star that can occur.
    threshold_sigma
        How far a hit stands above the background.
    contrast
        Fraction of the narrowest star's profile below which a neighbour pair is too faint for a star.
    noise_margin_sigma
        How many sigma the peak is lowered before the comparison.

    Returns
    -------
    ndarray of bool
        True where hit, shape (rows, columns).
    """
    hit = np.zeros(image.shape, dtype=bool)
    if min(image.shape) < 3:
        return hit
    inner = np.zeros_like(usable)
    inner[1:-1, 1:-1] = usable[1:-1, 1:-1]
    sample = image[::4, ::4][usable[::4, ::4]]
    if sample.size == 0:
        return hit
    sky = float(np.median(sample))
    sigma = np.sqrt(np.maximum(variance, 1e-12))
    exponent = -4.0 * np.log(2.0) / narrowest_fwhm_pixel**2
    limits = (contrast * float(np.exp(exponent)), contrast * float(np.exp(2.0 * exponent)))

    index = np.nonzero(inner & (image - sky > threshold_sigma * sigma))
    found = _is_sharp(image, sigma, index, sky=sky, limits=limits, noise_margin=noise_margin_sigma)
    front = (index[0][found], index[1][found])
    hit[front] = True
    offsets = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
    for _ in range(_MAX_GROWTH):
        if front[0].size == 0:
            break
        near = np.unique(
            np.concatenate([(front[0] + dy) * image.shape[1] + front[1] + dx for dy, dx in offsets])
        )
        row, column = np.divmod(near, image.shape[1])
        keep = inner[row, column] & ~hit[row, column]
        keep &= image[row, column] - sky > 0.5 * threshold_sigma * sigma[row, column]
        row, column = row[keep], column[keep]
        found = _is_sharp(image, sigma, (row, column), sky=sky, limits=limits, noise_margin=0.0)
        front = (row[found], column[found])
        hit[front] = True
    return hit


def fill_pixels(
    image: NDArray[np.float32], bad: NDArray[np.bool_], usable: NDArray[np.bool_], reach_pixel: int = 2
) -> None:
    """Replace single bad pixels by the median of the usable ones around, in place.

    Parameters
    ----------
    image
        Changed here.
    bad
        Pixels to replace.
    usable
        Pixels to take from; bad ones are left out.
    reach_pixel
        Half width of the box around each pixel.
    """
    good = usable & ~bad
    rows, columns = image.shape
    for row, column in zip(*np.nonzero(bad), strict=True):
        box = (
            slice(max(row - reach_pixel, 0), min(row + reach_pixel + 1, rows)),
            slice(max(column - reach_pixel, 0), min(column + reach_pixel + 1, columns)),
        )
        around = image[box][good[box]]
        if around.size:
            image[row, column] = np.median(around)
