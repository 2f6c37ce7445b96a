"""Cameras: their detectors, where these lie in the focal plane, and their filters.

Positions are nominal: rafts on a pitch of 127 mm, sensors on 42.25 mm (LCA-13381), pixels of 10 um and 0.2 arcsec
on the Simonyi telescope. LATISS has one detector of 0.09569 arcsec per pixel on the Auxiliary Telescope.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

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
        Centre in the focal plane, in mm: x along increasing column, y along increasing row of the assembled image.
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

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def science_detectors(self) -> tuple[Detector, ...]:
        """Detectors of which every exposure must hold an image."""
        return tuple(d for d in self.detectors if d.purpose == "SCIENCE")

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


def _raft(
    raft: str, first_id: int, columns: int = 4072, rows: int = 4000, *, centred: bool = False
) -> list[Detector]:
    row, column = (2, 2) if centred else (int(raft[1]), int(raft[2]))
    centre_x, centre_y = (column - 2) * RAFT_PITCH_MM, (row - 2) * RAFT_PITCH_MM
    return [
        Detector(
            first_id + 3 * i + j,
            f"{raft}_S{i}{j}",
            centre_x + (j - 1) * SENSOR_PITCH_MM,
            centre_y + (i - 1) * SENSOR_PITCH_MM,
            columns,
            rows,
        )
        for i in range(3)
        for j in range(3)
    ]


def _lsstcam_detectors() -> tuple[Detector, ...]:
    detectors: list[Detector] = []
    corners = {"R00", "R04", "R40", "R44"}
    for row in range(5):
        for column in range(5):
            raft = f"R{row}{column}"
            if raft not in corners:
                detectors.extend(_raft(raft, len(detectors)))
    for raft in sorted(corners):
        row, column = int(raft[1]), int(raft[2])
        x, y = (column - 2) * RAFT_PITCH_MM, (row - 2) * RAFT_PITCH_MM
        inward_x, inward_y = (1 if column == 0 else -1), (1 if row == 0 else -1)
        for k, sensor in enumerate(("SG0", "SG1", "SW0", "SW1")):
            guider = sensor.startswith("SG")
            offset_x = inward_x * SENSOR_PITCH_MM * (1.0 if sensor in ("SG0", "SW0", "SW1") else 0.0)
            offset_y = inward_y * SENSOR_PITCH_MM * (1.0 if sensor in ("SG1", "SW0", "SW1") else 0.0)
            shift = 0.0 if guider else (0.5 if k == 2 else -0.5) * 2000 * PIXEL_MM  # noqa: PLR2004
            detectors.append(
                Detector(
                    len(detectors),
                    f"{raft}_{sensor}",
                    x + offset_x,
                    y + offset_y + shift,
                    4072 if guider else 4072,
                    4000 if guider else 2000,
                    "GUIDER" if guider else "WAVEFRONT",
                )
            )
    return tuple(detectors)


_LSST_FILTERS: dict[str, str | None] = {
    "u_24": "u", "g_6": "g", "r_57": "r", "i_39": "i", "z_20": "z", "y_10": "y",
    "ph_5": "white", "ef_43": "white", "empty": "white", "none": "white", "unknown": None,
}  # fmt: skip
_COMCAM_FILTERS: dict[str, str | None] = {
    "u_02": "u", "u_05": "u", "g_01": "g", "g_07": "g", "r_03": "r", "i_06": "i", "z_02": "z", "z_03": "z",
    "y_04": "y", "pinhole": None, "empty": "white", "unknown": None,
}  # fmt: skip
_LATISS_FILTERS: dict[str, str | None] = {
    "SDSSg_65mm": "g", "SDSSr_65mm": "r", "SDSSi_65mm": "i", "SDSSz_65mm": "z", "SDSSy_65mm": "y",
    "FELH0600": "r", "BG40_65mm_1": "g", "OG550_65mm_1": "r", "RG610": "r", "blank_bk7_wg05": "white",
    "empty": "white", "unknown": None,
}  # fmt: skip


@functools.cache
def _cameras() -> dict[str, Camera]:
    comcam = tuple(_raft("R22", 0, centred=True))
    return {
        "LATISS": Camera(
            "LATISS", "AT", ("LSST_ATISS", "AuxTel", "auxTel"), 0.09569, "Auxiliary", _LATISS_FILTERS,
            (Detector(0, "RXX_S00", 0.0, 0.0, 4072, 4000),),
        ),
        "LSSTComCam": Camera(
            "LSSTComCam", "CC", ("ComCam", "LSST_CAMERA", "comCam"), 0.2, "Simonyi", _COMCAM_FILTERS, comcam
        ),
        "LSSTComCamSim": Camera("LSSTComCamSim", "CC", ("ComCamSim",), 0.2, "Simonyi", _COMCAM_FILTERS, comcam),
        "LSSTCam": Camera("LSSTCam", "MC", ("lsstCam",), 0.2, "Simonyi", _LSST_FILTERS, _lsstcam_detectors()),
        "LSST-TS8": Camera(
            "LSST-TS8", "TS", ("ts8", "LSST-TS8"), 0.2, "Simonyi", {"unknown": None},
            tuple(d for k in range(23) for d in _raft(f"RTM-{k + 2:03d}", 9 * k, centred=True)),
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
