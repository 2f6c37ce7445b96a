"""Dimension records of exposures and visits, from translated headers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.time import Time
from lsst.daf.butler import Timespan
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d
from numpy.typing import NDArray

from lsst_commtools.ids import day_obs_date
from lsst_commtools.instrument.butler import UNKNOWN_BAND, VISIT_SYSTEM
from lsst_commtools.instrument.cameras import Camera
from lsst_commtools.instrument.headers import ObservationInfo
from lsst_commtools.instrument.pointing import detector_corners

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

__all__ = ["insert_exposure", "is_visit"]

PADDING_ARCSEC = 60.0
"""How far regions reach beyond the nominal corners: the pointing error that the pipeline can still solve."""

_MIN_TIMESPAN = dt.timedelta(milliseconds=1)


def is_visit(info: ObservationInfo) -> bool:
    """Tell whether an exposure is a visit: an image of the sky with a known pointing.

    Parameters
    ----------
    info
        Its translated header.

    Returns
    -------
    bool
        Whether it is.
    """
    pointing = (info.ra_deg, info.dec_deg, info.rotation_deg)
    return info.observation_type == "science" and info.can_see_sky is not False and None not in pointing


def insert_exposure(butler: Butler, camera: Camera, info: ObservationInfo, shape: tuple[int, int]) -> None:
    """Insert all records of an exposure, and of its visit; those that are there stay as they are.

    Parameters
    ----------
    butler
        Writeable client; several processes may insert the same records at once.
    camera
        The camera.
    info
        Translated header of any detector.
    shape
        Rows and columns of the images, for the regions of all science detectors.
    """
    registry, name, number = butler.registry, camera.name, info.exposure_id
    span = _timespan(info.begin_tai, max(info.end_tai, info.begin_tai + _MIN_TIMESPAN))
    keep = {"skip_existing": True}
    registry.insertDimensionData(
        "physical_filter",
        {"instrument": name, "name": info.physical_filter, "band": info.band or UNKNOWN_BAND},
        **keep,
    )
    noon = dt.datetime.combine(day_obs_date(info.day_obs), dt.time(12))
    registry.insertDimensionData(
        "day_obs",
        {"instrument": name, "id": info.day_obs, "timespan": _timespan(noon, noon + dt.timedelta(days=1))},
        **keep,
    )
    registry.insertDimensionData("group", {"instrument": name, "name": info.group}, **keep)
    registry.insertDimensionData("exposure", _exposure_record(info, span), **keep)
    if not is_visit(info):
        return
    corners = {
        detector.id: detector_corners(info.header, camera, detector, shape)
        for detector in camera.science_detectors
    }
    registry.insertDimensionData("visit", _visit_record(info, span, corners.values()), **keep)
    registry.insertDimensionData(
        "visit_definition", {"instrument": name, "exposure": number, "visit": number}, **keep
    )
    registry.insertDimensionData(
        "visit_system_membership", {"instrument": name, "visit_system": VISIT_SYSTEM, "visit": number}, **keep
    )
    registry.insertDimensionData(
        "visit_detector_region",
        *(
            {"instrument": name, "visit": number, "detector": detector, "region": _region([positions])}
            for detector, positions in corners.items()
        ),
        **keep,
    )


def _timespan(begin_tai: dt.datetime, end_tai: dt.datetime) -> Timespan:
    return Timespan(Time(begin_tai, scale="tai"), Time(end_tai, scale="tai"))


def _exposure_record(info: ObservationInfo, span: Timespan) -> dict[str, Any]:
    return {
        "instrument": info.instrument,
        "id": info.exposure_id,
        "day_obs": info.day_obs,
        "group": info.group,
        "physical_filter": info.physical_filter,
        "obs_id": info.obs_id,
        "exposure_time": info.exposure_time_s,
        "dark_time": info.dark_time_s,
        "observation_type": info.observation_type,
        "observation_reason": info.observation_reason,
        "seq_num": info.seq_num,
        "seq_start": info.first_seq_num,
        "seq_end": info.last_seq_num,
        "target_name": info.target,
        "science_program": info.science_program,
        "tracking_ra": info.ra_deg,
        "tracking_dec": info.dec_deg,
        "sky_angle": info.rotation_deg,
        "azimuth": info.azimuth_deg,
        "zenith_angle": None if info.elevation_deg is None else 90.0 - info.elevation_deg,
        "has_simulated": info.has_simulated_content,
        "can_see_sky": info.can_see_sky,
        "timespan": span,
    }


def _visit_record(
    info: ObservationInfo, span: Timespan, corners: Iterable[NDArray[np.float64]]
) -> dict[str, Any]:
    exposure = _exposure_record(info, span)
    shared = (
        "instrument", "id", "day_obs", "physical_filter", "seq_num", "exposure_time", "target_name",
        "observation_reason", "science_program", "azimuth", "zenith_angle", "timespan",
    )  # fmt: skip
    return {**{key: exposure[key] for key in shared}, "name": info.obs_id, "region": _region(corners)}


def _region(corners: Iterable[NDArray[np.float64]]) -> ConvexPolygon:
    """Give the convex polygon around some detectors, padded."""
    points = [UnitVector3d(LonLat.fromDegrees(ra, dec)) for positions in corners for ra, dec in positions]
    hull = ConvexPolygon.convexHull(points)
    centre = np.array(hull.getCentroid())
    vertices = np.array([tuple(vertex) for vertex in hull.getVertices()])
    outwards = vertices - centre
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    # Moved along the diagonal, so that each side moves by the padding.
    padded = vertices + outwards * np.sqrt(2.0) * np.radians(PADDING_ARCSEC / 3600.0)
    return ConvexPolygon.convexHull([UnitVector3d(*vertex) for vertex in padded])
