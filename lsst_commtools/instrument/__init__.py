"""Cameras: detectors and their geometry, filters, raw files, header translation, and what the Butler needs.

The modules `butler` and `formatters` import the Butler and are never imported from here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsst_commtools.instrument.cameras import CAMERAS, Camera, Detector, get_camera
    from lsst_commtools.instrument.header_files import read_header
    from lsst_commtools.instrument.headers import (
        ObservationInfo,
        contradictions,
        identify_camera,
        translate,
    )
    from lsst_commtools.instrument.images import Amplifier, CalibratedImage, MaskPlane, RawImage
    from lsst_commtools.instrument.pointing import detector_corners, nominal_wcs
    from lsst_commtools.instrument.raws import RawFile, assemble, inspect_raw, read_raw

__all__ = [
    "CAMERAS",
    "Amplifier",
    "CalibratedImage",
    "Camera",
    "Detector",
    "MaskPlane",
    "ObservationInfo",
    "RawFile",
    "RawImage",
    "assemble",
    "contradictions",
    "detector_corners",
    "get_camera",
    "identify_camera",
    "inspect_raw",
    "nominal_wcs",
    "read_header",
    "read_raw",
    "translate",
]

_HOMES = {
    "CAMERAS": "cameras",
    "Camera": "cameras",
    "Detector": "cameras",
    "get_camera": "cameras",
    "read_header": "header_files",
    "ObservationInfo": "headers",
    "contradictions": "headers",
    "identify_camera": "headers",
    "translate": "headers",
    "Amplifier": "images",
    "CalibratedImage": "images",
    "MaskPlane": "images",
    "RawImage": "images",
    "detector_corners": "pointing",
    "nominal_wcs": "pointing",
    "RawFile": "raws",
    "assemble": "raws",
    "inspect_raw": "raws",
    "read_raw": "raws",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"lsst_commtools.instrument.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
