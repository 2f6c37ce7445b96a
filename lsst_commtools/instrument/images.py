"""Images in memory: a raw image as the camera wrote it, and a calibrated one.

Pixel coordinates are zero-based, x along columns and y along rows of the assembled detector; the centre of
the first pixel is (0, 0), as in LSST's star tables. FITS WCS headers count from one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["Amplifier", "CalibratedImage", "MaskPlane", "RawImage"]


class MaskPlane(enum.IntFlag):
    """Bits of a calibrated image's mask, LSST's names."""

    BAD = 1
    SAT = 2
    CR = 4
    NO_DATA = 8
    EDGE = 16
    DETECTED = 32


@dataclass(frozen=True)
class Amplifier:
    """One amplifier's readout.

    Parameters
    ----------
    name
        Segment, such as ``C10``.
    data
        Pixels as read, with prescan and overscan, shape (rows, columns), in adu.
    data_section
        Light-sensitive part of ``data``, as slices (rows, columns).
    detector_section
        Where that part lies on the assembled detector, as slices (rows, columns).
    flip_x, flip_y
        Whether columns or rows run backwards on the detector.
    gain
        Electrons per adu.
    """

    name: str
    data: NDArray[Any]
    data_section: tuple[slice, slice]
    detector_section: tuple[slice, slice]
    flip_x: bool
    flip_y: bool
    gain: float


@dataclass(frozen=True)
class RawImage:
    """One detector's raw image.

    Parameters
    ----------
    header
        Primary header: keyword to value.
    amplifiers
        In the order of the file.
    shape
        Rows and columns of the assembled detector.
    """

    header: dict[str, Any]
    amplifiers: tuple[Amplifier, ...]
    shape: tuple[int, int]


@dataclass
class CalibratedImage:
    """One detector's image after instrument signature removal.

    Parameters
    ----------
    image
        Pixels in electrons, background included, shape (rows, columns), float32.
    variance
        Their variance in electrons squared, float32.
    mask
        Bits of `MaskPlane`, int32.
    header
        Keyword to value: the raw's translated metadata.
    wcs
        Celestial solution, or None before it is fitted.
    """

    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.int32]
    header: dict[str, Any] = field(default_factory=dict)
    wcs: WCS | None = None
