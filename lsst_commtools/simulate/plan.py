"""The plan of a simulated night: its parameters, and the exposures that follow from them.

Everything else is computed from the plan, so that any process can make any image, in any order.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

from lsst_commtools.errors import InputError
from lsst_commtools.ids import check_day_obs
from lsst_commtools.instrument.cameras import PIXEL_MM, Camera, Detector, get_camera
from lsst_commtools.simulate.assumptions import Assumptions, assumptions_about
from lsst_commtools.simulate.faults import Fault, FaultPlan, parse_faults, place_faults
from lsst_commtools.simulate.schedule import DITHER_ARCSEC, Exposure, make_schedule

__all__ = ["NightPlan", "make_plan"]

MIN_SIDE, MAX_SIDE = 128, 4096
AMPLIFIER_COLUMNS = 8
MAX_CALIBRATIONS = 50
MAX_VISITS = 800  # those that fit between the first one and the end of the day_obs
POINTING_MARGIN_ARCSEC = 30.0


@dataclass(frozen=True)
class NightPlan:
    """Parameters of a simulated night.

    Parameters
    ----------
    camera_name
        Butler instrument name: LSSTComCam or LATISS.
    day_obs
        Day of observation.
    visits, biases, flats
        How many exposures of each kind.
    seed
        Seed of all random numbers.
    shape
        Rows and columns of the assembled image: a window in the middle of each detector.
    seeing_arcsec
        Median FWHM of the PSF.
    jitter_mas
        Scatter of each star's position by the atmosphere, in each coordinate.
    detector_ids
        Detectors to simulate.
    fault_names
        Faults, see `Fault`.
    darks
        How many dark exposures. Without any the sensors have no dark current, so that nothing calls for them.
    observatory_seed
        Seed of what stays from night to night: stars, distortion, sensors.
    """

    camera_name: str
    day_obs: int
    visits: int
    biases: int
    flats: int
    seed: int
    shape: tuple[int, int]
    seeing_arcsec: float
    jitter_mas: float
    detector_ids: tuple[int, ...]
    fault_names: tuple[str, ...]
    darks: int
    observatory_seed: int

    @property
    def camera(self) -> Camera:
        """The camera."""
        return get_camera(self.camera_name)

    @property
    def assumed(self) -> Assumptions:
        """What is assumed about the camera and its telescope."""
        return assumptions_about(self.camera_name)

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """Detectors to simulate."""
        return tuple(self.camera.detector(k) for k in self.detector_ids)

    @property
    def faults(self) -> FaultPlan:
        """Where the faults strike."""
        first = self.biases + self.flats + self.darks + 1
        return place_faults(
            [Fault(name) for name in self.fault_names],
            range(first, first + self.visits),
            self.detector_ids,
        )

    @property
    def field_radius_arcmin(self) -> float:
        """Radius around a field's centre that holds all that the detectors may see."""
        rows, columns = self.shape
        reach = max(
            math.hypot(abs(d.x_mm) / PIXEL_MM + columns / 2, abs(d.y_mm) / PIXEL_MM + rows / 2)
            for d in self.detectors
        )
        return (reach * self.camera.pixel_scale_arcsec + 2 * DITHER_ARCSEC + POINTING_MARGIN_ARCSEC) / 60.0

    def to_dict(self) -> dict[str, Any]:
        """Give the parameters as plain values.

        Returns
        -------
        dict
            As written beside the truth.
        """
        document: dict[str, Any] = {
            "camera": self.camera_name,
            "day_obs": self.day_obs,
            "visits": self.visits,
            "biases": self.biases,
            "flats": self.flats,
            "seed": self.seed,
            "shape": list(self.shape),
            "seeing_arcsec": self.seeing_arcsec,
            "jitter_mas": self.jitter_mas,
            "detectors": list(self.detector_ids),
            "faults": list(self.fault_names),
        }
        # Only where they say something, so that nights that were simulated without them are known again.
        if self.darks:
            document["darks"] = self.darks
        if self.observatory_seed != self.seed:
            document["observatory_seed"] = self.observatory_seed
        return document

    @functools.cached_property
    def exposures(self) -> tuple[Exposure, ...]:
        """All exposures in the order of their sequence numbers: biases, flats, darks, visits."""
        return make_schedule(
            self.camera.code,
            self.day_obs,
            self.biases,
            self.flats,
            self.visits,
            darks=self.darks,
            seed=self.seed,
        )


def make_plan(
    *,
    camera: str,
    day_obs: int,
    visits: int,
    biases: int,
    flats: int,
    seed: int,
    size: tuple[int, int],
    seeing_arcsec: float,
    jitter_mas: float,
    detectors: tuple[int, ...] | None,
    faults: tuple[str, ...],
    darks: int = 0,
    observatory_seed: int | None = None,
) -> NightPlan:
    """Check parameters and make the plan of a night.

    Parameters
    ----------
    camera
        Any usual spelling of the camera's name.
    day_obs, visits, biases, flats, seed, seeing_arcsec, jitter_mas
        As in `NightPlan`.
    size
        Rows and columns.
    detectors
        Detector numbers; None for all.
    faults
        Names of faults.
    darks
        As in `NightPlan`.
    observatory_seed
        As in `NightPlan`; None for ``seed``.

    Returns
    -------
    NightPlan
        The plan.

    Raises
    ------
    InputError
        If a parameter is out of range.
    NotFoundError
        If the camera or a detector is not known.
    """
    known = get_camera(camera)
    assumptions_about(known.name)
    whole_numbers = {
        "visits": (visits, 0, MAX_VISITS),
        "biases": (biases, 0, MAX_CALIBRATIONS),
        "flats": (flats, 0, MAX_CALIBRATIONS),
        "darks": (darks, 0, MAX_CALIBRATIONS),
        "seed": (seed, 0, 2**63),
        "observatory_seed": (seed if observatory_seed is None else observatory_seed, 0, 2**63),
    }
    for what, (value, low, high) in whole_numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(f"{what} is {value!r}.", advice=f"Give a whole number from {low} to {high}.")
    _check_size(size)
    for what, number, lowest, highest in (
        ("seeing_arcsec", seeing_arcsec, 0.3, 3.0),
        ("jitter_mas", jitter_mas, 0.0, 200.0),
    ):
        if isinstance(number, bool) or not isinstance(number, int | float) or not lowest <= number <= highest:
            raise InputError(
                f"{what} is {number!r}.", advice=f"Give a number from {lowest:g} to {highest:g}."
            )
    chosen = tuple(sorted({known.detector(k).id for k in detectors})) if detectors is not None else None
    if chosen == ():
        raise InputError(
            "No detector is to be simulated.", advice="Give detectors, or leave them out for all."
        )
    plan = NightPlan(
        camera_name=known.name,
        day_obs=check_day_obs(day_obs),
        visits=visits,
        biases=biases,
        flats=flats,
        seed=seed,
        shape=(size[0], size[1]),
        seeing_arcsec=float(seeing_arcsec),
        jitter_mas=float(jitter_mas),
        detector_ids=chosen or tuple(d.id for d in known.science_detectors),
        fault_names=tuple(fault.value for fault in parse_faults(faults)),
        darks=darks,
        observatory_seed=seed if observatory_seed is None else observatory_seed,
    )
    if not plan.exposures:
        raise InputError("The night has no exposure.", advice="Give visits, biases, flats or darks.")
    _ = plan.faults
    return plan


def _check_size(size: tuple[int, int]) -> None:
    good = (
        isinstance(size, tuple | list)
        and len(size) == 2
        and all(isinstance(n, int) and MIN_SIDE <= n <= MAX_SIDE for n in size)
        and size[0] % 2 == 0
        and size[1] % AMPLIFIER_COLUMNS == 0
    )
    if not good:
        raise InputError(
            f"size is {size!r}.",
            advice=f"Give rows (even) and columns (a multiple of 8) from {MIN_SIDE} to {MAX_SIDE}.",
        )
