"""Adaptive second moments of stars by HSM, as in LSST's pipelines (galsim.hsm; Hirata & Seljak 2003)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsst_commtools.qa.shapes import moments_from_hsm

__all__ = ["Moments", "measure_moments", "moments_of_stamps"]

_LEAST_STAMP = 5
_MASKED_BELOW = -1e20


@dataclass(frozen=True, eq=False)
class Moments:
    """Measured moments of n stars; NaN where HSM failed.

    Parameters
    ----------
    ixx, iyy, ixy
        Second moments in pixel^2, shape (n,).
    x, y
        Centroids in pixels of the image, or of the stamp, shape (n,).
    failed
        Stars that could not be measured, shape (n,).
    """

    ixx: NDArray[np.float64]
    iyy: NDArray[np.float64]
    ixy: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    failed: NDArray[np.bool_]


def _measure(rows: list[tuple[float, float, float, float, float]]) -> Moments:
    table = np.asarray(rows, dtype=np.float64).reshape(-1, 5)
    ixx, iyy, ixy = moments_from_hsm(table[:, 0], table[:, 1], table[:, 2])
    return Moments(ixx, iyy, ixy, table[:, 3], table[:, 4], ~np.isfinite(ixx))


def _hsm(
    stamp: NDArray[Any], bad: NDArray[np.bool_] | None, guess_sigma: float, centre: tuple[float, float] | None
) -> tuple[float, float, float, float, float]:
    """Measure one stamp: sigma, e1, e2, and the centroid with (0, 0) at the centre of its first pixel."""
    import galsim

    image = galsim.Image(np.ascontiguousarray(stamp, dtype=np.float32), xmin=0, ymin=0)
    badpix = None
    if bad is not None and bad.any():
        if bad.all():
            return (float("nan"),) * 5
        badpix = galsim.Image(bad.astype(np.int32), xmin=0, ymin=0)
    start = None if centre is None else galsim.PositionD(*centre)
    result = galsim.hsm.FindAdaptiveMom(
        image, badpix=badpix, guess_sig=guess_sigma, guess_centroid=start, strict=False
    )
    if result.moments_status != 0 or not result.moments_sigma > 0:
        return (float("nan"),) * 5
    shape, centroid = result.observed_shape, result.moments_centroid
    return float(result.moments_sigma), shape.e1, shape.e2, centroid.x, centroid.y


def measure_moments(
    image: NDArray[Any],
    x: ArrayLike,
    y: ArrayLike,
    *,
    stamp_size: int = 33,
    sky: ArrayLike = 0.0,
    mask: NDArray[Any] | None = None,
    guess_sigma: float = 2.0,
) -> Moments:
    """Measure stars on an image.

    Parameters
    ----------
    image
        Pixels, shape (rows, columns).
    x, y
        Zero-based pixel positions, shape (n,).
    stamp_size
        Side of the stamp in pixels; stars nearer to the edge get a smaller one.
    sky
        Background to subtract: a number, or one for each star, shape (n,).
    mask
        Pixels that must not be used, shape of ``image``.
    guess_sigma
        Where HSM starts, in pixels.

    Returns
    -------
    Moments
        One entry for each star.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    skies = np.broadcast_to(np.asarray(sky, dtype=np.float64), xs.shape)
    bad = None if mask is None else np.asarray(mask).astype(bool)
    half, (n_rows, n_columns) = stamp_size // 2, image.shape
    rows = []
    for star_x, star_y, background in zip(xs, ys, skies, strict=True):
        if not (np.isfinite(star_x) and np.isfinite(star_y) and np.isfinite(background)):
            rows.append((float("nan"),) * 5)
            continue
        column, row = round(float(star_x)), round(float(star_y))
        x0, x1 = max(column - half, 0), min(column + half + 1, n_columns)
        y0, y1 = max(row - half, 0), min(row + half + 1, n_rows)
        if min(x1 - x0, y1 - y0) < _LEAST_STAMP:
            rows.append((float("nan"),) * 5)
            continue
        stamp_bad = None if bad is None else bad[y0:y1, x0:x1]
        sigma, e1, e2, found_x, found_y = _hsm(
            image[y0:y1, x0:x1] - background, stamp_bad, guess_sigma, (star_x - x0, star_y - y0)
        )
        rows.append((sigma, e1, e2, found_x + x0, found_y + y0))
    return _measure(rows)


def moments_of_stamps(
    stamps: NDArray[Any], mask: NDArray[Any] | None = None, *, guess_sigma: float = 2.0
) -> Moments:
    """Measure stars cut out in stamps, background subtracted, the star near the middle.

    Parameters
    ----------
    stamps
        Shape (n, rows, columns).
    mask
        Pixels that must not be used, shape of ``stamps``; by default those below -1e20, SExtractor's mark, and
        those that are not finite.
    guess_sigma
        Where HSM starts, in pixels.

    Returns
    -------
    Moments
        One entry for each stamp, positions in the stamp.
    """
    data = np.asarray(stamps, dtype=np.float64)
    bad = ~(data > _MASKED_BELOW) | ~np.isfinite(data) if mask is None else np.asarray(mask).astype(bool)
    clean = np.where(bad, 0.0, data)
    return _measure([_hsm(s, b, guess_sigma, None) for s, b in zip(clean, bad, strict=True)])
