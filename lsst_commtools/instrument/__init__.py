"""Cameras: detectors and their geometry, filters, raw files, header translation, and what the Butler needs.

The modules `butler` and `formatters` import the Butler and are never imported from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cameras": ["CAMERAS", "Camera", "Detector", "get_camera"],
        "header_files": ["read_header"],
        "headers": ["ObservationInfo", "contradictions", "identify_camera", "translate"],
        "images": ["Amplifier", "CalibratedImage", "MaskPlane", "RawImage"],
        "pointing": ["detector_corners", "nominal_wcs"],
        "raws": ["RawFile", "assemble", "inspect_raw", "read_raw"],
    },
)
