"""Raw files: one FITS file for each detector of an exposure, one image extension for each amplifier.

Only the files' own DATASEC, DETSEC and DETSIZE say where the pixels belong, so that full frames, central
windows and corner sensors are all read alike. Nothing from the file is believed before it was checked.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.errors import TableError
from lsst_commtools.instrument.fits_units import CardValue, FitsUnit, outline
from lsst_commtools.instrument.images import Amplifier, RawImage

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["RawFile", "assemble", "inspect_raw", "read_raw", "read_raw_header"]

MAX_SIDE_PIXELS = 20_000
_COMMENTARY = ("COMMENT", "HISTORY", "")
_SECTION = re.compile(r"\s*\[\s*(\d{1,6})\s*:\s*(\d{1,6})\s*,\s*(\d{1,6})\s*:\s*(\d{1,6})\s*\]\s*", re.ASCII)


@dataclass(frozen=True)
class RawFile:
    """A raw file that was read through and found whole.

    Parameters
    ----------
    path
        The file.
    size_bytes, sha256
        Its length and its checksum as hexadecimal text.
    header
        Primary header: keyword to value.
    shape
        Rows and columns of the assembled detector.
    """

    path: Path
    size_bytes: int
    sha256: str
    header: dict[str, Any]
    shape: tuple[int, int]


@dataclass(frozen=True)
class _Layout:
    """Where one amplifier's pixels come from and go to."""

    name: str
    data_section: tuple[slice, slice]
    detector_section: tuple[slice, slice]
    flip_x: bool
    flip_y: bool
    detector_shape: tuple[int, int]
    gain: float


def read_raw(path: str | Path) -> RawImage:
    """Read one detector's raw image.

    Parameters
    ----------
    path
        FITS file, its extensions plain or tile-compressed.

    Returns
    -------
    RawImage
        Header and amplifiers.

    Raises
    ------
    TableError
        If the file cannot be read, is cut short, fails its checksums, or its sections contradict each other.
    """
    content = _read_bytes(Path(path))
    header, layouts, shape = _check(content, Path(path))
    with _open(content, Path(path)) as units:
        amplifiers = []
        for place, layout in layouts.items():
            unit = units[place]
            try:
                data = np.asarray(unit.data)
            except Exception as error:
                raise _unreadable(path, f"the pixels of {unit.name} cannot be decoded") from error
            amplifiers.append(_amplifier(data, layout))
    return RawImage(header=header, amplifiers=tuple(amplifiers), shape=shape)


def inspect_raw(path: str | Path) -> RawFile:
    """Check a raw file without decoding its pixels.

    Parameters
    ----------
    path
        FITS file.

    Returns
    -------
    RawFile
        Its header, checksum and shape.

    Raises
    ------
    TableError
        As for `read_raw`.
    """
    content = _read_bytes(Path(path))
    header, _, shape = _check(content, Path(path))
    return RawFile(Path(path), len(content), hashlib.sha256(content).hexdigest(), header, shape)


def read_raw_header(path: str | Path) -> dict[str, Any]:
    """Read only the primary header of a raw file, unchecked but for that.

    Parameters
    ----------
    path
        FITS file.

    Returns
    -------
    dict
        Keyword to value, undefined values as None.

    Raises
    ------
    TableError
        If it has none.
    """
    from astropy.io import fits

    try:
        with Path(path).open("rb") as file:
            return _plain_header(fits.Header.fromfile(file))
    except Exception as error:
        raise _unreadable(path, f"its header cannot be read ({type(error).__name__})") from error


def assemble(raw: RawImage, sections: Sequence[NDArray[Any]] | None = None) -> NDArray[np.float32]:
    """Put the amplifiers together to the image of the detector.

    Parameters
    ----------
    raw
        The raw image, which says where each amplifier belongs.
    sections
        Light-sensitive pixels of each amplifier as it was read out, for instance with the overscan's level
        taken off; by default those of ``raw`` as they are.

    Returns
    -------
    numpy.ndarray
        Shape ``raw.shape``, float32; NaN where no amplifier reaches.
    """
    image = np.full(raw.shape, np.nan, dtype=np.float32)
    parts = (
        [amplifier.data[amplifier.data_section] for amplifier in raw.amplifiers]
        if sections is None
        else sections
    )
    for amplifier, part in zip(raw.amplifiers, parts, strict=True):
        step_y, step_x = (-1 if amplifier.flip_y else 1), (-1 if amplifier.flip_x else 1)
        image[amplifier.detector_section] = part[::step_y, ::step_x]
    return image


def _unreadable(path: str | Path, why: str) -> TableError:
    return TableError(f"{Path(path).name} is not a readable raw file: {why}.")


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if not content:
        raise _unreadable(path, "it is empty")
    if not content.startswith(b"SIMPLE  ="):
        raise _unreadable(path, "it is not a FITS file")
    return content


def _open(content: bytes, path: Path) -> fits.HDUList:
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # astropy warns of what it does not understand, and goes on
        try:
            return fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=False)
        except Exception as error:
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise _unreadable(path, f"astropy says {first_line!r}") from error


def _check(content: bytes, path: Path) -> tuple[dict[str, Any], dict[int, _Layout], tuple[int, int]]:
    """Check the whole file; give header, the layout of each extension that is an amplifier, and the shape."""
    from astropy.io import fits

    try:
        units = outline(content)
        _check_sums(units)
        primary = units[0].cards
        layouts = {k: _layout(unit, primary) for k, unit in enumerate(units) if k and "DETSEC" in unit.cards}
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    try:
        header = _plain_header(fits.Header.fromstring(content[: units[0].data_start]))
    except Exception as error:
        raise _unreadable(path, f"a header card is broken ({str(error).strip()!r})") from error
    return header, layouts, _check_coverage(list(layouts.values()), header, path)


def _plain_header(header: fits.Header) -> dict[str, Any]:
    from astropy.io.fits.card import Undefined

    return {
        key: None if isinstance(value, Undefined) else value
        for key, value in header.items()
        if key not in _COMMENTARY
    }


def _section(text: object, key: str) -> tuple[tuple[slice, slice], bool, bool]:
    """Read a FITS section such as ``[509:1,1:2000]``: columns first, counted from one, both ends inside."""
    match = _SECTION.fullmatch(text) if isinstance(text, str) else None
    if match is None or min(ends := [int(group) for group in match.groups()]) < 1:
        raise ValueError(f"{key} is {text!r}")
    x0, x1, y0, y1 = ends
    columns, rows = slice(min(x0, x1) - 1, max(x0, x1)), slice(min(y0, y1) - 1, max(y0, y1))
    return (rows, columns), x0 > x1, y0 > y1


def _size(section: tuple[slice, slice]) -> tuple[int, int]:
    return section[0].stop - section[0].start, section[1].stop - section[1].start


def _layout(unit: FitsUnit, primary: Mapping[str, CardValue]) -> _Layout:
    cards, name = unit.cards, unit.name
    data, data_flip_x, data_flip_y = _section(cards.get("DATASEC"), f"DATASEC of {name}")
    detector, flip_x, flip_y = _section(cards.get("DETSEC"), f"DETSEC of {name}")
    whole, _, _ = _section(cards.get("DETSIZE", primary.get("DETSIZE")), f"DETSIZE of {name}")
    if str(cards.get("CCDSUM", "1 1")).split() != ["1", "1"]:
        raise ValueError(f"{name} is binned, which is not supported")
    key = "ZNAXIS" if cards.get("ZIMAGE") is True else "NAXIS"
    rows, columns = cards.get(f"{key}2"), cards.get(f"{key}1")
    if cards.get(key) != 2 or not (isinstance(rows, int) and isinstance(columns, int)):
        raise ValueError(f"{name} is not an image of two dimensions")
    if not (0 < rows <= MAX_SIDE_PIXELS and 0 < columns <= MAX_SIDE_PIXELS):
        raise ValueError(f"{name} has {columns} x {rows} pixels")
    if data[0].stop > rows or data[1].stop > columns or _size(data) != _size(detector):
        raise ValueError(f"DATASEC of {name} fits neither its pixels nor its DETSEC")
    if detector[0].stop > whole[0].stop or detector[1].stop > whole[1].stop:
        raise ValueError(f"DETSEC of {name} lies outside DETSIZE")
    gain = cards.get("GAIN", primary.get("CCDGAIN"))
    return _Layout(
        name=name.replace("Segment", "C").replace("SEGMENT", "C"),
        data_section=data,
        detector_section=detector,
        flip_x=flip_x != data_flip_x,
        flip_y=flip_y != data_flip_y,
        detector_shape=(whole[0].stop, whole[1].stop),
        gain=float(gain) if isinstance(gain, int | float) and gain > 0 else 1.0,
    )


def _check_coverage(layouts: list[_Layout], header: dict[str, Any], path: Path) -> tuple[int, int]:
    """Check that the amplifiers tile the detector, and give its shape.

    A file that was cut between two extensions is whole to a FITS reader; only this shows it. The two halves
    of a corner wavefront sensor give the size of the whole sensor as DETSIZE.
    """
    if not layouts:
        raise _unreadable(path, "it holds no amplifier (no extension has a DETSEC)")
    shapes = {layout.detector_shape for layout in layouts}
    if len(shapes) > 1:
        raise _unreadable(path, "its extensions disagree on DETSIZE")
    rows, columns = shapes.pop()
    if max(rows, columns) > MAX_SIDE_PIXELS:
        raise _unreadable(path, f"DETSIZE is {columns} x {rows}")
    hits = np.zeros((rows, columns), dtype=np.uint8)
    for layout in layouts:
        hits[layout.detector_section] += 1
    if hits.max() > 1:
        raise _unreadable(path, "its amplifiers overlap")
    if str(header.get("CCDSLOT", "")).startswith("SW") and not hits[rows // 2 :].any():
        hits = hits[: rows // 2]
    if not hits.all():
        raise _unreadable(
            path, f"its {len(layouts)} amplifiers leave {1 - hits.mean():.1%} of the detector empty"
        )
    return int(hits.shape[0]), int(hits.shape[1])


def _check_sums(units: Sequence[FitsUnit]) -> None:
    """Compare CHECKSUM and DATASUM where they are (FITS standard 4.0, section 4.4.2.7)."""
    for unit in units:
        declared = str(unit.cards.get("DATASUM", "")).strip()
        if declared.isdecimal() and int(declared) != unit.data_sum:
            raise ValueError(f"the pixels of {unit.name} fail their DATASUM")
        total = unit.header_sum + unit.data_sum
        if unit.cards.get("CHECKSUM") and (total & 0xFFFFFFFF) + (total >> 32) not in (0, 0xFFFFFFFF):
            raise ValueError(f"{unit.name} fails its CHECKSUM")


def _amplifier(data: NDArray[Any], layout: _Layout) -> Amplifier:
    return Amplifier(
        name=layout.name,
        data=data,
        data_section=layout.data_section,
        detector_section=layout.detector_section,
        flip_x=layout.flip_x,
        flip_y=layout.flip_y,
        gain=layout.gain,
    )
