"""The exposures of a simulated night: when, of what kind, and where the telescope is sent."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

from lsst_commtools.ids import ObsId, day_obs_date
from lsst_commtools.simulate.randoms import Stream, generator
from lsst_commtools.simulate.sky import FIELDS

__all__ = [
    "DITHER_ARCSEC",
    "VISIT_EXPOSURE_S",
    "Exposure",
    "horizontal",
    "make_schedule",
    "sidereal_time_deg",
]

FIRST_BIAS_HOUR_TAI = 18.0
FIRST_FLAT_HOUR_TAI = 18.5
FIRST_DARK_HOUR_TAI = 19.0
FIRST_VISIT_HOUR_TAI = 25.0
CALIBRATION_SPACING_S = 20.0
VISIT_SPACING_S = DARK_SPACING_S = 45.0
FLAT_EXPOSURE_S, VISIT_EXPOSURE_S, DARK_EXPOSURE_S = 5.0, 30.0, 30.0
VISITS_PER_FIELD = 3
DITHER_ARCSEC = 30.0
SITE_LATITUDE_DEG = -30.244639
SITE_LONGITUDE_DEG = -70.749417
UTC_BEHIND_TAI_S = 37.0
SECONDS_PER_DAY = 86400.0
_MJD_ZERO = dt.date(1858, 11, 17)


@dataclass(frozen=True)
class Exposure:
    """One exposure of the plan.

    Parameters
    ----------
    obs_id
        Its name.
    image_type
        BIAS, FLAT, DARK or OBJECT.
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


def make_schedule(
    camera_code: str, day_obs: int, biases: int, flats: int, visits: int, *, seed: int, darks: int = 0
) -> tuple[Exposure, ...]:
    """Plan the exposures of a night.

    Parameters
    ----------
    camera_code
        Camera code of the obs ids.
    day_obs
        Day of observation: calibrations are taken in its afternoon, visits from 1 h TAI of the next date.
    biases, flats, visits
        How many of each kind, in this order.
    seed
        Seed of the dithers and rotations.
    darks
        How many dark exposures, between flats and visits.

    Returns
    -------
    tuple of Exposure
        In the order of their sequence numbers, which begin with 1.
    """
    date = float((day_obs_date(day_obs) - _MJD_ZERO).days)

    def begin(hour: float, k: int, spacing_s: float) -> float:
        return date + hour / 24.0 + k * spacing_s / SECONDS_PER_DAY

    def name(seq_num: int) -> ObsId:
        return ObsId(camera_code, "O", day_obs, seq_num)

    planned = [
        Exposure(name(1 + k), "BIAS", 0.0, begin(FIRST_BIAS_HOUR_TAI, k, CALIBRATION_SPACING_S))
        for k in range(biases)
    ]
    for k in range(flats):
        start = begin(FIRST_FLAT_HOUR_TAI, k, CALIBRATION_SPACING_S)
        planned.append(Exposure(name(len(planned) + 1), "FLAT", FLAT_EXPOSURE_S, start))
    for k in range(darks):
        start = begin(FIRST_DARK_HOUR_TAI, k, DARK_SPACING_S)
        planned.append(Exposure(name(len(planned) + 1), "DARK", DARK_EXPOSURE_S, start))
    for k in range(visits):
        start = begin(FIRST_VISIT_HOUR_TAI, k, VISIT_SPACING_S)
        planned.append(_visit(name(len(planned) + 1), start, k, seed))
    return tuple(planned)


def _visit(obs_id: ObsId, begin_mjd_tai: float, k: int, seed: int) -> Exposure:
    random = generator(seed, Stream.SCHEDULE, k)
    field = _field_for(begin_mjd_tai, k // VISITS_PER_FIELD)
    ra, dec = FIELDS[field]
    east, north = random.uniform(-DITHER_ARCSEC, DITHER_ARCSEC, 2) / 3600.0
    return Exposure(
        obs_id=obs_id,
        image_type="OBJECT",
        exposure_time_s=VISIT_EXPOSURE_S,
        begin_mjd_tai=begin_mjd_tai,
        field=field,
        ra_deg=(ra + east / math.cos(math.radians(dec))) % 360.0,
        dec_deg=dec + north,
        rotpa_deg=float(random.uniform(0.0, 360.0)),
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
