"""Which images of a night are at which station, by what is there and not by what was told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsst_commtools.ingest.transfer import TransferRecord
from lsst_commtools.ingest.transfer_journal import KnownCopy
from lsst_commtools.night.counts import Counts, ImageKey, images_by_name

if TYPE_CHECKING:
    from lsst_commtools.rehearsal.night import RehearsalNight
    from lsst_commtools.rehearsal.progress import Quanta

__all__ = [
    "LAST_TASK",
    "StationImages",
    "begun_and_failed",
    "count_datasets",
    "images_at_stations",
    "transfer_records",
]

LAST_TASK = {True: "astrometry", False: "isr"}
"""Task after which a detector image is processed, for images of the sky and for others."""


@dataclass(frozen=True)
class StationImages:
    """Detector images of the planned science exposures at each station.

    Parameters
    ----------
    expected, transferred, ingested, processed
        Exposure and detector of each image that came so far.
    """

    expected: frozenset[ImageKey]
    transferred: frozenset[ImageKey]
    ingested: frozenset[ImageKey]
    processed: frozenset[ImageKey]

    def counts(self, n_measured: int) -> Counts:
        """Count them.

        Parameters
        ----------
        n_measured
            Images that were measured.

        Returns
        -------
        Counts
            At each station.
        """
        return Counts(
            len(self.expected), len(self.transferred), len(self.ingested), len(self.processed), n_measured
        )


def images_at_stations(night: RehearsalNight) -> StationImages:
    """Find the images of a night at each station.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    StationImages
        By what is there, not by what was told: so it is right also after kills.
    """
    camera = night.settings.camera
    science = {shot.exposure_id for shot in night.shots() if not shot.calibration}
    expected = {(exposure, detector.id) for exposure in science for detector in camera.science_detectors}
    names = (path.name for path in night.storage.rglob("*") if not path.name.startswith("."))
    transferred = expected & set(images_by_name(names, camera))
    ingested: set[ImageKey] = set()
    processed: set[ImageKey] = set()
    if (night.settings.repository / "butler.yaml").is_file():
        ingested = expected & _raws(night)
        processed = ingested & _outputs(night)
    # What is in the repository was transferred, also where somebody has taken its file away since.
    return StationImages(*map(frozenset, (expected, transferred | ingested, ingested, processed)))


def count_datasets(night: RehearsalNight) -> dict[str, int]:
    """Count the datasets of a night's output collection.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    dict
        Dataset type to number; those of the framework's own book-keeping are left out.
    """
    from lsst.daf.butler import MissingCollectionError

    from lsst_commtools.ingest import open_repository

    settings = night.settings
    if not (settings.repository / "butler.yaml").is_file():
        return {}
    with open_repository(settings.repository) as butler:
        try:
            refs = butler.query_all_datasets(settings.output_collection, find_first=False, limit=None)
        except MissingCollectionError:
            return {}
        counts = Counter(ref.datasetType.name for ref in refs)
    own = ("_metadata", "_log", "_config")
    return {name: n for name, n in sorted(counts.items()) if not name.endswith(own) and name != "packages"}


def begun_and_failed(quanta: Quanta) -> tuple[set[ImageKey], set[ImageKey]]:
    """Find the detector images that were begun, and those that failed.

    Parameters
    ----------
    quanta
        What became of each quantum.

    Returns
    -------
    begun, failed : set of ImageKey
        Exposure and detector; failed are those without work as well.
    """
    begun: set[ImageKey] = set()
    failed: set[ImageKey] = set()
    for quantum in quanta.ended:
        if "detector" in quantum.data_id and quantum.visit:
            key = (int(quantum.visit), int(quantum.data_id["detector"]))
            begun.add(key)
            if quantum.status.value in ("failed", "no-work"):
                failed.add(key)
    return begun, failed


def transfer_records(night: RehearsalNight) -> list[TransferRecord]:
    """Give the files that arrived, with their checksums.

    Parameters
    ----------
    night
        The night.

    Returns
    -------
    list of TransferRecord
        As the record of the transfer has them.
    """
    journal = night.rehearsal.settings.work / "transfers" / f"{night.day_obs}.jsonl"
    found: dict[str, TransferRecord] = {}
    for line in journal.read_text(encoding="utf-8").splitlines() if journal.is_file() else ():
        known = KnownCopy.read(line)
        if known is not None:
            name, copy = known
            found[name] = TransferRecord(name, copy.size_bytes, copy.mtime_ns, copy.sha256)
    return list(found.values())


def _raws(night: RehearsalNight) -> set[ImageKey]:
    from lsst_commtools.ingest import open_repository, raw_run

    settings = night.settings
    with open_repository(settings.repository) as butler:
        refs = butler.query_datasets(
            "raw",
            raw_run(settings.camera),
            where=f"instrument='{settings.camera.name}' AND exposure.day_obs={night.day_obs}",
            explain=False,
            limit=None,
        )
        return {(int(ref.dataId["exposure"]), int(ref.dataId["detector"])) for ref in refs}


def _outputs(night: RehearsalNight) -> set[ImageKey]:
    """Images whose last task has stored its metadata: the last thing that a task writes."""
    from lsst.daf.butler import MissingCollectionError, MissingDatasetTypeError

    from lsst_commtools.ingest import open_repository

    settings = night.settings
    task = LAST_TASK[night.expectations.sky]
    with open_repository(settings.repository) as butler:
        try:
            refs = butler.query_datasets(
                f"{task}_metadata", settings.output_collection, explain=False, limit=None
            )
        except (MissingCollectionError, MissingDatasetTypeError):
            return set()
        return {(int(_exposure(ref.dataId)), int(ref.dataId["detector"])) for ref in refs}


def _exposure(data_id: Any) -> int:
    return int(data_id["visit"] if "visit" in data_id else data_id["exposure"])
