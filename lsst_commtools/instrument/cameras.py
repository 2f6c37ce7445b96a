"""Cameras: their detectors, where these lie in the focal plane, and their filters.

Positions are nominal: rafts on a pitch of 127 mm, sensors on 42.25 mm (LCA-13381), pixels of 10 um and 0.2
arcsec on the Simonyi telescope. LATISS has one detector of 0.09569 arcsec per pixel on the Auxiliary Telescope.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from typing_extensions import override

from lsst_commtools.errors import NotFoundError

__all__ = ["CAMERAS", "Camera", "Detector", "get_camera"]

RAFT_PITCH_MM = 127.0
SENSOR_PITCH_MM = 42.25
PIXEL_MM = 0.010


@dataclass(frozen=True)
class Detector:
    """One detector of a camera.

    Parameters
    ----------
    id
        Detector number in the Butler.
    name
        Raft and sensor, ``R22_S00``.
    x_mm, y_mm
        Centre in the focal plane, in mm: x along increasing column, y along increasing row of the assembled
        image.
    columns, rows
        Size of the assembled image in pixels.
    purpose
        ``SCIENCE``, ``GUIDER`` or ``WAVEFRONT``.
    """

    id: int
    name: str
    x_mm: float
    y_mm: float
    columns: int
    rows: int
    purpose: str = "SCIENCE"

    @property
    def raft(self) -> str:
        """Raft part of the name."""
        return self.name.split("_")[0]

    @property
    def sensor(self) -> str:
        """Sensor part of the name."""
        return self.name.split("_")[1]


@dataclass(frozen=True)
class Camera:
    """A camera: its names, plate scale, filters and detectors.

    Parameters
    ----------
    name
        Butler instrument name.
    code
        Camera code of obs ids.
    aliases
        Other spellings that headers and people use.
    pixel_scale_arcsec
        Nominal arcsec per pixel at the field centre.
    telescope
        ``Simonyi`` or ``Auxiliary``.
    filters
        Physical filter to band; ``None`` where a filter has no band.
    detectors
        In the order of their ids.
    """

    name: str
    code: str
    aliases: tuple[str, ...]
    pixel_scale_arcsec: float
    telescope: str
    filters: dict[str, str | None]
    detectors: tuple[Detector, ...]

    @override
    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def science_detectors(self) -> tuple[Detector, ...]:
        """Detectors of which every exposure must hold an image."""
        return tuple(d for d in self.detectors if d.purpose == "SCIENCE")

    def band(self, physical_filter: str) -> str | None:
        """Give the band of a physical filter.

        Parameters
        ----------
        physical_filter
            Name in the Butler, for LATISS filter and grating: ``SDSSr_65mm~empty``.

        Returns
        -------
        str or None
            The band; None where it has none, and for a filter that is not known.
        """
        if physical_filter in self.filters:
            return self.filters[physical_filter]
        first, _, second = physical_filter.partition("~")
        names = [name for name in (first, second) if name != "empty"] if second else []
        return self.filters.get(f"{names[0]}~empty") if len(names) == 1 else None

    def detector(self, key: int | str) -> Detector:
        """Find a detector by number or name.

        Parameters
        ----------
        key
            Detector number, or name such as ``R22_S00``.

        Returns
        -------
        Detector
            The detector.

        Raises
        ------
        NotFoundError
            If the camera has none such.
        """
        for detector in self.detectors:
            if key in (detector.id, detector.name):
                return detector
        raise NotFoundError(
            f"{self.name} has no detector {key!r}.",
            advice=f"It has {self.detectors[0].name} ({self.detectors[0].id}) to "
            f"{self.detectors[-1].name} ({self.detectors[-1].id}).",
        )


# Columns and rows of the two makes of sensor (LCA-49), and which science rafts of LSSTCam hold which.
_ITL, _E2V = (4072, 4000), (4096, 4004)
_ITL_RAFTS = ("R01", "R02", "R03", "R10", "R20", "R41", "R42", "R43")
_CORNER_RAFTS = ("R00", "R04", "R40", "R44")
_WAVEFRONT_ROWS = 2000

# Rafts on the test stand, in the order in which they came there: nine detector numbers each.
_TEST_STAND_RAFTS = (
    2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 14, 23, 13, 15, 16, 19, 20, 21, 22, 24, 25, 31, 9, 17,
)  # fmt: skip


def _raft(
    raft: str, first_id: int, size: tuple[int, int], centre: tuple[float, float] = (0.0, 0.0)
) -> list[Detector]:
    """Give the nine detectors of a science raft; the first digit of a sensor counts along y."""
    return [
        Detector(
            first_id + 3 * i + j,
            f"{raft}_S{i}{j}",
            centre[0] + (j - 1) * SENSOR_PITCH_MM,
            centre[1] + (i - 1) * SENSOR_PITCH_MM,
            *size,
        )
        for i in range(3)
        for j in range(3)
    ]


def _centre(raft: str) -> tuple[float, float]:
    return (int(raft[2]) - 2) * RAFT_PITCH_MM, (int(raft[1]) - 2) * RAFT_PITCH_MM


def _corner_raft(raft: str, first_id: int) -> list[Detector]:
    """Give the two guiders and the two halves of the wavefront sensor of a corner raft.

    The wavefront sensor is the one next to the field centre; SW0 is its inner half. Each raft is the one before
    turned by 90 degrees, so that guiders and halves change axes. The turn of the pixels themselves is not
    modelled: positions are right, directions within the image are those of the readout.
    """
    x, y = _centre(raft)
    step_x = SENSOR_PITCH_MM if x < 0 else -SENSOR_PITCH_MM
    step_y = SENSOR_PITCH_MM if y < 0 else -SENSOR_PITCH_MM
    upright = raft in ("R00", "R44")
    beside, above = (x + step_x, y), (x, y + step_y)
    guiders = (beside, above) if upright else (above, beside)
    half = _WAVEFRONT_ROWS / 2 * PIXEL_MM
    detectors = [
        Detector(first_id + k, f"{raft}_SG{k}", *position, *_ITL, "GUIDER")
        for k, position in enumerate(guiders)
    ]
    for k, side in enumerate((1.0, -1.0)):
        towards_x, towards_y = (
            math.copysign(side * half, side * step_x),
            math.copysign(side * half, side * step_y),
        )
        position = (x + step_x, y + step_y + towards_y) if upright else (x + step_x + towards_x, y + step_y)
        detectors.append(
            Detector(first_id + 2 + k, f"{raft}_SW{k}", *position, _ITL[0], _WAVEFRONT_ROWS, "WAVEFRONT")
        )
    return detectors


def _lsstcam_detectors() -> tuple[Detector, ...]:
    detectors: list[Detector] = []
    for raft in (f"R{row}{column}" for row in range(5) for column in range(5)):
        if raft not in _CORNER_RAFTS:
            detectors += _raft(raft, len(detectors), _ITL if raft in _ITL_RAFTS else _E2V, _centre(raft))
    for raft in _CORNER_RAFTS:
        detectors += _corner_raft(raft, len(detectors))
    return tuple(detectors)


_LSST_FILTERS: dict[str, str | None] = {
    "u_24": "u", "g_6": "g", "r_57": "r", "i_39": "i", "z_20": "z", "y_10": "y",
    "ph_5": "white", "ef_43": "white", "empty": "white", "none": "white", "unknown": None,
}  # fmt: skip
_COMCAM_FILTERS: dict[str, str | None] = {
    "u_02": "u", "u_05": "u", "g_01": "g", "g_07": "g", "r_03": "r", "i_06": "i", "z_02": "z", "z_03": "z",
    "y_04": "y", "pinhole": None, "empty": "white", "unknown": None,
}  # fmt: skip
# LATISS has two wheels; a physical filter of the Butler is "filter~grating".
_LATISS_WHEEL: dict[str, str | None] = {
    "SDSSu_65mm": "u", "SDSSg_65mm": "g", "SDSSr_65mm": "r", "SDSSi_65mm": "i", "SDSSz_65mm": "z",
    "SDSSy_65mm": "y", "SDSSg": "g", "SDSSr": "r", "SDSSi": "i", "BG40": "g", "BG40_65mm_1": "g",
    "BG40_65mm_2": "g", "OG550_65mm_1": "g", "OG550_65mm_2": "g", "RG610": "r", "FELH0600": "r",
    "KPNO_1111_436nm": "g", "KPNO_373A_677nm": "r", "KPNO_406_828nm": "z", "blank_bk7_wg05": "white",
    "collimator": "white", "cyl_lens": "white", "empty": "white", "unknown": None,
}  # fmt: skip
_LATISS_GRATINGS = (
    "empty",
    "unknown",
    "ronchi90lpmm",
    "ronchi170lpmm",
    "holo4_001",
    "holo4_003",
    "blue300lpmm_qn1",
)
_LATISS_FILTERS: dict[str, str | None] = {
    f"{name}~{grating}": band for name, band in _LATISS_WHEEL.items() for grating in _LATISS_GRATINGS
}


@functools.cache
def _cameras() -> dict[str, Camera]:
    comcam = tuple(_raft("R22", 0, _ITL))
    return {
        "LATISS": Camera(
            "LATISS", "AT", ("LSST_ATISS", "AuxTel", "auxTel"), 0.09569, "Auxiliary", _LATISS_FILTERS,
            (Detector(0, "RXX_S00", 0.0, 0.0, 4072, 4000),),
        ),
        "LSSTComCam": Camera(
            "LSSTComCam", "CC", ("ComCam", "LSST_CAMERA", "comCam"), 0.2, "Simonyi", _COMCAM_FILTERS, comcam
        ),
        "LSSTComCamSim": Camera(
            "LSSTComCamSim", "CC", ("ComCamSim",), 0.2, "Simonyi", _COMCAM_FILTERS, comcam
        ),
        "LSSTCam": Camera("LSSTCam", "MC", ("lsstCam",), 0.2, "Simonyi", _LSST_FILTERS, _lsstcam_detectors()),
        "LSST-TS8": Camera(
            "LSST-TS8", "TS", ("ts8",), 0.2, "Simonyi", {"unknown": None},
            tuple(d for k, n in enumerate(_TEST_STAND_RAFTS) for d in _raft(f"RTM-{n:03d}", 9 * k, _ITL)),
        ),
    }  # fmt: skip


CAMERAS: tuple[str, ...] = ("LATISS", "LSSTComCam", "LSSTComCamSim", "LSSTCam", "LSST-TS8")
"""Butler names of the cameras that are known."""


def get_camera(name: str) -> Camera:
    """Find a camera by its Butler name or another usual spelling, without regard to case.

    Parameters
    ----------
    name
        For instance ``LSSTComCam``, ``ComCam`` or ``LATISS``.

    Returns
    -------
    Camera
        The camera.

    Raises
    ------
    NotFoundError
        If there is none such.
    """
    wanted = name.strip().lower()
    for camera in _cameras().values():
        if wanted in (camera.name.lower(), *(alias.lower() for alias in camera.aliases)):
            return camera
    raise NotFoundError(f"{name!r} is not a camera.", advice=f"Known are {', '.join(CAMERAS)}.")
