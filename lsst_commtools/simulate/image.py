"""One image of a simulated night: from the sky to the file, with the truth beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsst_commtools.instrument.cameras import Detector
from lsst_commtools.simulate.camera import (
    add_cosmic_rays,
    bloom,
    dark_current,
    expose,
    read_out,
    sensor_model,
)
from lsst_commtools.simulate.faults import Fault
from lsst_commtools.simulate.headers import SHUTTER_LAG_S, contradict, primary_cards, raw_bytes
from lsst_commtools.simulate.optics import visit_optics
from lsst_commtools.simulate.paths import raw_path, second_path, star_path, write_bytes
from lsst_commtools.simulate.plan import NightPlan
from lsst_commtools.simulate.randoms import Stream, generator
from lsst_commtools.simulate.scene import blur_kernel, draw_scene, place_stars, sky_electrons, trail_angle_deg
from lsst_commtools.simulate.schedule import Exposure
from lsst_commtools.simulate.truth import write_star_truth

__all__ = ["make_image"]

FLAT_ELECTRONS = 25_000.0
TRUNCATED_PART = 0.6

Light = NDArray[np.float32] | float


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
    light = _light(folder, plan, exposure, detector)
    contents = [
        _observe(plan, exposure, detector, light=light, cards=cards, version=version)
        for version in range(versions)
    ]
    if fault is Fault.TRUNCATED_FILE:
        contents[0] = contents[0][: int(TRUNCATED_PART * len(contents[0]))]
    if fault in (Fault.DUPLICATE, Fault.COLLISION):
        write_bytes(second, contents[-1])
    write_bytes(target, contents[0])


def _observe(
    plan: NightPlan,
    exposure: Exposure,
    detector: Detector,
    *,
    light: Light,
    cards: dict[str, Any],
    version: int,
) -> bytes:
    """Expose a detector and write what it reads; each version has noise and cosmic rays of its own."""

    def random(stream: Stream) -> np.random.Generator:
        return generator(plan.seed, stream, exposure.seq_num, detector.id, version)

    model = sensor_model(plan, detector)
    electrons = expose(light, model, random(Stream.PIXELS))
    if plan.darks:
        dark = dark_current(plan, detector) * np.float32(exposure.exposure_time_s + SHUTTER_LAG_S)
        electrons += random(Stream.DARK).poisson(dark)
    add_cosmic_rays(electrons, exposure.exposure_time_s, random(Stream.COSMIC_RAYS))
    bloom(electrons)
    dead = plan.faults.dead_amplifier
    dead_amplifier = dead[1] if dead is not None and dead[0] == detector.id else None
    read = read_out(electrons, model, random(Stream.READOUT), dead_amplifier)
    return raw_bytes(cards, read, plan, model)


def _light(folder: Path, plan: NightPlan, exposure: Exposure, detector: Detector) -> Light:
    """Give what reaches the pixels, and write the truth about its stars."""
    if not exposure.is_visit:
        return FLAT_ELECTRONS if exposure.image_type == "FLAT" else 0.0

    scene = place_stars(visit_optics(plan, exposure), detector)
    fault = plan.faults.visits.get(exposure.seq_num)
    light = draw_scene(scene, plan, blur_kernel(fault, trail_angle_deg(plan, exposure)))
    write_star_truth(folder / star_path(exposure, detector), scene, plan, light)
    light += sky_electrons(plan, exposure.exposure_time_s)
    return light
