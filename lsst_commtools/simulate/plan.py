"""The plan of a simulated night: its parameters, and the exposures that follow from them.

Everything else is computed from the plan, so that any process can make any image, in any order.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from dataclasses import dataclass
from typing import Any

from lsst_commtools.errors import InputError
from lsst_commtools.ids import ObsId, check_day_obs, day_obs_date
from lsst_commtools.instrument.cameras import PIXEL_MM, Camera, Detector, get_camera
from lsst_commtools.simulate.faults import Fault, FaultPlan, parse_faults, place_faults
from lsst_commtools.simulate.randoms import Stream, generator
from lsst_commtools.simulate.sky import FIELDS

__all__ = [
    "Exposure",
    "Instrumental",
    "NightPlan",
    "horizontal",
    "instrumental",
    "make_plan",
    "sidereal_time_deg",
]

FIRST_BIAS_HOUR_TAI = 18.0
FIRST_FLAT_HOUR_TAI = 18.5
FIRST_VISIT_HOUR_TAI = 25.0
CALIBRATION_SPACING_S = 20.0
VISIT_SPACING_S = 45.0
VISITS_PER_FIELD = 3
DITHER_ARCSEC = 30.0
SITE_LATITUDE_DEG = -30.244639
SITE_LONGITUDE_DEG = -70.749417
MJD_EPOCH = dt.date(1858, 11, 17)
UTC_BEHIND_TAI_S = 37.0
MIN_SIDE, MAX_SIDE = 128, 4096
AMPLIFIER_COLUMNS = 8
MAX_CALIBRATIONS = 50


@dataclass(frozen=True)
class Instrumental:
    """What the stand-in assumes about a camera and its telescope.

    Parameters
    ----------
    physical_filter
        Filter of the night.
    zero_point_mag
        AB magnitude that gives one electron per second.
    sky_mag_arcsec2
        Brightness of the sky.
    mag_range
        Brightest and faintest star.
    stars_per_arcmin2
        Density of stars in that range.
    reference_mag_limit
        Faintest star of the reference catalogue.
    """

    physical_filter: str
    zero_point_mag: float
    sky_mag_arcsec2: float
    mag_range: tuple[float, float]
    stars_per_arcmin2: float
    reference_mag_limit: float


_INSTRUMENTAL = {
    # Zero point: LSST r, 28.36 mag for 1 electron per second (SMTN-002, throughputs 1.9); dark sky 21.2.
    "LSSTComCam": Instrumental("r_03", 28.36, 21.2, (14.0, 22.0), 20.0, 21.5),
    # The Auxiliary Telescope has 1/33 of the collecting area, and a field of a thirteenth at the same size
    # in pixels: a crowded field with brighter stars keeps the number of stars that can be measured.
    "LATISS": Instrumental("SDSSr_65mm", 24.6, 21.2, (10.5, 18.5), 80.0, 18.5),
}


def instrumental(camera: str) -> Instrumental:
    """Give the assumptions about a camera.

    Parameters
    ----------
    camera
        Butler instrument name.

    Returns
    -------
    Instrumental
        Zero point, sky, stars.

    Raises
    ------
    InputError
        If this camera is not simulated.
    """
    if camera in _INSTRUMENTAL:
        return _INSTRUMENTAL[camera]
    raise InputError(f"{camera} is not simulated.", advice=f"Simulated are {', '.join(_INSTRUMENTAL)}.")


@dataclass(frozen=True)
class Exposure:
    """One exposure of the plan.

    Parameters
    ----------
    obs_id
        Its name.
    image_type
        BIAS, FLAT or OBJECT.
    exposure_time_s
        Shutter time.
    begin_mjd_tai
        When it began.
    field
        Index into `FIELDS`, or -1 for a calibration.
    ra_deg, dec_deg, rotpa_deg
        Where the header says it points, ICRS; NaN for a calibration.
    """

    obs_id: ObsId
    image_type: str
    exposure_time_s: float
    begin_mjd_tai: float
    field: int = -1
    ra_deg: float = math.nan
    dec_deg: float = math.nan
    rotpa_deg: float = math.nan

    @property
    def seq_num(self) -> int:
        """Sequence number."""
        return self.obs_id.seq_num

    @property
    def middle_mjd_tai(self) -> float:
        """Epoch of the exposure."""
        return self.begin_mjd_tai + self.exposure_time_s / 2 / 86400.0

    @property
    def is_visit(self) -> bool:
        """Whether it looks at the sky."""
        return self.image_type == "OBJECT"


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

    @property
    def camera(self) -> Camera:
        """The camera."""
        return get_camera(self.camera_name)

    @property
    def instrumental(self) -> Instrumental:
        """Assumptions about the camera and its telescope."""
        return instrumental(self.camera_name)

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """Detectors to simulate."""
        return tuple(self.camera.detector(k) for k in self.detector_ids)

    @property
    def faults(self) -> FaultPlan:
        """Where the faults strike."""
        first = self.biases + self.flats + 1
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
        return (reach * self.camera.pixel_scale_arcsec + 2 * DITHER_ARCSEC + 30.0) / 60.0

    def to_dict(self) -> dict[str, Any]:
        """Give the parameters as plain values.

        Returns
        -------
        dict
            As written beside the truth.
        """
        return {
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

    @functools.cached_property
    def exposures(self) -> tuple[Exposure, ...]:
        """All exposures in the order of their sequence numbers: biases, flats, visits."""
        code = self.camera.code
        midnight = float((day_obs_date(self.day_obs) - MJD_EPOCH).days)
        planned: list[Exposure] = []

        def name() -> ObsId:
            return ObsId(code, "O", self.day_obs, len(planned) + 1)

        for k in range(self.biases):
            begin = midnight + FIRST_BIAS_HOUR_TAI / 24 + k * CALIBRATION_SPACING_S / 86400
            planned.append(Exposure(name(), "BIAS", 0.0, begin))
        for k in range(self.flats):
            begin = midnight + FIRST_FLAT_HOUR_TAI / 24 + k * CALIBRATION_SPACING_S / 86400
            planned.append(Exposure(name(), "FLAT", 5.0, begin))
        for k in range(self.visits):
            begin = midnight + FIRST_VISIT_HOUR_TAI / 24 + k * VISIT_SPACING_S / 86400
            random = generator(self.seed, Stream.SCHEDULE, k)
            field = _field_for(begin, k // VISITS_PER_FIELD)
            ra, dec = FIELDS[field]
            dither = random.uniform(-DITHER_ARCSEC, DITHER_ARCSEC, 2) / 3600.0
            planned.append(
                Exposure(
                    name(),
                    "OBJECT",
                    30.0,
                    begin,
                    field,
                    (ra + dither[0] / math.cos(math.radians(dec))) % 360.0,
                    dec + dither[1],
                    float(random.uniform(0.0, 360.0)),
                )
            )
        return tuple(planned)


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
    instrumental(known.name)
    whole_numbers = {
        "visits": (visits, 0, 10_000),
        "biases": (biases, 0, MAX_CALIBRATIONS),
        "flats": (flats, 0, MAX_CALIBRATIONS),
        "seed": (seed, 0, 2**63),
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
    )
    if not plan.exposures:
        raise InputError("The night has no exposure.", advice="Give visits, biases or flats.")
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


def sidereal_time_deg(mjd_tai: float) -> float:
    """Compute the local mean sidereal time at the summit.

    Parameters
    ----------
    mjd_tai
        Time on the TAI scale; UT1 is taken as UTC.

    Returns
    -------
    float
        Degrees, 0 to 360 (Astronomical Almanac, linear part).
    """
    days = mjd_tai - UTC_BEHIND_TAI_S / 86400.0 - 51544.5
    return (280.46061837 + 360.98564736629 * days + SITE_LONGITUDE_DEG) % 360.0


def horizontal(ra_deg: float, dec_deg: float, mjd_tai: float) -> tuple[float, float, float]:
    """Compute where a position stands in the sky of the summit.

    Parameters
    ----------
    ra_deg, dec_deg
        Position; precession is left out.
    mjd_tai
        When.

    Returns
    -------
    azimuth_deg, elevation_deg, airmass : float
        Azimuth from north through east; airmass of a plane-parallel atmosphere.
    """
    hour_angle = math.radians(sidereal_time_deg(mjd_tai) - ra_deg)
    dec, latitude = math.radians(dec_deg), math.radians(SITE_LATITUDE_DEG)
    up = math.sin(dec) * math.sin(latitude) + math.cos(dec) * math.cos(latitude) * math.cos(hour_angle)
    north = math.sin(dec) * math.cos(latitude) - math.cos(dec) * math.sin(latitude) * math.cos(hour_angle)
    east = -math.cos(dec) * math.sin(hour_angle)
    return math.degrees(math.atan2(east, north)) % 360.0, math.degrees(math.asin(up)), 1.0 / max(up, 0.1)


def _field_for(mjd_tai: float, turn: int) -> int:
    """Choose a field near the meridian; each turn takes another one, while three are well up."""
    meridian = sidereal_time_deg(mjd_tai)
    distances = [abs((ra - meridian + 180.0) % 360.0 - 180.0) for ra, _ in FIELDS]
    return sorted(range(len(FIELDS)), key=distances.__getitem__)[turn % 3]
