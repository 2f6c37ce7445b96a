"""Sources of one detector: background, detection, positions, fluxes and flags, by sep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sep
from numpy.typing import NDArray

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.images import CalibratedImage, MaskPlane

__all__ = ["DetectionSettings", "Sources", "find_sources"]

_FWHM_TO_SIGMA = 1.0 / 2.3548
_MATCHED_FILTER = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32)
_LEAST_PIXEL_STACK = 300_000
_UNUSABLE = int(MaskPlane.BAD | MaskPlane.NO_DATA)


@dataclass(frozen=True)
class DetectionSettings:
    """How sources are found.

    Parameters
    ----------
    threshold_sigma
        Detection threshold above the background, per pixel.
    minimum_pixels
        Connected pixels that make a source.
    deblend_contrast
        Least part of a source's light that makes a source of its own.
    background_mesh_pixel
        Size of the boxes of the background.
    aperture_fwhm
        Radius of the flux aperture in FWHM.
    edge_pixel
        Sources closer to the edge of the good pixels are flagged.
    maximum_sources
        Only the brightest are kept.
    """

    threshold_sigma: float = 5.0
    minimum_pixels: int = 5
    deblend_contrast: float = 0.005
    background_mesh_pixel: int = 128
    aperture_fwhm: float = 1.5
    edge_pixel: int = 12
    maximum_sources: int = 5000


@dataclass(frozen=True)
class Sources:
    """What was found on one detector; arrays of shape (sources,), brightest first.

    Parameters
    ----------
    x, y
        Windowed centroids, zero-based pixels.
    x_err, y_err
        Their errors from noise, pixels.
    flux, flux_err
        Aperture flux and its error, electrons.
    peak
        Highest pixel above the background, electrons.
    elongation
        Ratio of the isophotal axes.
    saturated, edge, cosmic_ray
        Flags.
    blended
        Another source's light is mixed in.
    sky_electron, noise_electron
        Median background per pixel and its scatter.
    fwhm_pixel
        Size of the compact sources, from half-light radii.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_err: NDArray[np.float64]
    y_err: NDArray[np.float64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    peak: NDArray[np.float64]
    elongation: NDArray[np.float64]
    saturated: NDArray[np.bool_]
    edge: NDArray[np.bool_]
    cosmic_ray: NDArray[np.bool_]
    blended: NDArray[np.bool_]
    sky_electron: float
    noise_electron: float
    fwhm_pixel: float

    @property
    def snr(self) -> NDArray[np.float64]:
        """Ratio of the aperture flux to its error."""
        return self.flux / np.maximum(self.flux_err, 1e-12)

    def __len__(self) -> int:
        return len(self.x)


def _contains(
    mask: NDArray[np.int32], plane: int, x: NDArray[np.float64], y: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    marked = (mask & plane) != 0
    if not marked.any():
        return np.zeros(len(x), dtype=bool)
    total, _, _ = sep.sum_circle(marked.astype(np.float32), x, y, radius, subpix=1)
    return np.asarray(total > 0)


def _noise(image: CalibratedImage) -> NDArray[np.float32]:
    return np.sqrt(np.maximum(image.variance, np.float32(1e-12)))


def _typical_fwhm(half_light: NDArray[np.float64], good: NDArray[np.bool_]) -> float:
    """Size of the point sources: the low side of the size distribution of clean, bright sources."""
    if good.sum() < 3:
        good = np.ones(len(half_light), dtype=bool)
    if not good.any():
        return float("nan")
    sizes = 2.0 * half_light[good]
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(np.percentile(sizes, 40)) if sizes.size else float("nan")


def _centroid_error(
    flux: NDArray[np.float64], noise_electron: float, sigma_pixel: float
) -> NDArray[np.float64]:
    """Error per coordinate of a centroid with a Gaussian window as wide as the star.

    SExtractor's ERRX2WIN, ``4 sum(w^2 var x^2) / sum(w I)^2``, worked out for a Gaussian star on a flat background.
    """
    variance = 0.5 * np.pi * noise_electron**2 * sigma_pixel**4 + np.maximum(flux, 0.0) * sigma_pixel**2 / 9.0
    return np.asarray(np.minimum(4.0 * np.sqrt(variance) / np.maximum(flux, 1e-3), 99.0))


def _extract(
    subtracted: NDArray[np.float32],
    noise: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    settings: DetectionSettings,
) -> NDArray[np.void]:
    """Detect; where a huge source has more parts than sep can hold, detect again without taking sources apart."""
    sep.set_extract_pixstack(max(_LEAST_PIXEL_STACK, subtracted.size // 8))
    message = ""
    for contrast in (settings.deblend_contrast, 1.0):
        try:
            found: NDArray[np.void] = sep.extract(
                subtracted,
                settings.threshold_sigma,
                err=noise,
                mask=unusable,
                minarea=settings.minimum_pixels,
                filter_kernel=_MATCHED_FILTER,
                deblend_cont=contrast,
            )
        except Exception as error:  # noqa: BLE001 - sep raises the bare class
            message = str(error)
        else:
            return found
    raise DataError(f"The sources cannot be told apart: {message}.")


def find_sources(
    image: CalibratedImage, settings: DetectionSettings | None = None
) -> tuple[Sources, NDArray[np.float32]]:
    """Find and measure the sources of a detector.

    Parameters
    ----------
    image
        Electrons, background included.
    settings
        Limits; the defaults if not given.

    Returns
    -------
    sources : Sources
        Brightest first.
    subtracted : ndarray
        The image without its background, float32.

    Raises
    ------
    DataError
        If no pixel is usable, or there are more sources than can be told apart.
    """
    settings = settings or DetectionSettings()
    unusable = (image.mask & _UNUSABLE) != 0
    if unusable.all():
        raise DataError("No pixel of the image is usable.")
    pixels = np.ascontiguousarray(image.image, dtype=np.float32)
    hidden = unusable | ((image.mask & int(MaskPlane.SAT)) != 0)
    mesh = min(settings.background_mesh_pixel, *pixels.shape)
    background = sep.Background(pixels, mask=hidden, bw=mesh, bh=mesh)
    subtracted = np.asarray(pixels - background.back(), dtype=np.float32)
    subtracted[unusable] = 0
    objects = _extract(subtracted, _noise(image), unusable, settings)
    objects = objects[np.argsort(-objects["flux"], kind="stable")][: settings.maximum_sources]
    return _measure(objects, subtracted, image, background, settings), subtracted


def _measure(
    objects: NDArray[np.void],
    subtracted: NDArray[np.float32],
    image: CalibratedImage,
    background: sep.Background,
    settings: DetectionSettings,
) -> Sources:
    mask = image.mask
    unusable = (mask & _UNUSABLE) != 0
    noise = _noise(image)
    x, y = objects["x"].astype(np.float64), objects["y"].astype(np.float64)
    saturated = _contains(mask, int(MaskPlane.SAT), x, y, 3.0)
    blended = (objects["flag"] & (sep.OBJ_MERGED | sep.OBJ_TRUNC)) != 0
    crowded = saturated | blended
    radius = np.maximum(6.0 * objects["a"], 4.0)
    half_light, _ = (
        sep.flux_radius(subtracted, x, y, radius, 0.5, mask=unusable, subpix=5)
        if len(x)
        else (np.empty(0), np.empty(0))
    )
    bright = objects["peak"] > 10.0 * background.globalrms
    fwhm = _typical_fwhm(np.asarray(half_light), bright & ~crowded)
    width = fwhm if np.isfinite(fwhm) else 4.0
    if len(x):
        x, y, _ = sep.winpos(subtracted, x, y, width * _FWHM_TO_SIGMA, mask=unusable)
    aperture = settings.aperture_fwhm * width
    flux, flux_err = np.empty(0), np.empty(0)
    if len(x):
        flux, flux_err, _ = sep.sum_circle(subtracted, x, y, aperture, err=noise, mask=unusable)
    position_err = _centroid_error(np.asarray(flux), float(background.globalrms), width * _FWHM_TO_SIGMA)
    rows, columns = subtracted.shape
    margin = settings.edge_pixel
    edge = (x < margin) | (y < margin) | (x > columns - 1 - margin) | (y > rows - 1 - margin)
    edge |= _contains(mask, _UNUSABLE, x, y, max(aperture, 4.0))
    return Sources(
        x=x,
        y=y,
        x_err=position_err,
        y_err=position_err.copy(),
        flux=np.asarray(flux, dtype=np.float64),
        flux_err=np.asarray(flux_err, dtype=np.float64),
        peak=objects["peak"].astype(np.float64),
        elongation=objects["a"] / np.maximum(objects["b"], 1e-6),
        saturated=_contains(mask, int(MaskPlane.SAT), x, y, max(width, 3.0)),
        edge=edge,
        cosmic_ray=_contains(mask, int(MaskPlane.CR), x, y, max(width, 3.0)),
        blended=blended,
        sky_electron=float(background.globalback),
        noise_electron=float(background.globalrms),
        fwhm_pixel=fwhm,
    )
