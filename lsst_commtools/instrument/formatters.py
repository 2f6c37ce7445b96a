"""How the Butler reads raw images and stores calibrated ones, as plain FITS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from lsst.daf.butler import FormatterV2
from lsst.resources import ResourcePath
from typing_extensions import override

from lsst_commtools.errors import TableError
from lsst_commtools.instrument.images import CalibratedImage
from lsst_commtools.instrument.raws import read_raw, read_raw_header

__all__ = ["CalibratedImageFormatter", "RawFormatter"]

_LARGEST_BYTE = 255


class RawFormatter(FormatterV2):
    """Read a raw file as `RawImage`, or only its component ``header``. Raws come in by ingest, never by put."""

    can_read_from_local_file = True
    default_extension: ClassVar[str] = ".fits"
    supported_extensions: ClassVar[frozenset[str]] = frozenset({".fits", ".fz", ".fits.fz"})

    @override
    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        return read_raw_header(path) if component == "header" else read_raw(path)


class CalibratedImageFormatter(FormatterV2):
    """Store a `CalibratedImage` in extensions IMAGE (with the WCS), VARIANCE, MASK and HEADER (JSON).

    The header is JSON because FITS cards would cut its values and change their types. Nothing is compressed:
    these files live for a night, and tile compression takes longer than the signature removal.
    """

    can_read_from_local_file = True
    default_extension: ClassVar[str] = ".fits"

    @override
    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        with fits.open(path, memmap=False) as units:
            if component is not None:
                return _read_component(units, component, path)
            parts = {name: _read_component(units, name, path) for name in _READERS}
        return CalibratedImage(**parts)

    @override
    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        image: CalibratedImage = in_memory_dataset
        cards = image.wcs.to_header(relax=True) if image.wcs is not None else None
        small = image.mask.size == 0 or (image.mask.min() >= 0 and image.mask.max() <= _LARGEST_BYTE)
        header = json.dumps(image.header, default=_plain).encode("utf-8")
        units = fits.HDUList(
            [
                fits.PrimaryHDU(),
                fits.ImageHDU(np.asarray(image.image, np.float32), cards, name="IMAGE"),
                fits.ImageHDU(np.asarray(image.variance, np.float32), name="VARIANCE"),
                fits.ImageHDU(np.asarray(image.mask, np.uint8 if small else np.int32), name="MASK"),
                fits.ImageHDU(np.frombuffer(header, np.uint8), name="HEADER"),
            ]
        )
        units.writeto(Path(uri.ospath), overwrite=True)


def _plain(value: Any) -> Any:
    """Write numpy scalars as numbers and everything else that JSON does not know as text."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _read_wcs(units: fits.HDUList) -> WCS | None:
    header = units["IMAGE"].header
    return WCS(header) if "CTYPE1" in header else None


_READERS = {
    "image": lambda units: units["IMAGE"].data.astype(np.float32),
    "variance": lambda units: units["VARIANCE"].data.astype(np.float32),
    "mask": lambda units: units["MASK"].data.astype(np.int32),
    "header": lambda units: json.loads(units["HEADER"].data.tobytes()),
    "wcs": _read_wcs,
}


def _read_component(units: fits.HDUList, component: str, path: str) -> Any:
    try:
        return _READERS[component](units)
    except (KeyError, AttributeError, ValueError) as error:
        raise TableError(
            f"{Path(path).name} is not a calibrated image: its {component} cannot be read."
        ) from error
