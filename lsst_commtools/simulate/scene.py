"""Light on one detector: stars with the visit's PSF, sky, and what a bad telescope does to them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.instrument.cameras import Detector
from lsst_commtools.simulate.faults import Fault
from lsst_commtools.simulate.optics import MOFFAT_BETA, VisitOptics
from lsst_commtools.simulate.plan import NightPlan
from lsst_commtools.simulate.randoms import Stream, generator
from lsst_commtools.simulate.schedule import Exposure
from lsst_commtools.simulate.sky import StarField, make_star_field

__all__ = ["Scene", "blur_kernel", "draw_scene", "place_stars", "sky_electrons", "trail_angle_deg"]

TRAIL_PIXELS = 18.0
DONUT_OUTER_PIXELS = 7.0
DONUT_INNER_PIXELS = 4.3
MARGIN_PIXELS = 40.0
STAMP_EDGE_ELECTRONS = 0.2
MIN_STAMP_RADIUS, MAX_STAMP_RADIUS = 10, 160

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """Stars that fall on or near one detector, all arrays of one length.

    Parameters
    ----------
    stars
        Positions at the epoch of the exposure.
    x, y
        Where they are drawn, jitter included: zero-based pixels.
    flux_electron
        Electrons of the whole exposure.
    fwhm_arcsec, e1, e2
        Their PSF, before a fault of the visit.
    jitter_ra_mas, jitter_dec_mas
        What the atmosphere added to their positions, on the tangent plane.
    """

    stars: StarField
    x: Vector
    y: Vector
    flux_electron: Vector
    fwhm_arcsec: Vector
    e1: Vector
    e2: Vector
    jitter_ra_mas: Vector
    jitter_dec_mas: Vector


def place_stars(optics: VisitOptics, detector: Detector) -> Scene:
    """Find the stars of one detector and visit.

    Parameters
    ----------
    optics
        The visit.
    detector
        The detector.

    Returns
    -------
    Scene
        Stars on the image and up to 40 pixels beside it.
    """
    plan, exposure = optics.plan, optics.exposure
    assumed = plan.assumed
    field = make_star_field(
        plan.observatory_seed,
        exposure.field,
        plan.field_radius_arcmin,
        assumed.stars_per_arcmin2,
        assumed.mag_range,
    ).at_epoch(exposure.middle_mjd_tai)
    wcs = optics.true_wcs(detector)
    rough_x, rough_y = wcs.wcs_world2pix(field.ra_deg, field.dec_deg, 0)
    near = _inside(rough_x, rough_y, plan.shape, 2.0 * MARGIN_PIXELS)
    stars = field.select(near)
    x, y = wcs.all_world2pix(stars.ra_deg, stars.dec_deg, 0, tolerance=1e-6)
    random = generator(plan.seed, Stream.JITTER, exposure.seq_num, detector.id)
    jitter = random.normal(0.0, plan.jitter_mas, (2, len(x)))
    shift = np.linalg.inv(wcs.wcs.cd) @ (jitter / 3.6e6)
    x, y = x + shift[0], y + shift[1]
    kept = _inside(x, y, plan.shape, MARGIN_PIXELS)
    psf = optics.psf(detector, x[kept], y[kept])
    return Scene(
        stars=stars.select(kept),
        x=x[kept],
        y=y[kept],
        flux_electron=exposure.exposure_time_s * 10.0 ** (-0.4 * (stars.mag[kept] - assumed.zero_point_mag)),
        fwhm_arcsec=psf.fwhm_arcsec,
        e1=psf.e1,
        e2=psf.e2,
        jitter_ra_mas=jitter[0][kept],
        jitter_dec_mas=jitter[1][kept],
    )


def draw_scene(
    scene: Scene, plan: NightPlan, kernel: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Draw stars.

    Parameters
    ----------
    scene
        What to draw.
    plan
        Size and scale of the image.
    kernel
        What a bad telescope blurs them with, see `blur_kernel`.

    Returns
    -------
    numpy.ndarray
        Expected electrons of the stars, float32, shape of the plan. Stamps end where a star gives 0.2
        electrons in a pixel, or at 160 pixels.
    """
    import galsim

    rows, columns = plan.shape
    image = galsim.ImageF(columns, rows, xmin=0, ymin=0)
    scale = plan.camera.pixel_scale_arcsec
    width = 2.0 * math.sqrt(2.0 ** (1.0 / MOFFAT_BETA) - 1.0)
    core = (MOFFAT_BETA - 1.0) / math.pi
    for x, y, flux, fwhm, e1, e2 in zip(
        scene.x, scene.y, scene.flux_electron, scene.fwhm_arcsec / scale, scene.e1, scene.e2, strict=True
    ):
        alpha = fwhm / width
        peak = flux * core / alpha**2
        radius = 1.1 * alpha * (peak / STAMP_EDGE_ELECTRONS) ** (0.5 / MOFFAT_BETA)
        reach = min(max(math.ceil(radius), MIN_STAMP_RADIUS), MAX_STAMP_RADIUS)
        ix, iy = round(x), round(y)
        bounds = galsim.BoundsI(ix - reach, ix + reach, iy - reach, iy + reach) & image.bounds
        if not bounds.isDefined():
            continue
        profile = galsim.Moffat(beta=MOFFAT_BETA, fwhm=fwhm, flux=flux).shear(e1=e1, e2=e2)
        profile.drawImage(
            image=image[bounds],
            center=galsim.PositionD(x, y),
            method="no_pixel",
            scale=1.0,
            add_to_image=True,
        )
    drawn: NDArray[np.float32] = image.array
    if kernel is not None:
        from scipy.signal import fftconvolve

        drawn = np.maximum(fftconvolve(drawn, kernel, mode="same"), 0.0).astype(np.float32)
    return drawn


def sky_electrons(plan: NightPlan, exposure_time_s: float) -> float:
    """Compute the background.

    Parameters
    ----------
    plan
        Camera and sky.
    exposure_time_s
        Shutter time.

    Returns
    -------
    float
        Electrons in a pixel.
    """
    assumed = plan.assumed
    rate = 10.0 ** (-0.4 * (assumed.sky_mag_arcsec2 - assumed.zero_point_mag))
    return float(exposure_time_s * plan.camera.pixel_scale_arcsec**2 * rate)


def blur_kernel(fault: Fault | None, angle_deg: float) -> NDArray[np.float32] | None:
    """Give what a fault of a whole visit convolves its image with.

    Parameters
    ----------
    fault
        TRAILED_VISIT, DEFOCUSED_VISIT, or anything else.
    angle_deg
        Direction of a trail, from x to y.

    Returns
    -------
    numpy.ndarray or None
        Odd-sized square of sum 1, centred: a line of 18 pixels, or the ring of a defocused annular pupil of
        7 pixels radius; None where the fault blurs nothing.
    """
    half = 10
    fine = (np.arange((2 * half + 1) * 5) + 0.5) / 5.0 - half - 0.5
    x, y = fine[None, :], fine[:, None]
    if fault is Fault.TRAILED_VISIT:
        angle = math.radians(angle_deg)
        along, across = x * math.cos(angle) + y * math.sin(angle), -x * math.sin(angle) + y * math.cos(angle)
        weight = (np.abs(along) <= TRAIL_PIXELS / 2.0) & (np.abs(across) <= 0.5)
    elif fault is Fault.DEFOCUSED_VISIT:
        radius = np.hypot(x, y)
        weight = (radius <= DONUT_OUTER_PIXELS) & (radius >= DONUT_INNER_PIXELS)
    else:
        return None
    side = 2 * half + 1
    kernel: NDArray[np.float32] = weight.astype(np.float32).reshape(side, 5, side, 5).sum(axis=(1, 3))
    kernel /= kernel.sum()
    return kernel


def trail_angle_deg(plan: NightPlan, exposure: Exposure) -> float:
    """Give the direction in which a visit trails.

    Parameters
    ----------
    plan, exposure
        The visit.

    Returns
    -------
    float
        From x to y, 0 to 180 degrees.
    """
    return float(generator(plan.seed, Stream.TRAIL, exposure.seq_num).uniform(0.0, 180.0))


def _inside(x: Vector, y: Vector, shape: tuple[int, int], margin: float) -> NDArray[np.bool_]:
    rows, columns = shape
    good = np.isfinite(x) & np.isfinite(y)
    good &= (x > -margin) & (x < columns + margin) & (y > -margin) & (y < rows + margin)
    return good
