"""The ledger of a night: how many detector images there should be, and how many came to each station."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from lsst_commtools.errors import IdentifierError
from lsst_commtools.ids import FileId
from lsst_commtools.ingest.outcomes import Outcome
from lsst_commtools.instrument.cameras import Camera

__all__ = ["Counts", "ImageKey", "Problem", "file_of_image", "images_by_name", "ingest_problem"]

ImageKey = tuple[int, int]
"""Exposure id and detector number: what makes a detector image."""

STATIONS = {
    "expected": "science detectors of each exposure of which a file was seen",
    "transferred": "arrived in storage, whole, with a checksum",
    "ingested": "recorded in the Butler",
    "processed": "went through the pipeline to a star table",
    "measured": "have a WCS and a PSF figure",
}
"""Station to what is counted there, in the order in which an image passes them."""

_KINDS = {
    Outcome.IDENTICAL_DUPLICATE: "duplicate",
    Outcome.COLLISION: "collision",
    Outcome.UNREADABLE: "unreadable-file",
    Outcome.HEADER_REFUSED: "wrong-header",
}


@dataclass(frozen=True)
class Problem:
    """Something that a person should know.

    Parameters
    ----------
    kind
        Short stable name, such as ``missing-detector``.
    what
        One sentence.
    where
        Visit, file or detector that it concerns.
    """

    kind: str
    what: str
    where: str

    def to_dict(self) -> dict[str, str]:
        """Give the problem as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Counts:
    """Detector images of the night's science visits at each of `STATIONS`; each at most the one before."""

    expected: int = 0
    transferred: int = 0
    ingested: int = 0
    processed: int = 0
    measured: int = 0

    def to_dict(self) -> dict[str, int]:
        """Give the counts as plain values, in the order of the stations."""
        return asdict(self)


def file_of_image(name: str, camera: Camera) -> FileId | None:
    """Read which detector image a file should be, from its name.

    Parameters
    ----------
    name
        Name of a raw file, with or without folders.
    camera
        The camera.

    Returns
    -------
    FileId or None
        None if the name is not that of a raw of this camera.
    """
    try:
        file = FileId.parse(name)
    except IdentifierError:
        return None
    return file if file.obs_id.camera == camera.code else None


def images_by_name(names: Iterable[str], camera: Camera) -> Counter[ImageKey]:
    """Count the files of each detector image.

    Parameters
    ----------
    names
        Names of raw files; those that are none of this camera are passed over.
    camera
        The camera.

    Returns
    -------
    collections.Counter
        Exposure id and detector number to the number of files.
    """
    numbers = {detector.name: detector.id for detector in camera.detectors}
    # LATISS files carry the raft's place, R00, where the Butler knows the detector as RXX.
    numbers |= {f"R00_{d.sensor}": d.id for d in camera.detectors if d.raft == "RXX"}
    found = (file_of_image(name, camera) for name in names)
    return Counter(
        (file.obs_id.exposure_id, numbers[file.detector])
        for file in found
        if file and file.detector in numbers
    )


def ingest_problem(outcome: Outcome, reason: str, where: str) -> Problem | None:
    """Name what is wrong with a file that did not simply end in the repository.

    Parameters
    ----------
    outcome, reason
        What became of it at ingest.
    where
        Its name.

    Returns
    -------
    Problem or None
        None if nothing is.
    """
    if outcome not in _KINDS:
        return None
    return Problem("truncated-file" if "truncated" in reason else _KINDS[outcome], reason, where)
