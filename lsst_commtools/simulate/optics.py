"""Telescope and atmosphere of each visit: where it really points, how it distorts, and its PSF.

The profile of a star on the pixels is a sheared Moffat of beta 3, *pixel response included*: the pixels hold
samples of it, so its FWHM and ellipticity are known without a deconvolution, and adaptive moments find its
ellipticity without bias. Their size is not the FWHM: Gaussian-weighted moments see the wings, and give 1.130
times the FWHM (module `hsm`).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.instrument.cameras import PIXEL_MM, Detector
from lsst_commtools.instrument.pointing import nominal_wcs
from lsst_commtools.simulate.plan import NightPlan
from lsst_commtools.simulate.randoms import Stream, generator
from lsst_commtools.simulate.schedule import Exposure

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = [
    "MOFFAT_BETA",
    "PsfValues",
    "VisitOptics",
    "focal_plane_pixels",
    "mean_pixel_scale_arcsec",
    "pixel_scale_arcsec",
    "visit_optics",
]

MOFFAT_BETA = 3.0

POINTING_ERROR_ARCSEC = 3.0
ROTATION_ERROR_DEG = 0.004
SCALE_ERROR = 3e-5
# Sizes of the distortion's terms at the edge of the image, in pixels.
QUADRATIC_PIXELS = 1.5
CUBIC_PIXELS = 0.5
_STEP_PIXELS = 20.0

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class PsfValues:
    """The PSF's parameters at some positions.

    Parameters
    ----------
    fwhm_arcsec
        Geometric mean of the major and minor FWHM.
    e1, e2
        Ellipticity, ``(Ixx - Iyy) / (Ixx + Iyy)`` and ``2 Ixy / (Ixx + Iyy)``, x along columns.
    """

    fwhm_arcsec: Vector
    e1: Vector
    e2: Vector


@dataclass(frozen=True)
class VisitOptics:
    """Telescope and atmosphere during one visit.

    Parameters
    ----------
    plan, exposure
        Which visit.
    offset_ra_arcsec, offset_dec_arcsec
        True boresight minus the header's, on the tangent plane.
    rotation_deg
        True rotation minus the header's ROTPA.
    scale
        True plate scale divided by the nominal one.
    fwhm_arcsec, e1, e2
        PSF before its variation over the field.
    """

    plan: NightPlan
    exposure: Exposure
    offset_ra_arcsec: float
    offset_dec_arcsec: float
    rotation_deg: float
    scale: float
    fwhm_arcsec: float
    e1: float
    e2: float

    def nominal_wcs(self, detector: Detector) -> WCS:
        """Give the WCS that the header promises.

        Parameters
        ----------
        detector
            Which detector.

        Returns
        -------
        astropy.wcs.WCS
            Gnomonic around the header's boresight.
        """
        exposure = self.exposure
        header = {"RA": exposure.ra_deg, "DEC": exposure.dec_deg, "ROTPA": exposure.rotpa_deg}
        return nominal_wcs(header, self.plan.camera, detector, self.plan.shape)

    def true_wcs(self, detector: Detector) -> WCS:
        """Give the WCS that stars follow, before the atmosphere shakes them.

        Parameters
        ----------
        detector
            Which detector.

        Returns
        -------
        astropy.wcs.WCS
            TAN-SIP of order 3 around the middle of the detector. The distortion belongs to the detector, is
            the same all night, and has no linear term, so the CD matrix is the scale and the rotation there.
        """
        return _true_wcs(self, detector)

    def psf(self, detector: Detector, x: Vector, y: Vector) -> PsfValues:
        """Give the PSF's parameters: smooth over the field, and a polynomial of order 2 over each detector.

        Parameters
        ----------
        detector
            Which detector.
        x, y
            Zero-based pixels.

        Returns
        -------
        PsfValues
            At these positions.
        """
        rows, columns = self.plan.shape
        u, v = 2.0 * (x + 0.5) / columns - 1.0, 2.0 * (y + 0.5) / rows - 1.0
        random = generator(self.plan.seed, Stream.PSF, self.exposure.seq_num, detector.id)
        slope = random.normal(0.0, 1.0, (3, 6))
        terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v])
        local = slope @ terms
        field = math.hypot(detector.x_mm, detector.y_mm) / 60.0
        angle = 2.0 * math.atan2(detector.y_mm, detector.x_mm)
        return PsfValues(
            self.fwhm_arcsec * (1.0 + 0.03 * field**2 + 0.008 * local[0]),
            self.e1 + 0.012 * field**2 * math.cos(angle) + 0.004 * local[1],
            self.e2 + 0.012 * field**2 * math.sin(angle) + 0.004 * local[2],
        )


def visit_optics(plan: NightPlan, exposure: Exposure) -> VisitOptics:
    """Draw the telescope and the atmosphere of one visit.

    Parameters
    ----------
    plan, exposure
        Which visit.

    Returns
    -------
    VisitOptics
        The same for the same seed.
    """
    random = generator(plan.seed, Stream.VISIT, exposure.seq_num)
    offset = random.normal(0.0, POINTING_ERROR_ARCSEC, 2)
    return VisitOptics(
        plan=plan,
        exposure=exposure,
        offset_ra_arcsec=float(offset[0]),
        offset_dec_arcsec=float(offset[1]),
        rotation_deg=float(random.normal(0.0, ROTATION_ERROR_DEG)),
        scale=1.0 + float(random.normal(0.0, SCALE_ERROR)),
        fwhm_arcsec=plan.seeing_arcsec * float(np.exp(random.normal(0.0, 0.04))),
        e1=float(random.normal(0.0, 0.015)),
        e2=float(random.normal(0.0, 0.015)),
    )


def pixel_scale_arcsec(wcs: WCS) -> float:
    """Give the pixel scale at a WCS's reference pixel.

    Parameters
    ----------
    wcs
        With a CD matrix in degrees.

    Returns
    -------
    float
        Square root of the determinant of the CD matrix, in arcsec.
    """
    return 3600.0 * math.sqrt(abs(float(np.linalg.det(wcs.wcs.cd))))


def mean_pixel_scale_arcsec(wcs: WCS) -> float:
    """Give the pixel scale that a whole detector has.

    Parameters
    ----------
    wcs
        TAN-SIP, with its ``array_shape``.

    Returns
    -------
    float
        Square root of the sky area of the detector divided by its number of pixels, in arcsec. A fit knows it
        better than the scale at the middle, where linear and cubic terms can stand in for each other.
    """
    rows, columns = wcs.array_shape
    run = np.linspace(0.0, 1.0, 400, endpoint=False)
    zero, one = np.zeros_like(run), np.ones_like(run)
    x = np.concatenate([run, one, 1.0 - run, zero]) * columns - 0.5
    y = np.concatenate([zero, run, one, 1.0 - run]) * rows - 0.5
    u, v = wcs.sip_pix2foc(x, y, 0)
    area = 0.5 * abs(float(np.sum(u * np.roll(v, -1) - v * np.roll(u, -1))))
    return pixel_scale_arcsec(wcs) * math.sqrt(area / (rows * columns))


@functools.lru_cache(maxsize=64)
def _true_wcs(optics: VisitOptics, detector: Detector) -> WCS:
    from astropy.wcs import WCS, Sip

    rows, columns = optics.plan.shape
    middle = np.array([(columns - 1) / 2.0, (rows - 1) / 2.0])
    telescope = _telescope_wcs(optics, detector)
    centre = telescope.wcs_pix2world(middle[None, :], 0)[0]
    # The same plane seen from the detector's own tangent point: its matrix is the derivative there.
    around = WCS(naxis=2)
    around.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    around.wcs.cunit = ["deg", "deg"]
    around.wcs.crval = centre
    around.wcs.cd = np.eye(2)
    around.wcs.crpix = [1.0, 1.0]
    steps = _STEP_PIXELS * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=np.float64)
    plane = around.wcs_world2pix(telescope.wcs_pix2world(middle + steps, 0), 0)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = centre
    wcs.wcs.crpix = middle + 1.0
    wcs.wcs.cd = np.stack([plane[0] - plane[1], plane[2] - plane[3]], axis=1) / (2.0 * _STEP_PIXELS)
    wcs.sip = Sip(*_distortion(optics.plan, detector), None, None, middle + 1.0)
    wcs.array_shape = (rows, columns)
    wcs.wcs.set()
    return wcs


def _telescope_wcs(optics: VisitOptics, detector: Detector) -> WCS:
    """Give the nominal WCS, moved to where the telescope really points."""
    exposure = optics.exposure
    boresight = optics.nominal_wcs(detector)
    boresight.wcs.crpix = [1.0, 1.0]
    boresight.wcs.cd = np.eye(2)
    boresight.wcs.set()
    offset = np.array([[optics.offset_ra_arcsec, optics.offset_dec_arcsec]]) / 3600.0
    ra, dec = boresight.wcs_pix2world(offset, 0)[0]
    header = {"RA": float(ra), "DEC": float(dec), "ROTPA": exposure.rotpa_deg + optics.rotation_deg}
    wcs = nominal_wcs(header, optics.plan.camera, detector, optics.plan.shape)
    wcs.wcs.cd = wcs.wcs.cd * optics.scale
    wcs.wcs.set()
    return wcs


def _distortion(plan: NightPlan, detector: Detector) -> tuple[Vector, Vector]:
    """Draw SIP coefficients A and B: second and third order only."""
    random = generator(plan.observatory_seed, Stream.DISTORTION, detector.id)
    half = max(plan.shape) / 2.0

    def coefficients() -> Vector:
        drawn: Vector = np.zeros((4, 4), dtype=np.float64)
        for i in range(4):
            for j in range(max(2 - i, 0), 4 - i):
                size = QUADRATIC_PIXELS if i + j == 2 else CUBIC_PIXELS
                drawn[i, j] = random.normal(0.0, size / 2.0) / half ** (i + j)
        return drawn

    return coefficients(), coefficients()


def focal_plane_pixels(plan: NightPlan, detector: Detector) -> tuple[Vector, Vector]:
    """Give the place of each pixel in the focal plane.

    Parameters
    ----------
    plan
        The night, for the size of the image.
    detector
        Which detector.

    Returns
    -------
    x_mm, y_mm : numpy.ndarray
        Shapes (1, columns) and (rows, 1).
    """
    rows, columns = plan.shape
    x: Vector = detector.x_mm + (np.arange(columns, dtype=np.float64) - (columns - 1) / 2.0) * PIXEL_MM
    y: Vector = detector.y_mm + (np.arange(rows, dtype=np.float64) - (rows - 1) / 2.0) * PIXEL_MM
    return x[None, :], y[:, None]
