"""Where a detector looks: the nominal sky position of each pixel, from the header's boresight.

A focal plane point (x, y), in pixels from the field centre, lies at ``xi = scale (-x cos r + y sin r)`` to
the east and ``eta = scale (x sin r + y cos r)`` to the north on the tangent plane, with ``r`` the header's
ROTPA: at ROTPA 0, +y is north and +x is west. The optics' distortion is left to the fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.cameras import PIXEL_MM, Camera, Detector

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["detector_corners", "nominal_wcs"]


def _degrees(header: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value = header.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise DataError(
        f"The header gives no pointing: {key} is {value!r}.",
        advice=f"It must be {low:g} to {high:g} degrees.",
    )


def nominal_wcs(header: Mapping[str, Any], camera: Camera, detector: Detector, shape: tuple[int, int]) -> WCS:
    """Give the sky coordinates that a detector should have.

    Parameters
    ----------
    header
        Keywords RA, DEC (ICRS) and ROTPA, all in degrees.
    camera, detector
        What took the image.
    shape
        Rows and columns of the assembled image, which is centred on the detector.

    Returns
    -------
    astropy.wcs.WCS
        Gnomonic projection around the boresight, with a CD matrix; the reference pixel is the field centre,
        which for most detectors lies off the chip.

    Raises
    ------
    DataError
        If the header has no pointing.
    """
    from astropy.wcs import WCS

    rows, columns = shape
    rotation = math.radians(_degrees(header, "ROTPA", -360.0, 360.0))
    scale = camera.pixel_scale_arcsec / 3600.0
    cosine, sine = scale * math.cos(rotation), scale * math.sin(rotation)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = [_degrees(header, "RA", 0.0, 360.0), _degrees(header, "DEC", -90.0, 90.0)]
    # FITS counts pixels from one.
    wcs.wcs.crpix = [
        (columns - 1) / 2 + 1 - detector.x_mm / PIXEL_MM,
        (rows - 1) / 2 + 1 - detector.y_mm / PIXEL_MM,
    ]
    wcs.wcs.cd = [[-cosine, sine], [sine, cosine]]
    wcs.array_shape = (rows, columns)
    wcs.wcs.set()
    return wcs


def detector_corners(
    header: Mapping[str, Any], camera: Camera, detector: Detector, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Give the nominal sky positions of a detector's corners.

    Parameters
    ----------
    header, camera, detector, shape
        As in `nominal_wcs`.

    Returns
    -------
    numpy.ndarray
        Shape (4, 2): RA and Dec in degrees of the outer corners of the pixels, starting at the origin and
        going along x first.

    Raises
    ------
    DataError
        If the header has no pointing.
    """
    rows, columns = shape
    pixels = np.array(
        [(-0.5, -0.5), (columns - 0.5, -0.5), (columns - 0.5, rows - 0.5), (-0.5, rows - 0.5)],
        dtype=np.float64,
    )
    corners: NDArray[np.float64] = nominal_wcs(header, camera, detector, shape).wcs_pix2world(pixels, 0)
    return corners
