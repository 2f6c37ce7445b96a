"""Stars of a FITS image: background, detection and positions by sep, moments by HSM."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import TableError
from lsst_commtools.qa.moments import measure_moments
from lsst_commtools.qa.motion import jyear_from_mjd
from lsst_commtools.qa.shapes import SIGMA_TO_FWHM, ellipticity
from lsst_commtools.qa.tables import StarTable

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["detect_stars", "read_image_stars"]

_THRESHOLD_SIGMA = 5.0
_LEAST_PIXELS = 5
_MESH_PIXEL = 128
_MOST_MOMENTS = 2000
_STARS_FOR_RADIUS = 100
_LARGEST_RADIUS = 15.0  # pixels
_COMPACT = 1.2
_BRIGHT_SNR = 50.0
_MERGED = 1  # sep.OBJ_MERGED: another source was close, and was taken apart
_FILTER = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32)


def read_image_stars(path: Path) -> StarTable:
    """Find the stars of a FITS image, with sky positions by the WCS of its header.

    Parameters
    ----------
    path
        FITS file; its first two-dimensional image is taken, tile-compressed ones too.

    Returns
    -------
    StarTable
        x, y, ra, dec, snr, moments, extendedness, flag, epoch.

    Raises
    ------
    TableError
        If it cannot be read.
    """
    from astropy.io import fits
    from astropy.wcs import WCS, FITSFixedWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            with fits.open(path, memmap=False) as hdus:
                hdu = next(h for h in hdus if len(getattr(h, "shape", ())) == 2)
                header = hdus[0].header + hdu.header if hdu is not hdus[0] else hdu.header
                pixels, wcs = np.asarray(hdu.data, dtype=np.float32), WCS(hdu.header)
    except (OSError, ValueError, TypeError, KeyError, StopIteration, EOFError) as error:
        raise TableError(f"The image {path} cannot be read: {type(error).__name__}.") from error
    saturation, mjd = header.get("SATURATE"), header.get("MJD-OBS")
    table = detect_stars(
        pixels,
        wcs if wcs.has_celestial else None,
        saturation=float(saturation) if isinstance(saturation, int | float) else None,
    )
    if isinstance(mjd, int | float):
        middle = float(mjd) + 0.5 * float(header.get("EXPTIME", 0.0)) / 86400.0
        table = table.with_columns(epoch=np.full(len(table), jyear_from_mjd(middle)))
    return table


def detect_stars(
    pixels: NDArray[Any],
    wcs: WCS | None = None,
    *,
    saturation: float | None = None,
    mask: NDArray[Any] | None = None,
) -> StarTable:
    """Find and measure the stars of an image.

    Parameters
    ----------
    pixels
        Shape (rows, columns).
    wcs
        Gives positions on the sky.
    saturation
        Stars with pixels above are flagged.
    mask
        Pixels that must not be used, shape of ``pixels``; those that are not finite never are.

    Returns
    -------
    StarTable
        Brightest first. Moments are those of the 2000 brightest unflagged sources.
    """
    import sep

    hidden = ~np.isfinite(pixels)
    if mask is not None:
        hidden |= np.asarray(mask, dtype=bool)
    image = np.array(pixels, dtype=np.float32, order="C")
    image[hidden] = 0.0
    bad = hidden if hidden.any() else None
    mesh = max(min(_MESH_PIXEL, min(image.shape) // 4), 16)
    background = sep.Background(image, mask=bad, bw=mesh, bh=mesh)
    image -= background.back(dtype=np.float32)
    noise = max(float(background.globalrms), 1e-12)
    found = sep.extract(
        image, _THRESHOLD_SIGMA, err=noise, mask=bad, minarea=_LEAST_PIXELS, filter_kernel=_FILTER
    )
    found = found[np.argsort(-found["flux"])]
    x, y = found["x"], found["y"]
    compact = _compact_radius(image, found)
    flux, error, _ = sep.sum_circle(image, x, y, max(3.0 * compact, 3.0), err=noise, subpix=5)
    x, y, failed = sep.winpos(image, x, y, max(compact * 2.0 / SIGMA_TO_FWHM, 0.5), mask=bad)
    flag = (found["flag"] & ~_MERGED != 0) | (failed & sep.APER_HASMASKED != 0) | ~(flux > 0)
    if saturation is not None:
        flag |= found["peak"] + background.globalback >= saturation
    columns = {"x": x, "y": y, "snr": flux / error, "flag": flag.astype(np.float64)}
    columns.update(_shapes(image, bad, x, y, ~flag, compact))
    columns["extendedness"] = _extendedness(columns["t"], columns["snr"], found["flag"] & _MERGED != 0)
    if wcs is not None:
        columns["ra"], columns["dec"] = wcs.all_pix2world(x, y, 0) if len(x) else (np.empty(0), np.empty(0))
    return StarTable(columns, "pixel2", "detected", n_rows=len(x))


def _compact_radius(image: NDArray[Any], found: NDArray[Any]) -> float:
    """Half-light radius of the point sources: the low side of the brightest sources that are not disturbed."""
    import sep

    clean = found[found["flag"] == 0][:_STARS_FOR_RADIUS]
    if not clean.size:
        return 2.0
    largest = np.full(clean.size, _LARGEST_RADIUS)
    radius, _ = sep.flux_radius(image, clean["x"], clean["y"], largest, 0.5, normflux=clean["flux"], subpix=5)
    return max(float(np.percentile(radius, 40)), 0.5)


def _extendedness(
    trace: NDArray[np.float64], snr: NDArray[np.float64], merged: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Tell point sources (0) from others (1) by size; of sources with a close neighbour it is not known (NaN)."""
    size = np.sqrt(np.where(merged, np.nan, trace))
    bright = size[(snr > _BRIGHT_SNR) & np.isfinite(size)]
    if not bright.size:
        return np.full(len(trace), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        extended = np.abs(np.log(size / np.percentile(bright, 30))) > np.log(_COMPACT)
    return np.where(np.isfinite(size), extended.astype(np.float64), np.nan)


def _shapes(
    image: NDArray[Any],
    bad: NDArray[np.bool_] | None,
    x: NDArray[Any],
    y: NDArray[Any],
    good: NDArray[np.bool_],
    compact: float,
) -> dict[str, NDArray[np.float64]]:
    rows = np.flatnonzero(good)[:_MOST_MOMENTS]
    size = max(2 * round(6.0 * compact) + 1, 21)
    moments = measure_moments(
        image,
        x[rows],
        y[rows],
        stamp_size=size,
        mask=bad,
        guess_sigma=max(2.0 * compact / SIGMA_TO_FWHM, 0.7),
    )
    shapes = {name: np.full(len(x), np.nan) for name in ("ixx", "iyy", "ixy", "e1", "e2", "t")}
    e1, e2 = ellipticity(moments.ixx, moments.iyy, moments.ixy)
    for name, values in (
        ("ixx", moments.ixx),
        ("iyy", moments.iyy),
        ("ixy", moments.ixy),
        ("e1", e1),
        ("e2", e2),
        ("t", moments.ixx + moments.iyy),
    ):
        shapes[name][rows] = values
    return shapes
