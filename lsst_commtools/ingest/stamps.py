"""When each image of a night passed its stations, as the repository and the arrival journal know it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst_commtools.errors import InputError
from lsst_commtools.ids import check_day_obs
from lsst_commtools.ingest.arrival_journal import ArrivedFile
from lsst_commtools.ingest.latency import ImageStamps, tai_to_utc
from lsst_commtools.ingest.outcomes import Outcome
from lsst_commtools.ingest.repository import open_repository, raw_run
from lsst_commtools.instrument.cameras import Camera, get_camera

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

__all__ = ["read_stamps"]

_PER_DETECTOR = ("visit", "detector")


def read_stamps(
    repository: str | Path,
    camera: Camera | str,
    day_obs: int,
    *,
    collections: str | Sequence[str],
    processed: Sequence[str] = ("star_table",),
    measured: Sequence[str] = ("visit_summary",),
    arrived: Iterable[ArrivedFile] = (),
    observation_type: str = "science",
    utc_of: Callable[[dt.datetime], dt.datetime] = lambda real_utc: real_utc,
) -> list[ImageStamps]:
    """Read when the images of a night passed their stations.

    Parameters
    ----------
    repository
        Folder of the repository.
    camera
        The camera, or its name.
    day_obs
        The night.
    collections
        Where the outputs of the pipeline are.
    processed, measured
        Dataset types whose storing ends these stations, the first that the repository has; of a visit's dataset the
        time counts for all its images.
    arrived
        Files of the arrival watcher: they tell when images were transferred, and ingested by the watcher's clock.
        Without them the transfer is unknown, and the ingest is the Butler's ``ingest_date``.
    observation_type
        Of the exposures that are looked at.
    utc_of
        Turns the Butler's times into those of the clock that the exposures follow, where that is a rehearsal's.

    Returns
    -------
    list of ImageStamps
        One for each ingested image, by exposure and detector; the shutter closes when the exposure ends in the Butler.
    """
    camera = get_camera(camera) if isinstance(camera, str) else camera
    files = {
        (file.exposure, file.detector): file
        for file in arrived
        if file.outcome is Outcome.INGESTED and file.exposure is not None and file.detector is not None
    }
    with open_repository(repository) as butler:
        closed, stored = _raws(butler, camera, check_day_obs(day_obs), observation_type)
        ends = [
            _stored(butler, names, collections, camera, day_obs, closed) for names in (processed, measured)
        ]
    stamps = []
    for image in sorted(closed):
        file = files.get(image)
        by_butler = (utc_of(end[image]) if image in end else None for end in ends)
        stamps.append(
            ImageStamps(
                *image,
                closed[image],
                None if file is None else file.arrived_utc,
                utc_of(stored[image]) if file is None else file.ingested_utc,
                *by_butler,
            )
        )
    return stamps


def _raws(
    butler: Butler, camera: Camera, day_obs: int, observation_type: str
) -> tuple[dict[tuple[int, int], dt.datetime], dict[tuple[int, int], dt.datetime]]:
    """Give for each raw image the end of its exposure in TAI, and when it was ingested in UTC."""
    with butler.query() as query:
        rows = list(
            query.join_dataset_search("raw", raw_run(camera))
            .where(
                "exposure.observation_type = kind",
                instrument=camera.name,
                day_obs=day_obs,
                bind={"kind": observation_type},
            )
            .general(
                ["exposure", "detector"],
                dimension_fields={"exposure": {"timespan"}},
                dataset_fields={"raw": {"ingest_date"}},
                find_first=False,
            )
        )
    closed = {(row["exposure"], row["detector"]): row["exposure.timespan"].end.tai.datetime for row in rows}
    return closed, {(row["exposure"], row["detector"]): _utc(row["raw.ingest_date"]) for row in rows}


def _stored(
    butler: Butler,
    names: Sequence[str],
    collections: str | Sequence[str],
    camera: Camera,
    day_obs: int,
    images: Mapping[tuple[int, int], Any],
) -> dict[tuple[int, int], dt.datetime]:
    """Give for each image when its dataset of the first type that there is was stored, in UTC."""
    from lsst.daf.butler import MissingCollectionError, MissingDatasetTypeError

    for name in names:
        try:
            dimensions = set(butler.get_dataset_type(name).dimensions.required)
            if "visit" not in dimensions:
                raise InputError(f"{name} is no dataset of visits.", advice="Name one that is.")
            wanted = [dimension for dimension in _PER_DETECTOR if dimension in dimensions]
            with butler.query() as query:
                rows = list(
                    query.join_dataset_search(name, collections)
                    .where(instrument=camera.name, day_obs=day_obs)
                    .general(wanted, dataset_fields={name: {"ingest_date"}}, find_first=True)
                )
        except (MissingDatasetTypeError, MissingCollectionError):
            continue
        found = {tuple(row[key] for key in wanted): _utc(row[f"{name}.ingest_date"]) for row in rows}
        if found:
            keys = {image: image[: len(wanted)] for image in images}
            return {image: found[key] for image, key in keys.items() if key in found}
    return {}


def _utc(time: Any) -> dt.datetime:
    """Turn the Butler's time, which is TAI, into UTC."""
    (utc,) = tai_to_utc([time.tai.datetime])
    return utc
