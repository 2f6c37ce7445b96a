"""Instrument signature removal: from amplifiers in adu to one detector's image in electrons.

Pure functions of arrays. In this order: saturated pixels are marked as read, the overscan is subtracted, the
amplifiers are placed on the detector and multiplied by their gains, dead amplifiers are found and masked, bias, dark
and flat are applied, and each pixel gets its variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.images import Amplifier, CalibratedImage, MaskPlane, RawImage
from lsst_commtools.instrument.raws import assemble

__all__ = [
    "AmplifierFigures",
    "IsrSettings",
    "apply_calibrations",
    "dark_time",
    "read_out",
    "subtract_overscan",
]

_SKIPPED_OVERSCAN_COLUMNS = 3  # they hold deferred charge of the last light-sensitive column
_OVERSCAN_CLIP = 5.0
_MAD_TO_SIGMA = 1.4826
_LONGEST_DARK_S = 86_400.0


@dataclass(frozen=True)
class IsrSettings:
    """Limits of the signature removal.

    Parameters
    ----------
    saturation_electron
        Charge per pixel above which the response is not linear.
    saturation_growth_pixel
        How far the mark is grown around saturated pixels.
    dead_level_fraction
        An amplifier with less than this fraction of the other amplifiers' light is dead.
    noise_ratio
        An amplifier whose read noise differs from the median by more than this factor is bad.
    minimum_flat
        Pixels whose flat is below are bad.
    """

    saturation_electron: float = 90_000.0
    saturation_growth_pixel: int = 2
    dead_level_fraction: float = 0.2
    noise_ratio: float = 5.0
    minimum_flat: float = 0.2


@dataclass(frozen=True)
class AmplifierFigures:
    """What was found of one amplifier.

    Parameters
    ----------
    name
        Segment, such as ``C10``.
    overscan_adu
        Mean level of the overscan.
    read_noise_electron
        Scatter of the overscan.
    level_electron
        Median of the light-sensitive part, overscan subtracted.
    fault
        Why the amplifier cannot be used; empty if it can.
    """

    name: str
    overscan_adu: float
    read_noise_electron: float
    level_electron: float
    fault: str = ""


def _overscan_columns(amplifier: Amplifier) -> slice:
    stop = amplifier.data_section[1].stop
    width = amplifier.data.shape[1] - stop
    if width > 2 * _SKIPPED_OVERSCAN_COLUMNS:
        return slice(stop + _SKIPPED_OVERSCAN_COLUMNS, None)
    start = amplifier.data_section[1].start or 0
    if start > 1:
        return slice(0, start)
    raise DataError(f"Amplifier {amplifier.name} has neither overscan nor prescan columns.")


def subtract_overscan(amplifier: Amplifier) -> tuple[NDArray[np.float32], float, float]:
    """Subtract the bias level that the overscan shows from the light-sensitive pixels.

    The level is the mean of each row's overscan, outliers left out, where the rows differ by more than their noise
    explains, and otherwise the mean of all, which adds no noise of its own.

    Parameters
    ----------
    amplifier
        One amplifier, in adu.

    Returns
    -------
    pixels : ndarray
        Light-sensitive pixels in the order of readout, adu, shape (rows, columns).
    level : float
        Mean overscan, adu.
    noise : float
        Scatter of the overscan about its rows, outliers left out, adu.

    Raises
    ------
    DataError
        If there are neither overscan nor prescan columns.
    """
    rows = amplifier.data_section[0]
    overscan = np.asarray(amplifier.data[rows, _overscan_columns(amplifier)], dtype=np.float32)
    pixels = np.asarray(amplifier.data[amplifier.data_section], dtype=np.float32)
    # The pixels are integers: medians would move in steps of 1 adu, so they only decide what is an outlier.
    deviation = np.abs(overscan - np.median(overscan, axis=1)[:, None])
    kept = deviation <= _OVERSCAN_CLIP * max(_MAD_TO_SIGMA * float(np.median(deviation)), 1.0)
    number = kept.sum(axis=1)
    row_level = np.where(kept, overscan, 0).sum(axis=1) / number
    residual = (overscan - row_level[:, None])[kept]
    noise = float(np.sqrt(np.sum(residual**2) / max(residual.size - len(row_level), 1)))
    level = float(np.mean(overscan[kept]))
    row_scatter = float(_MAD_TO_SIGMA * np.median(np.abs(row_level - np.median(row_level))))
    expected = noise / np.sqrt(overscan.shape[1])
    per_row = row_scatter > 1.5 * expected
    subtracted = pixels - (row_level[:, None].astype(np.float32) if per_row else np.float32(level))
    return subtracted, level, noise


def _judge(
    figures: list[AmplifierFigures], constant: list[bool], settings: IsrSettings
) -> list[AmplifierFigures]:
    noise = np.array([f.read_noise_electron for f in figures])
    level = np.array([f.level_electron for f in figures])
    alive = ~np.array(constant)
    usual_noise = float(np.median(noise[alive])) if alive.any() else 0.0
    usual_level = float(np.median(level[alive])) if alive.any() else 0.0
    judged = []
    for amplifier, dead in zip(figures, constant, strict=True):
        fault = ""
        if dead:
            fault = "all pixels have one value"
        elif usual_noise > 0 and amplifier.read_noise_electron > settings.noise_ratio * usual_noise:
            fault = f"read noise {amplifier.read_noise_electron:.1f} electron, usual {usual_noise:.1f}"
        elif (
            usual_level > 3.0 * usual_noise
            and amplifier.level_electron < settings.dead_level_fraction * usual_level
        ):
            fault = f"no light: {amplifier.level_electron:.1f} electron, usual {usual_level:.1f}"
        judged.append(
            AmplifierFigures(
                amplifier.name,
                amplifier.overscan_adu,
                amplifier.read_noise_electron,
                amplifier.level_electron,
                fault,
            )
        )
    return judged


def read_out(
    raw: RawImage, settings: IsrSettings | None = None, *, header: dict[str, Any] | None = None
) -> tuple[CalibratedImage, tuple[AmplifierFigures, ...]]:
    """Subtract the overscan, apply the gains and place the amplifiers on the detector.

    Parameters
    ----------
    raw
        One detector as read.
    settings
        Limits; the defaults if not given.
    header
        Header of the result; by default the raw's.

    Returns
    -------
    image : CalibratedImage
        Electrons, with the variance of read noise and charge; saturated pixels, faulty amplifiers and pixels that
        no amplifier covers are masked.
    amplifiers : tuple of AmplifierFigures
        In the order of the file.

    Raises
    ------
    DataError
        If there is no amplifier, or one has no overscan.
    """
    settings = settings or IsrSettings()
    if not raw.amplifiers:
        raise DataError("The raw image has no amplifiers.")
    sections: list[NDArray[np.float32]] = []
    figures: list[AmplifierFigures] = []
    constant: list[bool] = []
    for amplifier in raw.amplifiers:
        pixels, level, noise = subtract_overscan(amplifier)
        pixels *= np.float32(amplifier.gain)
        constant.append(bool(pixels.min() == pixels.max()))
        middle = float(np.median(pixels[::4, ::4]))
        figures.append(AmplifierFigures(amplifier.name, level, noise * amplifier.gain, middle))
        sections.append(pixels)
    image = assemble(raw, sections)
    mask = np.where(np.isnan(image), np.int32(MaskPlane.NO_DATA), np.int32(0))
    mask[image >= settings.saturation_electron] = int(MaskPlane.SAT)
    np.nan_to_num(image, copy=False)
    variance = np.maximum(image, np.float32(0))
    judged = _judge(figures, constant, settings)
    for amplifier, figure in zip(raw.amplifiers, judged, strict=True):
        variance[amplifier.detector_section] += np.float32(figure.read_noise_electron**2)
        if figure.fault:
            mask[amplifier.detector_section] |= int(MaskPlane.BAD | MaskPlane.NO_DATA)
    _grow_saturation(mask, settings.saturation_growth_pixel)
    return CalibratedImage(image, variance, mask, dict(raw.header if header is None else header)), tuple(
        judged
    )


def _grow_saturation(mask: NDArray[np.int32], growth_pixel: int) -> None:
    """Grow the mark of saturated pixels in place; charge spills over to their neighbours."""
    saturated = (mask & int(MaskPlane.SAT)) != 0
    if growth_pixel < 1 or not saturated.any():
        return
    grown = ndimage.binary_dilation(saturated, structure=np.ones((3, 3), dtype=bool), iterations=growth_pixel)
    mask[grown] |= int(MaskPlane.SAT)


def dark_time(header: dict[str, Any]) -> float | None:
    """Read how long an image collected charge.

    Parameters
    ----------
    header
        Primary header.

    Returns
    -------
    float or None
        ``DARKTIME``, else ``EXPTIME``, in seconds; None where neither is a number that is not negative.
    """
    for key in ("DARKTIME", "EXPTIME"):
        value = header.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LONGEST_DARK_S:
            return float(value)
    return None


def _check_shape(image: CalibratedImage, calibration: CalibratedImage, what: str) -> None:
    if calibration.image.shape != image.image.shape:
        raise DataError(
            f"The {what} has {calibration.image.shape[1]} x {calibration.image.shape[0]} pixels, "
            f"the image {image.image.shape[1]} x {image.image.shape[0]}."
        )


def apply_calibrations(
    image: CalibratedImage,
    bias: CalibratedImage | None,
    flat: CalibratedImage | None,
    settings: IsrSettings | None = None,
    *,
    dark: CalibratedImage | None = None,
    dark_time_s: float = 0.0,
) -> CalibratedImage:
    """Subtract the bias and the dark current, and divide by the flat.

    Parameters
    ----------
    image
        Result of `read_out`; not changed.
    bias
        Mean bias in electrons, or None.
    flat
        Relative response, mean near 1, or None.
    settings
        Limits; the defaults if not given.
    dark
        Dark current in electrons per second, or None.
    dark_time_s
        How long the image collected charge.

    Returns
    -------
    CalibratedImage
        Electrons of a pixel of mean response; bad pixels of the calibrations are masked.

    Raises
    ------
    DataError
        If a calibration has another shape.
    """
    settings = settings or IsrSettings()
    pixels, variance, mask = image.image.copy(), image.variance.copy(), image.mask.copy()
    if bias is not None:
        _check_shape(image, bias, "bias")
        pixels -= bias.image
        variance += bias.variance
        mask |= bias.mask & int(MaskPlane.BAD)
    if dark is not None:
        _check_shape(image, dark, "dark")
        seconds = np.float32(dark_time_s)
        pixels -= dark.image * seconds
        variance += dark.variance * seconds**2
        mask |= dark.mask & int(MaskPlane.BAD)
    if flat is not None:
        _check_shape(image, flat, "flat")
        usable = flat.image > settings.minimum_flat
        response = np.where(usable, flat.image, np.float32(1))
        pixels /= response
        variance /= response * response
        mask[~usable] |= int(MaskPlane.BAD)
    unusable = ~np.isfinite(pixels)
    if unusable.any():
        pixels[unusable] = 0
        mask[unusable] |= int(MaskPlane.BAD)
    return CalibratedImage(pixels, variance, mask, dict(image.header), image.wcs)
