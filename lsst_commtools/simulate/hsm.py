"""What an adaptive-moments estimator makes of a star without noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.simulate.optics import MOFFAT_BETA

__all__ = ["HSM_FWHM_PER_FWHM", "SIGMA_TO_FWHM", "hsm_fwhm_pixels"]

SIGMA_TO_FWHM = math.sqrt(8.0 * math.log(2.0))
HSM_FWHM_PER_FWHM = 1.1303
"""FWHM that adaptive moments give for a Moffat profile of beta 3, divided by its FWHM."""

MIN_STAMP_RADIUS = 80


def hsm_fwhm_pixels(
    fwhm_pixels: float, e1: float, e2: float, kernel: NDArray[np.float32] | None
) -> tuple[float, float, float]:
    """Measure the adaptive moments of a star without noise.

    Parameters
    ----------
    fwhm_pixels, e1, e2
        Its profile.
    kernel
        What it is blurred with, or None.

    Returns
    -------
    fwhm_pixels, e1, e2 : float
        ``2.3548 sqrt(T/2)`` and the ellipticity that HSM (GalSim) gives; NaN where it does not converge.
    """
    import galsim
    from scipy.signal import fftconvolve

    profile = galsim.Moffat(beta=MOFFAT_BETA, fwhm=fwhm_pixels, flux=1.0e5).shear(e1=e1, e2=e2)
    side = 2 * max(MIN_STAMP_RADIUS, math.ceil(6.0 * fwhm_pixels)) + 1
    image = profile.drawImage(nx=side, ny=side, scale=1.0, method="no_pixel", dtype=float)
    if kernel is not None:
        image = galsim.Image(fftconvolve(image.array, kernel.astype(float), mode="same"))
    found = galsim.hsm.FindAdaptiveMom(image, guess_sig=fwhm_pixels / 2.0, strict=False)
    if found.error_message:
        return math.nan, math.nan, math.nan
    # sigma is the fourth root of the moments' determinant; e is the distortion.
    size = found.moments_sigma / (1.0 - found.observed_e1**2 - found.observed_e2**2) ** 0.25
    return SIGMA_TO_FWHM * size, float(found.observed_e1), float(found.observed_e2)
