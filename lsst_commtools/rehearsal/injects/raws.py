"""Raw files at the summit: finding those that a fault strikes, and changing them so that they can be put back."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lsst_commtools.errors import CommtoolsError, NotFoundError, RefusedError
from lsst_commtools.ids import FileId
from lsst_commtools.ingest.transfer import find_raw_files
from lsst_commtools.instrument.headers import translate
from lsst_commtools.instrument.raws import read_raw_header
from lsst_commtools.night.counts import file_of_image
from lsst_commtools.rehearsal.injects.ground import FaultParameters, Ground, Plan

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = [
    "ImageParameters",
    "change_files",
    "find_images",
    "hide_files",
    "marks_of",
    "put_back",
    "replacements",
    "rewrite_header",
    "rewrite_pixels",
    "truncated",
]

_SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]", re.ASCII)


class ImageParameters(FaultParameters):
    """Which detector images of the night a fault strikes.

    Parameters
    ----------
    visit
        Which of the night's science exposures, in the order of their sequence numbers, from 1.
    detector
        Number of the detector; None for all.
    """

    visit: int = Field(default=1, ge=1)
    detector: int | None = Field(default=0, ge=0)


def find_images(ground: Ground, parameters: ImageParameters) -> list[tuple[FileId, list[Path]]]:
    """Find the files of the images that a fault strikes.

    Parameters
    ----------
    ground
        The night.
    parameters
        Which images.

    Returns
    -------
    list
        Each image, and where its file lies now.

    Raises
    ------
    NotFoundError
        If the exposure is not there yet.
    """
    exposures = _by_exposure(ground)
    science = [
        e for e, files in sorted(exposures.items()) if _image_type(next(iter(files.values()))[0]) == "science"
    ]
    if len(science) < parameters.visit:
        raise NotFoundError(f"Visit {parameters.visit} of the night is not at the summit yet.")
    files = exposures[science[parameters.visit - 1]]
    if parameters.detector is None:
        return list(files.items())
    name = ground.camera.detector(parameters.detector).name.replace("RXX", "R00")
    found = [(file, paths) for file, paths in files.items() if file.detector == name]
    if not found:
        raise NotFoundError(f"Detector {name} of visit {parameters.visit} is not at the summit yet.")
    return found


def find_calibrations(
    ground: Ground, image_type: str, detector: int | None
) -> list[tuple[FileId, list[Path]]]:
    """Find the files of the night's calibration exposures of one type.

    Parameters
    ----------
    ground
        The night.
    image_type
        ``bias``, ``dark`` or ``flat``.
    detector
        Number of the detector; None for all.

    Returns
    -------
    list
        Each image, and where its file lies now.

    Raises
    ------
    NotFoundError
        If there is none yet.
    """
    name = None if detector is None else ground.camera.detector(detector).name.replace("RXX", "R00")
    found = [
        (file, paths)
        for files in _by_exposure(ground).values()
        if _image_type(next(iter(files.values()))[0]) == image_type
        for file, paths in files.items()
        if name in (None, file.detector)
    ]
    if not found:
        raise NotFoundError(f"No {image_type} of the night is at the summit yet.")
    return found


def _by_exposure(ground: Ground) -> dict[int, dict[FileId, list[Path]]]:
    ground.prepare()
    exposures: dict[int, dict[FileId, list[Path]]] = {}
    for folder in dict.fromkeys(ground.sources):
        for path in _raws_below(folder):
            file = file_of_image(path.name, ground.camera)
            if file is not None and file.obs_id.day_obs == ground.day_obs:
                exposures.setdefault(file.obs_id.exposure_id, {}).setdefault(file, []).append(path)
    return exposures


def _raws_below(folder: Path) -> list[Path]:
    try:
        return find_raw_files(folder)
    except CommtoolsError:
        return []  # nothing has appeared there yet


def _image_type(path: Path) -> str:
    try:
        return translate(read_raw_header(path)).observation_type
    except CommtoolsError:
        return ""  # a file that is broken already is no place for a fault


def marks_of(files: Iterable[FileId]) -> tuple[tuple[str, ...], ...]:
    """Give the words by which a problem of an image is known.

    Parameters
    ----------
    files
        The images.

    Returns
    -------
    tuple
        For each image: exposure id and detector; obs id and detector.
    """
    return tuple(
        (word, file.detector) for file in files for word in (str(file.obs_id.exposure_id), str(file.obs_id))
    )


def replacements(
    ground: Ground, images: Iterable[tuple[FileId, list[Path]]], kept: Path
) -> list[dict[str, str]]:
    """Write down which files will be replaced, and where each original is kept.

    Parameters
    ----------
    ground
        The night.
    images
        From `find_images`.
    kept
        Folder for the originals.

    Returns
    -------
    list of dict
        Keys ``target`` and ``kept``.
    """
    pairs = []
    for number, path in enumerate(path for _, paths in images for path in paths):
        ground.check_inside(path)
        pairs.append({"target": str(path), "kept": str(kept / f"{number:03d}_{path.name}")})
    return pairs


def change_files(plan: Plan, change: Callable[[bytes], bytes]) -> None:
    """Replace files by changed ones; called again, only those that still are the originals.

    Parameters
    ----------
    plan
        With ``files`` among its details.
    change
        Makes the new content of the original one.
    """
    for pair in plan.details["files"]:
        target, kept = Path(pair["target"]), Path(pair["kept"])
        if not kept.exists():
            _keep(target, kept)
        # Made from what is kept, not from what is there: doing it twice is doing it once.
        original = kept.read_bytes()
        part = target.with_name(f".{target.name}.part")
        part.write_bytes(change(original))
        part.replace(target)


def hide_files(plan: Plan) -> None:
    """Take files away; called again, those that are still there.

    Parameters
    ----------
    plan
        With ``files`` among its details.
    """
    for pair in plan.details["files"]:
        target, kept = Path(pair["target"]), Path(pair["kept"])
        if target.exists():
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.replace(kept)


def put_back(plan: Plan) -> None:
    """Put originals back where they were; called again, those that are still away.

    Parameters
    ----------
    plan
        With ``files`` among its details.
    """
    for pair in plan.details["files"]:
        target, kept = Path(pair["target"]), Path(pair["kept"])
        if kept.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            kept.replace(target)


def _keep(target: Path, kept: Path) -> None:
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = kept.with_name(f"{kept.name}.part")
    stat = target.stat()
    part.write_bytes(target.read_bytes())
    os.utime(part, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    part.replace(kept)


def truncated(content: bytes, fraction: float = 0.6) -> bytes:
    """Cut a file short.

    Parameters
    ----------
    content
        All of it.
    fraction
        How much is left.

    Returns
    -------
    bytes
        Its beginning.
    """
    return content[: int(fraction * len(content))]


def rewrite_header(content: bytes, cards: dict[str, Any]) -> bytes:
    """Change cards of a raw file's primary header, so that its checksums are right.

    Parameters
    ----------
    content
        The file.
    cards
        Keyword to new value.

    Returns
    -------
    bytes
        The file with the same pixels.
    """

    def change(units: fits.HDUList) -> None:
        units[0].header.update(cards)
        units[0].add_checksum()

    return _rewritten(content, change, compressed=True)


def rewrite_pixels(
    content: bytes, change: Callable[[NDArray[np.float64], float], NDArray[np.float64]]
) -> bytes:
    """Change the light-sensitive pixels of a raw file, so that its checksums are right; the overscan stays.

    Parameters
    ----------
    content
        The file.
    change
        Makes the new pixels of an amplifier from the old ones, adu, of shape (rows, columns), and the level of its
        overscan, adu.

    Returns
    -------
    bytes
        The file with the same headers.

    Raises
    ------
    RefusedError
        If its pixels are compressed, or it does not say where they lie.
    """

    def change_all(units: fits.HDUList) -> None:
        for unit in units[1:]:
            section = _SECTION.fullmatch(str(unit.header.get("DATASEC", "")))
            if section is None or unit.data is None or unit.data.ndim != 2:
                raise RefusedError("The pixels of this raw file cannot be changed here.")
            x0, x1, y0, y1 = (int(group) for group in section.groups())
            pixels = unit.data.astype(float)
            sensitive = np.zeros(pixels.shape, dtype=bool)
            sensitive[y0 - 1 : y1, x0 - 1 : x1] = True
            level = float(np.median(pixels[~sensitive])) if not sensitive.all() else 0.0
            pixels[y0 - 1 : y1, x0 - 1 : x1] = change(pixels[y0 - 1 : y1, x0 - 1 : x1], level)
            kind = np.iinfo(np.uint16)
            unit.data = np.clip(np.rint(pixels), kind.min, kind.max).astype(np.uint16)
            unit.add_checksum()

    return _rewritten(content, change_all, compressed=False)


def _rewritten(content: bytes, change: Callable[[fits.HDUList], None], *, compressed: bool) -> bytes:
    from astropy.io import fits

    buffer = io.BytesIO()
    options = {"disable_image_compression": True, "do_not_scale_image_data": True} if compressed else {}
    with fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=False, **options) as units:
        change(units)
        units.writeto(buffer, output_verify="ignore")
    return buffer.getvalue()
