"""The cameras as the Butler knows them: instruments, their dimension records, and the storage of their images."""

from __future__ import annotations

from typing import Any, ClassVar

from lsst.pipe.base import Instrument
from typing_extensions import override

from lsst_commtools.errors import NotFoundError
from lsst_commtools.instrument.cameras import Camera, get_camera
from lsst_commtools.instrument.formatters import RawFormatter

__all__ = [
    "RAW",
    "VISIT_SYSTEM",
    "CameraInstrument",
    "Latiss",
    "LsstCam",
    "LsstComCam",
    "LsstComCamSim",
    "LsstTs8",
    "instrument_of",
    "seed_config",
]

RAW = "raw"
"""Dataset type of raw images."""

VISIT_SYSTEM = 0
"""Visit system ``one-to-one``: each exposure of the sky is a visit of its own, under the same number."""

UNKNOWN_BAND = "unknown"
# Year 7050 (controller S, see lsst_commtools.ids) for counted exposures, timestamps of 15 digits for the test stand.
_COUNTED_EXPOSURE_MAX = 7_050_123_199_999 + 1
_TIMED_EXPOSURE_MAX = 10**15

_PACKAGE = "lsst_commtools.instrument"
_STORAGE_CLASSES: dict[str, Any] = {
    "CommtoolsWcs": {"pytype": "astropy.wcs.WCS"},
    "CommtoolsRaw": {"pytype": f"{_PACKAGE}.images.RawImage", "derivedComponents": {"header": "StructuredDataDict"}},
    "CommtoolsImage": {
        "pytype": f"{_PACKAGE}.images.CalibratedImage",
        "components": {
            "image": "NumpyArray", "variance": "NumpyArray", "mask": "NumpyArray",
            "header": "StructuredDataDict", "wcs": "CommtoolsWcs",
        },
    },
}  # fmt: skip
_FORMATTERS = {
    "CommtoolsRaw": f"{_PACKAGE}.formatters.RawFormatter",
    "CommtoolsImage": f"{_PACKAGE}.formatters.CalibratedImageFormatter",
}


def seed_config() -> dict[str, Any]:
    """Give the part of a repository's configuration that makes it know our images.

    Returns
    -------
    dict
        Storage classes and formatters; any client that can import this package can then read the repository.
    """
    return {"storageClasses": _STORAGE_CLASSES, "datastore": {"formatters": _FORMATTERS}}


class CameraInstrument(Instrument):
    """A camera of `lsst_commtools.instrument.cameras` as a Butler instrument."""

    camera_name: ClassVar[str]
    raw_definition = (RAW, ("instrument", "detector", "exposure"), "CommtoolsRaw")

    @classmethod
    @override
    def getName(cls) -> str:
        return cls.camera_name

    @property
    def camera(self) -> Camera:
        """The camera."""
        return get_camera(self.camera_name)

    @override
    def getRawFormatter(self, dataId: Any) -> type[RawFormatter]:
        return RawFormatter

    @override
    def register(self, registry: Any, *, update: bool = False) -> None:
        camera, name = self.camera, self.camera_name
        timed = name == "LSST-TS8"
        exposure_max = _TIMED_EXPOSURE_MAX if timed else _COUNTED_EXPOSURE_MAX
        record = {
            "name": name,
            "class_name": f"{type(self).__module__}.{type(self).__qualname__}",
            "detector_max": max(detector.id for detector in camera.detectors) + 1,
            "exposure_max": exposure_max,
            "visit_max": exposure_max,
            "visit_system": VISIT_SYSTEM,
        }
        purposes = {"GUIDER": "GUIDE"}
        detectors = [
            {
                "instrument": name,
                "id": detector.id,
                "full_name": detector.name,
                "raft": detector.raft,
                "name_in_raft": detector.sensor,
                "purpose": purposes.get(detector.purpose, detector.purpose),
            }
            for detector in camera.detectors
        ]
        filters = [
            {"instrument": name, "name": physical_filter, "band": band or UNKNOWN_BAND}
            for physical_filter, band in camera.filters.items()
        ]
        with registry.transaction():
            registry.syncDimensionData("instrument", record, update=update)
            keep = {"replace": True} if update else {"skip_existing": True}
            registry.insertDimensionData("detector", *detectors, **keep)
            registry.insertDimensionData("physical_filter", *filters, **keep)
            registry.insertDimensionData(
                "visit_system", {"instrument": name, "id": VISIT_SYSTEM, "name": "one-to-one"}, **keep
            )


class Latiss(CameraInstrument):
    """LATISS on the Auxiliary Telescope."""

    camera_name = "LATISS"


class LsstComCam(CameraInstrument):
    """The commissioning camera."""

    camera_name = "LSSTComCam"


class LsstComCamSim(CameraInstrument):
    """The commissioning camera as the operations rehearsals simulate it."""

    camera_name = "LSSTComCamSim"


class LsstCam(CameraInstrument):
    """The LSST camera."""

    camera_name = "LSSTCam"


class LsstTs8(CameraInstrument):
    """Test stand 8: single rafts in the laboratory."""

    camera_name = "LSST-TS8"


def instrument_of(camera: Camera | str) -> CameraInstrument:
    """Give the Butler instrument of a camera.

    Parameters
    ----------
    camera
        The camera, or its name.

    Returns
    -------
    CameraInstrument
        An instance.

    Raises
    ------
    NotFoundError
        If there is no such camera.
    """
    name = get_camera(camera).name if isinstance(camera, str) else camera.name
    for kind in (Latiss, LsstComCam, LsstComCamSim, LsstCam, LsstTs8):
        if kind.camera_name == name:
            return kind()
    raise NotFoundError(f"{name} is no instrument of the Butler.")
