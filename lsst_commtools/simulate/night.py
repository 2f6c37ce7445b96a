"""A whole simulated night: raw files, a reference catalogue, and the truth beside them."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lsst_commtools.errors import InputError, NotFoundError, ServiceError
from lsst_commtools.simulate.faults import Fault
from lsst_commtools.simulate.paths import write_bytes
from lsst_commtools.simulate.plan import NightPlan, make_plan

__all__ = ["SimulatedNight", "simulate_night"]

CHUNK_IMAGES = 3


@dataclass(frozen=True)
class SimulatedNight:
    """Where a simulated night lies.

    Parameters
    ----------
    folder
        All of it.
    raw
        Raw files, ``<DAYOBS>/<OBSID>/<file>``.
    truth
        ``night.json`` and a star table for each image; not for the pipeline.
    refcat
        Reference catalogue, ``<htm7 id>.fits``.
    obs_ids
        All exposures, in the order of their sequence numbers.
    """

    folder: Path
    raw: Path
    truth: Path
    refcat: Path
    obs_ids: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Find a night that was simulated before.

        Parameters
        ----------
        folder
            What `simulate_night` was given.

        Returns
        -------
        SimulatedNight
            The night.

        Raises
        ------
        NotFoundError
            If there is no complete night.
        """
        truth = folder / "truth"
        if not (truth / "night.json").is_file():
            raise NotFoundError(f"{folder} holds no complete simulated night.")
        exposures = _read_json(truth / "night.json")["exposures"]
        return cls(folder, folder / "raw", truth, folder / "refcat", tuple(e["obs_id"] for e in exposures))

    def read_truth(self) -> dict[str, Any]:
        """Read ``truth/night.json``.

        Returns
        -------
        dict
            See `night_truth` in the module `truth`.
        """
        return _read_json(self.truth / "night.json")


def simulate_night(
    folder: Path,
    *,
    camera: str = "LSSTComCam",
    day_obs: int = 20261120,
    visits: int = 6,
    biases: int = 3,
    flats: int = 3,
    seed: int = 1,
    size: tuple[int, int] = (1024, 1024),
    seeing_arcsec: float = 0.7,
    jitter_mas: float = 10.0,
    detectors: Sequence[int] | None = None,
    faults: Iterable[str | Fault] = (),
    darks: int = 0,
    observatory_seed: int | None = None,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> SimulatedNight:
    """Simulate a night of observing.

    Parameters
    ----------
    folder
        Where to; it is made. A night with the same parameters that is there already is completed.
    camera
        LSSTComCam or LATISS, in any usual spelling.
    day_obs
        Day of observation.
    visits, biases, flats
        How many exposures of each kind.
    seed
        Seed of all random numbers: the same seed gives the same bytes, whatever the number of processes.
    size
        Rows and columns of the window in the middle of each detector that is read.
    seeing_arcsec
        Median FWHM of the PSF.
    jitter_mas
        Scatter of each star's position by the atmosphere, in each coordinate.
    detectors
        Detector numbers; by default all.
    faults
        Names of faults, see `Fault`.
    darks
        How many dark exposures; without any the sensors have no dark current.
    observatory_seed
        Seed of what stays from night to night: stars, distortion, sensors; by default ``seed``. Nights that share
        a repository share it.
    processes
        How many processes share the work; with 1 all is done here.
    progress
        Called with the images done and the images planned.

    Returns
    -------
    SimulatedNight
        Where everything is.

    Raises
    ------
    InputError
        If a parameter cannot be used, or if the folder holds a night with other parameters.
    NotFoundError
        If the camera or a detector is not known.
    ServiceError
        If files cannot be written, or a process was killed; a second call completes the night.
    """
    plan = make_plan(
        camera=camera,
        day_obs=day_obs,
        visits=visits,
        biases=biases,
        flats=flats,
        seed=seed,
        size=size,
        seeing_arcsec=seeing_arcsec,
        jitter_mas=jitter_mas,
        detectors=None if detectors is None else tuple(detectors),
        faults=tuple(fault.value if isinstance(fault, Fault) else fault for fault in faults),
        darks=darks,
        observatory_seed=observatory_seed,
    )
    if processes < 1:
        raise InputError(f"processes is {processes!r}.", advice="Give 1 or more.")
    folder = Path(folder)
    if not _claim(folder, plan):
        try:
            _make_night(folder, plan, processes, progress)
        except (OSError, concurrent.futures.BrokenExecutor) as error:
            raise ServiceError(
                f"The simulation stopped: {error}.",
                changed="What was finished is kept.",
                advice="Run it again to complete the night.",
            ) from error
    return SimulatedNight.load(folder)


def _claim(folder: Path, plan: NightPlan) -> bool:
    """Take a folder for a night; tell whether the night is complete already."""
    described = folder / "truth" / "plan.json"
    try:
        described.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot hold a night: {error.strerror}.") from error
    if described.exists():
        if _read_json(described) != plan.to_dict():
            raise InputError(
                f"{folder} holds a night that was simulated with other parameters.",
                changed="Nothing was changed.",
                advice="Give an empty folder, or the same parameters.",
            )
        return (folder / "truth" / "night.json").exists()
    if (folder / "raw").is_dir() and any((folder / "raw").iterdir()):
        raise InputError(
            f"{folder} holds raw files that are not simulated.",
            changed="Nothing was changed.",
            advice="Give an empty folder.",
        )
    _write_json(described, plan.to_dict())
    return False


def _make_night(
    folder: Path, plan: NightPlan, processes: int, progress: Callable[[int, int], None] | None
) -> None:
    from lsst_commtools.simulate.truth import night_truth

    _write_reference(folder, plan)
    _make_images(folder, plan, processes, progress)
    # Written last: where it is, the night is complete.
    _write_json(folder / "truth" / "night.json", night_truth(plan, folder))


def _write_reference(folder: Path, plan: NightPlan) -> None:
    from lsst_commtools.simulate.sky import make_star_field, reference_catalogue, write_reference_shards

    assumed = plan.assumed
    parts = [
        reference_catalogue(
            make_star_field(
                plan.observatory_seed,
                field,
                plan.field_radius_arcmin,
                assumed.stars_per_arcmin2,
                assumed.mag_range,
            ),
            plan.observatory_seed,
            field,
            assumed.reference_mag_limit,
        )
        for field in sorted({exposure.field for exposure in plan.exposures if exposure.is_visit})
    ]
    write_reference_shards(parts, folder / "refcat")


def _make_images(
    folder: Path, plan: NightPlan, processes: int, progress: Callable[[int, int], None] | None
) -> None:
    images = [(exposure.seq_num, number) for number in plan.detector_ids for exposure in plan.exposures]
    done = 0

    def count(finished: int) -> None:
        nonlocal done
        done += finished
        if progress is not None:
            progress(done, len(images))

    if processes == 1:
        for image in images:
            count(_make_chunk(folder, plan, [image]))
        return
    chunks = [images[k : k + CHUNK_IMAGES] for k in range(0, len(images), CHUNK_IMAGES)]
    # Fresh processes: forking is not safe in a process with threads, such as a notebook's kernel.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        min(processes, len(chunks)), context, initializer=_start_worker
    ) as pool:
        futures = [pool.submit(_make_chunk, folder, plan, chunk) for chunk in chunks]
        try:
            for future in concurrent.futures.as_completed(futures):
                count(future.result())
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _start_worker() -> None:
    """Leave an interrupt to the parent, and end when the parent is gone, also when it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_chunk(folder: Path, plan: NightPlan, images: list[tuple[int, int]]) -> int:
    from lsst_commtools.simulate.image import make_image

    for image in images:
        make_image(folder, plan, *image)
    return len(images)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read.", advice="Remove the night and simulate it again."
        ) from error
    return document
