"""Mean bias, dark and flat of several exposures of one detector, outliers left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import DataError
from lsst_commtools.instrument.images import CalibratedImage, MaskPlane

__all__ = ["combine_bias", "combine_dark", "combine_flat"]

_CLIP_SIGMA = 4.0


def _stack(images: Sequence[CalibratedImage]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if not images:
        raise DataError("There is no image to combine.")
    shapes = {image.image.shape for image in images}
    if len(shapes) > 1:
        raise DataError(f"The images to combine have different shapes: {sorted(shapes)}.")
    return np.stack([image.image for image in images]), np.stack([image.variance for image in images])


def _clipped_mean(
    values: NDArray[np.float32], variance: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean along the first axis without what lies far from the median: cosmic rays, mostly."""
    centre = np.median(values, axis=0)
    used = np.abs(values - centre) <= _CLIP_SIGMA * np.sqrt(variance)
    number = used.sum(axis=0)
    none = number == 0
    used[:, none] = True
    number[none] = len(values)
    mean = np.where(used, values, 0).sum(axis=0) / number
    mean_variance = np.where(used, variance, 0).sum(axis=0) / number**2
    return mean.astype(np.float32), mean_variance.astype(np.float32)


def _common_mask(images: Sequence[CalibratedImage]) -> NDArray[np.int32]:
    """Bad where most of the images are bad."""
    bad = int(MaskPlane.BAD | MaskPlane.NO_DATA)
    votes = np.sum([(image.mask & bad) != 0 for image in images], axis=0)
    return np.where(2 * votes > len(images), np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32)


def combine_bias(images: Sequence[CalibratedImage]) -> CalibratedImage:
    """Average bias exposures.

    Parameters
    ----------
    images
        Overscan-subtracted bias exposures of one detector, in electrons.

    Returns
    -------
    CalibratedImage
        Structure that the overscan does not show, electrons.

    Raises
    ------
    DataError
        If there is no image, or they differ in shape.
    """
    values, variance = _stack(images)
    # A bias has no light: its pixels' variance is that of the read noise, and must not follow the noise itself.
    floor = np.median(variance.reshape(len(images), -1), axis=1).astype(np.float32)
    mean, mean_variance = _clipped_mean(values, np.broadcast_to(floor[:, None, None], values.shape))
    return CalibratedImage(mean, mean_variance, _common_mask(images), dict(images[0].header))


def combine_dark(images: Sequence[CalibratedImage], dark_times_s: Sequence[float]) -> CalibratedImage:
    """Average dark exposures to the dark current.

    Parameters
    ----------
    images
        Bias-subtracted dark exposures of one detector, in electrons.
    dark_times_s
        How long each collected charge.

    Returns
    -------
    CalibratedImage
        Dark current in electrons per second.

    Raises
    ------
    DataError
        If there is no image, they differ in shape, or a dark time is not positive.
    """
    if len(dark_times_s) != len(images):
        raise DataError(f"{len(images)} darks have {len(dark_times_s)} dark times.")
    for number, seconds in enumerate(dark_times_s):
        if not seconds > 0 or not np.isfinite(seconds):
            raise DataError(f"Dark number {number + 1} of {len(images)} has a dark time of {seconds} s.")
    values, variance = _stack(images)
    seconds_of_each = np.asarray(dark_times_s, dtype=np.float32)[:, None, None]
    mean, mean_variance = _clipped_mean(values / seconds_of_each, variance / seconds_of_each**2)
    return CalibratedImage(mean, mean_variance, _common_mask(images), dict(images[0].header))


def combine_flat(images: Sequence[CalibratedImage]) -> CalibratedImage:
    """Average flat exposures to the detector's relative response.

    Parameters
    ----------
    images
        Bias-subtracted flat exposures of one detector and filter, in electrons.

    Returns
    -------
    CalibratedImage
        Relative response with a median of 1; pixels without light are masked and set to 1.

    Raises
    ------
    DataError
        If there is no image, they differ in shape, or one has no light.
    """
    values, variance = _stack(images)
    bad = _common_mask(images)
    good = bad == 0
    if not good.any():
        raise DataError("No pixel of the flats is usable.")
    for number in range(len(images)):
        level = float(np.median(values[number][good]))
        if not level > 0:
            raise DataError(f"Flat number {number + 1} of {len(images)} has no light: {level:.1f} electron.")
        values[number] /= level
        variance[number] /= level**2
    mean, mean_variance = _clipped_mean(values, variance)
    dark = ~good | ~(mean > 0)
    mean[dark] = 1
    bad[dark] |= int(MaskPlane.BAD)
    return CalibratedImage(mean, mean_variance, bad, dict(images[0].header))
