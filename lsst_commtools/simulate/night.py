"""A whole simulated night: raw files, a reference catalogue, and the truth beside them."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lsst_commtools.errors import InputError, NotFoundError
from lsst_commtools.simulate.faults import Fault
from lsst_commtools.simulate.plan import Exposure, NightPlan, make_plan

__all__ = ["SimulatedNight", "simulate_night"]

FLAT_ELECTRONS = 25_000.0
TRUNCATED_PART = 0.6
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
    )
    if processes < 1:
        raise InputError(f"processes is {processes!r}.", advice="Give 1 or more.")
    folder = Path(folder)
    if _claim(folder, plan):
        return SimulatedNight.load(folder)
    _write_reference(folder, plan)
    _make_images(folder, plan, processes, progress)

    from lsst_commtools.simulate.truth import night_truth

    _write_json(folder / "truth" / "night.json", night_truth(plan, folder))
    return SimulatedNight.load(folder)


def make_image(folder: Path, plan: NightPlan, seq_num: int, detector_id: int) -> None:
    """Make one raw file and its truth, where they are not there yet.

    Parameters
    ----------
    folder
        The night's folder.
    plan
        The night.
    seq_num, detector_id
        Which image.
    """
    from lsst_commtools.simulate.headers import contradict, primary_cards
    from lsst_commtools.simulate.truth import raw_path, second_path

    exposure = plan.exposures[seq_num - 1]
    detector = plan.camera.detector(detector_id)
    fault = plan.faults.images.get((seq_num, detector_id))
    target = folder / raw_path(exposure, detector)
    second = folder / second_path(exposure, detector)
    if fault is Fault.MISSING_DETECTOR or target.exists():
        return
    cards = primary_cards(plan, exposure, detector)
    if fault is Fault.WRONG_HEADER:
        contradict(cards)
    versions = 2 if fault is Fault.COLLISION else 1
    contents = _render(folder, plan, exposure, detector_id, cards, versions)
    if fault is Fault.TRUNCATED_FILE:
        contents[0] = contents[0][: int(TRUNCATED_PART * len(contents[0]))]
    if fault in (Fault.DUPLICATE, Fault.COLLISION):
        _write_bytes(second, contents[-1])
    _write_bytes(target, contents[0])


def _render(
    folder: Path, plan: NightPlan, exposure: Exposure, detector_id: int, cards: dict[str, Any], versions: int
) -> list[bytes]:
    """Expose and read a detector; each version has noise and cosmic rays of its own."""
    from lsst_commtools.simulate.camera import add_cosmic_rays, bloom, expose, read_out, sensor_model
    from lsst_commtools.simulate.headers import raw_bytes
    from lsst_commtools.simulate.randoms import Stream, generator

    detector = plan.camera.detector(detector_id)
    model = sensor_model(plan, detector)
    light = _light(folder, plan, exposure, detector_id)
    dead = plan.faults.dead_amplifier
    contents = []
    for version in range(versions):
        keys = (exposure.seq_num, detector_id, version)
        electrons = expose(light, model, generator(plan.seed, Stream.PIXELS, *keys))
        add_cosmic_rays(electrons, exposure.exposure_time_s, generator(plan.seed, Stream.COSMIC_RAYS, *keys))
        bloom(electrons)
        read = read_out(
            electrons,
            model,
            generator(plan.seed, Stream.READOUT, *keys),
            dead[1] if dead is not None and dead[0] == detector_id else None,
        )
        contents.append(raw_bytes(cards, read, plan, model))
    return contents


def _light(folder: Path, plan: NightPlan, exposure: Exposure, detector_id: int) -> Any:
    """Give what reaches the pixels, and write the truth about its stars."""
    if not exposure.is_visit:
        return FLAT_ELECTRONS if exposure.image_type == "FLAT" else 0.0

    from lsst_commtools.simulate.optics import visit_optics
    from lsst_commtools.simulate.scene import (
        blur_kernel,
        draw_scene,
        place_stars,
        sky_electrons,
        trail_angle_deg,
    )
    from lsst_commtools.simulate.truth import star_path, write_star_truth

    detector = plan.camera.detector(detector_id)
    scene = place_stars(visit_optics(plan, exposure), detector)
    fault = plan.faults.visits.get(exposure.seq_num)
    light = draw_scene(scene, plan, blur_kernel(fault, trail_angle_deg(plan, exposure)))
    write_star_truth(folder / star_path(exposure, detector), scene, light)
    light += sky_electrons(plan, exposure.exposure_time_s)
    return light


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


def _write_reference(folder: Path, plan: NightPlan) -> None:
    from lsst_commtools.simulate.sky import make_star_field, reference_catalogue, write_reference_shards

    assumed = plan.instrumental
    parts = [
        reference_catalogue(
            make_star_field(
                plan.seed, field, plan.field_radius_arcmin, assumed.stars_per_arcmin2, assumed.mag_range
            ),
            plan.seed,
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
            make_image(folder, plan, *image)
            count(1)
        return
    chunks = [images[k : k + CHUNK_IMAGES] for k in range(0, len(images), CHUNK_IMAGES)]
    # Fresh processes: forking is not safe in a process with threads, such as a notebook's kernel.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(processes, len(chunks)), context) as pool:
        futures = [pool.submit(_make_chunk, folder, plan, chunk) for chunk in chunks]
        try:
            for future in concurrent.futures.as_completed(futures):
                count(future.result())
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _make_chunk(folder: Path, plan: NightPlan, images: list[tuple[int, int]]) -> int:
    for image in images:
        make_image(folder, plan, *image)
    return len(images)


def _write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    _write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


def _read_json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document
