"""A camera's detectors: from light to the numbers that the amplifiers give.

Full well, gain and noise are those of an ITL sensor of LSST; the flat field has vignetting and pixels of
unequal response, the bias has structure, and levels drift, so that overscan, bias and flat are all needed.
Photon noise is Gaussian: there are at least some electrons of sky in each pixel of a visit.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.instrument.cameras import Detector
from lsst_commtools.simulate.optics import focal_plane_pixels
from lsst_commtools.simulate.plan import NightPlan
from lsst_commtools.simulate.randoms import Stream, generator

__all__ = [
    "FULL_WELL_ELECTRONS",
    "READ_NOISE_ELECTRON",
    "Segment",
    "SensorModel",
    "add_cosmic_rays",
    "bloom",
    "dark_current",
    "expose",
    "read_out",
    "segments_of",
    "sensor_model",
]

FULL_WELL_ELECTRONS = 95_000.0
READ_NOISE_ELECTRON = 6.5
PRESCAN_COLUMNS = 3
OVERSCAN_COLUMNS = 32
OVERSCAN_ROWS = 16
MAX_ADU = 65535
COSMIC_RAYS_PER_CM2_S = 0.15
DARK_CURRENT_ELECTRON_S = 0.03
HOT_PIXEL_FRACTION = 2e-4
PIXELS_PER_CM2 = 1.0e6

# Order in the file and place on the detector, ITL: DETSEC of Segment10 is [509:1,1:2000] on the full sensor, that of
# Segment07 [4072:3564,4000:2001].
_NAMES = [f"1{k}" for k in range(8)] + [f"0{k}" for k in range(7, -1, -1)]


@dataclass(frozen=True)
class Segment:
    """One amplifier: what it reads and where that lies.

    Parameters
    ----------
    name
        ``C10``.
    channel
        1 to 16, in the order of the file.
    detector_section
        Rows and columns of the assembled image.
    upper
        Whether it reads the upper half, rows backwards; columns are always read backwards.
    """

    name: str
    channel: int
    detector_section: tuple[slice, slice]
    upper: bool

    @property
    def datasec(self) -> str:
        """Light-sensitive part of the data, as FITS writes it."""
        rows, columns = self.shape
        return f"[{PRESCAN_COLUMNS + 1}:{PRESCAN_COLUMNS + columns},1:{rows}]"

    @property
    def detsec(self) -> str:
        """Where that part lies, as FITS writes it, reversed where it is read backwards."""
        rows, columns = self.detector_section
        y = f"{rows.stop}:{rows.start + 1}" if self.upper else f"{rows.start + 1}:{rows.stop}"
        return f"[{columns.stop}:{columns.start + 1},{y}]"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the light-sensitive part."""
        rows, columns = self.detector_section
        return rows.stop - rows.start, columns.stop - columns.start


@dataclass(frozen=True)
class SensorModel:
    """What is fixed about one detector.

    Parameters
    ----------
    gain
        Electrons per adu of each amplifier.
    read_noise_electron
        Of each amplifier.
    offset_adu
        Bias level of each amplifier.
    response
        Flat field, shape (rows, columns), about 1 at the middle of the field.
    bias_pattern_adu
        Structure of the bias of each amplifier, as it is read: shape (16, rows, columns) of the data.
    """

    gain: NDArray[np.float64]
    read_noise_electron: NDArray[np.float64]
    offset_adu: NDArray[np.float64]
    response: NDArray[np.float32]
    bias_pattern_adu: NDArray[np.float32]


def segments_of(shape: tuple[int, int]) -> tuple[Segment, ...]:
    """Divide a detector among its 16 amplifiers.

    Parameters
    ----------
    shape
        Rows and columns of the assembled image.

    Returns
    -------
    tuple of Segment
        In the order of the file.
    """
    rows, columns = shape
    height, width = rows // 2, columns // 8
    found = []
    for channel, name in enumerate(_NAMES, start=1):
        upper, k = name[0] == "0", int(name[1])
        section = slice(height, rows) if upper else slice(0, height), slice(k * width, (k + 1) * width)
        found.append(Segment(f"C{name}", channel, section, upper))
    return tuple(found)


@functools.lru_cache(maxsize=9)
def sensor_model(plan: NightPlan, detector: Detector) -> SensorModel:
    """Draw what is fixed about one detector.

    Parameters
    ----------
    plan, detector
        Which detector, its size, and the seed.

    Returns
    -------
    SensorModel
        The same all night.
    """
    random = generator(plan.observatory_seed, Stream.DETECTOR, detector.id)
    rows, columns = plan.shape[0] // 2, plan.shape[1] // 8
    x_mm, y_mm = focal_plane_pixels(plan, detector)
    radius2 = (x_mm**2 + y_mm**2) / 60.0**2
    grain = random.standard_normal(plan.shape, dtype=np.float32)
    response = ((1.0 - 0.05 * radius2 - 0.01 * radius2**2) * (1.0 + 0.006 * grain)).astype(np.float32)
    column = np.arange(PRESCAN_COLUMNS + columns + OVERSCAN_COLUMNS)[None, :]
    row = np.arange(rows + OVERSCAN_ROWS)[:, None]
    glow = random.uniform(4.0, 12.0, (16, 1, 1)) * np.exp(-column / 12.0)
    slope = random.normal(0.0, 2.0, (16, 1, 1)) * row / rows
    fixed = 0.6 * random.standard_normal((16, len(row), column.shape[1]), dtype=np.float32)
    fixed[:, rows:, :] = 0.0
    fixed[:, :, PRESCAN_COLUMNS + columns :] = 0.0
    return SensorModel(
        gain=np.clip(random.normal(1.65, 0.04, 16), 1.55, 1.75),
        read_noise_electron=np.clip(random.normal(READ_NOISE_ELECTRON, 0.5, 16), 5.0, 8.0),
        offset_adu=random.uniform(900.0, 1500.0, 16),
        response=response,
        bias_pattern_adu=(glow + slope + fixed).astype(np.float32),
    )


@functools.lru_cache(maxsize=9)
def dark_current(plan: NightPlan, detector: Detector) -> NDArray[np.float32]:
    """Draw the dark current of one detector.

    Parameters
    ----------
    plan, detector
        Which detector, its size, and the seed.

    Returns
    -------
    numpy.ndarray
        Electrons per second of each pixel, float32: a glow that rises along the rows, and hot pixels.
    """
    random = generator(plan.observatory_seed, Stream.DARK, detector.id)
    rows, columns = plan.shape
    rate = np.empty(plan.shape, dtype=np.float32)
    rate[:] = DARK_CURRENT_ELECTRON_S * np.linspace(0.8, 1.2, rows, dtype=np.float32)[:, None]
    hot = random.integers(0, rows * columns, round(HOT_PIXEL_FRACTION * rows * columns))
    rate.ravel()[hot] += random.lognormal(math.log(8.0), 0.7, len(hot)).astype(np.float32)
    return rate


def expose(
    light: NDArray[np.float32] | float, model: SensorModel, random: np.random.Generator
) -> NDArray[np.float32]:
    """Turn light into electrons.

    Parameters
    ----------
    light
        Expected electrons in each pixel of a detector with response 1, or one number for all.
    model
        The detector.
    random
        Photon noise.

    Returns
    -------
    numpy.ndarray
        Electrons, float32, with photon noise, before saturation.
    """
    expected = model.response * np.float32(light)
    noise = random.standard_normal(expected.shape, dtype=np.float32)
    noise *= np.sqrt(np.maximum(expected, 0.0))
    noise += expected
    return noise


def add_cosmic_rays(
    electrons: NDArray[np.float32], exposure_time_s: float, random: np.random.Generator
) -> None:
    """Let cosmic rays pass through a detector.

    Parameters
    ----------
    electrons
        Changed in place.
    exposure_time_s
        How long it collects.
    random
        How many, where and how long.
    """
    rows, columns = electrons.shape
    count = int(random.poisson(COSMIC_RAYS_PER_CM2_S * exposure_time_s * rows * columns / PIXELS_PER_CM2))
    for _ in range(count):
        length = min(1.0 + random.exponential(8.0), 80.0)
        angle = random.uniform(0.0, 2.0 * math.pi)
        x0, y0 = random.uniform(0.0, columns), random.uniform(0.0, rows)
        steps = np.arange(0.0, length, 0.25)
        x = (x0 + steps * math.cos(angle)).astype(np.intp)
        y = (y0 + steps * math.sin(angle)).astype(np.intp)
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        charge = random.lognormal(math.log(900.0), 0.6) * 0.25
        np.add.at(electrons, (y[inside], x[inside]), np.float32(charge))


def bloom(electrons: NDArray[np.float32], full_well: float = FULL_WELL_ELECTRONS) -> None:
    """Let full pixels spill along their columns, within the half that is read together.

    Parameters
    ----------
    electrons
        Changed in place: no pixel keeps more than the full well. What reaches an edge is lost.
    full_well
        What a pixel can hold, in electrons.
    """
    middle = electrons.shape[0] // 2
    for half in (electrons[:middle], electrons[middle:]):
        for column in np.flatnonzero((half > full_well).any(axis=0)):
            _bloom_column(half[:, column], full_well)


def _bloom_column(column: NDArray[np.float32], full_well: float) -> None:
    excess = np.maximum(column - full_well, 0.0)
    np.minimum(column, full_well, out=column)
    full = np.flatnonzero(excess > 0)
    for run in np.split(full, np.flatnonzero(np.diff(full) > 1) + 1):
        spilled = float(excess[run].sum()) / 2.0
        for side in (column[: run[0]][::-1], column[run[-1] + 1 :]):
            room = np.maximum(full_well - side, 0.0)
            before = np.cumsum(room) - room
            np.add(side, np.clip(spilled - before, 0.0, room), out=side, casting="same_kind")


def read_out(
    electrons: NDArray[np.float32],
    model: SensorModel,
    random: np.random.Generator,
    dead_amplifier: str | None = None,
) -> list[NDArray[np.uint16]]:
    """Read a detector through its amplifiers.

    Parameters
    ----------
    electrons
        What the pixels hold, shape (rows, columns).
    model
        The detector.
    random
        Read noise and drift of the levels.
    dead_amplifier
        Name of an amplifier that sees no charge and no noise of its own.

    Returns
    -------
    list of numpy.ndarray
        adu, one array for each segment, prescan to the left, overscan to the right and above.
    """
    read = []
    for segment, gain, noise, offset, pattern in zip(
        segments_of((electrons.shape[0], electrons.shape[1])),
        model.gain,
        model.read_noise_electron,
        model.offset_adu,
        model.bias_pattern_adu,
        strict=True,
    ):
        dead = segment.name == dead_amplifier
        signal = random.standard_normal(pattern.shape, dtype=np.float32)
        signal *= np.float32(noise / gain * (0.1 if dead else 1.0))
        signal += pattern
        signal += np.float32(offset + random.normal(0.0, 3.0))
        if not dead:
            rows, columns = segment.shape
            part = electrons[segment.detector_section][:: -1 if segment.upper else 1, ::-1]
            signal[:rows, PRESCAN_COLUMNS : PRESCAN_COLUMNS + columns] += part / np.float32(gain)
        np.rint(signal, out=signal)
        read.append(np.clip(signal, 0, MAX_ADU).astype(np.uint16))
    return read
