"""One detector from pixels to PSF stars: detection, moments, selection, and a model of the PSF's moments."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import sep
from numpy.typing import NDArray

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.images import CalibratedImage, MaskPlane
from lsst_commtools.pipeline.detect import DetectionSettings, Sources, find_sources
from lsst_commtools.pipeline.stars import StarSettings, choose_reserved, find_extended, select_psf_stars
from lsst_commtools.qa.moments import Moments, measure_moments
from lsst_commtools.qa.psf import fit_moment_model
from lsst_commtools.qa.statistics import median

__all__ = ["MeasureSettings", "Measurement", "measure_image"]

_HIDDEN = int(MaskPlane.BAD | MaskPlane.NO_DATA | MaskPlane.SAT | MaskPlane.CR)
_FWHM_TO_SIGMA = 1.0 / 2.3548
_RING_EDGES_FWHM = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
_STARS_FOR_ORDER = ((2, 24), (1, 8), (0, 1))


@dataclass(frozen=True)
class MeasureSettings:
    """How a detector is measured.

    Parameters
    ----------
    detection, stars
        Limits of the two parts.
    least_snr
        Moments are not measured for fainter sources.
    most_moments
        Moments are measured for so many of the brightest sources.
    stamp_fwhm
        Side of the stamps in FWHM.
    """

    detection: DetectionSettings = field(default_factory=DetectionSettings)
    stars: StarSettings = field(default_factory=StarSettings)
    least_snr: float = 10.0
    most_moments: int = 600
    stamp_fwhm: float = 6.0


@dataclass(frozen=True)
class Measurement:
    """What was measured on one detector; arrays have one entry for each source.

    Parameters
    ----------
    sources
        Positions, fluxes and flags.
    moments
        HSM moments; NaN where not measured.
    model_ixx, model_iyy, model_ixy
        Moments of the PSF model at the sources, pixels squared; NaN without a model.
    candidate, used, reserved
        PSF stars, those of the fit, and those kept out of it.
    extended
        1 wider than the PSF, 0 not, NaN unknown.
    core_depth
        Light in the middle of the PSF stars over that of their brightest ring: above 1, except in donuts.
    failure
        Why there is no PSF model; empty if there is one.
    """

    sources: Sources
    moments: Moments
    model_ixx: NDArray[np.float64]
    model_iyy: NDArray[np.float64]
    model_ixy: NDArray[np.float64]
    candidate: NDArray[np.bool_]
    used: NDArray[np.bool_]
    reserved: NDArray[np.bool_]
    extended: NDArray[np.float32]
    core_depth: float
    failure: str


def _measure_bright(
    subtracted: NDArray[np.float32], hidden: NDArray[np.bool_], sources: Sources, settings: MeasureSettings
) -> Moments:
    number = len(sources)
    values = np.full((5, number), np.nan)
    worth = np.flatnonzero(~sources.saturated & (sources.snr >= settings.least_snr))[: settings.most_moments]
    fwhm = sources.fwhm_pixel if np.isfinite(sources.fwhm_pixel) else 4.0
    stamp = 2 * int(np.ceil(max(settings.stamp_fwhm * fwhm, 15.0) / 2.0)) + 1
    if worth.size:
        found = measure_moments(
            subtracted,
            sources.x[worth],
            sources.y[worth],
            stamp_size=stamp,
            mask=hidden,
            guess_sigma=fwhm * _FWHM_TO_SIGMA,
        )
        values[:, worth] = found.ixx, found.iyy, found.ixy, found.x, found.y
        # HSM that walked away to a neighbour measured something else.
        lost = np.hypot(values[3] - sources.x, values[4] - sources.y) > fwhm
        values[:, lost] = np.nan
    return Moments(values[0], values[1], values[2], values[3], values[4], ~np.isfinite(values[0]))


def _core_depth(subtracted: NDArray[np.float32], sources: Sources, stars: NDArray[np.bool_]) -> float:
    """Tell donuts, which are dark in the middle, from stars, which are brighter there than in any ring."""
    brightest = np.flatnonzero(stars)[:50]
    if not brightest.size or not np.isfinite(sources.fwhm_pixel):
        return float("nan")
    x, y = sources.x[brightest], sources.y[brightest]
    edges = np.maximum(sources.fwhm_pixel, 2.0) * np.array(_RING_EDGES_FWHM)
    core, _, _ = sep.sum_circle(subtracted, x, y, edges[0])
    core /= np.pi * edges[0] ** 2
    rings = [
        sep.sum_circann(subtracted, x, y, inner, outer)[0] / (np.pi * (outer**2 - inner**2))
        for inner, outer in itertools.pairwise(edges)
    ]
    return median(core / np.max(rings, axis=0))


def measure_image(
    image: CalibratedImage, visit: int, detector: int, settings: MeasureSettings | None = None
) -> Measurement:
    """Measure the sources of a detector and model its PSF.

    Parameters
    ----------
    image
        After instrument signature removal.
    visit, detector
        Data id, which decides the reserved stars.
    settings
        Limits; the defaults if not given.

    Returns
    -------
    Measurement
        With ``failure`` set where there are too few stars for a model.

    Raises
    ------
    DataError
        If no pixel is usable, or the sources cannot be told apart.
    """
    settings = settings or MeasureSettings()
    sources, subtracted = find_sources(image, settings.detection)
    hidden = (image.mask & _HIDDEN) != 0
    moments = _measure_bright(subtracted, hidden, sources, settings)
    size = np.sqrt(0.5 * (moments.ixx + moments.iyy))
    clean = ~(sources.saturated | sources.edge | sources.cosmic_ray | sources.blended)
    candidate = select_psf_stars(size, sources.snr, clean, settings.stars)
    reserved = choose_reserved(candidate, visit, detector, settings.stars.reserved_fraction)
    used = candidate & ~reserved
    model = np.full((3, len(sources)), np.nan)
    failure = "" if used.any() else f"no PSF star among {len(sources)} sources"
    for order, least in _STARS_FOR_ORDER:
        if used.sum() >= least:
            try:
                fit = fit_moment_model(
                    sources.x, sources.y, moments.ixx, moments.iyy, moments.ixy, used, order
                )
            except DataError as error:
                failure = error.message
                continue
            model[:] = fit.evaluate(sources.x, sources.y)
            used, failure = fit.used, ""
            break
    return Measurement(
        sources=sources,
        moments=moments,
        model_ixx=model[0],
        model_iyy=model[1],
        model_ixy=model[2],
        candidate=candidate,
        used=used,
        reserved=reserved,
        extended=find_extended(size, sources.snr, candidate),
        core_depth=_core_depth(subtracted, sources, candidate),
        failure=failure,
    )
