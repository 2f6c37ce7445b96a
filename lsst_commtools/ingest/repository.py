"""A Butler repository of a night: made, opened, and its collections.

Collections are those of the observatory: ``<I>/raw/all``, ``<I>/calib``, ``refcats``, and ``<I>/defaults`` that
chains the three, for an instrument ``<I>``.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lsst_commtools.errors import DataError, NotFoundError, ServiceError
from lsst_commtools.instrument.cameras import Camera, get_camera

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

__all__ = [
    "DEFAULT_REFCAT",
    "calib_collection",
    "calib_run",
    "certify",
    "create_repository",
    "defaults_collection",
    "open_repository",
    "raw_run",
    "register_instrument",
]

DEFAULT_REFCAT = "gaia_refcat"
"""Dataset type of the reference catalogue."""

REFCATS = "refcats"


def raw_run(camera: Camera) -> str:
    """Name the run of raw images.

    Parameters
    ----------
    camera
        The camera.

    Returns
    -------
    str
        Such as ``LSSTComCam/raw/all``.
    """
    return f"{camera.name}/raw/all"


def calib_collection(camera: Camera) -> str:
    """Name the collection in which calibrations are certified.

    Parameters
    ----------
    camera
        The camera.

    Returns
    -------
    str
        Such as ``LSSTComCam/calib``.
    """
    return f"{camera.name}/calib"


def calib_run(camera: Camera, stamp: str) -> str:
    """Name a run in which calibrations are made, before they are certified.

    Parameters
    ----------
    camera
        The camera.
    stamp
        What tells it from others, for instance the night.

    Returns
    -------
    str
        Such as ``LSSTComCam/calib/gen/20261120``.
    """
    return f"{camera.name}/calib/gen/{stamp}"


def defaults_collection(camera: Camera) -> str:
    """Name the chain from which pipelines read.

    Parameters
    ----------
    camera
        The camera.

    Returns
    -------
    str
        Such as ``LSSTComCam/defaults``.
    """
    return f"{camera.name}/defaults"


def create_repository(path: str | Path) -> Path:
    """Make a repository with a sqlite registry, unless it is there.

    It is made beside its place and moved there whole, so that a kill leaves no half of one and several processes
    may try at once.

    Parameters
    ----------
    path
        Folder of the repository; its parents are made.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ServiceError
        If the folder holds something else, or cannot be written.
    """
    from lsst.daf.butler import Butler, Config

    from lsst_commtools.instrument.butler import seed_config

    folder = Path(path).absolute()
    if (folder / "butler.yaml").is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="new-repository-", dir=folder.parent))
    except OSError as error:
        raise ServiceError(f"The repository cannot be made in {folder.parent}: {error.strerror}.") from error
    try:
        Butler.makeRepo(str(made), config=Config(seed_config()))
        with Butler.from_config(str(made / "butler.yaml"), writeable=True) as butler:
            _register_dataset_types(butler)
        made.chmod(0o755)
        with contextlib.suppress(OSError):
            os.rename(made, folder)  # noqa: PTH104  Path.rename is the same; this one shows that it replaces nothing
    finally:
        shutil.rmtree(made, ignore_errors=True)
    if not (folder / "butler.yaml").is_file():
        raise ServiceError(f"{folder} is not empty and holds no repository.", advice="Choose another folder.")
    return folder


def open_repository(path: str | Path, *, writeable: bool = False) -> Butler:
    """Open a repository.

    Parameters
    ----------
    path
        Folder of the repository.
    writeable
        Whether it is to be changed.

    Returns
    -------
    lsst.daf.butler.Butler
        A client without default collections.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    from lsst.daf.butler import Butler

    folder = Path(path).absolute()
    if not (folder / "butler.yaml").is_file():
        raise NotFoundError(f"{folder} is no Butler repository.", advice="It has no butler.yaml.")
    return Butler.from_config(str(folder / "butler.yaml"), writeable=writeable)


def _register_dataset_types(butler: Butler) -> None:
    from lsst.daf.butler import CollectionType, DatasetType

    from lsst_commtools.instrument.butler import RAW

    dimensions = butler.dimensions
    for name, keys, storage, calibration in (
        (RAW, ("instrument", "detector", "exposure"), "CommtoolsRaw", False),
        ("bias", ("instrument", "detector"), "CommtoolsImage", True),
        ("dark", ("instrument", "detector"), "CommtoolsImage", True),
        ("flat", ("instrument", "detector", "physical_filter"), "CommtoolsImage", True),
        (DEFAULT_REFCAT, ("htm7",), "ArrowAstropy", False),
    ):
        butler.registry.registerDatasetType(
            DatasetType(name, dimensions.conform(keys), storage, isCalibration=calibration)
        )
    butler.collections.register(REFCATS, CollectionType.CHAINED)


def register_instrument(butler: Butler, camera: Camera | str) -> Camera:
    """Make a camera known to a repository, with its collections; nothing changes where it is known.

    Parameters
    ----------
    butler
        Writeable client.
    camera
        The camera, or its name.

    Returns
    -------
    Camera
        The camera.
    """
    from lsst.daf.butler import CollectionType

    from lsst_commtools.instrument.butler import instrument_of

    camera = get_camera(camera) if isinstance(camera, str) else camera
    instrument_of(camera).register(butler.registry)
    # A run is two rows, which the Butler inserts one after the other: death between them would leave a run into
    # which nothing can ever be put. Within a transaction both come or none.
    with butler.transaction():
        butler.collections.register(raw_run(camera), CollectionType.RUN)
        butler.collections.register(calib_collection(camera), CollectionType.CALIBRATION)
    chain = [raw_run(camera), calib_collection(camera), REFCATS]
    defaults = defaults_collection(camera)
    butler.collections.register(defaults, CollectionType.CHAINED)
    if not butler.collections.get_info(defaults).children:
        butler.collections.redefine_chain(defaults, chain)
    return camera


def certify(
    butler: Butler,
    camera: Camera,
    dataset_type: str,
    run: str,
    *,
    begin_tai: dt.datetime | None = None,
    end_tai: dt.datetime | None = None,
    collection: str = "",
) -> int:
    """Certify the calibrations of a run for a span of time; within it they replace what was certified before.

    Parameters
    ----------
    butler
        Writeable client.
    camera
        The camera.
    dataset_type
        ``bias``, ``dark`` or ``flat``.
    run
        Where they are.
    begin_tai, end_tai
        Validity, TAI without time zone, the end not inside; unbounded where None.
    collection
        CALIBRATION collection, which is made where it is not there; by default the camera's.

    Returns
    -------
    int
        How many were certified.

    Raises
    ------
    DataError
        If the run holds none, or the span is empty.
    """
    from astropy.time import Time
    from lsst.daf.butler import CollectionType, MissingCollectionError, Timespan

    if begin_tai is not None and end_tai is not None and end_tai <= begin_tai:
        raise DataError(f"The validity from {begin_tai} to {end_tai} TAI is empty.")
    try:
        refs = butler.query_datasets(
            dataset_type, collections=run, find_first=False, explain=False, limit=None
        )
    except MissingCollectionError:
        refs = []
    if not refs:
        raise DataError(f"{run} holds no {dataset_type} to certify.")
    span = Timespan(
        None if begin_tai is None else Time(begin_tai, scale="tai"),
        None if end_tai is None else Time(end_tai, scale="tai"),
    )
    collection = collection or calib_collection(camera)
    with butler.transaction():
        butler.collections.register(collection, CollectionType.CALIBRATION)
        # The Butler cannot decertify a dataset type of which the collection never had any.
        if dataset_type in butler.registry.getCollectionSummary(collection).dataset_types.names:
            butler.registry.decertify(collection, dataset_type, span, dataIds=[ref.dataId for ref in refs])
        butler.registry.certify(collection, refs, span)
    return len(refs)
